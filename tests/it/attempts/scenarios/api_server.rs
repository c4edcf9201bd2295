//! The API server's own errors.

use super::super::app::Speaks;
use super::{ALWAYS, Answer, Before, Run, User, curl, fetch, navigation, run, web_socket};
use support::fake::faults::Fault;
use support::fake::status::Status;

fn unreached(why: &str) -> Status {
    Status::unavailable(format!("error trying to reach service: {why}"))
}

fn timed_out() -> Status {
    unreached("dial tcp 10.0.0.9:80: i/o timeout")
}

pub(super) fn runs() -> Vec<Run> {
    vec![
        without_right(),
        starts(),
        gone(),
        nothing_ready(),
        refuses(run("the app has stopped")),
        refuses(run("the app has stopped").flags(&["--via=port-forward"])),
        moves(),
        moves_by_post(),
        no_route(),
        rights_are_unknown(),
        all_at_once(),
        stays("the API server cannot reach the Pods").user(User::WithoutPortForward),
        breaks_off(run("the app ends connections")),
        breaks_off(run("the app ends connections").flags(&["--via=port-forward"])),
        once(),
        others(),
        gateway(),
        expired(),
        expired_for_good(),
        expired_without_a_plugin(),
    ]
}

fn without_right() -> Run {
    run("services/proxy is forbidden")
        .user(User::WithoutProxy)
        .row(navigation("GET /a"), Answer::status(200))
        .row(fetch("GET /a"), Answer::status(200))
        .row(curl("POST /a").body(5), Answer::status(200))
}

/// An API server that starts refuses everybody until it has read who may do what.
fn starts() -> Run {
    let refused = |verb: &str| {
        let denied = format!("User \"admin\" cannot {verb} resource \"services/proxy\" in API group \"\"");
        let message = format!("services \"web\" is forbidden: {denied} in the namespace \"default\"");
        Before::ServiceProxy(1, Fault::Answer(Status::new(403, "Forbidden", message)))
    };
    run("services/proxy is forbidden for a moment")
        .row(navigation("GET /a"), Answer::status(200))
        .row(fetch("POST /a").body(5), Answer::status(200))
        .row(fetch("GET /a"), Answer::status(200))
        .before(refused("get"))
        .row(curl("POST /a").body(5), Answer::status(200))
        .before(refused("create"))
        .row(curl("GET /b"), Answer::status(200))
        .row(curl("POST /b").body(5), Answer::status(200))
}

fn gone() -> Run {
    run("the Service is gone")
        .row(navigation("GET /a"), Answer::status(200))
        .before(Before::ServiceIsDeleted)
        .row(fetch("POST /a").body(5), Answer::status(200))
}

fn nothing_ready() -> Run {
    run("nothing is ready")
        .row(navigation("GET /a"), Answer::status(200))
        .before(Before::NothingIsReady)
        .row(fetch("GET /a"), Answer::status(200))
        .row(fetch("POST /a").body(5), Answer::status(200))
        .row(curl("GET /a%2Fb"), Answer::status(200))
}

fn refuses(run: Run) -> Run {
    run.row(navigation("GET /a"), Answer::status(200))
        .before(Before::AppStops)
        .row(fetch("POST /a").body(5), Answer::status(200))
        .row(fetch("PUT /a").body(5), Answer::status(200))
        .row(web_socket("/ws"), Answer::web_socket())
}

fn moves() -> Run {
    run("the API server cannot reach the Pods")
        .row(navigation("GET /a"), Answer::status(200))
        .api_server(timed_out())
        .row(navigation("GET /b"), Answer::status(200))
        .row(fetch("POST /b").body(5), Answer::status(200))
        .row(web_socket("/ws"), Answer::web_socket())
        .row(navigation("GET /b"), Answer::status(403))
}

fn moves_by_post() -> Run {
    run("the API server cannot reach the Pods, and a POST finds out")
        .row(fetch("POST /a").body(5), Answer::status(200))
        .api_server(timed_out())
        .row(fetch("POST /b").body(5), Answer::status(200))
}

fn no_route() -> Run {
    run("the API server has no route to the Pods")
        .row(fetch("PUT /a").body(5), Answer::status(200))
        .api_server(unreached("dial tcp 10.0.0.9:80: connect: no route to host"))
        .row(navigation("GET /b"), Answer::only_under(&["localhost"], 403))
}

fn rights_are_unknown() -> Run {
    run("the API server cannot reach the Pods, and rights are unknown")
        .user(User::WithoutPortForward)
        .row(navigation("GET /a"), Answer::status(200))
        .before(Before::RightsAreUnknown)
        .api_server(timed_out())
        .row(navigation("GET /b"), Answer::status(200))
}

/// Everything is learned by one request.
fn all_at_once() -> Run {
    run("the API server cannot reach the Pods, which accept only localhost")
        .speaks(Speaks::Tls)
        .row(navigation("GET /a").conditional(), Answer::only_under(&["localhost"], 403))
        .api_server(timed_out())
        .row(navigation("GET /b"), Answer::only_under(&["localhost"], 403))
}

fn stays(title: &'static str) -> Run {
    run(title)
        .row(navigation("GET /a"), Answer::status(200))
        .api_server(timed_out())
        .row(fetch("POST /a").body(5), Answer::status(200))
        .api_server(timed_out())
        .row(navigation("GET /b"), Answer::status(200))
}

fn breaks_off(run: Run) -> Run {
    run.row(navigation("GET /delete?id=7"), Answer::ends_connection())
        .row(fetch("POST /a").body(5), Answer::ends_connection())
        .row(fetch("PUT /a").body(5), Answer::ends_connection())
        .row(fetch("PUT /a").body(70_000), Answer::ends_connection())
        .row(fetch("PUT /a").chunks(5), Answer::ends_connection())
        .row(fetch("DELETE /a"), Answer::ends_connection())
        .row(fetch("PATCH /a").body(5), Answer::ends_connection())
        .row(web_socket("/ws"), Answer::ends_connection())
}

/// Bad luck that is over the next time.
fn once() -> Run {
    let reset = unreached("read tcp 10.0.0.1:1->10.0.0.9:80: read: connection reset by peer");
    let refused = unreached("dial tcp 10.0.0.9:80: connect: connection refused");
    let at_once = |status: &Status| Before::ServiceProxy(1, Fault::Answer(status.clone()));
    run("the Pod fails once")
        .row(navigation("GET /a"), Answer::status(200))
        .before(at_once(&reset))
        .row(fetch("POST /a").body(5), Answer::status(200))
        .before(at_once(&reset))
        .row(navigation("GET /a"), Answer::status(200))
        .before(at_once(&refused))
        .row(fetch("POST /a").body(5), Answer::status(200))
        .before(at_once(&refused))
        .row(fetch("DELETE /a"), Answer::status(200))
        .before(at_once(&refused))
        .row(navigation("GET /a"), Answer::only_under(&["localhost"], 403))
        .before(at_once(&refused))
        .note("under another Host")
}

/// What is not recognised, or cannot be helped.
fn others() -> Run {
    run("other errors of the API server")
        .row(navigation("GET /a"), Answer::status(200))
        .api_server(unreached("net/http: TLS handshake timeout"))
        .row(navigation("GET /a"), Answer::status(200))
        .api_server(unreached("something new"))
        .row(navigation("GET /a"), Answer::status(200))
        .api_server(Status::unavailable("no service port 80 found for service \"web\""))
        .row(navigation("GET /a"), Answer::status(200))
        .api_server(Status::new(403, "Forbidden", "admission webhook \"x.example\" denied the request: no"))
        .row(navigation("GET /a"), Answer::status(200))
        .api_server(Status::new(429, "TooManyRequests", "too many requests, please try again later"))
        .row(navigation("GET /a"), Answer::status(200))
        .api_server(Status::unknown("etcdserver: request timed out"))
}

fn gateway() -> Run {
    let page = |code| Before::ServiceProxy(ALWAYS, Fault::Page(code, "of a gateway"));
    run("a gateway before the API server has errors of its own")
        .row(navigation("GET /a"), Answer::status(200))
        .before(page(502))
        .row(navigation("GET /a"), Answer::status(200))
        .before(page(503))
        .row(fetch("GET /a"), Answer::status(200))
        .before(page(403))
        .row(navigation("GET /a"), Answer::status(200))
        .before(page(403))
}

fn expired() -> Run {
    run("credentials expire and are renewed")
        .user(User::Renewable)
        .row(navigation("GET /a"), Answer::status(401))
        .row(fetch("POST /a").body(5), Answer::status(200))
        .before(Before::CredentialsExpire)
        .row(fetch("POST /b"), Answer::status(200))
        .before(Before::CredentialsExpire)
        .note("without a body")
        .row(fetch("DELETE /a"), Answer::status(200))
        .before(Before::CredentialsExpire)
}

fn expired_for_good() -> Run {
    run("credentials expire, and a GET finds newer ones")
        .user(User::Renewable)
        .row(navigation("GET /a"), Answer::status(200))
        .before(Before::CredentialsExpire)
        .row(fetch("GET /a"), Answer::of_kind(401, "application/json"))
        .row(navigation("GET /a"), Answer::status(200))
        .before(Before::CredentialsExpireForGood)
}

fn expired_without_a_plugin() -> Run {
    run("a token expires").row(navigation("GET /a"), Answer::status(200)).before(Before::CredentialsExpireForGood)
}
