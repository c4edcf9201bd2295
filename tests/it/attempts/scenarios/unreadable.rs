//! Answers that the API server cannot pass on.

use super::{Answer, Before, Run, User, curl, fetch, navigation, run};

pub(super) fn runs() -> Vec<Run> {
    vec![
        pages(run("pages that the API server cannot read")),
        pages(run("pages that the API server cannot read").user(User::WithoutPortForward)),
        by_port_forward(),
        other_methods(),
        redirects(run("redirects that the API server cannot read")),
        redirects(run("redirects that the API server cannot read").user(User::WithoutPortForward)),
        broken_off(),
    ]
}

fn pages(run: Run) -> Run {
    run.row(navigation("GET /a").conditional(), Answer::gzip_page())
        .row(navigation("GET /a"), Answer::gzip_page())
        .row(navigation("HEAD /a"), Answer::gzip_page())
        .row(navigation("HEAD /a").conditional(), Answer::gzip_page())
        .row(fetch("GET /a").conditional(), Answer::gzip_page())
        .row(fetch("GET /a").conditional().field("range", "bytes=0-9"), Answer::gzip_page())
        .row(navigation("GET /a"), Answer::page_in("deflate"))
        .row(navigation("GET /a").conditional(), Answer::page_in("deflate"))
        .row(navigation("GET /a"), Answer::page_in("br"))
        .before(Before::ConnectionIsKept)
        .row(navigation("GET /a"), Answer::page_in("br"))
        .before(Before::NoConnectionIsKept)
}

fn by_port_forward() -> Run {
    run("pages that the API server cannot read")
        .flags(&["--via=port-forward"])
        .row(navigation("GET /a").conditional(), Answer::gzip_page())
        .row(navigation("HEAD /a"), Answer::gzip_page())
        .row(navigation("GET /a"), Answer::page_in("br"))
}

fn other_methods() -> Run {
    run("answers to POST and PUT that the API server cannot read")
        .row(navigation("POST /a").body(5), Answer::page_in("deflate"))
        .row(fetch("POST /a").body(5), Answer::page_in("br"))
        .before(Before::ConnectionIsKept)
        .row(fetch("PUT /a").body(5), Answer::page_in("br"))
        .before(Before::ConnectionIsKept)
        .row(fetch("DELETE /a"), Answer::page_in("deflate"))
}

fn redirects(run: Run) -> Run {
    run.row(navigation("GET /a"), Answer::redirect(302, "/%zz"))
        .row(navigation("GET /a"), Answer::redirect(302, "/%zz"))
        .note("again")
        .row(navigation("POST /a").body(5), Answer::redirect(303, "/%zz"))
}

fn broken_off() -> Run {
    run("answers that break off")
        .row(curl("GET /a"), Answer::ends_within("text/plain"))
        .row(navigation("GET /a"), Answer::ends_within("text/html"))
        .row(navigation("POST /a").body(5), Answer::ends_within("text/html"))
        .row(navigation("GET /a"), Answer::status(200))
        .before(Before::ConnectionIsKept)
        .before(Before::ServiceProxy(1, support::fake::faults::Fault::Cut(20)))
}
