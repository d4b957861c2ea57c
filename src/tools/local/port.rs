//! The ports of the local stack.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, TcpListener};

/// A port of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// A free one.
    Free,
    /// This one, or a free one when it is taken.
    Preferred(u16),
    Exact(u16),
}

impl Port {
    /// The port of the local mode of Momento's SDKs (`forMomentoLocal`).
    pub const TOPICS: Self = Self::Preferred(8080);
    /// The port where AWS emulators are expected.
    pub const AWS: Self = Self::Preferred(4566);

    /// The port of an option: 0 is a free one, and without the option `default` applies.
    pub fn of(option: Option<u16>, default: Self) -> Self {
        match option {
            None => default,
            Some(0) => Self::Free,
            Some(port) => Self::Exact(port),
        }
    }

    /// Listens on this port: `on` is called with a number, and again with 0 where the preferred one is taken.
    ///
    /// # Errors
    ///
    /// Those of `on`.
    pub async fn listen<T>(self, on: impl AsyncFn(u16) -> io::Result<T>) -> io::Result<T> {
        match self {
            Self::Free => on(0).await,
            Self::Exact(port) => on(port).await,
            Self::Preferred(port) => match on(port).await {
                Err(error) if error.kind() == ErrorKind::AddrInUse => on(0).await,
                listening => listening,
            },
        }
    }

    /// The preferred port, if `port` replaced it.
    pub fn replaced_by(self, port: u16) -> Option<u16> {
        match self {
            Self::Preferred(wanted) if wanted != port => Some(wanted),
            _ => None,
        }
    }
}

/// Whether a port of the loopback address can be bound now.
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_is_an_exact_port_and_zero_a_free_one() {
        assert_eq!(Port::of(None, Port::AWS), Port::Preferred(4566));
        assert_eq!(Port::of(Some(0), Port::AWS), Port::Free);
        assert_eq!(Port::of(Some(7), Port::AWS), Port::Exact(7));
    }

    #[test]
    fn only_a_preferred_port_is_replaced() {
        assert_eq!(Port::Preferred(1).replaced_by(2), Some(1));
        assert_eq!(Port::Preferred(1).replaced_by(1), None);
        assert_eq!(Port::Exact(1).replaced_by(2), None);
        assert_eq!(Port::Free.replaced_by(2), None);
    }
}
