//! Connections to Pods that fail, and Pods that are replaced.

use super::{ALWAYS, Answer, Before, Run, User, curl, fetch, navigation, run, web_socket};
use support::fake::Handshakes;
use support::fake::faults::Fault;
use support::fake::status::Status;

const FLAGS: &[&str] = &["--via=port-forward"];

pub(super) fn runs() -> Vec<Run> {
    vec![
        ordinary(),
        kept(),
        new_connection(),
        gone(),
        replaced(),
        all_gone(),
        without_right(),
        old_handshakes(),
        no_port_forward(),
        breaks_off_with_two_pods(),
    ]
}

fn ordinary() -> Run {
    run("everything goes by port-forward")
        .flags(FLAGS)
        .row(navigation("GET /a"), Answer::status(200))
        .row(fetch("POST /a").body(5), Answer::status(503))
        .row(fetch("GET /a").conditional(), Answer::text_with_etag())
        .row(fetch("GET /a"), Answer::status(421))
        .row(navigation("GET /a"), Answer::redirect(302, "/login"))
        .row(navigation("GET /a"), Answer::ends_within("text/plain"))
}

fn kept() -> Run {
    let ends = Answer::ends_kept_connection;
    let run = run("a kept connection to the Pod is lost").flags(FLAGS);
    let run = run.row(navigation("GET /a"), ends()).before(Before::ConnectionIsKept);
    let run = run.row(fetch("PUT /a").body(5), ends()).before(Before::ConnectionIsKept);
    let run = run.row(curl("PROPFIND /a").body(5), ends()).before(Before::ConnectionIsKept);
    let run = run.row(curl("MKCOL /a"), ends()).before(Before::ConnectionIsKept);
    run.row(fetch("POST /a").body(5), ends()).before(Before::ConnectionIsKept)
}

fn new_connection() -> Run {
    let ends = Answer::ends_connection;
    run("a new connection to the Pod is lost")
        .flags(FLAGS)
        .row(navigation("GET /a"), ends())
        .before(Before::NoConnectionIsKept)
        .row(fetch("POST /a").body(5), ends())
        .before(Before::NoConnectionIsKept)
}

fn not_found(pod: &'static str) -> Before {
    Before::PortForward(pod, ALWAYS, Fault::Answer(Status::not_found("pods", pod)))
}

fn gone() -> Run {
    run("a Pod is gone that is still listed")
        .flags(FLAGS)
        .pods(2)
        .row(fetch("POST /a").body(5), Answer::status(200))
        .before(not_found("web-0"))
        .row(navigation("GET /b"), Answer::status(200))
}

fn replaced() -> Run {
    run("a Pod is replaced")
        .flags(FLAGS)
        .pods(2)
        .row(navigation("GET /a"), Answer::status(200))
        .row(navigation("GET /b"), Answer::status(200))
        .before(Before::PodIsReplaced)
        .row(fetch("POST /b").body(5), Answer::status(200))
}

fn all_gone() -> Run {
    run("all Pods are gone that are still listed")
        .flags(FLAGS)
        .pods(2)
        .row(navigation("GET /a"), Answer::status(200))
        .before(not_found("web-0"))
        .before(not_found("web-1"))
        .row(fetch("POST /b").body(5), Answer::status(200))
        .before(not_found("web-0"))
        .before(not_found("web-1"))
}

fn without_right() -> Run {
    run("pods/portforward is forbidden")
        .flags(FLAGS)
        .user(User::WithoutPortForward)
        .row(navigation("GET /a"), Answer::status(200))
        .row(fetch("POST /a").body(5), Answer::status(200))
        .row(web_socket("/ws"), Answer::web_socket())
}

fn old_handshakes() -> Run {
    run("the node knows only SPDY")
        .flags(FLAGS)
        .handshakes(Handshakes::Spdy)
        .row(navigation("GET /a"), Answer::status(200))
        .row(web_socket("/ws"), Answer::web_socket())
}

fn no_port_forward() -> Run {
    let refused = || Fault::Answer(Status::bad_request("unable to upgrade: missing upgrade headers in request"));
    run("no handshake of port-forward is known")
        .flags(FLAGS)
        .row(navigation("GET /a"), Answer::status(200))
        .before(Before::PortForward("", ALWAYS, refused()))
        .row(fetch("POST /a").body(5), Answer::status(200))
        .before(Before::PortForward("", ALWAYS, refused()))
}

fn breaks_off_with_two_pods() -> Run {
    run("two Pods end connections")
        .flags(FLAGS)
        .pods(2)
        .row(navigation("GET /delete?id=7"), Answer::ends_connection())
        .row(fetch("POST /a").body(5), Answer::ends_connection())
}
