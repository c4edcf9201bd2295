//! What one open Service looks like to a browser: its paths, headers, WebSockets, and this program's own pages.

pub mod route;
pub(crate) mod headers;
pub(crate) mod below_proxy_path;
pub(crate) mod web_socket_pump;
pub(crate) mod own_pages;
