//! What the user lets pass besides what always may.

/// Who may use what is served.
#[derive(Debug, Clone, Default)]
pub struct GuardPolicy {
    /// Only GET, HEAD and OPTIONS, and no WebSockets.
    pub read_only: bool,
    /// Further `Host` values: `NAME` with whatever port, or `NAME:PORT`.
    pub allow_hosts: Vec<String>,
    /// Further `Origin` values, `SCHEME://HOST[:PORT]`, whose pages may send any request.
    pub allow_origins: Vec<String>,
    /// Whether other users of this machine may connect.
    pub allow_other_users: bool,
    /// A token that opens each site once; without, there is none.
    pub token: Option<String>,
}
