//! Connections of our own into a Pod, through `pods/portforward`: nothing on the way touches the messages.

mod carrier;
mod channels;
mod dial;
mod failure;
mod finder;
mod framing;
mod handshake;
mod spdy;
mod pod_stream;

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use http::header::UPGRADE;
use http::{Request, Response};
use http_body::Body as _;

use super::diagnose::{Diagnostics, RequestingClient};
use super::{Body, RouteTaken, Transport};
use crate::cluster::client::pool::{ConnectionPool, SendOutcome};
use crate::cluster::client::tls::{ServerTrust, TlsClient};
use crate::cluster::{Cluster, EndpointSlice};
use crate::error::Error;
use crate::lock::lock;
use crate::message::replay;
use crate::service::Service;
use crate::service::{Scheme, Target};
use dial::PodDialer;
use failure::PodFailure;
use finder::PodFinder;
use handshake::ForwardHandshake;

/// How long kept connections are used before it is looked whether their Pods are still ready.
const READINESS_CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// A request that must not be sent twice takes no connection that has waited longer. The app may have closed it, which
/// shows here only a second later (container runtimes wait so long for the other direction), and few close sooner than this.
const MAX_SAFE_IDLE_TIME: Duration = Duration::from_secs(1);
/// A request of so many octets, or of nobody knows how many, gets a connection that is good at them.
const LARGE: u64 = 256 * 1024;

/// Sends requests to one Target's Pods. A clone shares the connections.
#[derive(Clone)]
pub struct PortForward {
    inner: Arc<PortForwardShared>,
}

struct PortForwardShared {
    finder: Arc<PodFinder>,
    pools: PodPools,
    diagnostics: Diagnostics,
    swept: Mutex<Instant>,
    sweeping: AtomicBool,
}

/// Connections to the Pods, by what they are good for.
struct PodPools {
    ordinary: ConnectionPool<PodDialer>,
    /// For what is [`LARGE`].
    large: ConnectionPool<PodDialer>,
}

impl PodPools {
    fn fit_for(&self, request: &Request<Body>) -> &ConnectionPool<PodDialer> {
        let is_large = request.body().size_hint().upper().is_none_or(|most| most >= LARGE);
        if is_large { &self.large } else { &self.ordinary }
    }

    fn keep_only(&self, keep: impl Fn(&Arc<str>) -> bool) {
        self.ordinary.keep_only(&keep);
        self.large.keep_only(&keep);
    }
}

impl PortForward {
    /// Sends to the Pods of `target`, speaking `target.scheme`. `service` is `None` where the user may not read it.
    ///
    /// With `verify_tls` the certificate of a https Pod must be good for the Service's DNS name and issued by somebody
    /// whom the system trusts.
    ///
    /// # Errors
    /// When the system trusts nobody and `verify_tls` is asked for.
    pub fn new(
        cluster: &Cluster,
        target: &Target,
        service: Option<&Service>,
        verify_tls: bool,
        diagnostics: Diagnostics,
    ) -> Result<Self, Error> {
        let finder = Arc::new(PodFinder::new(cluster.clone(), target.clone(), service.cloned()));
        let tls = match target.scheme {
            Scheme::Http => None,
            Scheme::Https => Some(Arc::new(tls(target, verify_tls)?)),
        };
        let pool = |handshake| {
            ConnectionPool::new(PodDialer {
                cluster: cluster.clone(),
                namespace: target.namespace.clone(),
                finder: finder.clone(),
                tls: tls.clone(),
                handshake: Mutex::new(handshake),
            })
        };
        let inner = PortForwardShared {
            pools: PodPools {
                ordinary: pool(ForwardHandshake::Channels),
                large: pool(ForwardHandshake::TunnelledSpdy),
            },
            finder,
            diagnostics,
            swept: Mutex::new(Instant::now()),
            sweeping: AtomicBool::new(false),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Sends `request` as [`Upstream::send`](super::Upstream::send) says.
    pub async fn send(&self, request: Request<Body>) -> Response<Body> {
        let inner = &self.inner;
        inner.sweep_now_and_then();
        let asker = RequestingClient::of(&request);
        match inner.once(request).await {
            Ok(SendOutcome::Answer(answer, pod)) => inner.finish(answer.map(Body::Incoming), &pod).await,
            Ok(SendOutcome::Lost { error, peer: lost, .. }) => {
                inner.pools.keep_only(|pod| *pod != lost);
                inner.explain(asker, &PodFailure::lost(&error)).await
            }
            Err(failure) => inner.explain(asker, &failure).await,
        }
    }

    /// Takes over the endpoints that a watch saw: connections to Pods that are not ready any more serve no new request.
    /// Gives the number of ready Pods.
    pub async fn learn(&self, slices: &[EndpointSlice]) -> usize {
        let ready = self.inner.finder.learn(slices).await;
        self.inner.pools.keep_only(|pod| ready.iter().any(|backend| backend.pod == *pod));
        ready.len()
    }
}

fn tls(target: &Target, verify: bool) -> Result<TlsClient, Error> {
    let trust = if verify { ServerTrust::System } else { ServerTrust::Anything };
    TlsClient::new(&trust, &format!("{}.{}.svc", target.service(), target.namespace))
}

impl PortForwardShared {
    /// A request that must not be sent twice gets no connection that may be dead.
    async fn once(&self, request: Request<Body>) -> Result<SendOutcome<Arc<str>>, PodFailure> {
        let pool = self.pools.fit_for(&request);
        if request.headers().contains_key(UPGRADE) {
            return pool.send_alone(request).await;
        }
        let wait = if replay::is_idempotent(request.method()) { Duration::MAX } else { MAX_SAFE_IDLE_TIME };
        pool.send(request, wait).await
    }

    async fn explain(&self, asker: RequestingClient, failure: &PodFailure) -> Response<Body> {
        self.diagnostics.explain(asker, failure.cause.clone(), failure.code, &failure.words).await
    }

    async fn finish(&self, answer: Response<Body>, pod: &str) -> Response<Body> {
        let mut answer = self.diagnostics.examine_own(answer).await;
        let carried = RouteTaken { transport: Transport::PortForward, pod: Some(pod.to_owned()) };
        answer.extensions_mut().insert(carried);
        answer
    }

    /// Without a watch a Pod that is alive but no longer ready would be kept to for ever.
    fn sweep_now_and_then(self: &Arc<Self>) {
        let due = lock(&self.swept).elapsed() > READINESS_CHECK_INTERVAL;
        if !due || self.sweeping.swap(true, Ordering::AcqRel) {
            return;
        }
        let inner = self.clone();
        tokio::spawn(async move {
            if let Ok(ready) = inner.finder.look().await {
                inner.pools.keep_only(|pod| ready.iter().any(|backend| backend.pod == *pod));
            }
            *lock(&inner.swept) = Instant::now();
            inner.sweeping.store(false, Ordering::Release);
        });
    }
}
