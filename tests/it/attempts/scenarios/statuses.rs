//! An app that answers with a status, whatever the Host.

use super::{Answer, Run, Says, User, curl, fetch, navigation, run};

/// What says nothing of the Host: 400, 403 and 421 may.
const OTHERS: &[u16] = &[401, 404, 405, 429, 500, 502, 503];
const ALL: &[u16] = &[200, 400, 401, 403, 404, 405, 421, 429, 500, 502, 503];

pub(super) fn runs() -> Vec<Run> {
    vec![
        pages(),
        fetches(),
        terminal(),
        other_methods(),
        unchanged(),
        refused_page("a page is answered 400", 400),
        refused_page("a page is answered 403", 403),
        refused_page("a page is answered 421", 421),
        refused_at_a_terminal("curl is answered 400", 400),
        refused_at_a_terminal("curl is answered 403", 403),
        refused_at_a_terminal("curl is answered 421", 421),
        head_of_a_page(),
        refused_page("a page is answered 403", 403).flags(&["--via=service-proxy"]),
        refused_page("a page is answered 403", 403).user(User::WithoutPortForward),
    ]
}

/// The first page that is shown settles under which Host the app is shown.
fn pages() -> Run {
    run("pages are answered with a status")
        .row(navigation("GET /a"), Says::Each(OTHERS))
        .row(navigation("HEAD /a"), Says::Each(OTHERS))
        .row(navigation("GET /a"), Answer::redirect(302, "/login"))
        .row(navigation("GET /a"), Says::Each(ALL))
        .note("after a page was shown")
        .row(navigation("HEAD /a"), Says::Each(ALL))
        .note("after a page was shown")
}

fn fetches() -> Run {
    run("fetches are answered with a status")
        .row(fetch("GET /a"), Says::Each(ALL))
        .row(fetch("HEAD /a"), Says::Each(ALL))
        .row(fetch("GET /a"), Answer::redirect(302, "/login"))
}

fn terminal() -> Run {
    run("curl is answered with a status")
        .row(curl("GET /a"), Says::Each(OTHERS))
        .row(curl("HEAD /a"), Says::Each(OTHERS))
        .row(curl("GET /a"), Answer::status(200))
        .row(curl("GET /a"), Answer::redirect(302, "/login"))
        .row(curl("POST /a").body(5), Says::Each(ALL))
}

fn other_methods() -> Run {
    run("POST, PUT, PATCH and DELETE are answered with a status")
        .row(navigation("POST /a").body(5), Says::Each(ALL))
        .row(fetch("POST /a").body(5), Says::Each(ALL))
        .row(fetch("POST /a"), Says::Each(ALL))
        .row(fetch("PUT /a").body(5), Says::Each(ALL))
        .row(fetch("PATCH /a").body(5), Says::Each(ALL))
        .row(fetch("DELETE /a"), Says::Each(ALL))
}

fn unchanged() -> Run {
    run("what has not changed")
        .row(fetch("GET /a").conditional(), Answer::text_with_etag())
        .row(navigation("GET /a").conditional(), Answer::text_with_etag())
        .row(navigation("GET /a").conditional(), Answer::status(403))
}

fn refused_page(title: &'static str, code: u16) -> Run {
    run(title)
        .row(navigation("GET /delete?id=7"), Answer::status(code))
        .row(navigation("GET /delete?id=7"), Answer::status(code))
        .note("again")
        .row(fetch("GET /another"), Answer::status(code))
}

fn refused_at_a_terminal(title: &'static str, code: u16) -> Run {
    run(title).row(curl("GET /delete?id=7"), Answer::status(code)).row(navigation("GET /another"), Answer::status(code))
}

fn head_of_a_page() -> Run {
    run("the head of a page is answered 403")
        .row(navigation("HEAD /a"), Answer::status(403))
        .row(navigation("GET /a"), Answer::status(403))
}
