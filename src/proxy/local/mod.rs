//! The local side: one listener, one guard, a site for each open Service. Knows no Kubernetes.

pub(crate) mod server;
pub mod guard;
pub mod site;
mod server_state;
mod handle;
#[cfg(test)]
mod tests;

pub use guard::policy::GuardPolicy;
pub use guard::refusal::ClosedSite;
pub use server::listener::{ListenOn, LocalListener};
pub use server::other_listener::serves_site;
pub use server::request_log::{RefusalReason, RequestLog, RequestRecord};
pub use server::serve::{serve, serve_guess, serve_http2_client};
pub use server::stats::{TrafficCounts, TrafficStats};
pub use server_state::LocalProxy;
pub use site::{Origin, ReadyCount, ShownRun, ShownService, Site};
