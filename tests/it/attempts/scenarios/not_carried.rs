//! Requests that the service proxy cannot carry as they are.

use super::{Answer, Run, User, curl, fetch, navigation, run};

pub(super) fn runs() -> Vec<Run> {
    const TITLE: &str = "what the service proxy cannot carry";
    vec![
        all(run(TITLE)),
        all(run(TITLE).user(User::WithoutPortForward)),
        all(run(TITLE).flags(&["--via=service-proxy"])),
        all(run(TITLE).flags(&["--via=port-forward"])),
        options(),
        refused_hosts(),
    ]
}

fn all(run: Run) -> Run {
    run.row(navigation("GET /a?dryRun=All"), Answer::status(200))
        .row(fetch("POST /a?dryRun=All").body(5), Answer::status(200))
        .row(navigation("GET /a%2Fb"), Answer::status(200))
        .row(navigation("GET /a//b"), Answer::status(200))
        .row(navigation("GET /a(b)"), Answer::status(200))
        .row(curl("GET /a").field("authorization", "Basic YTpi"), Answer::status(200))
        .row(curl("POST /a").body(5).field("authorization", "Basic YTpi"), Answer::status(401))
        .row(fetch("OPTIONS /a"), Answer::status(200))
        .row(curl("PROPFIND /a"), Answer::status(200))
        .row(fetch("POST /a").trailers(), Answer::status(200))
}

fn options() -> Run {
    run("OPTIONS takes the verb *")
        .user(User::WithoutOptions)
        .row(fetch("OPTIONS /a"), Answer::status(200))
        .row(fetch("OPTIONS /a"), Answer::status(403))
        .row(fetch("GET /a"), Answer::status(200))
}

fn refused_hosts() -> Run {
    run("what goes by port-forward is answered 403")
        .row(navigation("GET /a%2Fb"), Answer::only_under(&["web.default.svc.cluster.local"], 403))
        .row(fetch("OPTIONS /a"), Answer::status(403))
}
