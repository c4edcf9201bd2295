//! The loop that every request of a site goes through: attempt, send, observe, decide. What is tried and why is decided in
//! [`super::attempt`], from what [`super::known`] holds; here it is done, and here is how often.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use http::header::{ACCEPT, HOST, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE};
use http::uri::Authority;
use http::{HeaderValue, Request, Response, StatusCode};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::attempt::{self, Attempt, NeededFact, Next, NoAttempt, Observation, RequestHead};
use super::connection_login;
use super::diagnose::{Diagnostics, FailingService, FailureCause, LiveClusterView, NoPortForwardReason};
use super::endpoint_gap::{EndpointGap, GapPatience};
use super::entrance::PodEntrance;
use super::host;
use super::judge_host;
use super::known::Known;
use super::limitation::{ProxyLimitation, Via};
use super::notices::{self, Notices};
use super::port_forward::{KeptPod, PortForward};
use super::rights::{self, PortForwardRight, TransportRights};
use super::service_proxy::{ServiceProxy, set_accept_encoding};
use super::unprefix::{self, HostPair, Unprefix};
use super::upgraded::CutWatch;
use super::{Body, RouteTaken, Transport, Upstream, WithheldAnswer};
use crate::cluster::api::endpoint_slices::{ready, wanted_port};
use crate::cluster::{ApiError, Cluster, EndpointSlice};
use crate::error::Error;
use crate::lock::lock;
use crate::message::client_connection::ClientConnection;
use crate::message::client_kind::RequestingClient;
use crate::message::replay::{self, LastSend, ReplayRequest, SendTrace};
use crate::message::text_replacement;
use crate::service::{Readiness, Scheme, Service, Target};

/// How often an app may get the page's own request, at most.
const MAX_SENDS_TO_APP: usize = 2;
/// How often one request is tried, counting what surely did not reach the app.
const MAX_ATTEMPTS: usize = 5;

/// Counts requests, so that what is logged of one can be told from the others.
static REQUESTS: AtomicU64 = AtomicU64::new(1);

/// How requests may travel, and who is told what.
#[derive(Clone)]
pub struct DispatchOptions {
    /// `--via`.
    pub via: Via,
    /// `--verify-tls`.
    pub verify_tls: bool,
    /// `--sticky`.
    pub sticky: bool,
    /// The host that the app is to see, if it is not to see the local one.
    pub host_header: Option<Authority>,
    /// Told what is not as usual, once.
    pub notices: Notices,
}

/// Sends each request of one Target the way that carries it faithfully. A clone is the same.
#[derive(Clone)]
pub struct Dispatcher {
    shared: Arc<DispatcherShared>,
}

struct DispatcherShared {
    cluster: Cluster,
    target: Target,
    /// Whether the user may read the Service.
    is_read: bool,
    options: DispatchOptions,
    known: Mutex<Known>,
    rights: TransportRights,
    /// To the Target's port with its own scheme, and with the other one.
    pairs: [TransportPair; 2],
    /// To another port of the Service, which speaks https.
    https_port: Option<TransportPair>,
    /// One request looks for a host; others that were refused meanwhile wait for what it finds.
    search: tokio::sync::Mutex<()>,
    /// Maps the host that the app sees back to the local one.
    hosts_back: Arc<Unprefix>,
    /// Looks after the WebSockets that go by the service proxy.
    cut_watch: CutWatch,
    /// Whether there is an endpoint.
    gap: EndpointGap,
}

/// Both transports, speaking one scheme to one port of the Pods.
struct TransportPair {
    scheme: Scheme,
    service_proxy: ServiceProxy,
    port_forward: Arc<PortForward>,
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
        let turned = target.with_scheme(target.scheme.other());
        let subjects = [subject(target), FailingService { turned: true, ..subject(&turned) }];
        let keeps_to_pod = options.sticky || service.is_some_and(|service| service.session_affinity);
        let kept = keeps_to_pod.then(|| Arc::new(KeptPod::new(target.service(), options.notices.clone())));
        let pair = |subject| TransportPair::new(cluster, service, options.verify_tls, subject, kept.clone());
        let [own, other] = subjects.map(pair);
        let https_port = service.and_then(|service| target.https_port(service));
        let https_port = https_port.map(|target| pair(subject(&target))).transpose()?;
        let shown = options.host_header.as_ref();
        let shown = shown.map(|host| HeaderValue::try_from(host.as_str()).expect("an authority is ASCII"));
        let mut known = Known::at_start(options.via, options.verify_tls, target.scheme, shown);
        known.has_https_port = https_port.is_some();
        known.keeps_to_pod = keeps_to_pod;
        let shared = DispatcherShared {
            known: Mutex::new(known),
            rights: TransportRights::default(),
            pairs: [own?, other?],
            https_port,
            search: tokio::sync::Mutex::new(()),
            hosts_back: Arc::new(Unprefix::bare(cluster.api().base_path(), &target.proxy_paths())),
            cut_watch: cut_watch(cluster, target, &options),
            gap: EndpointGap::default(),
            cluster: cluster.clone(),
            target: target.clone(),
            is_read: service.is_some(),
            options,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Whether there is a way in at all, as far as that can be found out.
    ///
    /// # Errors
    /// The right to ask for, where there is none.
    pub async fn check_rights(&self) -> Result<(), Error> {
        self.way_in().await.map(drop)
    }

    /// The same, and which way it is.
    ///
    /// # Errors
    /// The right to ask for, where there is none.
    pub async fn way_in(&self) -> Result<Transport, Error> {
        let DispatcherShared { rights, cluster, target, options, is_read, .. } = &*self.shared;
        let by_proxy = options.via != Via::PortForward && rights.service_proxy(cluster, target).await;
        if by_proxy {
            return Ok(Transport::ServiceProxy);
        }
        let right = match options.via {
            Via::ServiceProxy => PortForwardRight::Nothing,
            _ => rights.port_forward(cluster, &target.namespace, *is_read, self.shared.sees_slices()).await,
        };
        if right.is_given() { Ok(Transport::PortForward) } else { Err(rights::no_way_in(target, options.via, right)) }
    }

    /// The endpoints were asked for already: who needs a Pod waits for that answer, and asks only if there is none.
    pub fn expect(&self, slices: impl Future<Output = Option<Result<Vec<EndpointSlice>, ApiError>>> + Send + 'static) {
        self.shared.pairs[0].port_forward.expect(slices);
    }

    /// Takes over the endpoints that a watch sees, which tells of every change from now on.
    pub async fn follow(&self, slices: &[EndpointSlice]) {
        self.learn(slices).await;
        let entrance = lock(&self.shared.known).entrance;
        let followed = self.shared.pair(entrance);
        self.shared.every_pair().for_each(|pair| pair.port_forward.set_watched(std::ptr::eq(pair, followed)));
    }

    /// Nobody watches the endpoints any more, or for a while.
    pub fn is_unwatched(&self) {
        self.shared.every_pair().for_each(|pair| pair.port_forward.set_watched(false));
    }

    /// Takes over the endpoints that somebody saw.
    pub async fn learn(&self, slices: &[EndpointSlice]) {
        for pair in self.shared.every_pair() {
            pair.service_proxy.learn(slices);
        }
        let entrance = lock(&self.shared.known).entrance;
        self.shared.pair(entrance).port_forward.learn(slices).await;
        self.shared.gap.learn(ready(slices, &wanted_port(&self.shared.target)));
    }

    /// How many endpoints are ready, as far as a watch saw.
    pub fn ready(&self) -> watch::Receiver<Option<Readiness>> {
        self.shared.gap.ready()
    }
}

impl Upstream for Dispatcher {
    fn send(&self, request: Request<Body>) -> BoxFuture<'static, Response<Body>> {
        let shared = self.shared.clone();
        if !tracing::enabled!(tracing::Level::DEBUG) {
            return Box::pin(async move { shared.dispatch(request).await });
        }
        let id = REQUESTS.fetch_add(1, Ordering::Relaxed);
        let span = tracing::debug_span!("request", id, method = %request.method(), path = request.uri().path());
        Box::pin(async move { shared.dispatch(request).await }.instrument(span))
    }
}

/// One request on its way: what it is, how it can be sent again, and what was kept and counted so far.
struct Flight {
    head: RequestHead,
    replay: Option<ReplayRequest>,
    trace: SendTrace,
    /// An answer that is given where nothing better comes.
    kept: Option<Response<Body>>,
    attempts: usize,
    sends_to_app: usize,
    /// When it was first held back for want of an endpoint.
    held_since: Option<Instant>,
}

impl Flight {
    /// The request once more, unless that would be too often or too much of its body is gone.
    fn again(&self) -> Option<Request<Body>> {
        let may_be_sent = self.attempts < MAX_ATTEMPTS && self.sends_to_app < MAX_SENDS_TO_APP;
        let mut request = self.replay.as_ref().filter(|_| may_be_sent)?.request_again()?;
        if self.sends_to_app + 1 == MAX_SENDS_TO_APP {
            request.extensions_mut().insert(LastSend);
        }
        Some(request)
    }

    fn observe(&mut self, answer: &Response<Body>, attempt: &Attempt) -> Observation {
        let seen = Observation::of(answer, attempt, self.trace.take(), Instant::now().into_std());
        // Whoever is held back may be tried for as long as that lasts.
        self.attempts += usize::from(seen.cause != Some(FailureCause::NoEndpoints));
        self.sends_to_app += usize::from(seen.reached_app());
        seen
    }
}

impl DispatcherShared {
    async fn dispatch(&self, request: Request<Body>) -> Response<Body> {
        let mut head = RequestHead::of(&request);
        let mut attempt = match self.first(&mut head).await {
            Ok(attempt) => attempt,
            Err(limitation) => return self.refuse(head.client, limitation).await,
        };
        let trace = SendTrace::default();
        let (mut request, replay) = replay::record(request);
        let mut flight = Flight { head, replay, trace, kept: None, attempts: 0, sends_to_app: 0, held_since: None };
        loop {
            request.extensions_mut().insert(flight.trace.clone());
            let answer = self.send_once(request, &flight.head, &attempt).await;
            let seen = flight.observe(&answer, &attempt);
            tracing::debug!(%attempt, status = seen.status.as_u16(), cause = ?seen.cause, "attempt");
            let (better, keep) = match self.next(&mut flight.head, &attempt, &seen).await {
                Next::Again { attempt, keep } => (attempt, keep),
                Next::DeliverKept => return flight.kept.unwrap_or(answer),
                Next::Hold(patience) => match self.hold(patience, &mut flight).await {
                    true => (attempt, false),
                    false if patience == GapPatience::EventStream => return WithheldAnswer::in_place_of(answer),
                    false => return answer,
                },
                Next::BreakOff => return WithheldAnswer::in_place_of(answer),
                Next::Explain(cause) => return self.explain(flight.head.client, cause).await,
                _ => return answer,
            };
            let Some(again) = flight.again() else { return answer };
            flight.kept = if keep { Some(answer) } else { flight.kept };
            (request, attempt) = (again, better);
        }
    }

    /// Whether to try again.
    async fn hold(&self, patience: GapPatience, flight: &mut Flight) -> bool {
        let since = *flight.held_since.get_or_insert_with(Instant::now);
        let was_open = lock(&self.known).has_answered;
        self.gap.wait(patience, since, was_open).await
    }

    async fn first(&self, head: &mut RequestHead) -> Result<Attempt, ProxyLimitation> {
        loop {
            match self.decide(|known| attempt::first(head, known)) {
                Ok(attempt) => return Ok(attempt),
                Err(NoAttempt::Refuse(limitation)) => return Err(limitation),
                Err(NoAttempt::Ask(fact)) => self.ask(head, fact).await,
            }
        }
    }

    async fn next(&self, head: &mut RequestHead, attempt: &Attempt, seen: &Observation) -> Next {
        loop {
            match self.decide(|known| attempt::next(head, attempt, seen, known)) {
                Next::Ask(fact) => self.ask(head, fact).await,
                Next::FindHost => {
                    self.find_host(head, attempt).await;
                    return self.decide(|known| judge_host::after_search(head, attempt, seen, known));
                }
                next => return next,
            }
        }
    }

    async fn ask(&self, head: &mut RequestHead, fact: NeededFact) {
        let (heard, is_so) = match &fact {
            NeededFact::PortForward => {
                let (namespace, sees_slices) = (&self.target.namespace, self.sees_slices());
                let asking = self.rights.port_forward(&self.cluster, namespace, self.is_read, sees_slices);
                let finding = self.pair(lock(&self.known).entrance).port_forward.find_pods();
                let (right, ()) = tokio::join!(asking, finding);
                if right == PortForwardRight::BySpdy {
                    self.every_pair().for_each(|pair| pair.port_forward.use_spdy());
                }
                (&mut head.may_port_forward, right.is_given())
            }
            NeededFact::Options => (&mut head.may_options, self.rights.options(&self.cluster, &self.target).await),
            NeededFact::LeadsHere(host) => {
                let outside_hosts = host::outside_hosts(&self.cluster, &self.target).await;
                let leads =
                    outside_hosts.iter().any(|outside| host.as_bytes().eq_ignore_ascii_case(outside.as_bytes()));
                (&mut head.leads_here, leads)
            }
        };
        tracing::debug!(?fact, is_so, "asked for a fact");
        *heard = Some(is_so);
    }

    /// Decides by what is known, and tells the user what is new.
    fn decide<T>(&self, decide: impl FnOnce(&mut Known) -> T) -> T {
        let (decided, news) = {
            let mut known = lock(&self.known);
            (decide(&mut known), known.take_news())
        };
        for notice in news {
            tracing::info!(?notice, "learned");
            if let Some(line) = notice.line(&self.target) {
                self.options.notices.tell(line);
            }
        }
        decided
    }

    /// Whether the user could list the slices of the Service a moment ago.
    fn sees_slices(&self) -> bool {
        self.gap.ready().borrow().is_some()
    }

    fn every_pair(&self) -> impl Iterator<Item = &TransportPair> {
        self.pairs.iter().chain(&self.https_port)
    }

    fn pair(&self, entrance: PodEntrance) -> &TransportPair {
        let [own, other] = &self.pairs;
        let at_own_port = if own.scheme == entrance.scheme() { own } else { other };
        match (&self.https_port, entrance) {
            (Some(https), PodEntrance::HttpsPort) => https,
            _ => at_own_port,
        }
    }

    /// Sends `request` as `attempt` says, and gives back the answer as if it came from the local host.
    async fn send_once(&self, mut request: Request<Body>, head: &RequestHead, attempt: &Attempt) -> Response<Body> {
        let pair = self.pair(attempt.entrance);
        let method = request.method().clone();
        let browser = HostPair::browser_of(&request);
        let headers = request.headers_mut();
        if attempt.whole {
            headers.remove(IF_NONE_MATCH);
            headers.remove(IF_MODIFIED_SINCE);
            headers.remove(RANGE);
            headers.remove(IF_RANGE);
        }
        let hosts = headers.get(HOST).cloned().map(|local| {
            let sent = attempt.app_host.clone().unwrap_or_else(|| local.clone());
            HostPair { sent, local, browser }
        });
        if let Some(hosts) = hosts.as_ref().filter(|hosts| is_otherwise_to_app(attempt.entrance, hosts)) {
            host::set_app_host(headers, attempt.entrance.shown_scheme(), hosts);
            set_accept_encoding(&method, headers);
        }
        if attempt.entrance == PodEntrance::BehindHttps {
            host::set_outer_https(headers);
        }
        let is_handshake = headers.contains_key(http::header::UPGRADE);
        let mut answer = pair.send(request, head.client, attempt.transport).await;
        if is_handshake
            && answer.status() == StatusCode::SWITCHING_PROTOCOLS
            && attempt.transport == Transport::ServiceProxy
        {
            self.cut_watch.attach_to(&mut answer);
        }
        let Some(hosts) = hosts else { return answer };
        if let Some(redirect) = head.asked.redirect(&hosts, &answer) {
            answer.extensions_mut().insert(redirect);
        }
        self.map_back(&hosts, attempt, answer)
    }

    /// What belongs to the host that the app sees belongs to the local one.
    fn map_back(&self, hosts: &HostPair, attempt: &Attempt, mut answer: Response<Body>) -> Response<Body> {
        let by_service_proxy = RouteTaken::transport_of(&answer) == Some(Transport::ServiceProxy);
        if !is_otherwise_to_app(attempt.entrance, hosts) {
            if !by_service_proxy {
                self.hosts_back.head(hosts, &mut answer);
            }
            return answer;
        }
        // The service proxy maps what belongs to the host that it was given.
        if hosts.sent != hosts.local || !by_service_proxy {
            answer = self.hosts_back.answer(hosts.clone(), answer);
        }
        text_replacement::replace(answer, || unprefix::replacements(attempt.entrance.shown_scheme(), hosts))
    }

    /// Looks once for a host under which the app shows `/`, where it shows it under the local host neither. With requests
    /// of our own: the page's may do something.
    async fn find_host(&self, head: &RequestHead, attempt: &Attempt) {
        let _turn = self.search.lock().await;
        let Some(local) = head.local_host.as_ref().filter(|_| !lock(&self.known).has_searched_hosts) else { return };
        let Some(is_shown) = self.shows_root(head, attempt, None).await else { return };
        self.decide(|known| known.has_searched_hosts = true);
        if is_shown {
            return;
        }
        let outside_hosts = host::outside_hosts(&self.cluster, &self.target).await;
        for host in host::others(&self.target, attempt.entrance.scheme(), head.localhost.as_ref(), outside_hosts, local)
        {
            if self.shows_root(head, attempt, Some(&host)).await == Some(true) {
                return self.decide(|known| judge_host::settle(head, &host, known));
            }
        }
    }

    /// `None` where the app gave no answer.
    async fn shows_root(&self, head: &RequestHead, attempt: &Attempt, host: Option<&HeaderValue>) -> Option<bool> {
        let local = head.local_host.as_ref()?;
        let mut request = Request::new(Body::Empty);
        request.headers_mut().insert(HOST, local.clone());
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("*/*"));
        host::set_forwarded(request.headers_mut(), local);
        let probe = Attempt { app_host: host.cloned(), ..attempt.clone() };
        let answer = self.send_once(request, head, &probe).await;
        let is_shown =
            answer.extensions().get::<FailureCause>().is_none().then(|| judge_host::accepts(answer.status()));
        tracing::debug!(?host, status = answer.status().as_u16(), ?is_shown, "asked for / to find the app's host");
        is_shown
    }

    async fn explain(&self, client: RequestingClient, cause: FailureCause) -> Response<Body> {
        let diagnostics = &self.pair(lock(&self.known).entrance).diagnostics;
        diagnostics.explain(client, cause, StatusCode::LOOP_DETECTED, "").await
    }

    async fn refuse(&self, client: RequestingClient, limitation: ProxyLimitation) -> Response<Body> {
        let via = self.options.via;
        let reason = match via {
            Via::ServiceProxy => NoPortForwardReason::Flag,
            Via::Auto | Via::PortForward => NoPortForwardReason::Right,
        };
        let why_not = notices::why_no_port_forward(via, &self.target.namespace);
        let words = format!("It is {limitation}: the service proxy would {}, and {why_not}.", limitation.harm());
        let cause = FailureCause::OnlyByPortForward(reason);
        let diagnostics = &self.pair(lock(&self.known).entrance).diagnostics;
        diagnostics.explain(client, cause, StatusCode::NOT_IMPLEMENTED, &words).await
    }
}

fn cut_watch(cluster: &Cluster, target: &Target, options: &DispatchOptions) -> CutWatch {
    let cluster = cluster.clone();
    let is_there = move || -> BoxFuture<'static, bool> {
        let cluster = cluster.clone();
        Box::pin(async move { cluster.answers().await })
    };
    CutWatch::new(target.service(), options.notices.clone(), is_there)
}

/// Whether the app sees another host or scheme than the browser.
fn is_otherwise_to_app(entrance: PodEntrance, hosts: &HostPair) -> bool {
    hosts.sent != hosts.local || entrance.shown_scheme() != hosts.browser
}

impl TransportPair {
    fn new(
        cluster: &Cluster,
        service: Option<&Service>,
        verify: bool,
        subject: FailingService,
        kept: Option<Arc<KeptPod>>,
    ) -> Result<Self, Error> {
        let target = &subject.target.clone();
        let view = LiveClusterView { cluster: cluster.clone(), target: target.clone(), service: service.cloned() };
        let diagnostics = Diagnostics::new(subject, Some(Arc::new(view)));
        Ok(Self {
            scheme: target.scheme,
            service_proxy: ServiceProxy::new(cluster.api().clone(), target, service, diagnostics.clone()),
            port_forward: PortForward::new(
                cluster,
                target,
                service,
                verify,
                diagnostics.by(Transport::PortForward),
                kept,
            )?,
            diagnostics,
        })
    }

    async fn send(&self, request: Request<Body>, client: RequestingClient, transport: Transport) -> Response<Body> {
        let connection = ClientConnection::of(&request).cloned();
        let is_login = connection_login::is_step(request.headers());
        if let Some(connection) = connection.as_ref().filter(|_| is_login) {
            connection.give_login();
        }
        let answer = match transport {
            Transport::ServiceProxy => self.service_proxy.send(request, client).await,
            Transport::PortForward => self.port_forward.send(request, client).await,
        };
        if let Some(connection) = connection
            && connection_login::is_asked_for(answer.status(), answer.headers())
        {
            connection.give_login();
        }
        answer
    }
}
