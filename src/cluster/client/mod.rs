//! Connections to the API server: dialled, through a proxy or not, secured, and kept.

pub(crate) mod tls;
pub(crate) mod proxy_tunnel;
pub(crate) mod connect;
pub(crate) mod pool;
pub(crate) mod send_error;
