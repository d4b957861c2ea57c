//! Opens a port, or explains the failure.

use std::io::ErrorKind;

use anyhow::{Result, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;

/// Listens on `ADDRESS:PORT`, the value of `option`. Port 0 is a free one.
///
/// # Errors
///
/// A sentence with the remedy.
pub async fn listen(address: &str, option: &str) -> Result<TcpListener> {
    let error = match TcpListener::bind(address).await {
        Ok(listener) => return Ok(listener),
        Err(error) => error,
    };
    let advice = match error.kind() {
        ErrorKind::AddrInUse => "something else listens there; stop it, or choose another port",
        ErrorKind::PermissionDenied => {
            "this user may not open the port; choose one from 1024 up, which needs no privilege"
        }
        ErrorKind::AddrNotAvailable => {
            "this machine does not have the address; `0.0.0.0` stands for all that it has"
        }
        _ => "expected ADDRESS:PORT such as `127.0.0.1:8080`",
    };
    bail!("cannot listen on `{address}` ({option}): {error}: {advice}")
}

/// Raises the limit of open files to the user's maximum: each connection is one, and many systems begin with 1024.
pub fn raise_open_files() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let all = Rlimit {
        current: maximum,
        maximum,
    };
    // If it is refused, connections wait until others end.
    let _ = setrlimit(Resource::Nofile, all);
}
