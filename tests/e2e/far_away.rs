//! An API server that is far away: connections take long to come to be, so nothing makes more of them than it must.

use std::time::Duration;

use futures_util::future::join_all;
use http::Request;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{Plugin, origin_of};
use support::cluster::{Cluster, backend_in};
use support::{ConnectProxy, Peer, http as client};

pub(crate) fn tests() -> Vec<crate::Test> {
    crate::tests![a_burst_shares_one_connection]
}

/// As long as the handshakes of a cluster on another continent.
const CONNECT_DELAY: Duration = Duration::from_millis(60);

/// Of HTTP/2; what upgrades, and what is large, has one of HTTP/1.1.
async fn a_burst_shares_one_connection(cluster: &'static Cluster) {
    const REQUESTS: usize = 100;
    let namespace = cluster.namespace().await;
    let backend = backend_in(cluster, &namespace).await;
    let way = ConnectProxy::start_far(Cluster::authority_of_url().parse().unwrap(), CONNECT_DELAY).await;
    let kubeconfig = cluster.admin().kubeconfig(namespace.name());
    let plugin = Plugin::new(cluster, &kubeconfig).args(["app"]).env("HTTPS_PROXY", way.url());
    let serving = plugin.serve().await;
    let url = serving.proxy_url();
    assert_eq!(client::get(&url).await.status, 200);

    let before = way.asked().len();
    let urls: Vec<String> = (0..REQUESTS).map(|number| format!("{url}script/{number}?v=1")).collect();
    let answers = join_all(urls.iter().map(|url| client::get(url))).await;
    for (number, answer) in answers.iter().enumerate() {
        assert_eq!((answer.status.as_u16(), &answer.json()["target"]), (200, &format!("/script/{number}?v=1").into()));
    }
    let made = way.asked().len() - before;
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
