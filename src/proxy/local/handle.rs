//! One request in, one answer out: guard, route, token, headers, the Service, and back.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use http::header::{HOST, LOCATION, USER_AGENT};
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use super::guard::admit::{AdmittedRequest, GuardRefusal, RequestFacts, admit, is_reading};
use super::guard::hosts::OwnHost;
use super::guard::outer_front::OuterFront;
use super::guard::refusal::ExplainedRefusal;
use super::guard::token::{GateClosed, GatePassage};
use super::server::connection::{ClientChannel, RunningAnswer};
use super::server::exchange::{CountedBody, Exchange};
use super::server::request_log::RefusalReason;
use super::server_state::ServerState;
use super::site::below_proxy_path::ProxyPathPrefix;
use super::site::headers::{prepare_agreement, prepare_answer, prepare_request};
use super::site::route::{RequestRoute, RouteQuery, path_reference};
use super::site::served_urls::ServedUrls;
use super::site::start_page::OpenServices;
use super::site::{asked_hrefs, own_pages, web_socket_pump};
use crate::message::body::Body;
use crate::message::client_kind::{LOOK_HEADER, PageLook, RequestingClient};
use crate::message::forwarded_fields::BrowserByTls;
use crate::message::host_port;
use crate::message::safe_path::SafePath;
use crate::message::scheme::Scheme;
use crate::message::upgraded_stream::take_stream;
use crate::message::web_socket;
use crate::proxy::upstream::WithheldAnswer;

/// Answers `request`, whatever happens.
///
/// # Errors
/// When the client is to get no answer.
pub(crate) async fn handle(
    server: Arc<ServerState>,
    channel: ClientChannel,
    answering: RunningAnswer,
    request: Request<Incoming>,
) -> Result<Response<CountedBody>, WithheldAnswer> {
    let exchange = Exchange::new(&server.local, answering, &request);
    let shield = server.shield(request.headers());
    let decision = decide(&server, channel, &request);
    if server.is_guess && !matches!(&decision, Ok(RequestDecision::Forward(question)) if is_certain(&server, question))
    {
        return ask_again_once_certain(&server, &request, exchange).await;
    }
    let mut response = match decision {
        Ok(RequestDecision::Forward(question)) => forward(&server, question, request, exchange).await?,
        Ok(RequestDecision::Respond(response)) => finish(response, exchange),
        Err(refused) => {
            tracing::debug!(reason = refused.word, "refused a request");
            let about = if refused.is_to_stranger { Vec::new() } else { server.about(request.headers()) };
            let mut response = own_pages::refusal(&refused, about, RequestingClient::of(&request));
            let why = RefusalReason(format!("{}. {}", refused.reason, refused.way_out));
            response.extensions_mut().insert(why);
            finish(response, exchange)
        }
    };
    shield.put_before(response.headers_mut());
    Ok(response)
}

/// Answers a request that cannot be read with `status`.
pub(crate) fn unreadable(
    server: &ServerState,
    status: StatusCode,
    answering: RunningAnswer,
    request: &Request<Incoming>,
) -> Response<CountedBody> {
    let exchange = Exchange::new(&server.local, answering, request);
    finish(own_pages::unreadable(status), exchange)
}

/// Has a reader ask once more when what is served is certain, and others notice that nobody answers. A wrong guess is over
/// before that, and its connections with it.
async fn ask_again_once_certain(
    server: &ServerState,
    request: &Request<Incoming>,
    exchange: Exchange,
) -> Result<Response<CountedBody>, WithheldAnswer> {
    let target = request.uri().path_and_query().filter(|_| is_reading(request.method())).ok_or(WithheldAnswer)?;
    server.stages.drain.cancelled().await;
    let again = own_pages::redirect(StatusCode::TEMPORARY_REDIRECT, &path_reference(target.as_str().to_owned()));
    Ok(finish(again, exchange))
}

/// Whether a request of which only a guess is served is surely for that: it names it by its proxy path, or by its site, and not
/// by a path that is one once all spellings are known.
fn is_certain(server: &ServerState, question: &Forward) -> bool {
    let authority = question.authority.to_str().unwrap_or_default();
    let is_at_site = matches!(server.hosts.find(authority), Some(OwnHost::Site(_)));
    question.mount.is_some() || (is_at_site && !question.target.as_str().starts_with("/api/v1/namespaces/"))
}

/// What to do with a request that may pass.
enum RequestDecision {
    /// Ask the Service.
    Forward(Forward),
    /// Answer it here.
    Respond(Response<Body>),
}

/// What to ask of a Service.
struct Forward {
    site: usize,
    /// The Service's own path and query.
    target: SafePath,
    mount: Option<ProxyPathPrefix>,
    is_handshake: bool,
    /// Whether a redirect in the answer is this site's own doing: no page elsewhere began it.
    leads_to_login: bool,
    authority: HeaderValue,
    outer: OuterFront,
    scheme: Scheme,
}

fn decide(
    server: &ServerState,
    ClientChannel { peer, scheme }: ClientChannel,
    request: &Request<Incoming>,
) -> Result<RequestDecision, ExplainedRefusal> {
    let (method, headers) = (request.method(), request.headers());
    let is_from_login = server.is_from_login(headers);
    let (uri, version) = (request.uri(), request.version());
    let facts = RequestFacts { peer, scheme, method, uri, version, headers, is_from_login };
    let admitted = admit(&server.local.policy, &server.hosts, &facts).map_err(|refusal| server.explained(&refusal))?;
    // It may be a frame, and nothing would tell.
    if admitted.is_unmarked && admitted.is_from_elsewhere && !server.may_be_back_from_login(headers) {
        let target = path_reference(admitted.target.as_str().to_owned());
        return Ok(RequestDecision::Respond(own_pages::onward_by_hand(&target)));
    }
    let outer = OuterFront::of(&server.local.policy, admitted.host, admitted.authority, scheme, headers);
    let (_, port) = host_port::split(admitted.authority);
    let query = RouteQuery {
        host: outer.seen(admitted.host, admitted.authority),
        port: port.and_then(|port| port.parse().ok()).unwrap_or(scheme.default_port()),
        scheme,
        method,
        target: admitted.target.as_str(),
        is_navigation: admitted.is_navigation,
        user_agent: headers.get(USER_AGENT).and_then(|value| value.to_str().ok()),
    };
    let route = server.layout().route(&query);
    // Redirects need no token: they tell nothing.
    if !matches!(route, RequestRoute::Redirect { .. })
        && let Some(held) = hold_at_gate(server, &admitted, request)?
    {
        return Ok(RequestDecision::Respond(held));
    }
    follow(server, route, &query, &admitted, outer, request)
}

/// What stands between a request and its route where a token is asked for.
fn hold_at_gate(
    server: &ServerState,
    admitted: &AdmittedRequest<'_>,
    request: &Request<Incoming>,
) -> Result<Option<Response<Body>>, ExplainedRefusal> {
    let Some(gate) = &server.gate else { return Ok(None) };
    match gate.pass(admitted, request.method(), request.headers()) {
        Ok(GatePassage::Through) => Ok(None),
        Ok(GatePassage::Onward(target, cookie)) => {
            Ok(Some(own_pages::redirect_without_token(&path_reference(target), cookie)))
        }
        Err(GateClosed::NoToken) if admitted.is_navigation && admitted.is_from_elsewhere => {
            let target = path_reference(admitted.target.as_str().to_owned());
            let page = match server.may_be_back_from_login(request.headers()) {
                true => own_pages::same_site_reload(&target),
                false => own_pages::onward_by_hand(&target),
            };
            Ok(Some(page))
        }
        Err(closed) => Err(closed.explained()),
    }
}

fn follow(
    server: &ServerState,
    route: RequestRoute<'_>,
    query: &RouteQuery<'_>,
    admitted: &AdmittedRequest<'_>,
    outer: OuterFront,
    request: &Request<Incoming>,
) -> Result<RequestDecision, ExplainedRefusal> {
    let response = match route {
        RequestRoute::Serve { site, target, below } => {
            return Ok(RequestDecision::Forward(Forward {
                site,
                target: own_target(target, admitted).map_err(|refusal| refusal.explained())?,
                mount: below.map(|path| ProxyPathPrefix::new(path, admitted.authority)),
                is_handshake: admitted.is_handshake,
                leads_to_login: admitted.is_top_level
                    && (!admitted.is_from_elsewhere || server.is_referred_by_us(request.headers())),
                authority: request.headers()[HOST].clone(),
                outer,
                scheme: query.scheme,
            }));
        }
        RequestRoute::Redirect { status, location } => own_pages::redirect(status, &location),
        RequestRoute::StartPage => open_services(server, query, &outer, request).start_page(),
        RequestRoute::Nothing => open_services(server, query, &outer, request).not_found_page(request.uri().path()),
    };
    Ok(RequestDecision::Respond(response))
}

fn open_services<'a>(
    server: &'a ServerState,
    query: &RouteQuery<'_>,
    outer: &OuterFront,
    request: &Request<Incoming>,
) -> OpenServices<'a> {
    let [scheme, host] = [outer.scheme(), outer.host.clone()].map(|part| part.to_str().unwrap_or_default().to_owned());
    OpenServices {
        run: &server.local.shown,
        sites: &server.local.sites,
        addresses: server.layout().addresses(query, &format!("{scheme}://{host}")),
        origin: &server.origin,
        asker: RequestingClient::of(request),
    }
}

/// The path and query to send, checked again where they are not all that the client asked for.
fn own_target(target: Cow<'_, str>, admitted: &AdmittedRequest<'_>) -> Result<SafePath, GuardRefusal> {
    match target {
        Cow::Borrowed(_) => Ok(admitted.target.clone()),
        Cow::Owned(target) => {
            let target = PathAndQuery::try_from(target).map_err(|_| GuardRefusal::NotAPath)?;
            SafePath::check(&target).map_err(GuardRefusal::Path)
        }
    }
}

async fn forward(
    server: &Arc<ServerState>,
    question: Forward,
    mut request: Request<Incoming>,
    mut exchange: Exchange,
) -> Result<Response<CountedBody>, WithheldAnswer> {
    let site = &server.local.sites[question.site];
    exchange.at_site(&site.label);
    let handshake = question.is_handshake.then(|| WebSocketHandshake::begin(&mut request)).flatten();
    let mut request = service_request(server, &question, request, &exchange);
    if question.mount.is_some() {
        let own = asked_hrefs::make_own(request, served_urls(server, &question)).await;
        // Whoever has sent half of it is gone.
        request = own.map_err(|_| WithheldAnswer)?;
    }
    let response = site.upstream.send(request).await;
    if let Some(withheld) = response.extensions().get::<WithheldAnswer>() {
        return Err(*withheld);
    }
    if question.leads_to_login && response.status().is_redirection() {
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        location.inspect(|location| server.logins.note(question.site, location, Instant::now()));
    }
    Ok(match handshake {
        Some(handshake) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
            handshake.complete(server, &question.authority, response, exchange)
        }
        None if response.status().is_informational() => {
            finish(own_pages::bad_gateway("the Service answered with a status that ends no request"), exchange)
        }
        // A login may belong to the connection (NTLM), so that of a refused handshake stays, as for any request.
        _ => finish(client_response(response, question), exchange),
    })
}

fn service_request(
    server: &ServerState,
    question: &Forward,
    mut request: Request<Incoming>,
    exchange: &Exchange,
) -> Request<Body> {
    *request.uri_mut() = Uri::from(question.target.path_and_query().clone());
    *request.version_mut() = Version::HTTP_11;
    // How the client spelled the names of fields stays in there, and which of its connections it came on.
    request.extensions_mut().remove::<OnUpgrade>();
    request.extensions_mut().insert(question.target.clone());
    if question.scheme == Scheme::Https {
        request.extensions_mut().insert(BrowserByTls);
    }
    if request.headers().contains_key(LOOK_HEADER) {
        request.extensions_mut().insert(PageLook);
    }
    served_urls(server, question).make_own(request.headers_mut());
    prepare_request(request.headers_mut(), &question.outer, question.is_handshake);
    if question.mount.is_some() {
        ProxyPathPrefix::prepare_request(request.headers_mut());
    }
    request.map(|body| exchange.watch_request(body))
}

fn served_urls<'a>(server: &'a ServerState, question: &'a Forward) -> ServedUrls<'a> {
    let authority = question.authority.to_str().unwrap_or_default();
    let paths = &server.local.sites[question.site].paths;
    ServedUrls { hosts: &server.hosts, site: question.site, paths, authority }
}

fn client_response(mut response: Response<Body>, question: Forward) -> Response<Body> {
    let below = question.mount.as_ref().map(|mount| mount.path.as_str());
    prepare_answer(response.headers_mut(), &question.authority, below);
    match question.mount {
        Some(mount) => mount.put_below(response),
        None => response,
    }
}

fn finish(mut response: Response<Body>, mut exchange: Exchange) -> Response<CountedBody> {
    exchange.answered(response.status(), response.extensions_mut());
    response.map(|body| CountedBody::ending(exchange, body))
}

/// A WebSocket that the client has asked for.
struct WebSocketHandshake {
    client: OnUpgrade,
    /// The `Sec-WebSocket-Accept` that agrees to it.
    accept: HeaderValue,
}

impl WebSocketHandshake {
    fn begin(request: &mut Request<Incoming>) -> Option<Self> {
        let accept = web_socket::expected(request.headers())?;
        Some(Self { client: hyper::upgrade::on(request), accept })
    }

    /// Opens the tunnel if the Service has agreed.
    fn complete(
        self,
        server: &Arc<ServerState>,
        authority: &HeaderValue,
        mut response: Response<Body>,
        mut exchange: Exchange,
    ) -> Response<CountedBody> {
        if !web_socket::is_accepted(&response, &self.accept) {
            let said =
                own_pages::bad_gateway("the Service's answer does not agree to the WebSocket that was asked for");
            return finish(said, exchange);
        }
        let service = take_stream(&mut response);
        exchange.answered(response.status(), response.extensions_mut());
        exchange.left_http();
        let end = server.stages.drain.clone();
        let counter = exchange.counter_of_service();
        server.tasks.spawn(web_socket_pump::run(self.client, service, end, exchange));
        prepare_agreement(response.headers_mut(), authority);
        response.map(|_| CountedBody::without_end(counter))
    }
}
