//! What goes wrong on purpose, again and again, and that everything works afterwards.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use support::Relay;
use support::cluster::{Cluster, Namespace, Pod, User};

use crate::app::App;
use crate::client::{Caller, DOORS, Site, accepted, read_whole};
use crate::content::{Ledger, whole_body};
use crate::stage::SERVICES;
use crate::tally::Tally;

/// After the end of a fault everything must work within this time.
const RECOVERY: Duration = Duration::from_secs(60);
/// Once everything works, a connection that died in the fault may still be found dead for so long.
const SETTLING: Duration = Duration::from_secs(3);
/// Between two looks whether it works again.
const POLL: Duration = Duration::from_millis(200);
/// Longer than the plugin waits before it takes a connection for dead.
const STANDSTILL: Duration = Duration::from_secs(12);
/// A shorter run has no time without faults of the API server.
const CALM_AFTER: Duration = Duration::from_secs(600);
/// Services to which nothing of their own happens.
const UNTOUCHED: usize = 1;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FaultKind {
    /// It is killed, and started again.
    ApiServerKilled,
    /// The same, and it does not know the token any more.
    TokenWithdrawn,
    /// Every connection to it is reset.
    ConnectionsReset,
    /// Nothing gets through to it, though connections stay.
    WayStandsStill,
    /// Another Pod takes the place of the Service's only one.
    PodReplaced,
    /// The app ends with all its connections, and starts again.
    AppRestarted,
}

impl FaultKind {
    /// In an order in which each is followed by one of another sort.
    pub(crate) const ALL: [Self; 6] = [
        Self::PodReplaced,
        Self::ConnectionsReset,
        Self::ApiServerKilled,
        Self::AppRestarted,
        Self::TokenWithdrawn,
        Self::WayStandsStill,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ApiServerKilled => "API server killed",
            Self::TokenWithdrawn => "API server killed, token withdrawn",
            Self::ConnectionsReset => "connections to it reset",
            Self::WayStandsStill => "way to it stands still",
            Self::PodReplaced => "Pod replaced",
            Self::AppRestarted => "app restarted",
        }
    }

    pub(crate) fn stops_the_api_server(self) -> bool {
        matches!(self, Self::ApiServerKilled | Self::TokenWithdrawn)
    }

    /// Whether one Service alone suffers.
    fn is_local(self) -> bool {
        matches!(self, Self::PodReplaced | Self::AppRestarted)
    }
}

/// A Service: its name, the app in its Pod, and how often that was replaced.
pub(crate) struct ServedApp {
    pub(crate) name: String,
    pub(crate) app: App,
    pub(crate) generation: u32,
}

/// Everything that can be broken.
pub(crate) struct FaultStage {
    pub(crate) cluster: &'static Cluster,
    pub(crate) namespace: Arc<Namespace>,
    pub(crate) user: Arc<User>,
    pub(crate) login: Arc<Login>,
    pub(crate) relay: Relay,
    pub(crate) apps: Vec<ServedApp>,
    pub(crate) sites: Vec<Arc<Site>>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) tally: Arc<Tally>,
}

impl FaultStage {
    /// Breaks one thing each `period` until `stop`. In the middle third of a long `duration` nothing cuts everything off, so
    /// that connections grow old.
    pub(crate) async fn run(mut self, duration: Duration, period: Duration, stop: CancellationToken) -> Self {
        let began = Instant::now();
        let mut kinds = FaultKind::ALL.into_iter().cycle();
        let mut turn = 0;
        while stop.run_until_cancelled(sleep(period)).await.is_some() {
            let progress = began.elapsed().as_secs_f64() / duration.as_secs_f64();
            let is_calm = duration > CALM_AFTER && (1.0 / 3.0..2.0 / 3.0).contains(&progress);
            let kind = kinds.find(|kind| !is_calm || kind.is_local()).expect("they come again");
            let service = turn % (self.apps.len() - UNTOUCHED);
            turn += 1;
            self.suffer(kind, kind.is_local().then_some(service)).await;
        }
        self
    }

    async fn suffer(&mut self, kind: FaultKind, service: Option<usize>) {
        let tally = Arc::clone(&self.tally);
        let disturbance = tally.disturb(kind, service);
        match (kind, service) {
            (FaultKind::PodReplaced, Some(service)) => self.replace_pod(service).await,
            (FaultKind::AppRestarted, Some(service)) => self.apps[service].app.restart().await,
            (FaultKind::WayStandsStill, _) => self.relay.stand_still(STANDSTILL).await,
            (FaultKind::ConnectionsReset, _) => self.relay.cut(),
            (FaultKind::ApiServerKilled, _) => {
                self.cluster.kill_api_server().await;
                self.cluster.start_api_server().await;
            }
            (FaultKind::TokenWithdrawn, _) => {
                self.cluster.kill_api_server().await;
                let token = self.login.withdraw();
                self.cluster.replace_token(&self.user, &token);
                self.login.renew(&self.user);
                self.cluster.start_api_server().await;
            }
            (FaultKind::PodReplaced | FaultKind::AppRestarted, None) => unreachable!("they happen to a Service"),
        }
        self.until_works(kind, service).await;
        sleep(SETTLING).await;
        tally.calm(disturbance);
    }

    async fn replace_pod(&mut self, service: usize) {
        let ip = self.cluster.pod_address();
        let app = App::start(ip, Arc::clone(&self.ledger)).await;
        let served = &mut self.apps[service];
        let old = format!("{}-{}", served.name, served.generation);
        served.generation += 1;
        let new = format!("{}-{}", served.name, served.generation);
        add_pod(&self.namespace, &served.name, &new, ip).await;
        self.namespace.until_endpoints(&served.name, 2).await;
        self.namespace.delete_pod(&old).await;
        self.namespace.until_endpoints(&served.name, 1).await;
        served.app = app;
    }

    /// A condition: each site that suffered answers at each of its doors.
    async fn until_works(&self, kind: FaultKind, service: Option<usize>) {
        let ended = Instant::now();
        for site in self.sites.iter().filter(|site| service.is_none_or(|service| site.service == service)) {
            for door in DOORS {
                let mut caller = Caller::new(Arc::clone(site), door);
                while !works(&mut caller).await {
                    if ended.elapsed() > RECOVERY {
                        let (run, service) = (site.run, SERVICES[site.service]);
                        return self.tally.complain(format!(
                            "{} s after \"{}\", {run} still does not serve Service {service} at {door:?}",
                            RECOVERY.as_secs(),
                            kind.name(),
                        ));
                    }
                    sleep(POLL).await;
                }
            }
        }
    }
}

pub(crate) async fn works(caller: &mut Caller) -> bool {
    let asked = async {
        let answer = caller.send(http::Method::GET, "/small", &[], whole_body("")).await?;
        read_whole(accepted(answer).await?.body_mut()).await
    };
    timeout(RECOVERY, asked).await.is_ok_and(|answer| answer.is_ok_and(|body| body == b"small"))
}

pub(crate) async fn add_pod(namespace: &Namespace, service: &str, name: &str, ip: Ipv4Addr) {
    let labels = json!({"app": service});
    namespace.pod(Pod { name, ip, labels, ports: json!([]), ready: true }).await;
}

/// What the credential plugin hands out: a token, which runs out.
pub(crate) struct Login {
    name: String,
    lifetime: Duration,
    withdrawn: AtomicU64,
}

impl Login {
    pub(crate) fn new(user: &User, lifetime: Duration) -> Self {
        let login = Self { name: user.name().to_owned(), lifetime, withdrawn: AtomicU64::new(0) };
        login.renew(user);
        login
    }

    /// From now on there is another one, which is returned.
    fn withdraw(&self) -> String {
        self.withdrawn.fetch_add(1, Ordering::Relaxed);
        self.token()
    }

    fn token(&self) -> String {
        match self.withdrawn.load(Ordering::Relaxed) {
            0 => format!("token-of-{}", self.name),
            times => format!("token-{times}-of-{}", self.name),
        }
    }

    /// Whoever asks from now on gets a token that lives from now on.
    pub(crate) fn renew(&self, user: &User) {
        let expiry = jiff::Timestamp::now() + self.lifetime;
        user.set_credential(&self.token(), Some(&expiry.to_string()));
    }

    /// Renews it again and again.
    pub(crate) async fn keep(self: Arc<Self>, user: Arc<User>) {
        loop {
            sleep(self.lifetime / 4).await;
            self.renew(&user);
        }
    }
}
