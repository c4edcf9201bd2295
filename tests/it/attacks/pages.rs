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
        ] {
            let answer = stage.send("GET", "/", &[&format!("Host: {host}")]).await;
            stage.refused(&answer, StatusCode::MISDIRECTED_REQUEST, &host);
            assert!(answer.text().contains(&format!("--allow-host {host}")), "{}", answer.text());
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
