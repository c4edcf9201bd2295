//! What all test programs are written with: web applications in Pods, clients, certificates, terminals, running the plugin;
//! [`fake`] and [`cluster`] are the API servers that it runs against.
//!
//! What is `pub` is used by one of them: a test (`tests/it/support.rs`) looks, since the compiler cannot see across crates.
#![allow(clippy::needless_pass_by_value, reason = "a test hands over what it has just written down")]
#![allow(clippy::result_large_err, reason = "an answer instead of a value costs a test nothing")]
#![allow(clippy::unwrap_used, reason = "a test fails with a panic")]

pub mod attack_list;
mod authority;
mod backend;
pub mod cluster;
mod connect_proxy;
pub mod fake;
mod far_relay;
pub mod figures;
pub mod frames;
pub mod golden;
pub mod http;
mod login_server;
pub mod network_turn;
mod nginx;
mod process;
mod raw;
mod relay;
pub mod stream;
pub mod terminal;
pub mod tls_client;
mod websocket;

use std::time::{Duration, Instant};

pub use authority::Authority;
pub use backend::{Backend, Canned, acceptor, matches_pattern, pattern};
pub use connect_proxy::ConnectProxy;
pub use far_relay::FarRelay;
pub use login_server::{LoginServer, LoginVisitor};
pub use nginx::nginx;
pub use process::{Finished, Running, Serving};
pub use raw::RawBackend;
pub use relay::Relay;
pub use tls_client::TlsClient;
pub use websocket::{Peer, refusal};

/// kubectl-svcproxy(1), made from the command's definition.
pub fn manual_page(command: clap::Command) -> Vec<u8> {
    let command = command.name("kubectl-svcproxy").bin_name("kubectl svcproxy");
    let mut page = Vec::new();
    clap_mangen::Man::new(command).manual("kubectl plugins").render(&mut page).unwrap();
    page.extend_from_slice(MANUAL_SECTIONS.as_bytes());
    page
}

/// What the command's definition does not know, in roff.
const MANUAL_SECTIONS: &str = r#".SH EXAMPLES
.TP
.B kubectl svcproxy
choose a Service; Enter opens it
.TP
.B kubectl svcproxy grafana \-n monitoring
open it in the browser
.TP
.B kubectl svcproxy \-\-list \-A
what could be opened, with computed proxy URLs
.TP
.B curl "$(kubectl svcproxy api \-o url \-\-dry\-run)"
the URL alone, for scripts
.TP
.B kubectl svcproxy api \-\- ./smoke\-test
run a command with SVCPROXY_URL set
.SH "EXIT STATUS"
0: served and stopped, also by Ctrl\-C. 1: failed. 2: wrong usage. 130: a prompt was cancelled. Otherwise COMMAND's own.
.SH ENVIRONMENT
.TP
.B KUBECONFIG, KUBERC, KUBECTL_KUBERC, KUBECTL_PATH
as kubectl has them
.TP
.B HTTPS_PROXY, HTTP_PROXY, NO_PROXY
proxies to the API server; in capitals they count before those in small letters
.TP
.B BROWSER
the browser to open
.TP
.B NO_COLOR
no colours
.TP
.B SVCPROXY_URL, SVCPROXY_SITE_URL
set for COMMAND, without a slash at the end; of several Services also SVCPROXY_URL_NAME and SVCPROXY_SITE_URL_NAME of each
.SH FILES
.TP
.I ~/.kube/config, ~/.kube/kuberc
kubectl's own
.TP
.I $XDG_STATE_HOME/kubectl\-svcproxy/history.json
what was opened lately, without secrets; else below ~/.local/state
"#;

/// Between two looks at a condition.
pub(crate) const POLL: Duration = Duration::from_millis(20);

/// Polls until `look` finds something; panics after 30 seconds, naming `what` was waited for.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited 30 seconds in vain: {what}");
        tokio::time::sleep(POLL).await;
    }
}
