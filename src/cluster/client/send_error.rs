//! Why a request got no answer from the API server.

use std::error::Error as _;

use super::tcp_line::LostLine;
use super::tls::TlsProblem;
use crate::error::Error;

/// Why a request got no answer. Its text is one line for people, without secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The host name of the API server or of a proxy means nothing here.
    #[error("cannot find the host {host}")]
    Resolve {
        /// The name.
        host: String,
    },
    /// Nothing accepts connections there.
    #[error("cannot reach the API server at {address}: {cause}")]
    Connect {
        /// Address and port.
        address: String,
        /// Why, in the system's words.
        cause: String,
    },
    /// The proxy in between does not let us through.
    #[error("the proxy {proxy} gives no way to the API server: {cause}")]
    Proxy {
        /// Its URL without user and password.
        proxy: String,
        /// Why.
        cause: String,
    },
    /// No trust.
    #[error("no secure connection to the API server {server}: {problem}")]
    Tls {
        /// Its URL.
        server: String,
        /// Why.
        problem: TlsProblem,
    },
    /// There is nothing to log in with.
    #[error("{0}")]
    Credentials(Error),
    /// The head of an answer is longer than is taken.
    #[error("the header of its answer is too large")]
    HeadTooLarge,
    /// The connection led nowhere any more: the network has changed, or nobody is at its other end.
    #[error("the connection to the API server was lost: {cause}")]
    Lost {
        /// Why.
        cause: String,
    },
    /// The connection broke before the head of the answer was there.
    #[error("the connection to the API server broke: {cause}")]
    Interrupted {
        /// Why.
        cause: String,
    },
}

impl SendError {
    /// The connection broke off because of `cause`.
    pub(crate) fn interrupted(cause: &(impl ToString + ?Sized)) -> Self {
        Self::Interrupted { cause: cause.to_string() }
    }

    /// The reason alone, for a sentence about something else than the API server.
    pub(crate) fn cause(&self) -> String {
        match self {
            Self::Connect { address, cause } => format!("{cause} at {address}"),
            other => other.to_string(),
        }
    }
}

impl From<LostLine> for SendError {
    fn from(lost: LostLine) -> Self {
        Self::Lost { cause: lost.to_string() }
    }
}

impl From<hyper::Error> for SendError {
    fn from(error: hyper::Error) -> Self {
        if let Some(lost) = LostLine::within(&error) {
            return lost.into();
        }
        match error.source() {
            _ if error.is_parse_too_large() => Self::HeadTooLarge,
            _ if error.is_parse() => Self::interrupted("its answer is not HTTP"),
            Some(source) => Self::interrupted(source),
            None => Self::interrupted("it was closed before there was an answer"),
        }
    }
}
