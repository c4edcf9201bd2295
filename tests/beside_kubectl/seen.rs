//! What a program did, as far as it is compared.

use std::fmt;

/// One run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Whether it ended with 0.
    pub(crate) success: bool,
    /// How often the credential plugin ran, or other plugins.
    pub(crate) plugin_ran: bool,
    /// The request for the Service, by the way on which it came.
    pub(crate) request: Option<SeenRequest>,
}

/// A request and its connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SeenRequest {
    /// The proxy's name, what it was asked for, and how the client proved who it is.
    pub(crate) proxy: Option<String>,
    /// The name of the server in the TLS handshake.
    pub(crate) sni: Option<String>,
    /// The common name in the client's certificate.
    pub(crate) certificate: Option<String>,
    /// Its path.
    pub(crate) path: String,
    pub(crate) host: String,
    /// `Authorization` and `Impersonate-*`, sorted.
    pub(crate) identity: Vec<String>,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}, plugin {}",
            if self.success { "success" } else { "failure" },
            if self.plugin_ran { "ran" } else { "did not run" }
        )?;
        let Some(request) = &self.request else { return write!(f, ", no request") };
        let SeenRequest { proxy, sni, certificate, path, host, identity } = request;
        write!(f, "\n  {path} of {host}, {identity:?}\n  by proxy {proxy:?}, SNI {sni:?}, certificate {certificate:?}")
    }
}
