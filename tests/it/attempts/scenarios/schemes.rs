//! Pods that speak another scheme than was thought.

use super::super::app::Speaks;
use super::{Answer, Run, User, fetch, navigation, run, web_socket};

pub(super) fn runs() -> Vec<Run> {
    let tls = |title| run(title).speaks(Speaks::Tls);
    vec![
        found_out(tls("http is spoken to https Pods")),
        found_out(tls("http is spoken to https Pods").flags(&["--via=port-forward"])),
        found_out(tls("http is spoken to https Pods").flags(&["--via=service-proxy"]).user(User::WithoutPortForward)),
        found_out(run("http is spoken to https Pods").speaks(Speaks::TlsAndSaysSo)),
        found_out(run("http is spoken to https Pods").speaks(Speaks::TlsAndSaysSo).flags(&["--via=port-forward"])),
        found_out(run("https is spoken to http Pods").flags(&["--scheme=https"])),
        found_out(run("https is spoken to http Pods").flags(&["--scheme=https", "--via=port-forward"])),
        post_first(tls("http is spoken to https Pods, and a POST finds out")),
        post_first(run("http is spoken to https Pods, and a POST finds out").speaks(Speaks::TlsAndSaysSo)),
        post_first(run("https is spoken to http Pods, and a POST finds out").flags(&["--scheme=https"])),
        put_first(),
        web_socket_first(tls("http is spoken to https Pods, and a WebSocket finds out")),
        verified(run("https is spoken to http Pods").flags(&["--scheme=https", "--verify-tls"])),
        verified(run("http Pods by port-forward").flags(&["--scheme=https", "--verify-tls", "--via=port-forward"])),
        verified(tls("http is spoken to https Pods").flags(&["--verify-tls"])),
        verified(tls("https Pods by port-forward").flags(&["--scheme=https", "--verify-tls", "--via=port-forward"])),
        refused_host(),
        not_http(run("something else is spoken").speaks(Speaks::Redis)),
        not_http(run("something else is spoken").speaks(Speaks::Redis).flags(&["--via=port-forward"])),
    ]
}

fn found_out(run: Run) -> Run {
    run.row(navigation("GET /a"), Answer::status(200))
        .row(fetch("POST /b").body(5), Answer::status(200))
        .row(web_socket("/ws"), Answer::web_socket())
}

fn post_first(run: Run) -> Run {
    run.row(fetch("POST /a").body(5), Answer::status(200)).row(fetch("POST /b").body(5), Answer::status(200))
}

fn put_first() -> Run {
    run("http is spoken to https Pods, and a PUT finds out")
        .speaks(Speaks::Tls)
        .row(fetch("PUT /a").body(5), Answer::status(200))
        .row(navigation("GET /b"), Answer::status(200))
}

fn web_socket_first(run: Run) -> Run {
    run.row(web_socket("/ws"), Answer::web_socket()).row(web_socket("/ws?a=b"), Answer::web_socket())
}

fn verified(run: Run) -> Run {
    run.row(navigation("GET /a"), Answer::status(200)).row(navigation("GET /b"), Answer::status(200))
}

fn refused_host() -> Run {
    run("http is spoken to https Pods, and only localhost is accepted")
        .speaks(Speaks::Tls)
        .row(navigation("GET /a"), Answer::only_under(&["localhost"], 403))
        .row(navigation("GET /b"), Answer::only_under(&["localhost"], 403))
}

fn not_http(run: Run) -> Run {
    run.row(navigation("GET /a"), Answer::status(200)).row(fetch("POST /a").body(5), Answer::status(200))
}
