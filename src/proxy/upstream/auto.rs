//! Which way each request takes, and what is learned on the way: the Pods' scheme, and whether the API server can reach
//! them.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use http::header::UPGRADE;
use http::{Request, Response, StatusCode};
use tokio::sync::watch;

use super::diagnose::{
    ApiServerFailure, Diagnostics, FailingService, FailureCause, LiveClusterView, NoPortForwardReason,
};
use super::handshakes::{HandshakeResult, LearnedHandshakes, SuspectAnswer};
use super::host::{self, SchemedUpstream};
use super::limitation::{AllowedTransports, ProxyLimitation, TransportChoice, Via, choose};
use super::notices::Notices;
use super::port_forward::PortForward;
use super::rights::TransportRights;
use super::service_proxy::ServiceProxy;
use super::upgraded::CutWatch;
use super::{Body, Transport, Upstream};
use crate::cluster::{Cluster, EndpointSlice};
use crate::error::Error;
use crate::lock::lock;
use crate::message::client_kind::RequestingClient;
use crate::message::replay::{self, ReplayRequest};
use crate::service::Service;
use crate::service::{Scheme, Target};

/// How requests may travel, and who is told what.
#[derive(Debug, Clone)]
pub struct DispatchOptions {
    /// `--via`.
    pub via: Via,
    /// `--verify-tls`.
    pub verify_tls: bool,
    /// Told what is not as usual, once.
    pub notices: Notices,
}

/// Sends each request the way that carries it faithfully. A clone is the same.
#[derive(Clone)]
pub struct Dispatcher {
    inner: Arc<DispatcherShared>,
}

struct DispatcherShared {
    service: String,
    namespace: String,
    options: DispatchOptions,
    rights: TransportRights,
    /// With the Target's own scheme.
    first: TransportPair,
    /// With the other one.
    other: TransportPair,
    /// Whether the other scheme turned out to be the right one.
    turned: AtomicBool,
    /// Whether everything goes by port-forward, since the API server cannot reach the Pods.
    moved: AtomicBool,
    told: Mutex<HashSet<(ProxyLimitation, TransportChoice)>>,
    /// Whether it was told that the API server could not pass on an answer.
    told_of_answers: AtomicBool,
    handshakes: LearnedHandshakes,
    /// Looks after the WebSockets that go by the service proxy.
    watch: CutWatch,
    /// Whether it was told that handshakes seem to be taken for something else, and nothing can be done about it.
    told_of_handshakes: AtomicBool,
    /// How many Pods are ready, once somebody has seen them.
    ready: watch::Sender<Option<usize>>,
}

/// A transport by which it is worth trying once more.
enum Retry {
    /// Something was learned that holds from now on; that cannot happen for ever.
    Known(Transport),
    /// It may have been bad luck.
    PerhapsNow(Transport),
}

/// Both transports, speaking one scheme to the Pods.
struct TransportPair {
    scheme: Scheme,
    service_proxy: ServiceProxy,
    port_forward: PortForward,
    diagnostics: Diagnostics,
}

impl Dispatcher {
    /// The ways to `target`; `service` is `None` where the user may not read it.
    ///
    /// # Errors
    /// When certificates are to be verified and the system trusts nobody.
    pub fn new(
        cluster: &Cluster,
        target: &Target,
        service: Option<&Service>,
        options: DispatchOptions,
    ) -> Result<Self, Error> {
        let subject = |target: &Target| FailingService::new(target, cluster.context(), cluster.server());
        let way = |target: &Target, subject: FailingService| {
            TransportPair::new(cluster, target, service, options.verify_tls, subject)
        };
        let turned = target.with_scheme(target.scheme.other());
        let inner = DispatcherShared {
            service: target.service().to_owned(),
            namespace: target.namespace.clone(),
            rights: TransportRights::new(cluster, target),
            first: way(target, subject(target))?,
            other: way(&turned, subject(&turned).turned())?,
            watch: CutWatch::new(target.service(), options.notices.clone()),
            options,
            turned: AtomicBool::new(false),
            moved: AtomicBool::new(false),
            told: Mutex::default(),
            told_of_answers: AtomicBool::new(false),
            handshakes: LearnedHandshakes::default(),
            told_of_handshakes: AtomicBool::new(false),
            ready: watch::Sender::new(None),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Finds out ahead what the first request would have to find out.
    pub async fn warm(&self) {
        self.inner.first.service_proxy.warm().await;
    }

    /// Whom it tells what is not as usual.
    pub(super) fn notices(&self) -> &Notices {
        &self.inner.options.notices
    }

    /// Takes over the endpoints that a watch saw.
    pub async fn learn(&self, slices: &[EndpointSlice]) {
        let DispatcherShared { first, other, .. } = &*self.inner;
        for way in [first, other] {
            way.service_proxy.learn(slices);
        }
        let ready = self.inner.way().port_forward.learn(slices).await;
        self.inner.ready.send_replace(Some(ready));
    }

    /// How many Pods are ready, as far as a watch saw.
    pub fn ready(&self) -> watch::Receiver<Option<usize>> {
        self.inner.ready.subscribe()
    }
}

impl Upstream for Dispatcher {
    fn send(&self, request: Request<Body>) -> BoxFuture<'static, Response<Body>> {
        let inner = self.inner.clone();
        Box::pin(async move {
            match inner.transport(ProxyLimitation::of(&request), is_handshake(&request)).await {
                Ok(transport) => inner.send(request, transport).await,
                Err(need) => inner.refuse(RequestingClient::of(&request), need).await,
            }
        })
    }
}

impl SchemedUpstream for Dispatcher {
    fn scheme(&self) -> Scheme {
        self.inner.way().scheme
    }
}

impl DispatcherShared {
    /// The way that a request with `need` takes, or what stands against all of them.
    async fn transport(&self, need: Option<ProxyLimitation>, is_handshake: bool) -> Result<Transport, ProxyLimitation> {
        let via = self.options.via;
        let has_moved = self.moved.load(Ordering::Relaxed) || (is_handshake && self.handshakes.go_by_port_forward());
        let Some(need) = need.filter(|_| via != Via::PortForward) else {
            let by_port_forward = via == Via::PortForward || has_moved;
            return Ok(if by_port_forward { Transport::PortForward } else { Transport::ServiceProxy });
        };
        let known = AllowedTransports {
            via,
            may_port_forward: via == Via::Auto && self.rights.port_forward().await,
            may_options: need == ProxyLimitation::Options && self.rights.options().await,
        };
        let choice = choose(Some(need), &known);
        self.tell_once(need, choice, known);
        match choice {
            TransportChoice::PortForward => Ok(Transport::PortForward),
            TransportChoice::ServiceProxy if has_moved => Ok(Transport::PortForward),
            TransportChoice::ServiceProxy => Ok(Transport::ServiceProxy),
            TransportChoice::Refuse => Err(need),
        }
    }

    /// Sends `request`, and once more where a failure teaches a better way and that does no harm.
    async fn send(&self, mut request: Request<Body>, mut transport: Transport) -> Response<Body> {
        let mut repeated = false;
        let handshake = is_handshake(&request).then(|| request.uri().path().to_owned());
        loop {
            let (now, again) = replay::record(request);
            let way = self.way();
            let mut answer = way.send(now, transport).await;
            let path = handshake.as_deref().filter(|_| transport == Transport::ServiceProxy);
            if let Some((path, doubt)) = path.zip(SuspectAnswer::of(&answer)) {
                return self.examine_handshake(path, doubt, answer, again).await;
            }
            if path.is_some() && answer.status() == StatusCode::SWITCHING_PROTOCOLS {
                answer.extensions_mut().insert(self.watch.clone());
            }
            let Some(cause) = answer.extensions().get::<FailureCause>().cloned() else { return answer };
            let better = match self.correct(&cause, transport).await {
                Some(Retry::Known(better)) => better,
                Some(Retry::PerhapsNow(better)) if !repeated => better,
                _ => return answer,
            };
            let Some(once_more) = again.and_then(ReplayRequest::take) else { return answer };
            repeated = true;
            (request, transport) = (once_more, better);
            if self.way().scheme != way.scheme {
                host::set_scheme(request.headers_mut(), self.way().scheme);
            }
        }
    }

    /// Gives back the service proxy's answer to a handshake, or port-forward's where that is nearer to what the app says.
    async fn examine_handshake(
        &self,
        path: &str,
        doubt: SuspectAnswer,
        first: Response<Body>,
        again: Option<ReplayRequest>,
    ) -> Response<Body> {
        if self.handshakes.are_settled(path) {
            return first;
        }
        if !self.may_move().await {
            self.tell_of_doubt(doubt, first.status());
            return first;
        }
        let Some(once_more) = again.and_then(ReplayRequest::take) else { return first };
        let second = Box::pin(self.send(once_more, Transport::PortForward)).await;
        let verdict = HandshakeResult::new(doubt, first.status(), second.status(), second.extensions().get());
        if self.handshakes.learn(path, verdict) {
            self.tell_of_handshakes(verdict, doubt, first.status());
        }
        match verdict {
            HandshakeResult::ByPortForward | HandshakeResult::NoWebSocket | HandshakeResult::Other => second,
            HandshakeResult::LostEverywhere | HandshakeResult::Unknown => first,
        }
    }

    /// Learns from a failure of `transport`. Gives the transport by which it is worth trying once more.
    async fn correct(&self, cause: &FailureCause, transport: Transport) -> Option<Retry> {
        match cause {
            FailureCause::WrongScheme { right } => self.turn_to(*right).then_some(Retry::Known(transport)),
            // Port-forward tries another Pod itself.
            _ if transport == Transport::PortForward => None,
            FailureCause::PodUnreachable => self.may_move().await.then(|| Retry::Known(self.move_over())),
            FailureCause::PodBreaksOff | FailureCause::PodRefuses => Some(Retry::PerhapsNow(transport)),
            FailureCause::BadEncoding | FailureCause::BadRedirect if self.may_move().await => Some(self.step_aside()),
            // So it ends, too, when the API server cannot read the encoding of HTML.
            FailureCause::ApiServer(ApiServerFailure::BrokeOff) if self.may_move().await => Some(self.step_aside()),
            FailureCause::ApiServer(ApiServerFailure::BrokeOff) => Some(Retry::PerhapsNow(transport)),
            _ => None,
        }
    }

    async fn may_move(&self) -> bool {
        self.options.via == Via::Auto && self.rights.port_forward().await
    }

    /// Whether `right` is spoken from now on. Nobody who asked for verified certificates is led to plain text.
    fn turn_to(&self, right: Scheme) -> bool {
        if self.options.verify_tls && right == Scheme::Http {
            return false;
        }
        if right == self.other.scheme && !self.turned.swap(true, Ordering::Relaxed) {
            let Self { service, .. } = self;
            self.options.notices.tell(format_args!(
                "{service} speaks {right}, not {}: it is spoken to in {right} from now on",
                self.first.scheme
            ));
        }
        right == self.way().scheme
    }

    fn move_over(&self) -> Transport {
        if !self.moved.swap(true, Ordering::Relaxed) {
            self.options.notices.tell(format_args!(
                "the API server cannot reach the Pods of {}: everything goes by port-forward from now on",
                self.service
            ));
        }
        Transport::PortForward
    }

    /// One request goes by port-forward, for the API server could not pass on its answer.
    fn step_aside(&self) -> Retry {
        if !self.told_of_answers.swap(true, Ordering::Relaxed) {
            self.options.notices.tell(format_args!(
                "{}: the API server could not pass on an answer: such requests go by port-forward",
                self.service
            ));
        }
        Retry::PerhapsNow(Transport::PortForward)
    }

    /// Once, where port-forward cannot show what is behind it.
    fn tell_of_doubt(&self, doubt: SuspectAnswer, status: StatusCode) {
        let Self { service, options, .. } = self;
        if self.told_of_handshakes.swap(true, Ordering::Relaxed) {
            return;
        }
        let status = status.as_u16();
        let words = format_args!("{service}: a WebSocket was answered {status}, as if it were none");
        match doubt {
            SuspectAnswer::Lost => options.notices.tell(format_args!("{words}: {doubt}")),
            SuspectAnswer::PerhapsLost => options.notices.tell(format_args!(
                "{words}: the app has none there, or something between here and the API server does not let WebSockets \
                 pass"
            )),
            SuspectAnswer::Refused => {}
        }
    }

    fn tell_of_handshakes(&self, verdict: HandshakeResult, doubt: SuspectAnswer, status: StatusCode) {
        let Self { service, options, .. } = self;
        let status = status.as_u16();
        match verdict {
            HandshakeResult::LostEverywhere => options.notices.tell(format_args!(
                "{service}: something between here and the API server takes Upgrade out of requests, so neither WebSockets \
                 nor port-forward can pass: let it pass Upgrade and Connection on, or go to the API server itself with \
                 --server"
            )),
            _ => options.notices.tell(format_args!(
                "{service}: WebSockets go by port-forward from now on, the service proxy answered one {status}: {doubt}"
            )),
        }
    }

    fn way(&self) -> &TransportPair {
        if self.turned.load(Ordering::Relaxed) { &self.other } else { &self.first }
    }

    fn tell_once(&self, need: ProxyLimitation, choice: TransportChoice, known: AllowedTransports) {
        let is_usual = choice == TransportChoice::ServiceProxy && known.may_options;
        let mut told = lock(&self.told);
        if is_usual || !told.insert((need, choice)) {
            return;
        }
        drop(told);
        let (service, harm) = (&self.service, need.harm());
        let notices = &self.options.notices;
        match choice {
            TransportChoice::PortForward => {
                notices.tell(format_args!("{service}: {need} goes by port-forward, the service proxy would {harm}"));
            }
            TransportChoice::ServiceProxy => notices.tell(format_args!(
                "{service}: {need} goes by the service proxy, which will {harm}: {}",
                self.why_not()
            )),
            TransportChoice::Refuse => notices
                .tell(format_args!("{service}: {need} is refused, the service proxy would {harm}: {}", self.why_not())),
        }
    }

    async fn refuse(&self, asker: RequestingClient, need: ProxyLimitation) -> Response<Body> {
        let hindrance =
            if self.options.via == Via::ServiceProxy { NoPortForwardReason::Flag } else { NoPortForwardReason::Right };
        let words = format!("It is {need}: the service proxy would {}, and {}.", need.harm(), self.why_not());
        let cause = FailureCause::OnlyByPortForward(hindrance);
        self.way().diagnostics.explain(asker, cause, StatusCode::NOT_IMPLEMENTED, &words).await
    }

    /// Why port-forward is out of the question.
    fn why_not(&self) -> String {
        match self.options.via {
            Via::ServiceProxy => "--via service-proxy leaves no other way".to_owned(),
            _ => format!("you may not port-forward in {}", self.namespace),
        }
    }
}

fn is_handshake(request: &Request<Body>) -> bool {
    request.headers().contains_key(UPGRADE)
}

impl TransportPair {
    fn new(
        cluster: &Cluster,
        target: &Target,
        service: Option<&Service>,
        verify_tls: bool,
        subject: FailingService,
    ) -> Result<Self, Error> {
        let look = LiveClusterView::new(cluster, target, service);
        let diagnostics = Diagnostics::new(subject, Some(Arc::new(look)));
        Ok(Self {
            scheme: target.scheme,
            service_proxy: ServiceProxy::new(cluster.api().clone(), target, service, diagnostics.clone()),
            port_forward: PortForward::new(cluster, target, service, verify_tls, diagnostics.clone())?,
            diagnostics,
        })
    }

    fn send(&self, request: Request<Body>, transport: Transport) -> BoxFuture<'static, Response<Body>> {
        match transport {
            Transport::ServiceProxy => self.service_proxy.send(request),
            Transport::PortForward => self.port_forward.send(request),
        }
    }
}
