//! What the API server is asked, and what it answers.

pub(crate) mod api_server;
pub(crate) mod api_server_health;
pub(crate) mod lost_connections;
pub(crate) mod gateway_cookies;
pub(crate) mod api_error;
pub(crate) mod call;
mod retry_after;
mod warning_headers;
pub(crate) mod read_ahead;
pub(crate) mod list_json;
pub(crate) mod list_protobuf;
pub(crate) mod list;
pub(crate) mod object_fields;
pub(crate) mod services;
pub(crate) mod endpoint_slices;
pub(crate) mod endpoints_ahead;
pub(crate) mod readiness;
pub(crate) mod namespaces;
pub(crate) mod pods;
pub(crate) mod watch;
pub(crate) mod access_review;
pub(crate) mod rule;
pub(crate) mod forbidden;
