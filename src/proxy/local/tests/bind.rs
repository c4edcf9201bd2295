//! Taking a place to listen.

use std::net::{IpAddr, Ipv4Addr, TcpListener as StdListener};

use super::*;

async fn bind(listen: ListenOn) -> Result<LocalListener, Error> {
    LocalListener::bind(&listen, &[]).await
}

async fn bind_loopback(port: u16) -> Result<LocalListener, Error> {
    bind(ListenOn::Tcp { addresses: Vec::new(), port: Some(port) }).await
}

async fn bind_addresses(addresses: &[&str]) -> Result<LocalListener, Error> {
    let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
    bind(ListenOn::Tcp { addresses, port: Some(0) }).await
}

/// Something that listens on a loopback address, and its port.
fn taken(address: &str) -> (StdListener, u16) {
    let listener = StdListener::bind(address).unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

#[tokio::test]
async fn both_loopback_addresses_on_one_port() {
    let listener = bind_loopback(0).await.unwrap();
    let found: Vec<String> = listener.local_addrs().iter().map(|address| address.ip().to_string()).collect();
    assert_eq!(found, ["127.0.0.1", "::1"]);
    assert!(listener.local_addrs().iter().all(|address| Some(address.port()) == listener.port()));
    assert_eq!(listener.authority(), format!("127.0.0.1:{}", listener.port().unwrap()));
}

#[tokio::test]
async fn t13_a_port_taken_on_either_address_is_not_ours() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let (_squatter, port) = taken(address);
        let error = bind_loopback(port).await.unwrap_err();
        assert_eq!(error.to_string(), format!("{} is already in use", address.replace(":0", &format!(":{port}"))));
        assert!(error.hint_text().unwrap().contains("--port"), "{error:?}");
    }
}

#[tokio::test]
async fn the_first_free_one_of_the_preferred_ports() {
    let (_squatter, first) = taken("[::1]:0");
    let free = bind_loopback(0).await.unwrap().port().unwrap();
    let listen = ListenOn::Tcp { addresses: Vec::new(), port: None };
    let found = LocalListener::bind(&listen, &[first, free]).await.unwrap();
    assert_eq!(found.port(), Some(free));
    let other = LocalListener::bind(&listen, &[first, free]).await.unwrap();
    assert!(![Some(first), Some(free)].contains(&other.port()), "{other:?}");
}

#[tokio::test]
async fn a_place_is_free_again_at_once() {
    let serving = Serving::start(echoing()).await;
    let port = serving.port();
    serving.ask("GET /").await;
    serving.stop().await;
    assert_eq!(bind_loopback(port).await.unwrap().port(), Some(port));
}

#[tokio::test]
async fn chosen_addresses() {
    let only = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 3));
    let listener = bind_addresses(&["127.0.0.3"]).await.unwrap();
    assert_eq!(listener.local_addrs().iter().map(SocketAddr::ip).collect::<Vec<_>>(), [only]);
    assert_eq!(listener.authority(), format!("127.0.0.3:{}", listener.port().unwrap()));

    let all = bind_addresses(&["::", "0.0.0.0"]).await.unwrap();
    assert_eq!(all.authority(), format!("[::1]:{}", all.port().unwrap()));

    let elsewhere = bind_addresses(&["192.0.2.1"]).await.unwrap_err();
    assert_eq!(elsewhere.to_string(), "this machine does not have the address 192.0.2.1");
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixListener as StdUnixListener;

    use super::*;

    #[tokio::test]
    async fn a_socket_for_this_user_only_removed_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = bind(ListenOn::UnixSocket(path.clone())).await.unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!((listener.port(), listener.authority().as_str()), (None, "localhost"));
        drop(listener);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn answers_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = bind(ListenOn::UnixSocket(path.clone())).await.unwrap();
        let served = tokio::spawn(serve(listener, echoing(), std::future::pending(), TEST_TIMEOUT));
        for (host, target) in [
            ("localhost", "/a"),
            ("localhost:8001", "/a"),
            ("localhost", "/api/v1/namespaces/default/services/nginx/proxy/a"),
        ] {
            let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
            stream.write_all(request_text(host, &format!("GET {target}"), "").as_bytes()).await.unwrap();
            let mut answer = String::new();
            soon(stream.read_to_string(&mut answer)).await.unwrap();
            assert_eq!(body_of(&answer).lines().next(), Some("GET /a"), "{host} {target}: {answer}");
        }
        served.abort();
        let _ = served.await;
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_dead_socket_is_replaced_and_a_live_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let alive = StdUnixListener::bind(&path).unwrap();
        let error = bind(ListenOn::UnixSocket(path.clone())).await.unwrap_err();
        assert_eq!(error.to_string(), format!("another program listens on {}", path.display()));
        assert_eq!(error.hint_text(), Some("choose another path with --unix-socket"));
        drop(alive);
        assert!(path.exists());
        bind(ListenOn::UnixSocket(path.clone())).await.unwrap();
    }

    #[tokio::test]
    async fn what_is_no_socket_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "precious").unwrap();
        let error = bind(ListenOn::UnixSocket(path.clone())).await.unwrap_err();
        assert_eq!(error.to_string(), format!("{} exists and is not a socket", path.display()));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
        let missing = folder.path().join("no/such/folder");
        let nowhere = bind(ListenOn::UnixSocket(missing.clone())).await.unwrap_err();
        let expect = format!("cannot listen on {}: no such file or directory", missing.display());
        assert_eq!(nowhere.to_string(), expect);
    }

    #[tokio::test]
    async fn a_socket_that_took_our_place_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = bind(ListenOn::UnixSocket(path.clone())).await.unwrap();
        std::fs::remove_file(&path).unwrap();
        let _other = StdUnixListener::bind(&path).unwrap();
        drop(listener);
        assert!(path.exists());
    }
}

/// Whoever listens at `::1` on that port would get what browsers send to the sites.
#[tokio::test]
async fn one_loopback_address_alone_is_never_left_to_others() {
    let bind = |address: &str, port: u16| {
        let listen = ListenOn::Tcp { addresses: vec![address.parse().unwrap()], port: Some(port) };
        async move { LocalListener::bind(&listen, &[]).await }
    };
    for (asked, other) in [("127.0.0.1", "[::1]"), ("::1", "127.0.0.1"), ("0.0.0.0", "[::1]")] {
        let stranger = std::net::TcpListener::bind(format!("{other}:0")).unwrap();
        let port = stranger.local_addr().unwrap().port();
        let error = bind(asked, port).await.unwrap_err();
        assert!(error.message().starts_with(&format!("{other}:{port} is already in use")), "{asked}: {error}");
        drop(stranger);
        let listener = bind(asked, 0).await.unwrap();
        let port = listener.port().unwrap();
        assert_eq!(listener.local_addrs().len(), 1, "only what was asked for is shown");
        assert!(std::net::TcpListener::bind(format!("{other}:{port}")).is_err(), "{asked}");
        assert!(TcpStream::connect(format!("{other}:{port}")).await.is_ok(), "{asked}");
    }
}
