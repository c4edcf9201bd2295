//! Apps that accept only some Hosts.

use super::{Answer, Route, Run, curl, fetch, navigation, run, web_socket};

const DNS_NAME: &[&str] = &["web.default.svc.cluster.local"];
const SHORT_NAME: &[&str] = &["web"];
const PUBLIC: &[&str] = &["shop.example"];
const LOCALHOST: &[&str] = &["localhost"];
const NOBODY: &[&str] = &[];

pub(super) fn runs() -> Vec<Run> {
    vec![
        one_host("only localhost is accepted", LOCALHOST),
        one_host("only the Service's DNS name is accepted", DNS_NAME),
        one_host("only the Service's short name is accepted", SHORT_NAME),
        one_host("only an Ingress' host is accepted", PUBLIC).route(Route::Ingress("shop.example")),
        one_host("only an HTTPRoute's host is accepted", PUBLIC).route(Route::HttpRoute("shop.example")),
        one_host("nobody is accepted, and there is an Ingress", NOBODY).route(Route::Ingress("shop.example")),
        misdirected(),
        virtual_hosts(),
        login(),
        fetch_first(),
        curl_first(),
        forbidden_to_fetches(),
        fetches_under_localhost(),
        forced(),
        forced_and_refused(),
        at_localhost(),
        one_host("only localhost is accepted", LOCALHOST).flags(&["--via=port-forward"]),
        one_host("nobody is accepted", NOBODY).flags(&["--via=port-forward"]),
        at_the_proxy_url(),
        gateway(),
    ]
}

fn one_host(title: &'static str, accepted: &'static [&'static str]) -> Run {
    run(title)
        .row(navigation("GET /delete?id=7"), Answer::only_under(accepted, 403))
        .row(fetch("POST /api").body(5), Answer::only_under(accepted, 403))
        .row(navigation("GET /another"), Answer::only_under(accepted, 403))
}

fn misdirected() -> Run {
    run("what is meant for another Host is answered 421")
        .row(fetch("POST /api").body(5), Answer::only_under(LOCALHOST, 421))
        .row(navigation("HEAD /a"), Answer::only_under(LOCALHOST, 421))
        .row(fetch("POST /api").body(5), Answer::only_under(LOCALHOST, 421))
        .note("after the page")
}

fn virtual_hosts() -> Run {
    run("other Hosts are answered 404")
        .row(navigation("GET /a"), Answer::only_under(LOCALHOST, 404))
        .row(navigation("GET /b"), Answer::only_under(DNS_NAME, 404))
        .row(fetch("GET /a"), Answer::only_under(LOCALHOST, 404))
        .row(curl("GET /a"), Answer::only_under(LOCALHOST, 404))
}

fn login() -> Run {
    run("the accepted Host asks for a login")
        .row(navigation("GET /a"), Answer::login_under(LOCALHOST))
        .row(navigation("GET /b"), Answer::login_under(LOCALHOST))
}

fn fetch_first() -> Run {
    run("a fetch comes before the first page")
        .row(fetch("GET /api"), Answer::only_under(LOCALHOST, 403))
        .row(fetch("DELETE /api"), Answer::only_under(LOCALHOST, 403))
        .row(navigation("GET /a"), Answer::only_under(LOCALHOST, 403))
        .row(fetch("DELETE /api"), Answer::only_under(LOCALHOST, 403))
        .note("after the page")
}

fn curl_first() -> Run {
    run("curl comes before the first page")
        .row(curl("HEAD /a"), Answer::only_under(DNS_NAME, 403))
        .row(navigation("GET /a"), Answer::only_under(DNS_NAME, 403))
}

fn forbidden_to_fetches() -> Run {
    run("pages are for everybody, the API for nobody")
        .row(navigation("GET /"), Answer::forbidden_to_fetches())
        .row(fetch("GET /api"), Answer::forbidden_to_fetches())
        .row(fetch("GET /api"), Answer::forbidden_to_fetches())
        .note("again")
        .row(fetch("POST /api").body(5), Answer::forbidden_to_fetches())
}

fn fetches_under_localhost() -> Run {
    run("pages are for everybody, the API for localhost")
        .row(navigation("GET /"), Answer::forbidden_to_fetches_but_under_localhost())
        .row(fetch("GET /api"), Answer::forbidden_to_fetches_but_under_localhost())
        .row(fetch("GET /api"), Answer::forbidden_to_fetches_but_under_localhost())
        .note("again")
        .row(fetch("POST /api").body(5), Answer::forbidden_to_fetches_but_under_localhost())
}

fn forced() -> Run {
    run("the accepted Host is given")
        .flags(&["--host-header=shop.example"])
        .row(navigation("GET /a"), Answer::only_under(PUBLIC, 403))
        .row(fetch("POST /api").body(5), Answer::only_under(PUBLIC, 403))
        .row(web_socket("/ws"), Answer::web_socket())
        .row(web_socket("/ws?a=b"), Answer::web_socket())
}

fn forced_and_refused() -> Run {
    run("a Host is given that is not accepted")
        .flags(&["--host-header=other.example"])
        .row(navigation("GET /a"), Answer::only_under(LOCALHOST, 403))
        .row(navigation("GET /a"), Answer::only_under(LOCALHOST, 421))
}

fn at_localhost() -> Run {
    run("the Service is at localhost")
        .flags(&["--origin=localhost"])
        .row(navigation("GET /a"), Answer::only_under(DNS_NAME, 403))
        .row(navigation("GET /a"), Answer::only_under(LOCALHOST, 403))
        .row(curl("GET /a"), Answer::only_under(LOCALHOST, 403))
}

fn at_the_proxy_url() -> Run {
    run("the Service is used at its proxy URL")
        .row(curl("POST /api").body(5).at_the_proxy_url(), Answer::only_under(LOCALHOST, 403))
        .row(curl("GET /delete?id=7").at_the_proxy_url(), Answer::only_under(LOCALHOST, 403))
        .row(navigation("GET /a"), Answer::only_under(LOCALHOST, 403))
        .row(curl("POST /api").body(5).at_the_proxy_url(), Answer::only_under(LOCALHOST, 403))
        .note("after the page")
}

fn gateway() -> Run {
    run("a gateway before the API server routes by Host")
        .gateway("api.example:6443")
        .row(navigation("GET /delete?id=7"), Answer::only_under(LOCALHOST, 403))
        .row(navigation("GET /a"), Answer::status(200))
        .row(fetch("POST /api").body(5), Answer::status(200))
        .row(web_socket("/ws"), Answer::web_socket())
        .row(web_socket("/ws?a=b"), Answer::web_socket())
}
