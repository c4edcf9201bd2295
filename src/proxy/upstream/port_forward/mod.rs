//! Connections of our own into a Pod, through `pods/portforward`: nothing on the way touches the messages.

mod carrier;
mod channels;
mod dial;
mod failure;
mod finder;
mod framing;
mod handshake;
mod kept_pod;
mod spdy;
mod pod_stream;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::header::UPGRADE;
use http::{Request, Response};
use http_body::Body as _;

use super::backends::Backend;
use super::diagnose::{Diagnostics, RequestingClient};
use super::{Body, RouteTaken, Transport};
use crate::cluster::client::pool::{ConnectionPool, SendOutcome, TiedConnection};
use crate::cluster::client::tls::{ServerTrust, TlsClient};
use crate::cluster::{ApiError, Cluster, EndpointSlice};
use crate::error::Error;
use crate::lock::lock;
use crate::message::client_connection::ClientConnection;
use crate::message::replay;
use crate::proxy::page::remove_own_fields;
use crate::service::{Scheme, Service, Target};
use dial::PodDialer;
use failure::PodFailure;
use finder::{MAX_BACKENDS_AGE, PodFinder};
use handshake::ForwardHandshake;
pub use kept_pod::KeptPod;
pub use pod_stream::{AgreedProtocol, PodStream};

/// How long kept connections are used before it is looked whether their Pods are still ready.
const READINESS_CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// A request that must not be sent twice takes no connection that has waited longer. The app may have closed it, which
/// shows here only a second later (container runtimes wait so long for the other direction), and few close sooner than this.
const MAX_SAFE_IDLE_TIME: Duration = Duration::from_secs(1);
/// A request of so many octets, or of nobody knows how many, gets a connection that is good at them.
const LARGE: u64 = 256 * 1024;

/// Sends requests to one Target's Pods.
pub struct PortForward {
    finder: Arc<PodFinder>,
    ordinary: Arc<ConnectionPool<PodDialer>>,
    /// For what is [`LARGE`].
    large: Arc<ConnectionPool<PodDialer>>,
    diagnostics: Diagnostics,
    /// When it was last looked whether the Pods of kept connections are still ready; `None` meanwhile.
    swept: Mutex<Option<Instant>>,
}

impl PortForward {
    /// Sends to the Pods of `target`, speaking `target.scheme`. `service` is `None` where the user may not read it.
    ///
    /// With `verify_tls` the certificate of a https Pod must be good for the Service's DNS name and issued by somebody
    /// whom the system trusts. With `kept` everything goes to one Pod.
    ///
    /// # Errors
    /// When the system trusts nobody and `verify_tls` is asked for.
    pub fn new(
        cluster: &Cluster,
        target: &Target,
        service: Option<&Service>,
        verify_tls: bool,
        diagnostics: Diagnostics,
        kept: Option<Arc<KeptPod>>,
    ) -> Result<Arc<Self>, Error> {
        let finder = Arc::new(PodFinder::new(cluster.clone(), target.clone(), service.cloned(), kept));
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
        Ok(Arc::new(Self {
            ordinary: pool(ForwardHandshake::Channels),
            large: pool(ForwardHandshake::TunnelledSpdy),
            finder,
            diagnostics,
            swept: Mutex::new(Some(Instant::now())),
        }))
    }

    /// Sends `request` of `asker` as [`Upstream::send`](super::Upstream::send) says.
    pub async fn send(self: &Arc<Self>, request: Request<Body>, asker: RequestingClient) -> Response<Body> {
        self.sweep_now_and_then();
        let failure = match self.once(request).await {
            Ok(SendOutcome::Answer(answer, pod)) => return self.finish(answer.map(Body::Incoming), &pod).await,
            Ok(SendOutcome::Lost { error, peer: lost, .. }) => {
                self.keep_only(|pod| *pod != lost);
                error.into()
            }
            Err(failure) => failure,
        };
        self.diagnostics.explain(asker, failure.cause, failure.code, &failure.words).await
    }

    /// Asks by SPDY alone: the user lacks the right that a WebSocket takes.
    pub(super) fn use_spdy(&self) {
        for pool in [&self.ordinary, &self.large] {
            *lock(&pool.connector.handshake) = ForwardHandshake::Spdy;
        }
    }

    /// The endpoints are on their way.
    pub(super) fn expect(
        &self,
        slices: impl Future<Output = Option<Result<Vec<EndpointSlice>, ApiError>>> + Send + 'static,
    ) {
        self.finder.expect(slices);
    }

    /// Looks for the Pods, so that the next connection need not. What goes wrong shows then.
    pub(super) async fn find_pods(&self) {
        let _ = self.finder.look(MAX_BACKENDS_AGE).await;
    }

    /// Whether [`Self::learn`] is told of every change.
    pub(super) fn set_watched(&self, is_watched: bool) {
        self.finder.is_watched.store(is_watched, Ordering::Relaxed);
    }

    /// Takes over the endpoints that somebody saw: connections to Pods that are not ready any more serve no new request.
    pub async fn learn(&self, slices: &[EndpointSlice]) {
        self.keep_ready(&self.finder.learn(slices).await);
    }

    /// A request that must not be sent twice gets no connection that may be dead. Where a login belongs to the client's
    /// connection, the Pod's belongs to that client.
    async fn once(&self, request: Request<Body>) -> Result<SendOutcome<Arc<str>>, PodFailure> {
        if let Some(client) = ClientConnection::of(&request).filter(|client| client.has_login()) {
            let own = client.kept::<TiedConnection<Arc<str>>>(Arc::as_ptr(&self.ordinary) as usize);
            return self.ordinary.send_tied(request, &own).await;
        }
        let is_large = request.body().size_hint().upper().is_none_or(|most| most >= LARGE);
        let pool = if is_large { &self.large } else { &self.ordinary };
        if request.headers().contains_key(UPGRADE) {
            return pool.send_alone(request, Duration::ZERO).await;
        }
        let wait = if replay::is_idempotent(request.method()) { Duration::MAX } else { MAX_SAFE_IDLE_TIME };
        pool.send(request, wait).await
    }

    fn keep_only(&self, keep: impl Fn(&Arc<str>) -> bool) {
        self.ordinary.keep_only(&keep);
        self.large.keep_only(&keep);
    }

    fn keep_ready(&self, ready: &[Backend]) {
        self.keep_only(|pod| ready.iter().any(|backend| backend.pod == *pod));
    }

    async fn finish(&self, answer: Response<Body>, pod: &str) -> Response<Body> {
        let mut answer = self.diagnostics.examine_own(answer).await;
        remove_own_fields(answer.headers_mut());
        let carried = RouteTaken { transport: Transport::PortForward, pod: Some(pod.to_owned()) };
        answer.extensions_mut().insert(carried);
        answer
    }

    /// Without a watch a Pod that is alive but no longer ready would be kept to for ever.
    fn sweep_now_and_then(self: &Arc<Self>) {
        if lock(&self.swept).take_if(|swept| swept.elapsed() > READINESS_CHECK_INTERVAL).is_none() {
            return;
        }
        let this = self.clone();
        tokio::spawn(async move {
            if let Ok(ready) = this.finder.look(Duration::ZERO).await {
                this.keep_ready(&ready);
            }
            *lock(&this.swept) = Some(Instant::now());
        });
    }
}

fn tls(target: &Target, verify: bool) -> Result<TlsClient, Error> {
    let trust = if verify { ServerTrust::System } else { ServerTrust::Anything };
    TlsClient::new(&trust, &format!("{}.{}.svc", target.service(), target.namespace))
}
