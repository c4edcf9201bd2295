//! The two schemes that HTTP has (RFC 9110 section 4.2). Pure.

use std::fmt;

use clap::ValueEnum;
use serde::Serialize;

/// How HTTP is spoken with somebody: a browser, or the Pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// Plain HTTP
    Http,
    /// TLS
    Https,
}

impl Scheme {
    /// The one that a URL begins with; `None` where it is no HTTP.
    pub(crate) fn of_url(scheme: &[u8]) -> Option<Self> {
        [Self::Http, Self::Https].into_iter().find(|one| scheme.eq_ignore_ascii_case(one.as_str().as_bytes()))
    }

    /// The port that URLs leave out (RFC 9110 sections 4.2.1 and 4.2.2).
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }

    /// `http` or `https`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Http => Self::Https,
            Self::Https => Self::Http,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
