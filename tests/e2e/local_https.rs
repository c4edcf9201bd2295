//! https and HTTP/2 in a real browser, which trusts the local authority by what `--install-ca` really did.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::KeyPair;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use serde_json::json;
use svcproxy::local_tls::LocalAuthority;
use svcproxy::local_tls::authority::today;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::browser::Browser;
use crate::harness::Plugin;
use support::cluster::{Cluster, Namespace, backend_in};
use support::stream::read_until;

pub(crate) fn tests() -> Vec<crate::Test> {
    crate::tests![a_browser_speaks_http2, a_stolen_key_is_of_no_use, what_was_installed_is_taken_away]
}

/// A home in which browsers trust the authority of `kubectl svcproxy`.
pub(crate) async fn trusting_home(cluster: &Cluster, kubeconfig: &Path) -> PathBuf {
    let home = cluster.scratch();
    let plugin = Plugin::new(cluster, kubeconfig).plain().env("HOME", &home);
    let run = plugin.args(["--install-ca=browsers"]).finish().await;
    assert_eq!(run.code(), 0, "{}", run.stderr);
    home
}

fn plugin(cluster: &Cluster, namespace: &Namespace, home: &Path, arguments: &[&str]) -> Plugin {
    let kubeconfig = cluster.admin().kubeconfig(namespace.name());
    Plugin::new(cluster, &kubeconfig).env("HOME", home).args(arguments)
}

async fn home_in(cluster: &Cluster, namespace: &Namespace) -> PathBuf {
    trusting_home(cluster, &cluster.admin().kubeconfig(namespace.name())).await
}

/// From the computed proxy URL on: a page, a WebSocket, and thirty event streams with a request beside them, where HTTP/1.1
/// has no connection left at six.
async fn a_browser_speaks_http2(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _backend = backend_in(cluster, &namespace).await;
    let home = home_in(cluster, &namespace).await;
    let serving = plugin(cluster, &namespace, &home, &["app"]).serve().await;
    let browser = Browser::start(&home).await;
    browser.open(&format!("{}some/page?x=1", serving.proxy_url())).await.unwrap();
    browser.until_text("body", "\"target\":\"/some/page?x=1\"").await.unwrap();
    assert_eq!(browser.url().await.unwrap(), format!("{}some/page?x=1", serving.site_url()));
    let about = "return [location.protocol, isSecureContext,
        performance.getEntriesByType('navigation')[0].nextHopProtocol]";
    assert_eq!(browser.run(about, &[]).await, Ok(json!(["https:", true, "h2"])));

    let echo = "return await new Promise((resolve, reject) => {
        const socket = new WebSocket('/ws?with=a&query=too');
        socket.onopen = () => socket.send('to and fro');
        socket.onmessage = message => resolve(message.data);
        socket.onerror = () => reject('it fails');
    })";
    assert_eq!(browser.run(echo, &[]).await, Ok(json!("to and fro")));

    let streams = "const streams = Array.from({length: 30}, () => new EventSource('/events/9'));
        await Promise.all(streams.map(stream => new Promise(open => { stream.onopen = open; })));
        const answer = await (await fetch('/beside')).json();
        streams.forEach(stream => stream.close());
        return answer.target";
    assert_eq!(browser.run(streams, &[]).await, Ok(json!("/beside")));

    // A page asked for by http is by https, and the app hears of neither more than once.
    browser.open(&serving.site_url().replace("https:", "http:")).await.unwrap();
    assert_eq!(browser.url().await.unwrap(), serving.site_url());
    browser.close().await;
    serving.stop().await;
}

/// Certificates for whatever name is asked for, made with a key that was stolen.
#[derive(Debug)]
struct StolenKey {
    authority: LocalAuthority,
    key: KeyPair,
}

impl ResolvesServerCert for StolenKey {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name()?.to_owned();
        let leaf = self.authority.vouch_for(&[name], &self.key, today(), 6).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::Pkcs8(self.key.serialize_der().into());
        Some(Arc::new(CertifiedKey::new(vec![leaf], ring::sign::any_supported_type(&key).unwrap())))
    }
}

/// A server that calls itself whatever it is called.
async fn impostor(authority: LocalAuthority) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let key = KeyPair::generate().unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(builder.with_cert_resolver(Arc::new(StolenKey { authority, key }))));
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(socket).await else { return };
                let _ = read_until(&mut stream, "\r\n\r\n").await;
                let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await;
                let _ = stream.shutdown().await;
            });
        }
    });
    port
}

/// A thousand names outside, and those that it may vouch for.
async fn a_stolen_key_is_of_no_use(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _backend = backend_in(cluster, &namespace).await;
    let home = home_in(cluster, &namespace).await;
    let authority = LocalAuthority::read(&home.join(".local/state/kubectl-svcproxy")).unwrap().unwrap();
    let port = impostor(authority).await;
    let serving = plugin(cluster, &namespace, &home, &["app"]).serve().await;
    let rules = format!("--host-resolver-rules=MAP *.example 127.0.0.1:{port},MAP *.com 127.0.0.1:{port}");
    let browser = Browser::start_with(&home, &[&rules]).await;
    browser.open(&serving.site_url()).await.unwrap();
    let reach = "const reached = [];
        const [port, names] = [arguments[0], JSON.parse(arguments[1])];
        for (let at = 0; at < names.length; at += 50) {
            await Promise.all(names.slice(at, at + 50).map(name =>
                fetch(`https://${name}/`, {mode: 'no-cors'}).then(() => reached.push(name), () => {})));
        }
        return reached";
    let port = port.to_string();
    let outside: Vec<String> =
        (0..1_000).map(|number| format!("bank-{number}.{}", ["example", "com"][number % 2])).collect();
    let reached = browser.run(reach, &[&port, &json!(outside).to_string()]).await;
    assert_eq!(reached, Ok(json!([])));
    let own = [format!("other.localhost:{port}"), format!("localhost:{port}")];
    assert_eq!(browser.run(reach, &[&port, &json!(own[..1]).to_string()]).await, Ok(json!(own[..1])));
    browser.close().await;
}

async fn what_was_installed_is_taken_away(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _backend = backend_in(cluster, &namespace).await;
    let home = home_in(cluster, &namespace).await;
    let serving = plugin(cluster, &namespace, &home, &["app"]).serve().await;
    let site = serving.site_url();
    let removed = plugin(cluster, &namespace, &home, &["--remove-ca"]).plain().finish().await;
    assert_eq!(removed.code(), 0, "{}", removed.stderr);
    let browser = Browser::start(&home).await;
    let _ = browser.open(&site).await; // which is an error, or shows one
    browser.until_text("body", "ERR_CERT_AUTHORITY_INVALID").await.unwrap();
    browser.close().await;
    let again = plugin(cluster, &namespace, &home, &["app"]).serve().await;
    assert!(again.site_url().starts_with("http://"), "{}", again.site_url());
}
