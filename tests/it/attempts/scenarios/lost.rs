//! Connections that end before a byte of the answer.

use super::{Answer, Before, Run, User, fetch, navigation, run, web_socket};
use support::fake::faults::Fault;

pub(super) fn runs() -> Vec<Run> {
    vec![
        lost(run("the connection to the API server is lost")),
        lost(run("the connection to the API server is lost").user(User::WithoutPortForward)),
        carried_out(),
        new_connection(run("a new connection to the API server is lost")),
        new_connection(run("a new connection to the API server is lost").user(User::WithoutPortForward)),
    ]
}

fn not_carried_out(times: usize) -> Before {
    Before::ServiceProxy(times, Fault::Break)
}

fn lost(run: Run) -> Run {
    let on_kept = |run: Run, times| run.before(Before::ConnectionIsKept).before(not_carried_out(times));
    let run = on_kept(run.row(navigation("GET /a"), Answer::status(200)), 1);
    let run = on_kept(run.row(fetch("POST /a").body(5), Answer::status(200)), 1);
    let run = on_kept(run.row(fetch("POST /a"), Answer::status(200)), 1);
    let run = on_kept(run.row(fetch("PUT /a").body(5), Answer::status(200)), 1);
    let run = on_kept(run.row(fetch("DELETE /a"), Answer::status(200)), 1);
    let run = on_kept(run.row(fetch("OPTIONS /a"), Answer::status(200)), 1);
    let run = on_kept(run.row(navigation("GET /a"), Answer::status(200)), 2);
    let run = on_kept(run.row(navigation("GET /a"), Answer::status(200)), 3);
    on_kept(run.row(web_socket("/ws"), Answer::web_socket()), 1)
}

/// The app got it, and its answer is lost.
fn carried_out() -> Run {
    let answer_is_lost = |run: Run| run.before(Before::ConnectionIsKept).before(Before::ServiceProxy(1, Fault::Cut(0)));
    let run = run("the answer is lost with the connection to the API server");
    let run = answer_is_lost(run.row(navigation("GET /delete?id=7"), Answer::status(200)));
    let run = answer_is_lost(run.row(fetch("POST /a").body(5), Answer::status(200)));
    answer_is_lost(run.row(fetch("DELETE /a"), Answer::status(200)))
}

fn new_connection(run: Run) -> Run {
    let on_new = |run: Run| run.before(Before::NoConnectionIsKept).before(not_carried_out(1));
    let run = on_new(run.row(navigation("GET /a"), Answer::status(200)));
    let run = on_new(run.row(fetch("POST /a").body(5), Answer::status(200)));
    on_new(run.row(fetch("PUT /a").body(5), Answer::status(200)))
}
