//! One request in, one answer out: guard, route, token, headers, the Service, and back.

use std::borrow::Cow;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::header::{CONNECTION, HOST, USER_AGENT};
use http::uri::PathAndQuery;
use http::{Extensions, HeaderValue, Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use tokio_util::task::TaskTracker;

use super::Local;
use super::guard::admit::{Admitted, Facts, Peer, Refusal, admit};
use super::guard::hosts::Hosts;
use super::guard::refusal::Explained;
use super::guard::token::{Closed, Gate, Passage};
use super::server::connection::Answering;
use super::server::exchange::{Exchange, Reply};
use super::server::listener::Listener;
use super::server::serve::{Counts, Stages};
use super::site::below_proxy_path::Mount;
use super::site::headers::{prepare_agreement, prepare_answer, prepare_request};
use super::site::route::{Ask, Layout, Route, path_reference};
use super::site::{own_pages, web_socket_pump};
use crate::message::client_kind::Asker;
use crate::proxy::upstream::{Body, upgraded};

/// What all connections share.
pub(crate) struct Server {
    pub(crate) local: Local,
    hosts: Hosts,
    gate: Option<Gate>,
    /// Where the start page says that things are, for those who read it as text.
    origin: String,
    pub(crate) stages: Stages,
    pub(crate) tasks: TaskTracker,
    pub(crate) counts: Counts,
}

impl Server {
    pub(crate) fn new(local: Local, listener: &Listener) -> Self {
        let port = listener.port();
        let gate = local.policy.token.clone().map(|token| Gate::new(token, random_text(), port, local.sites.len()));
        Self {
            hosts: hosts(&local, listener),
            gate,
            origin: format!("http://{}", listener.authority()),
            stages: Stages::default(),
            tasks: TaskTracker::new(),
            counts: Counts::default(),
            local,
        }
    }

    fn layout(&self) -> Layout<'_> {
        Layout { sites: &self.local.sites, presentation: self.local.presentation, port: self.hosts.port }
    }
}

fn hosts(local: &Local, listener: &Listener) -> Hosts {
    let addresses = listener.local_addrs().iter().map(SocketAddr::ip);
    Hosts {
        labels: local.sites.iter().map(|site| site.label.clone()).collect(),
        port: listener.port(),
        addresses: addresses.filter(|address| !address.is_unspecified()).collect(),
        allowed: local.policy.allow_hosts.clone(),
    }
}

/// 128 random bits.
fn random_text() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system gave random bits for the token a moment ago");
    data_encoding::HEXLOWER.encode(&bytes)
}

/// Answers `request`, whatever happens.
pub(crate) async fn answer(
    server: Arc<Server>,
    peer: Peer,
    answering: Answering,
    request: Request<Incoming>,
) -> Result<Response<Reply>, Infallible> {
    server.counts.requests.fetch_add(1, Ordering::Relaxed);
    let exchange = Exchange::new(server.local.activity.begin(), answering, &server.local.log, &request);
    Ok(match decide(&server, peer, &request) {
        Ok(Decision::Ask(question)) => ask(&server, question, request, exchange).await,
        Ok(Decision::Say(response)) => finish(response, exchange),
        Err(refused) => {
            server.counts.refused.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(reason = refused.word, "refused a request");
            finish(own_pages::refusal(&refused, Asker::of(&request)), exchange)
        }
    })
}

/// What to do with a request that may pass.
enum Decision {
    /// Ask the Service.
    Ask(Question),
    /// Answer it here.
    Say(Response<Body>),
}

/// What to ask of a Service.
struct Question {
    site: usize,
    /// The Service's own path and query; `None` where the request has them already.
    target: Option<Uri>,
    mount: Option<Mount>,
    is_handshake: bool,
    authority: HeaderValue,
}

fn decide(server: &Server, peer: Peer, request: &Request<Incoming>) -> Result<Decision, Explained> {
    let (method, headers) = (request.method(), request.headers());
    let facts = Facts { peer, method, uri: request.uri(), version: request.version(), headers };
    let admitted = admit(&server.local.policy, &server.hosts, &facts).map_err(|refusal| refusal.explained())?;
    let target = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
    let user_agent = headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
    let ask = Ask { host: admitted.host, method, target, is_navigation: admitted.is_navigation, user_agent };
    let route = server.layout().route(&ask);
    if let Route::Redirect { status, location } = route {
        return Ok(Decision::Say(own_pages::redirect(status, &location)));
    }
    if let Some(held) = hold_at_gate(server, &admitted, target, request)? {
        return Ok(Decision::Say(held));
    }
    follow(server, route, &admitted, request)
}

/// What stands between a request and its route where a token is asked for. Redirects need none: they tell nothing.
fn hold_at_gate(
    server: &Server,
    admitted: &Admitted<'_>,
    target: &str,
    request: &Request<Incoming>,
) -> Result<Option<Response<Body>>, Explained> {
    let Some(gate) = &server.gate else { return Ok(None) };
    match gate.pass(admitted.host, request.method(), target, request.headers()) {
        Ok(Passage::Through) => Ok(None),
        Ok(Passage::Onward(target, cookie)) => Ok(Some(own_pages::onward(&path_reference(target), cookie))),
        Err(Closed::NoToken) if admitted.is_navigation && admitted.is_from_elsewhere => {
            Ok(Some(own_pages::once_more(&path_reference(target.to_owned()))))
        }
        Err(closed) => Err(closed.explained()),
    }
}

fn follow(
    server: &Server,
    route: Route<'_>,
    admitted: &Admitted<'_>,
    request: &Request<Incoming>,
) -> Result<Decision, Explained> {
    let sites = &server.local.sites;
    let path = request.uri().path();
    Ok(match route {
        Route::Serve { site, target, below } => Decision::Ask(Question {
            site,
            target: own_target(target)?,
            mount: below.map(|path| Mount::new(path, admitted.authority)),
            is_handshake: admitted.is_handshake,
            authority: request.headers()[HOST].clone(),
        }),
        Route::Redirect { status, location } => Decision::Say(own_pages::redirect(status, &location)),
        Route::StartPage => Decision::Say(own_pages::start_page(sites, &server.origin, Asker::of(request))),
        Route::Nothing => Decision::Say(own_pages::nothing(path, sites, &server.origin, Asker::of(request))),
    })
}

fn own_target(target: Cow<'_, str>) -> Result<Option<Uri>, Explained> {
    match target {
        Cow::Borrowed(_) => Ok(None),
        Cow::Owned(target) => Uri::try_from(target).map(Some).map_err(|_| Refusal::NotAPath.explained()),
    }
}

async fn ask(
    server: &Arc<Server>,
    question: Question,
    mut request: Request<Incoming>,
    mut exchange: Exchange,
) -> Response<Reply> {
    let site = &server.local.sites[question.site];
    exchange.at_site(&site.label);
    let handshake = question.is_handshake.then(|| Handshake::begin(&mut request)).flatten();
    let request = for_the_service(request, &question, &exchange);
    let response = site.upstream.send(request).await;
    match handshake {
        Some(handshake) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
            handshake.complete(server, &question.authority, response, exchange)
        }
        None if response.status().is_informational() => {
            finish(own_pages::bad_gateway("the Service answered with a status that ends no request"), exchange)
        }
        handshake => {
            let mut response = for_the_client(response, question);
            if handshake.is_some() {
                // Nobody may go on speaking raw on it.
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            finish(response, exchange)
        }
    }
}

fn for_the_service(mut request: Request<Incoming>, question: &Question, exchange: &Exchange) -> Request<Body> {
    if let Some(target) = &question.target {
        *request.uri_mut() = target.clone();
    }
    *request.version_mut() = Version::HTTP_11;
    *request.extensions_mut() = Extensions::new();
    prepare_request(request.headers_mut(), &question.authority, question.is_handshake);
    if question.mount.is_some() {
        Mount::prepare_request(request.headers_mut());
    }
    request.map(|body| exchange.watch_request(body))
}

fn for_the_client(mut response: Response<Body>, question: Question) -> Response<Body> {
    let below = question.mount.as_ref().map(Mount::path);
    prepare_answer(response.headers_mut(), &question.authority, below);
    match question.mount {
        Some(mount) => mount.put_below(response),
        None => response,
    }
}

fn finish(mut response: Response<Body>, mut exchange: Exchange) -> Response<Reply> {
    exchange.answered(response.status(), response.extensions_mut());
    response.map(|body| Reply::new(body, exchange))
}

/// A WebSocket that the client has asked for.
struct Handshake {
    client: OnUpgrade,
    /// The `Sec-WebSocket-Accept` that agrees to it.
    accept: String,
}

impl Handshake {
    fn begin(request: &mut Request<Incoming>) -> Option<Self> {
        let accept = web_socket_pump::accept_value(request.headers())?;
        Some(Self { client: hyper::upgrade::on(request), accept })
    }

    /// Opens the tunnel if the Service has agreed.
    fn complete(
        self,
        server: &Arc<Server>,
        authority: &HeaderValue,
        mut response: Response<Body>,
        mut exchange: Exchange,
    ) -> Response<Reply> {
        if !web_socket_pump::is_agreed(&response, &self.accept) {
            let said =
                own_pages::bad_gateway("the Service's answer does not agree to the WebSocket that was asked for");
            return finish(said, exchange);
        }
        server.counts.tunnels.fetch_add(1, Ordering::Relaxed);
        let service = upgraded::take(&mut response);
        exchange.answered(response.status(), response.extensions_mut());
        exchange.left_http();
        let end = server.stages.drain.clone();
        server.tasks.spawn(web_socket_pump::run(self.client, service, end, exchange));
        prepare_agreement(response.headers_mut(), authority);
        response.map(|_| Reply::nothing())
    }
}
