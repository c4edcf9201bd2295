//! The main job: a Service is found, its computed proxy URL is served and printed, and the app behind it answers.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::fake::FakeApiServer;
use crate::harness::{Plugin, web};
use crate::rig::http;

/// SERVICE as typed, and the ID in the computed proxy URL.
const SPELLINGS: [(&str, &str); 16] = [
    ("web", "web:http"),
    ("we", "web:http"),
    ("eb", "web:http"),
    ("svc/web", "web:http"),
    ("service/web", "web:http"),
    ("web:http", "web:http"),
    ("web:80", "web:80"),
    ("http:web:http", "http:web:http"),
    ("web.default", "web:http"),
    ("web.default:80", "web:80"),
    ("web.default.svc", "web:http"),
    ("web.default.svc.cluster.local:80", "web:80"),
    ("http://web.default.svc/", "web:http"),
    ("http://web.default.svc:80/a?b=c", "web:80"),
    ("/api/v1/namespaces/default/services/web:http/proxy/", "web:http"),
    ("https://10.0.0.1:6443/api/v1/namespaces/default/services/web:80/proxy/", "web:80"),
];

#[tokio::test]
async fn every_spelling_leads_to_the_app() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    for (spelling, id) in SPELLINGS {
        let served = Plugin::new(&fake).args([spelling]).serve().await;
        let url = served.proxy_url();
        assert!(url.ends_with(&format!("/api/v1/namespaces/default/services/{id}/proxy/")), "{spelling}: {url}");
        let answer = http::get(&format!("{url}hello?x=1")).await;
        assert_eq!(answer.json()["target"], "/hello?x=1", "{spelling}");
        served.stop().await;
    }
}
