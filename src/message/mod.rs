//! HTTP messages, whoever sends them: bodies, paths, links, handshakes. Knows no Service and no cluster.

pub mod client_kind;
pub mod html_links;
pub(crate) mod link_fields;
pub mod safe_path;
pub(crate) mod cookie_fields;
pub mod scheme;
pub(crate) mod token_parameter;
pub(crate) mod client_connection;
pub(crate) mod peek;
pub(crate) mod forwarded_fields;
pub(crate) mod content_kind;
pub(crate) mod rewritten_body;
pub(crate) mod text_replacement;
pub(crate) mod multistatus;
pub mod body;
pub(crate) mod replay;
pub(crate) mod web_socket;
pub(crate) mod field_tokens;
pub(crate) mod host_port;
pub(crate) mod basic_auth;
pub mod byte_stream;
pub(crate) mod capped_reads;
pub mod upgraded_stream;
