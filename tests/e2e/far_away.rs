//! An API server that is far away: connections take long to come to be, so nothing makes more of them than it must.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use http::Request;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{Plugin, origin_of};
use support::cluster::{Cluster, Namespace, backend_in};
use support::{ConnectProxy, FarRelay, Peer, http as client};

pub(crate) fn tests() -> Vec<crate::Test> {
    crate::tests![
        a_burst_shares_one_connection_behind_a_proxy_that_is_far_away,
        a_burst_shares_one_connection_through_a_tunnel_that_begins_here,
    ]
}

/// As long as the handshakes of a cluster on another continent.
const CONNECT_DELAY: Duration = Duration::from_millis(60);

async fn a_burst_shares_one_connection_behind_a_proxy_that_is_far_away(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let way = ConnectProxy::start_far(Cluster::authority_of_url().parse().unwrap(), CONNECT_DELAY).await;
    let kubeconfig = cluster.admin().kubeconfig(namespace.name());
    let plugin = Plugin::new(cluster, &kubeconfig).env("HTTPS_PROXY", way.url());
    a_burst_shares_one_connection(cluster, &namespace, plugin, || way.asked().len()).await;
}

async fn a_burst_shares_one_connection_through_a_tunnel_that_begins_here(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let server: SocketAddr = Cluster::authority_of_url().parse().unwrap();
    let way = FarRelay::start((server.ip(), 0).into(), server, CONNECT_DELAY / 2);
    let text = fs::read_to_string(cluster.admin().kubeconfig(namespace.name())).unwrap();
    let kubeconfig = cluster.scratch().join("kubeconfig");
    fs::write(&kubeconfig, text.replace(&Cluster::url(), &format!("https://{}", way.address()))).unwrap();
    a_burst_shares_one_connection(cluster, &namespace, Plugin::new(cluster, &kubeconfig), || way.connections()).await;
}

/// Of HTTP/2; what upgrades, and what is large, has one of HTTP/1.1.
async fn a_burst_shares_one_connection(
    cluster: &'static Cluster,
    namespace: &Namespace,
    plugin: Plugin,
    connections: impl Fn() -> usize,
) {
    const REQUESTS: usize = 100;
    let backend = backend_in(cluster, namespace).await;
    let serving = plugin.args(["app"]).serve().await;
    let url = serving.proxy_url();
    assert_eq!(client::get(&url).await.status, 200);

    let before = connections();
    let urls: Vec<String> = (0..REQUESTS).map(|number| format!("{url}script/{number}?v=1")).collect();
    let answers = join_all(urls.iter().map(|url| client::get(url))).await;
    for (number, answer) in answers.iter().enumerate() {
        assert_eq!((answer.status.as_u16(), &answer.json()["target"]), (200, &format!("/script/{number}?v=1").into()));
    }
    let made = connections() - before;
    assert!(made < 10, "{made} connections for {REQUESTS} requests");
    assert_eq!(backend.requests().len(), 1 + REQUESTS, "each reached the app once");

    let body = vec![7; 1 << 20];
    let upload = client::send_body(&format!("{url}upload"), Request::builder().method("POST"), body.clone()).await;
    assert_eq!(upload.status, 200);
    let download = client::get(&format!("{url}bytes/3000000")).await;
    assert_eq!(download.body.len(), 3_000_000);
    let mut peer = Peer::open(&format!("{}ws", url.replace("http://", "ws://")), &[("origin", &origin_of(&serving))])
        .await
        .unwrap();
    assert_eq!(peer.exchange(Message::binary(body.clone())).await.into_data().len(), body.len());
    serving.stop().await;
}
