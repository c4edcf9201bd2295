//! Other web pages, and other programs on this machine.

use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;

use super::*;
use support::Peer;

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

#[tokio::test]
async fn t1_dns_rebinding() {
    for via in TRANSPORTS {
        let stage = Stage::with(&["--via", via]).await;
        let (site, port) = (stage.site(), stage.port());
        let label = site.split('.').next().unwrap();
        for host in [
            format!("evil.example:{port}"),
            format!("{label}.localhost.evil.example:{port}"),
            format!("{label}.localhost:0"),
            format!("{label}:{port}"),
            format!("nginx.default.localhost:{port}"),
            format!("127.0.0.2:{port}"),
            "evil.example".to_owned(),
            "evil.example:9000".to_owned(),
            format!("{label}.localhost.evil.example:9000"),
            format!("{label}:9000"),
            "127.0.0.2:9000".to_owned(),
        ] {
            let answer = stage.send("GET", "/", &[&format!("Host: {host}")]).await;
            stage.refused(&answer, StatusCode::MISDIRECTED_REQUEST, &host);
            // The name of a site is never to be allowed.
            let is_advised = !host.contains(".localhost:0");
            assert_eq!(answer.text().contains(&format!("--allow-host {host}")), is_advised, "{}", answer.text());
        }
        for (text, status) in [
            ("GET / HTTP/1.1\r\n\r\n", 400),
            ("GET / HTTP/1.0\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHOST\r\nHost: evil.example\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost:\r\n\r\n", 421),
            ("GET http://evil.example/ HTTP/1.1\r\nHOST\r\nConnection: close\r\n\r\n", 400),
            ("GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", 421),
            ("CONNECT evil.example:443 HTTP/1.1\r\nHOST\r\nConnection: close\r\n\r\n", 405),
            ("OPTIONS * HTTP/1.1\r\nHOST\r\nConnection: close\r\n\r\n", 400),
        ] {
            let text = if text.contains("Connection") {
                text.to_owned()
            } else {
                text.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")
            };
            assert_eq!(status_of(&stage.raw(&text).await), status, "{text}");
            stage.untouched(&text);
        }
        let own = stage.send("GET", "/", &[]).await;
        assert_eq!(own.status, StatusCode::OK);
        stage.served.stop().await;
    }
}

#[tokio::test]
async fn t2_requests_of_other_pages() {
    for via in TRANSPORTS {
        let stage = Stage::with(&["--via", via]).await;
        let port = stage.port();
        let foreign = [
            "http://evil.example",
            "null",
            "https://evil.example",
            &format!("http://localhost:{port}"),
            "http://localhost:3000",
        ];
        for method in METHODS {
            for site in ["cross-site", "same-site"] {
                let site = format!("Sec-Fetch-Site: {site}");
                for how in [
                    &["Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"],
                    &["Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"],
                ] {
                    let answer = stage.send(method, "/", &[&[site.as_str()][..], how].concat()).await;
                    stage.refused(&answer, StatusCode::FORBIDDEN, &format!("{method} {site} {how:?}"));
                }
            }
            for origin in foreign {
                let answer = stage.send(method, "/", &[&format!("Origin: {origin}")]).await;
                stage.refused(&answer, StatusCode::FORBIDDEN, &format!("{method} of {origin}"));
            }
        }
        let form = [
            "Sec-Fetch-Site: cross-site",
            "Sec-Fetch-Mode: navigate",
            "Sec-Fetch-Dest: document",
            "Origin: http://evil.example",
        ];
        stage.refused(&stage.send("POST", "/", &form).await, StatusCode::FORBIDDEN, "a form");
        stage.refused(&stage.send("POST", "/", &form[..3]).await, StatusCode::FORBIDDEN, "a form without an origin");
        let link = stage.send("GET", "/", &form[..3]).await;
        assert_eq!(link.status, StatusCode::OK, "a link of another site is no attack");
        stage.served.stop().await;
    }
}

/// Where another port of this machine leads to ours (`ssh -L 9000:localhost:PORT`), pages of that very port alone are ours.
#[tokio::test]
async fn t2_t3_other_pages_at_a_forwarded_port() {
    for via in TRANSPORTS {
        let stage = Stage::with(&["--via", via]).await;
        let (port, site) = (stage.port(), stage.site());
        let name = site.split(':').next().unwrap();
        for host in ["localhost:9000", "127.0.0.1:9000", "[::1]:9000", &format!("{name}:9000")] {
            let same_site = format!("http://{}", host.replace("9000", "9001"));
            let secure = format!("https://{host}");
            let ours = format!("http://{}", host.replace("9000", &port.to_string()));
            let others = ["http://evil.example", "http://evil.example:9000", "null", "http://localhost:90000"];
            let near =
                ["http://localhost", "http://2130706433:9000", "http://0.0.0.0:9000", &same_site, &secure, &ours];
            let host_line = format!("Host: {host}");
            for origin in others.into_iter().chain(near) {
                let origin_line = format!("Origin: {origin}");
                for method in METHODS {
                    let answer = stage.send(method, "/", &[&host_line, &origin_line]).await;
                    stage.refused(&answer, StatusCode::FORBIDDEN, &format!("{method} of {origin} at {host}"));
                }
                let handshake = format!(
                    "GET /socket HTTP/1.1\r\n{host_line}\r\n{origin_line}\r\nConnection: Upgrade, close\r\n\
                     Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAA\r\n\r\n"
                );
                assert_eq!(status_of(&stage.raw(&handshake).await), 403, "{origin} at {host}");
                stage.untouched(&format!("a socket of {origin} at {host}"));
            }
            for site in ["cross-site", "same-site"] {
                let fetched = [&*host_line, &format!("Sec-Fetch-Site: {site}"), "Sec-Fetch-Mode: no-cors"];
                stage.refused(&stage.send("GET", "/", &fetched).await, StatusCode::FORBIDDEN, host);
            }
        }
        for host in ["localhost:9000", "127.0.0.1:9000", "[::1]:9000", &format!("{name}:9000")] {
            let own = [&format!("Host: {host}"), &format!("Origin: http://{host}")];
            let answer = stage.send("POST", "/a", &own.map(|line| &line[..])).await;
            assert_eq!(answer.status, StatusCode::OK, "{host}: {}", answer.text());
        }
        stage.served.stop().await;
    }
}

/// As a browser sends a form of another site's page.
const FORM: [&str; 3] = ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"];

#[tokio::test]
async fn t2_forms_of_pages_to_which_nobody_was_led() {
    for via in TRANSPORTS {
        let stage = Stage::with(&["--via", via]).await;
        let leads_to = |path: &str, location: &str| {
            let headers = vec![("location".to_owned(), location.to_owned())];
            stage.backend.answer(path, support::Canned { status: 302, headers, ..Default::default() });
        };
        leads_to("/login", "http://idp.example:8080/saml?to=http://evil.example");
        leads_to("/go", "http://evil.example/");
        let form = async |origin: &str, how: &[&str]| {
            stage.send("POST", "/acs", &[&[&*format!("Origin: {origin}")][..], how].concat()).await
        };
        let before = form("http://idp.example:8080", &FORM).await;
        stage.refused(&before, StatusCode::FORBIDDEN, "a form before anybody was led there");

        // Other pages make the app lead to them, which does not count; nor does what a page fetches.
        stage.send("GET", "/go", &FORM).await;
        stage
            .send("GET", "/go", &["Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"])
            .await;
        let typed = ["Sec-Fetch-Site: none", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"];
        assert_eq!(stage.send("GET", "/login", &typed).await.status, StatusCode::FOUND);
        let seen = stage.backend.requests().len();
        for origin in [
            "http://evil.example",
            "http://idp.example",
            "https://idp.example:8080",
            "http://idp.example:8081",
            "http://evil.idp.example:8080",
            "http://idp.example.evil:8080",
            "null",
        ] {
            assert_eq!(form(origin, &FORM).await.status, StatusCode::FORBIDDEN, "{origin}");
        }
        let fetched = ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"];
        let framed = [FORM[0], FORM[1], "Sec-Fetch-Dest: iframe"];
        for how in [&fetched[..], &framed, &[]] {
            assert_eq!(form("http://idp.example:8080", how).await.status, StatusCode::FORBIDDEN, "{how:?}");
        }
        for method in METHODS.into_iter().filter(|method| *method != "POST") {
            let lines = [&["Origin: http://idp.example:8080"][..], &FORM].concat();
            assert_eq!(stage.send(method, "/acs", &lines).await.status, StatusCode::FORBIDDEN, "{method}");
        }
        let lines = [("origin", "http://idp.example:8080")];
        let socket = Peer::open(&format!("ws://{}/socket", stage.site()), &lines).await;
        assert_eq!(socket.err().map(|refusal| refusal.status()), Some(StatusCode::FORBIDDEN));
        assert_eq!(stage.backend.requests().len(), seen, "one of them reached the Service");

        let back = form("http://idp.example:8080", &FORM).await;
        assert_eq!(back.status, StatusCode::OK, "{}", back.text());
        stage.served.stop().await;
    }
}

#[tokio::test]
async fn t2_the_proxy_path_is_guarded_as_well() {
    let stage = Stage::new().await;
    let url = stage.served.proxy_url();
    for line in [("Sec-Fetch-Site", "cross-site"), ("Origin", "http://evil.example"), ("Host", "evil.example")] {
        let answer = client::send(&url, Request::builder().header(line.0, line.1)).await;
        assert!(matches!(answer.status.as_u16(), 403 | 421), "{line:?} {}", answer.status);
        stage.untouched(line.0);
    }
    // With one Service open it is that Service's path, and no other API path.
    let other = url.replace("/services/web:http/proxy/", "/secrets");
    assert_eq!(client::get(&other).await.json()["target"], "/api/v1/namespaces/default/secrets");
    assert!(stage.proxied().iter().all(|target| target.starts_with(PREFIX)), "{:?}", stage.proxied());
}

#[tokio::test]
async fn t3_web_sockets_of_other_pages() {
    for via in TRANSPORTS {
        let stage = Stage::with(&["--via", via]).await;
        let url = format!("ws://{}/socket", stage.site());
        for origin in [Some("http://evil.example"), Some("null"), Some("http://localhost"), None] {
            let header = origin.map(|origin| ("origin", origin));
            let refusal =
                Peer::open(&url, header.as_slice()).await.err().unwrap_or_else(|| panic!("{origin:?} got a socket"));
            assert_eq!(refusal.status(), StatusCode::FORBIDDEN, "{origin:?}");
            stage.untouched(&format!("a socket of {origin:?}"));
        }
        let own = format!("http://{}", stage.site());
        let peer = Peer::open(&url, &[("origin", &own)]).await.unwrap_or_else(|refusal| panic!("{refusal:?}"));
        peer.close().await;
        stage.served.stop().await;
    }
}

#[tokio::test]
async fn t4_without_the_token() {
    for via in TRANSPORTS {
        let stage = Stage::with(&["--via", via, "--require-token"]).await;
        for line in ["X-Nothing: 1", "Cookie: svcproxy-session-8001=guess", "Authorization: Bearer guess"] {
            stage.refused(&stage.send("GET", "/", &[line]).await, StatusCode::UNAUTHORIZED, line);
        }
        let guess = stage.send("GET", "/?svcproxy-token=guess", &[]).await;
        stage.refused(&guess, StatusCode::UNAUTHORIZED, "a guessed token");
        let own = format!("http://{}", stage.site());
        let socket = Peer::open(&format!("ws://{}/", stage.site()), &[("origin", &own)]).await;
        assert_eq!(socket.err().map(|refusal| refusal.status()), Some(StatusCode::UNAUTHORIZED));
        stage.untouched("a socket");
    }
}

/// Nobody's number on every Linux.
const NOBODY: u32 = 65_534;

#[tokio::test]
async fn t4_other_users_of_this_machine() {
    if !rustix::process::geteuid().is_root() {
        assert!(std::env::var_os("CI").is_none(), "needs root, to become another user");
        eprintln!("not run: needs root, to become another user");
        return;
    }
    let as_nobody = async |url: &str| {
        let mut curl = std::process::Command::new("curl");
        curl.args(["-q", "-s", "-w", "%{http_code}", url]).uid(NOBODY).gid(NOBODY).current_dir("/");
        let curl = tokio::process::Command::from(curl).output().await.unwrap();
        String::from_utf8(curl.stdout).unwrap()
    };
    for via in TRANSPORTS {
        let stage = Stage::with(&["--via", via]).await;
        for host in ["127.0.0.1", "[::1]", "localhost"] {
            let url = stage.served.proxy_url().replace("127.0.0.1", host);
            let said = as_nobody(&url).await;
            assert!(said.ends_with("403") && said.contains("--allow-other-users"), "{host}: {said}");
            stage.untouched(host);
        }
    }
    let stage = Stage::with(&["--allow-other-users"]).await;
    assert!(as_nobody(&stage.served.proxy_url()).await.ends_with("200"));
}

#[tokio::test]
async fn t13_a_squatter_on_either_address() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let squatter = TcpListener::bind(address).unwrap();
        let taken = squatter.local_addr().unwrap();
        let fake = FakeApiServer::start().await;
        let _backend = web(&fake).await;
        let port = taken.port().to_string();
        let finished = Plugin::new(&fake).plain().args(["web", "--no-browser", "--port", &port]).finish().await;
        assert_eq!((finished.code(), finished.stdout.as_str()), (1, ""));
        assert!(finished.stderr.contains(&format!("{taken} is already in use")), "{}", finished.stderr);
    }
}

#[tokio::test]
async fn t24_frames_of_other_pages() {
    let stage = Stage::new().await;
    for destination in ["iframe", "frame", "embed", "object", "fencedframe"] {
        for site in ["cross-site", "same-site"] {
            let lines = [
                &format!("Sec-Fetch-Dest: {destination}"),
                &format!("Sec-Fetch-Site: {site}"),
                "Sec-Fetch-Mode: navigate",
            ];
            let answer = stage.send("GET", "/", &lines).await;
            stage.refused(&answer, StatusCode::FORBIDDEN, &format!("{destination} {site}"));
        }
    }
    let own = ["Sec-Fetch-Dest: iframe", "Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: navigate"];
    assert_eq!(stage.send("GET", "/", &own).await.status, StatusCode::OK);
    stage.served.stop().await;
}
