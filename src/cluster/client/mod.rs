//! Connections to the API server: dialled, through a proxy or not, secured, and kept.

pub(crate) mod tls;
pub(crate) mod client_identity;
pub(crate) mod naming_verifier;
pub(crate) mod key_kind;
pub(crate) mod proxy_tunnel;
mod kernel_sockets;
pub(crate) mod line_verdict;
pub(crate) mod tcp_line;
pub(crate) mod way_watch;
pub(crate) mod connect;
pub(crate) mod dial_ahead;
pub(crate) mod pool;
pub(crate) mod shared_connection;
pub(crate) mod send_error;
