//! The keyboard of `bridge local`: `r` and Enter build the functions again.

use std::io::{IsTerminal, Read};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::getpgrp;
use rustix::termios::tcgetpgrp;
use tokio::sync::mpsc::UnboundedSender;

/// The interval of the polls for input; it bounds how long the thread outlives its receiver.
const LOOK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 250_000_000,
};

/// Sends for each line `r` of a terminal, from a thread of its own, until the receiver is gone.
pub fn listen(builds: UnboundedSender<()>) {
    if !std::io::stdin().is_terminal() {
        return;
    }
    std::thread::spawn(move || {
        while !builds.is_closed() {
            match line() {
                Ok(Some(line)) if line.trim() == "r" => {
                    let _ = builds.send(());
                }
                Ok(Some(line)) if line.is_empty() => return,
                Ok(_) => {}
                Err(_) => return,
            }
        }
    });
}

/// The next line; none where there is none yet. A terminal's line is complete once it can be read.
fn line() -> std::io::Result<Option<String>> {
    let stdin = std::io::stdin();
    // Reading in the background would stop the process.
    if tcgetpgrp(&stdin)? != getpgrp() {
        std::thread::sleep(Duration::from_millis(250));
        return Ok(None);
    }
    let mut ready = [PollFd::new(&stdin, PollFlags::IN)];
    match poll(&mut ready, Some(&LOOK)) {
        Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(None),
        Ok(_) => {}
        Err(error) => return Err(error.into()),
    }
    let mut line = [0; 1024];
    let length = stdin.lock().read(&mut line)?;
    Ok(Some(String::from_utf8_lossy(&line[..length]).into_owned()))
}
