//! WebSocket handshakes.

use super::{ALWAYS, Answer, Before, Run, Says, User, navigation, run, web_socket};
use support::fake::faults::Fault;
use support::fake::status::Status;

pub(super) fn runs() -> Vec<Run> {
    vec![
        answered(run("handshakes are answered by the app")),
        answered(run("handshakes are answered by the app").user(User::WithoutPortForward)),
        answered(run("handshakes are answered by the app").flags(&["--via=port-forward"])),
        with_query(run("handshakes with a query")),
        with_query(run("handshakes with a query").user(User::WithoutPortForward)),
        with_query(run("handshakes with a query").flags(&["--via=service-proxy"])),
        lost(run("the upgrade is lost on the way")),
        lost(run("the upgrade is lost on the way").user(User::WithoutPortForward)),
        taken_for_a_request(200),
        taken_for_a_request(302),
        limited(429),
        limited(503),
        perhaps_lost(),
        lost_everywhere(),
        port_forward_fails(),
        refused_host(),
    ]
}

/// What is learned of a path stays; so each status has its own.
fn answered(run: Run) -> Run {
    run.row(web_socket("/ws"), Answer::web_socket())
        .row(web_socket("/CODE"), Says::EachInHtml(&[200, 302, 400, 403, 404, 426, 429, 500, 503]))
        .row(web_socket("/CODE"), Says::EachInHtml(&[400, 429]))
        .note("again")
        .row(web_socket("/other"), Answer::other_web_socket())
        .row(web_socket("/busy"), Answer::of_kind(503, "application/json"))
        .row(web_socket("/ws"), Answer::web_socket())
        .note("at the end")
}

fn with_query(run: Run) -> Run {
    run.row(web_socket("/ws?a=b"), Answer::web_socket())
        .row(web_socket("/ws?a=b"), Answer::status(400))
        .row(web_socket("/ws"), Answer::web_socket())
}

fn lost(run: Run) -> Run {
    let lost = || Before::ServiceProxy(ALWAYS, Fault::Answer(Status::bad_request("Upgrade request required")));
    run.row(web_socket("/ws"), Answer::web_socket())
        .before(lost())
        .row(web_socket("/ws"), Answer::web_socket())
        .before(lost())
        .note("again")
        .row(navigation("GET /a"), Answer::status(200))
}

fn taken_for_a_request(code: u16) -> Run {
    let page = || Before::ServiceProxy(ALWAYS, Fault::Page(code, "a page"));
    run(if code == 200 { "a handshake is answered 200" } else { "a handshake is answered 302" })
        .row(web_socket("/ws"), Answer::web_socket())
        .before(page())
        .row(web_socket("/other"), Answer::web_socket())
        .before(page())
}

fn limited(code: u16) -> Run {
    let page = || Before::ServiceProxy(1, Fault::Page(code, "too many"));
    run(if code == 429 { "a gateway limits WebSockets by 429" } else { "a gateway limits WebSockets by 503" })
        .row(web_socket("/ws"), Answer::web_socket())
        .before(page())
        .row(web_socket("/ws"), Answer::web_socket())
}

fn perhaps_lost() -> Run {
    run("a gateway answers handshakes 426")
        .row(web_socket("/ws"), Answer::of_kind(404, "text/html"))
        .before(Before::ServiceProxy(ALWAYS, Fault::Page(426, "no")))
        .row(web_socket("/ws"), Answer::web_socket())
        .before(Before::ServiceProxy(ALWAYS, Fault::Page(426, "no")))
        .row(web_socket("/ws"), Answer::web_socket())
        .note("afterwards")
}

fn lost_everywhere() -> Run {
    let lost = || Fault::Answer(Status::bad_request("Upgrade request required"));
    run("the upgrade is lost for port-forward too")
        .row(web_socket("/ws"), Answer::status(400))
        .before(Before::PortForward("", ALWAYS, lost()))
        .row(web_socket("/ws"), Answer::status(400))
        .before(Before::PortForward("", ALWAYS, lost()))
        .note("again")
        .row(web_socket("/ws?a=b"), Answer::status(400))
        .before(Before::PortForward("", ALWAYS, lost()))
}

fn port_forward_fails() -> Run {
    let fails = || Fault::Answer(Status::unknown("error dialing backend: dial tcp 10.0.0.2:10250: i/o timeout"));
    run("a doubtful handshake, and port-forward fails")
        .row(web_socket("/ws"), Answer::status(400))
        .before(Before::PortForward("", ALWAYS, fails()))
        .row(web_socket("/ws"), Answer::status(400))
        .note("again")
}

fn refused_host() -> Run {
    run("only localhost is accepted, and a WebSocket comes first")
        .row(web_socket("/ws"), Answer::only_under(&["localhost"], 403))
        .row(navigation("GET /a"), Answer::only_under(&["localhost"], 403))
        .row(web_socket("/ws"), Answer::only_under(&["localhost"], 403))
        .note("after the page")
}
