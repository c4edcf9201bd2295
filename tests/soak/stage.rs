//! A cluster with three Services, and three runs of the plugin that serve them, each in another way.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use support::cluster::{Cluster, Login as LoginKind, User};
use support::{Relay, Serving, TlsClient};
use tokio::task::JoinHandle;

use crate::app::{App, PORT};
use crate::client::{Caller, DOORS, Site};
use crate::content::Ledger;
use crate::faults::{FaultStage, Login, ServedApp, add_pod, works};
use crate::plugin::Plugin;
use crate::samples::{Curve, descriptors};
use crate::tally::Tally;

pub(crate) const SERVICES: [&str; 3] = ["front", "middle", "back"];
const SERVICE_PROXY: &str = "--via=service-proxy";
/// What each run is told, and what it is called.
const RUNS: [(&str, &[&str]); 3] =
    [("as it is", &[]), ("service proxy", &[SERVICE_PROXY]), ("port-forward", &["--via=port-forward"])];
/// The relay's port, at the address of the API server, whose certificate names it.
const RELAY_PORT: u16 = 7443;
/// How long credentials live, at least and at most.
const LOGIN_LIFETIME: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(300));

/// The plugin, once.
pub(crate) struct PluginRun {
    serving: Serving,
    pub(crate) curve: Arc<Curve>,
    /// How many descriptors it had before there was any load.
    pub(crate) at_rest: usize,
}

/// Everything that takes part.
pub(crate) struct Stage {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) tally: Arc<Tally>,
    pub(crate) sites: Vec<Arc<Site>>,
    pub(crate) runs: Vec<PluginRun>,
    pub(crate) faults: Option<FaultStage>,
    pub(crate) user: Arc<User>,
}

impl Stage {
    pub(crate) async fn start(cluster: &'static Cluster, duration: Duration, tally: Arc<Tally>) -> Self {
        let namespace = Arc::new(cluster.namespace().await);
        let ledger = Arc::new(Ledger::default());
        let mut apps = Vec::new();
        for name in SERVICES {
            let ip = cluster.pod_address();
            let app = App::start(ip, Arc::clone(&ledger)).await;
            namespace.service(name, json!([{"name": "http", "port": 80, "targetPort": PORT}])).await;
            add_pod(&namespace, name, &format!("{name}-0"), ip).await;
            namespace.until_endpoints(name, 1).await;
            apps.push(ServedApp { name: name.to_owned(), app, generation: 0 });
        }
        let user = Arc::new(cluster.user_with(LoginKind::Exec));
        namespace.bind(&user, "edit").await;
        let login = Arc::new(Login::new(&user, (duration / 12).clamp(LOGIN_LIFETIME.0, LOGIN_LIFETIME.1)));
        tokio::spawn(Arc::clone(&login).keep(Arc::clone(&user)));

        let far: SocketAddr = Cluster::authority_of_url().parse().unwrap();
        let near = SocketAddr::new(far.ip(), RELAY_PORT);
        let relay = Relay::start(near, far).await;
        let kubeconfig = user.kubeconfig(namespace.name());
        let text = fs::read_to_string(&kubeconfig).unwrap();
        fs::write(&kubeconfig, text.replace(&Cluster::url(), &format!("https://{near}"))).unwrap();

        let (mut runs, mut sites) = (Vec::new(), Vec::new());
        for (name, flags) in RUNS {
            let (serving, served) = serve(cluster, &kubeconfig, name, flags).await;
            let curve = Arc::new(Curve::new(name, serving.pid()));
            let at_rest = at_rest(&served, serving.pid()).await;
            sites.extend(served);
            runs.push(PluginRun { serving, curve, at_rest });
        }
        let faults = FaultStage {
            cluster,
            namespace,
            user: Arc::clone(&user),
            login,
            relay,
            apps,
            sites: sites.clone(),
            ledger: Arc::clone(&ledger),
            tally: Arc::clone(&tally),
        };
        Self { ledger, tally, sites, runs, faults: Some(faults), user }
    }

    /// Looks at each run each `period`.
    pub(crate) fn follow(&self, period: Duration) -> Vec<JoinHandle<()>> {
        let curves = self.runs.iter().map(|run| Arc::clone(&run.curve));
        curves.map(|curve| tokio::spawn(curve.follow(period, Arc::clone(&self.tally)))).collect()
    }

    /// Ends the connections of HTTP/2, which clients share.
    pub(crate) async fn hang_up(&self) {
        for site in &self.sites {
            *site.http2.lock().await = None;
        }
    }

    /// Ends each run as Ctrl-C does.
    pub(crate) async fn end(self) {
        for run in self.runs {
            run.serving.signal(Signal::INT);
            let finished = run.serving.end().await;
            if finished.status.code() != Some(0) || finished.stderr.contains("panicked") {
                self.tally.complain(format!("{} ended with {}: {}", run.curve.name, finished.status, finished.stderr));
            }
        }
    }
}

/// A run of the plugin by https, and its sites.
async fn serve(
    cluster: &'static Cluster,
    kubeconfig: &Path,
    run: &'static str,
    flags: &[&str],
) -> (Serving, Vec<Arc<Site>>) {
    let home = cluster.scratch();
    let plugin = || Plugin::new(cluster, kubeconfig).env("HOME", &home);
    let trusted = plugin().plain().args(["--install-ca=browsers"]).finish().await;
    assert_eq!(trusted.code(), 0, "{}", trusted.stderr);
    let pem = fs::read_to_string(home.join(".local/state/kubectl-svcproxy/local-ca.pem")).unwrap();
    let serving = plugin().args(SERVICES).args(flags).serve_targets(SERVICES.len()).await;
    let url = |service: usize, field: &str| {
        let ready = serving.ready_target(service);
        ready[field].as_str().unwrap_or_else(|| panic!("{ready}")).parse().unwrap()
    };
    let site = |service: usize| Site {
        run,
        service,
        proxy_url: url(service, "proxyUrl"),
        site_url: url(service, "siteUrl"),
        takes_queries: !flags.contains(&SERVICE_PROXY),
        tls: TlsClient::trusting(&pem),
        http2: tokio::sync::Mutex::default(),
    };
    let sites = (0..SERVICES.len()).map(|service| Arc::new(site(service))).collect();
    (serving, sites)
}

/// How many descriptors a run has once it has served each Service at each door, with a WebSocket too.
async fn at_rest(sites: &[Arc<Site>], pid: u32) -> usize {
    for site in sites {
        for door in DOORS {
            let mut caller = Caller::new(Arc::clone(site), door);
            assert!(works(&mut caller).await, "{} does not serve Service {}", site.run, SERVICES[site.service]);
            let socket = caller.web_socket("/socket").await;
            if let Err(failure) = socket {
                panic!("{} opens no WebSocket at {door:?}: {failure}", site.run);
            }
        }
        *site.http2.lock().await = None;
    }
    descriptors(pid).expect("it runs")
}
