//! The listener, its connections and the exchanges on them.

pub(crate) mod listener;
pub(crate) mod other_listener;
#[cfg(unix)]
pub(crate) mod unix_socket;
pub(crate) mod serve;
pub(crate) mod connection;
pub(crate) mod client_places;
mod tls_front;
mod http2_limits;
mod http2_requests;
#[cfg(target_os = "linux")]
pub(crate) mod socket_owner;
pub(crate) mod exchange;
mod answer_times;
mod first_line;
mod unread_request;
pub(crate) mod stats;
pub(crate) mod request_log;
