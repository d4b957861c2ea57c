//! The conditions of a measurement.

use std::fmt;

use serde::Serialize;

/// The transport to AWS, and AWS's service time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    pub tls: bool,
    pub service_ms: u64,
}

impl Place {
    pub const HTTP: Self = Self {
        tls: false,
        service_ms: 0,
    };
    pub const TLS: Self = Self {
        tls: true,
        service_ms: 0,
    };
    pub const ALL: [Self; 4] = [
        Self::HTTP,
        Self::TLS,
        Self {
            tls: false,
            service_ms: 5,
        },
        Self {
            tls: true,
            service_ms: 5,
        },
    ];

    pub fn answers_at_once(&self) -> bool {
        self.service_ms == 0
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transport = if self.tls { "TLS" } else { "HTTP" };
        write!(f, "{transport}, {} ms", self.service_ms)
    }
}
