//! Text for terminals: steps with durations, colours on terminals only, times and previews.

use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::AbortHandle;

/// Interval of the reports of a long step where standard error is not a terminal.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Returns to the beginning of the terminal's line and clears it.
const CLEAR: &str = "\r\x1b[K";

/// Colours, or none: with `NO_COLOR` (<https://no-color.org>), and without a terminal.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    colour: bool,
}

impl Style {
    pub fn for_stdout() -> Self {
        Self::new(std::io::stdout().is_terminal())
    }

    pub fn for_stderr() -> Self {
        Self::new(std::io::stderr().is_terminal())
    }

    /// No colours, for tests.
    pub fn plain() -> Self {
        Self { colour: false }
    }

    fn new(terminal: bool) -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            colour: terminal && !refused,
        }
    }

    pub fn bold(self, text: impl Display) -> String {
        self.wrap("1", text)
    }

    pub fn dim(self, text: impl Display) -> String {
        self.wrap("2", text)
    }

    pub fn good(self, text: impl Display) -> String {
        self.wrap("32", text)
    }

    pub fn bad(self, text: impl Display) -> String {
        self.wrap("31", text)
    }

    fn wrap(self, code: &str, text: impl Display) -> String {
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_string()
        }
    }
}

/// Reports long steps on standard error, or stays silent.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    shown: bool,
}

/// A running step. Dropped without [`Step::done`], it failed; the error follows.
#[derive(Debug)]
pub struct Step {
    progress: Progress,
    started: Instant,
    /// The current activity, for the heartbeat.
    doing: Arc<Mutex<String>>,
    heartbeat: Option<AbortHandle>,
    /// Whether the terminal's current line is the step's.
    open: bool,
}

impl Progress {
    /// For interactive use.
    pub fn shown() -> Self {
        Self { shown: true }
    }

    /// No output.
    pub fn silent() -> Self {
        Self { shown: false }
    }

    /// Silent, where lines for programs are printed.
    pub fn unless(json: bool) -> Self {
        Self { shown: !json }
    }

    /// Begins a step; `doing` reads like "starting the emulator". Needs a running tokio runtime.
    pub fn step(self, doing: &str) -> Step {
        let started = Instant::now();
        let mut heartbeat = None;
        let now = Arc::new(Mutex::new(doing.to_owned()));
        if self.shown && std::io::stderr().is_terminal() {
            print(format_args!("  … {doing}"), "");
        } else if self.shown {
            let now = Arc::clone(&now);
            let beat = async move {
                loop {
                    tokio::time::sleep(HEARTBEAT).await;
                    let doing = now.lock().unwrap_or_else(PoisonError::into_inner).clone();
                    print(
                        format_args!("  … {doing} ({} s)", started.elapsed().as_secs()),
                        "\n",
                    );
                }
            };
            heartbeat = Some(tokio::spawn(beat).abort_handle());
        }
        Step {
            progress: self,
            started,
            doing: now,
            heartbeat,
            open: self.shown && std::io::stderr().is_terminal(),
        }
    }
}

impl Step {
    /// Updates the activity; `doing` as for [`Progress::step`].
    pub fn update(&self, doing: &str) {
        let mut now = self.doing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.open && *now != doing {
            print(format_args!("{CLEAR}  … {doing}"), "");
        }
        doing.clone_into(&mut now);
    }

    /// Ends a step; `did` reads like "started the emulator".
    pub fn done(mut self, did: &str) {
        if self.progress.shown {
            let style = Style::for_stderr();
            let took = style.dim(seconds(self.started.elapsed()));
            let clear = if self.open { CLEAR } else { "" };
            print(
                format_args!("{clear}  {} {did}  {took}", style.good("✓")),
                "\n",
            );
            self.open = false;
        }
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(heartbeat) = self.heartbeat.take() {
            heartbeat.abort();
        }
        if self.open {
            print(format_args!("{CLEAR}"), "");
        }
    }
}

/// Ignores write errors, since a closed terminal must not stop the work.
fn print(text: std::fmt::Arguments, end: &str) {
    let mut stderr = std::io::stderr().lock();
    let _ = write!(stderr, "{text}{end}").and_then(|()| stderr.flush());
}

/// `12 ms` below a second, `3.4 s` from there on.
pub fn seconds(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{} ms", duration.as_millis())
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}

/// `0.51 s`, `34 s`, `5 min`, `3 h`, `2 d`.
pub fn duration(ms: i64) -> String {
    let span = Duration::from_millis(ms.unsigned_abs());
    let sign = if ms < 0 { "-" } else { "" };
    let seconds = span.as_secs();
    let text = match seconds {
        0..10 => format!("{:.2} s", span.as_secs_f64()),
        10..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    };
    format!("{sign}{text}")
}

/// A time of day with its date, in UTC, to the second.
pub fn time(ms: i64) -> String {
    use aws_smithy_types::date_time::{DateTime, Format};
    let text = DateTime::from_secs(ms.div_euclid(1000)).fmt(Format::DateTime);
    text.unwrap_or_else(|_| format!("{ms} ms"))
}

/// `2026-01-31 09:30:00.123 UTC`.
pub fn moment(ms: i64) -> String {
    let text = time(ms);
    let text = text.trim_end_matches('Z').replace('T', " ");
    format!("{text}.{:03} UTC", ms.rem_euclid(1000))
}

/// The beginning of a text on one line. Hidden characters are escaped, so that no message can move the cursor or ring the bell.
pub fn preview(text: &str, width: usize) -> String {
    let mut shown: String = text
        .chars()
        .take(width)
        .flat_map(|c| {
            let escape = is_hidden(c);
            let escaped = escape.then(|| c.escape_default());
            let plain = (!escape).then_some(c);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect();
    if text.chars().nth(width).is_some() {
        shown.push('…');
    }
    shown
}

/// The whole text, as a [`preview`].
pub fn shown(text: &str) -> String {
    preview(text, usize::MAX)
}

/// Whether a reader cannot see it: control characters, line ends and tabs among them, marks of direction, and characters without
/// a width.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preview_is_one_harmless_line() {
        assert_eq!(preview("hello", 10), "hello");
        assert_eq!(preview("hello", 4), "hell…");
        assert_eq!(preview("a\nb\x1b[2Jc", 20), "a\\nb\\u{1b}[2Jc");
        assert_eq!(preview("\u{202e}abc", 20), "\\u{202e}abc");
        assert_eq!(preview("a\u{200b}b\u{feff}", 20), "a\\u{200b}b\\u{feff}");
        assert_eq!(preview("ünï", 3), "ünï");
    }

    #[test]
    fn durations_are_short() {
        assert_eq!(seconds(Duration::from_millis(12)), "12 ms");
        assert_eq!(seconds(Duration::from_millis(3_449)), "3.4 s");
    }

    #[test]
    fn no_terminal_no_colours() {
        assert_eq!(Style::new(false).good("x"), "x");
    }
}
