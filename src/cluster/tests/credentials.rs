//! Logging in, and going on when a login ends.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::server::WebPkiClientVerifier;
use serde_json::json;
#[cfg(unix)]
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::certificates::{Authority, builder};
use super::plugin::{SHELL, Script, in_seconds, issues, token, user};
use super::server::{Kubeconfig, Server, get, hello, text};
use crate::cluster::{Cluster, ProcessEnvironment};
use crate::error::Error;
use crate::message::body::Body;
use crate::terminal::printable::printable;

const REFUSAL: &str = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401}"#;

/// A server that accepts one token at a time.
async fn guarded(valid: &Arc<Mutex<String>>) -> Server {
    let valid = valid.clone();
    Server::https(move |request: Request<Incoming>| {
        let accepted = request.headers()["authorization"] == *valid.lock().unwrap();
        async move { if accepted { Response::new(Body::Incoming(request.into_body())) } else { refusal() } }
    })
    .await
}

fn refusal() -> Response<Body> {
    let answer = Response::builder().status(401).header("content-type", "application/json");
    answer.header("audit-id", "x").body(Body::full(REFUSAL)).unwrap()
}

async fn eventually(happened: impl Fn() -> bool) {
    let waiting = async {
        while !happened() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(20), waiting).await.expect("it happens within 20 seconds");
}

async fn failure(kubeconfig: &Kubeconfig, environment: &ProcessEnvironment) -> Error {
    match Cluster::load(&kubeconfig.flags(), environment).await {
        Err(error) => error,
        Ok(cluster) => cluster.api().send(Request::get("/").body(Body::Empty).unwrap()).await.unwrap_err().into(),
    }
}

#[tokio::test]
async fn trap_1_a_plugin_runs_once_at_the_start() {
    let server = Server::https(hello).await;
    let script = Script::new(&[token("one"), token("two")]);
    let cluster = server.cluster_of(&script.user(", interactiveMode: Never")).await;
    assert_eq!(script.runs(), 0);
    let mut first = JoinSet::new();
    for _ in 0..5 {
        let api = cluster.api().clone();
        first.spawn(async move { get(&api, "/").await });
    }
    first.join_all().await;
    assert!(server.notes.seen().iter().all(|seen| seen.header("authorization") == Some("Bearer one")));
    assert_eq!((server.notes.seen().len(), script.runs()), (5, 1));
}

#[tokio::test]
async fn trap_2_refused_credentials_are_renewed_once_by_one() {
    let valid = Arc::new(Mutex::new("Bearer one".to_owned()));
    let server = guarded(&valid).await;
    let script = Script::new(&[token("one"), token("two")]);
    let cluster = server.cluster_of(&script.user("")).await;
    get(cluster.api(), "/").await;
    "Bearer two".clone_into(&mut valid.lock().unwrap());
    let mut burst = JoinSet::new();
    for _ in 0..20 {
        let api = cluster.api().clone();
        burst.spawn(async move { get(&api, "/").await });
    }
    burst.join_all().await;
    let answer = cluster.api().send(Request::post("/").body(Body::full("again")).unwrap()).await.unwrap();
    assert_eq!((text(answer).await.as_str(), script.runs()), ("again", 2));
}

#[tokio::test]
async fn what_is_refused_for_good_does_not_keep_the_plugin_busy() {
    let server = guarded(&Arc::default()).await;
    let script = Script::new(&[token("one"), token("two"), token("three")]);
    let cluster = server.cluster_of(&script.user("")).await;
    for _ in 0..5 {
        let answer = cluster.api().send(Request::get("/").body(Body::Empty).unwrap()).await.unwrap();
        assert_eq!((answer.status(), text(answer).await.as_str()), (StatusCode::UNAUTHORIZED, REFUSAL));
    }
    assert_eq!(script.runs(), 2);
}

/// A POST whose body comes in pieces of so many octets.
fn streamed(pieces: &[usize]) -> Request<Body> {
    let pieces: Vec<_> = pieces.iter().map(|length| Ok(Frame::data(Bytes::from(vec![b'x'; *length])))).collect();
    Request::post("/").body(Body::boxed(StreamBody::new(stream::iter(pieces)))).unwrap()
}

/// The API server answers before anybody behind it sees anything.
#[tokio::test]
async fn the_beginning_of_a_body_that_streams_is_kept() {
    let valid = Arc::new(Mutex::new("Bearer two".to_owned()));
    let server = guarded(&valid).await;
    let script = Script::new(&[token("one"), token("two")]);
    let cluster = server.cluster_of(&script.user("")).await;
    let answer = cluster.api().send(streamed(&[3, 4])).await.unwrap();
    assert_eq!((answer.status(), text(answer).await.as_str()), (StatusCode::OK, "xxxxxxx"));
    assert_eq!((server.notes.seen().len(), script.runs()), (2, 2));
}

#[tokio::test]
async fn more_of_a_body_than_that_is_not_sent_twice() {
    let server = Server::https(|request: Request<Incoming>| async move {
        drop(request.into_body().collect().await);
        refusal()
    })
    .await;
    let script = Script::new(&[token("one"), token("two")]);
    let cluster = server.cluster_of(&script.user("")).await;
    let answer = cluster.api().send(streamed(&[65_536, 1])).await.unwrap();
    assert_eq!((answer.status(), text(answer).await.as_str()), (StatusCode::UNAUTHORIZED, REFUSAL));
    assert_eq!(server.notes.seen().len(), 1);
}

/// Errors come in the form that was asked for.
#[tokio::test]
async fn a_refusal_in_any_form_is_one() {
    let protobuf = b"k8s\0\x12\x14\x1a\x0cUnauthorized\"\x01x\x30\x91\x03".as_slice();
    let yaml = b"apiVersion: v1\ncode: 401\nkind: Status\nmessage: Unauthorized\nstatus: Failure\n".as_slice();
    for (kind, body) in [("application/vnd.kubernetes.protobuf", protobuf), ("application/yaml", yaml)] {
        let server = Server::https(move |request: Request<Incoming>| async move {
            if request.headers()["authorization"] == "Bearer two" {
                return Response::new(Body::full("hello"));
            }
            Response::builder().status(401).header("content-type", kind).body(Body::full(body)).unwrap()
        })
        .await;
        let script = Script::new(&[token("one"), token("two")]);
        let cluster = server.cluster_of(&script.user("")).await;
        assert_eq!(get(cluster.api(), "/").await, "hello", "{kind}");
        assert_eq!(script.runs(), 2, "{kind}");
    }
}

#[tokio::test]
async fn the_service_may_refuse_what_it_likes() {
    let bodies = [
        ("application/json", r#"{"kind":"Login","error":"who are you?"}"#),
        ("application/json", "not JSON at all"),
        ("text/html", REFUSAL),
    ];
    for (kind, body) in bodies {
        let server = Server::https(move |_| async move {
            let answer =
                Response::builder().status(401).header("content-type", kind).header("www-authenticate", "Basic");
            answer.body(Body::full(body)).unwrap()
        })
        .await;
        let script = Script::new(&[token("one"), token("two")]);
        let cluster = server.cluster_of(&script.user("")).await;
        let answer = cluster.api().send(Request::get("/").body(Body::Empty).unwrap()).await.unwrap();
        assert_eq!(answer.headers()["www-authenticate"], "Basic");
        assert_eq!((text(answer).await.as_str(), script.runs(), server.notes.seen().len()), (body, 1, 1));
    }
}

#[tokio::test]
async fn trap_3_short_tokens_are_fetched_in_time_and_not_per_request() {
    let server = Server::https(hello).await;
    let short = issues(&json!({"token": "one", "expirationTimestamp": in_seconds(3.0)}));
    let script = Script::new(&[short, token("two")]);
    let cluster = server.cluster_of(&script.user("")).await;
    for _ in 0..5 {
        get(cluster.api(), "/").await;
    }
    assert_eq!((server.notes.last().header("authorization"), script.runs()), (Some("Bearer one"), 1));
    eventually(|| script.runs() == 2).await;
    while server.notes.last().header("authorization") != Some("Bearer two") {
        get(cluster.api(), "/").await;
    }
    assert_eq!(script.runs(), 2);
}

#[tokio::test]
async fn a_wrong_clock_does_not_run_the_plugin_for_each_request() {
    let server = Server::https(hello).await;
    let over = issues(&json!({"token": "one", "expirationTimestamp": "2020-01-01T00:00:00Z"}));
    let script = Script::new(&[over]);
    let cluster = server.cluster_of(&script.user("")).await;
    for _ in 0..10 {
        get(cluster.api(), "/").await;
    }
    assert!(script.runs() <= 2, "{}", script.runs());
}

#[tokio::test]
async fn trap_4_and_10_a_new_client_certificate_means_new_connections() {
    let authority = Authority::new("users");
    let (one, two) = (authority.client("one"), authority.client("two"));
    let mut roots = RootCertStore::empty();
    roots.add(authority.der()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), ring::default_provider().into());
    let signed = authority.server(&["127.0.0.1"]);
    let config = builder()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(signed.chain(), signed.private_key());
    let server = Server::start(hello, Some(config.unwrap()), authority.pem()).await;
    let status = |signed: &super::certificates::Signed, seconds| {
        let (certificate, key) = (&signed.certificate, &signed.key);
        issues(
            &json!({"clientCertificateData": certificate, "clientKeyData": key, "expirationTimestamp": in_seconds(seconds)}),
        )
    };
    let script = Script::new(&[status(&one, 3.0), status(&two, 600.0)]);
    let cluster = server.cluster_of(&script.user("")).await;
    get(cluster.api(), "/").await;
    get(cluster.api(), "/").await;
    assert_eq!(server.notes.last().certificate.unwrap(), one.chain()[0].to_vec());
    assert_eq!(server.notes.connections(), 1);
    eventually(|| script.runs() == 2).await;
    while server.notes.last().certificate.unwrap() != two.chain()[0].to_vec() {
        get(cluster.api(), "/").await;
    }
    get(cluster.api(), "/").await;
    assert_eq!((server.notes.connections(), script.runs()), (2, 2));
}

#[tokio::test]
async fn a_plugin_learns_what_it_is_for() {
    let server = Server::https(hello).await;
    let script = Script::new(&[token("one")]);
    let more = ", provideClusterInfo: true, env: [{name: PROFILE, value: work}]";
    let kubeconfig = server.kubeconfig(&script.user(more));
    get(kubeconfig.load().await.api(), "/").await;
    let expected = json!({
        "kind": "ExecCredential",
        "apiVersion": "client.authentication.k8s.io/v1",
        "spec": {
            "interactive": false,
            "cluster": {"server": server.url(), "certificate-authority-data": STANDARD.encode(&server.ca)},
        },
    });
    assert_eq!(script.info(), expected);
    assert!(script.env().lines().any(|line| line == "PROFILE=work"));
}

#[tokio::test]
async fn a_plugin_without_cluster_info_is_not_told() {
    let server = Server::https(hello).await;
    let script = Script::new(&[token("one")]);
    get(server.cluster_of(&script.user("")).await.api(), "/").await;
    assert_eq!(script.info()["spec"], json!({"interactive": false}));
}

#[tokio::test]
async fn what_goes_wrong_with_a_plugin_is_one_line() {
    let server = Server::https(hello).await;
    let environment = ProcessEnvironment::default();
    let script = Script::new(&[token("one")]);
    script.fail();
    let error = failure(&server.kubeconfig(&script.user("")), &environment).await;
    assert_eq!(error.message(), format!(r#"the credential plugin {SHELL} of user "u" failed with exit code 3"#));

    let folder = tempfile::tempdir().unwrap();
    let plugin = folder.path().join("no-such-plugin");
    let missing = user(&plugin, &["x"], r#", installHint: "install \e[31mfoo""#);
    let error = failure(&server.kubeconfig(&missing), &environment).await;
    let message = format!(r#"the credential plugin {} of user "u" is not installed"#, plugin.display());
    assert_eq!(error.message(), message);
    assert_eq!(printable(error.hint_text().unwrap()), "install \\u{1b}[31mfoo");

    let script = Script::new(&[token("one")]);
    let error = failure(&server.kubeconfig(&script.user(", interactiveMode: Always")), &environment).await;
    assert_eq!(error.message(), format!(r#"the credential plugin {SHELL} of user "u" needs a terminal"#));
    assert_eq!(script.runs(), 0);

    let cases = [
        (json!("hunter2"), "does not print an ExecCredential"),
        (
            json!({"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1beta1", "status": {"token": "x"}}),
            "prints an ExecCredential of \"client.authentication.k8s.io/v1beta1\", and the kubeconfig asks for \
             client.authentication.k8s.io/v1",
        ),
        (issues(&json!({})), "prints neither a token nor a client certificate"),
        (issues(&json!({"clientKeyData": "x"})), "prints a client certificate without its key, or a key alone"),
        (
            issues(&json!({"token": "x", "expirationTimestamp": "soon"})),
            "prints an expirationTimestamp that is no time",
        ),
    ];
    for (answer, message) in cases {
        let script = Script::new(&[answer]);
        let error = failure(&server.kubeconfig(&script.user("")), &environment).await;
        assert_eq!(error.message(), format!(r#"the credential plugin {SHELL} of user "u" {message}"#));
    }

    let old = "{exec: {apiVersion: client.authentication.k8s.io/v1alpha1, command: x}}";
    let error = failure(&server.kubeconfig(old), &environment).await;
    assert!(error.message().contains("v1alpha1"), "{error}");

    let silent = "{exec: {apiVersion: client.authentication.k8s.io/v1, command: x}}";
    let error = failure(&server.kubeconfig(silent), &environment).await;
    assert_eq!(
        error.message(),
        "the credential plugin of user \"u\" lacks interactiveMode, without which kubectl does not run it"
    );
}

#[tokio::test]
async fn a_plugin_may_print_yaml() {
    let valid = Arc::new(Mutex::new("Bearer one".to_owned()));
    let server = guarded(&valid).await;
    let yaml = "apiVersion: client.authentication.k8s.io/v1\nkind: ExecCredential\nstatus:\n  token: one\n";
    let script = Script::new(&[json!(yaml)]);
    let cluster = server.kubeconfig(&script.user("")).load().await;
    get(cluster.api(), "/").await;
}

#[tokio::test]
async fn a_token_file_is_read_again() {
    let valid = Arc::new(Mutex::new("Bearer one".to_owned()));
    let server = guarded(&valid).await;
    let kubeconfig = server.kubeconfig("{tokenFile: token}");
    let file = kubeconfig.path().with_file_name("token");
    std::fs::write(&file, "one\n").unwrap();
    let cluster = kubeconfig.load().await;
    get(cluster.api(), "/").await;
    std::fs::write(&file, "two\n").unwrap();
    "Bearer two".clone_into(&mut valid.lock().unwrap());
    get(cluster.api(), "/").await;
}

#[tokio::test]
async fn client_certificate_files_are_read_again() {
    let authority = Authority::new("users");
    let server = Server::start(hello, Some(authority.server(&["127.0.0.1"]).config()), authority.pem()).await;
    let kubeconfig = server.kubeconfig("{client-certificate: client.crt, client-key: client.key}");
    let write = |name: &str| {
        let signed = authority.client(name);
        std::fs::write(kubeconfig.path().with_file_name("client.crt"), signed.certificate).unwrap();
        std::fs::write(kubeconfig.path().with_file_name("client.key"), signed.key).unwrap();
    };
    write("one");
    let cluster = kubeconfig.load().await;
    get(cluster.api(), "/").await;
    let error =
        Cluster::load(&server.kubeconfig("{client-certificate: none.crt}").flags(), &ProcessEnvironment::default())
            .await;
    let message = error.unwrap_err().to_string();
    let whose = "cannot read the client certificate of user \"u\", ";
    assert!(message.strip_prefix(whose).is_some_and(|rest| rest.contains("none.crt: ")), "{message}");
}

fn jwt(expires: u64) -> String {
    let claims = format!(r#"{{"exp":{expires}}}"#);
    format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
}

fn oidc_user(config: &str) -> String {
    format!("{{auth-provider: {{name: oidc, config: {{{config}}}}}}}")
}

/// A folder with a `kubectl` that does what `script` says.
#[cfg(unix)]
fn stand_in_kubectl(script: &str) -> (TempDir, ProcessEnvironment) {
    let folder = tempfile::tempdir().unwrap();
    let kubectl = folder.path().join("kubectl");
    std::fs::write(&kubectl, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&kubectl, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let environment = ProcessEnvironment { kubectl: Some(kubectl.into()), ..ProcessEnvironment::default() };
    (folder, environment)
}

#[cfg(unix)]
#[tokio::test]
async fn kubectl_renews_a_token_once_for_all() {
    let valid = Arc::new(Mutex::new(format!("Bearer {}", jwt(4_000_000_000))));
    let server = guarded(&valid).await;
    let renewable = |token: &str| oidc_user(&format!("id-token: {token}, refresh-token: r"));
    let kubeconfig = server.kubeconfig(&renewable(&jwt(1_000_000_000)));
    let written = std::fs::read_to_string(kubeconfig.path()).unwrap();
    let renewed = written.replace(&jwt(1_000_000_000), &jwt(4_000_000_000));
    let script = format!("echo \"$*\" >> \"$0.runs\"; cat > {} <<'END'\n{renewed}END", kubeconfig.path().display());
    let (folder, environment) = stand_in_kubectl(&script);
    let cluster = Cluster::load(&kubeconfig.flags(), &environment).await.unwrap();
    let mut asking = JoinSet::new();
    for _ in 0..20 {
        let cluster = cluster.clone();
        asking.spawn(async move { get(cluster.api(), "/").await });
    }
    asking.join_all().await;
    let runs = std::fs::read_to_string(folder.path().join("kubectl.runs")).unwrap();
    let expected = format!("get --raw /version --user u --kubeconfig {} --context x\n", kubeconfig.path().display());
    assert_eq!(runs, expected);
}

#[cfg(unix)]
#[tokio::test]
async fn a_token_that_nobody_can_renew() {
    let server = Server::https(hello).await;
    let expired = format!("id-token: {}", jwt(1_000_000_000));
    let check = async |config: &str, environment: &ProcessEnvironment, message: &str, hint: &str| {
        let error = failure(&server.kubeconfig(&oidc_user(config)), environment).await;
        assert_eq!((error.message(), error.hint_text()), (message, Some(hint)), "{config}");
    };
    let over = r#"the OpenID Connect token of user "u" has expired"#;
    let (_folder, failing) = stand_in_kubectl("echo 'error: the provider is away' >&2; exit 1");
    let no_token = "log in again: the kubeconfig has no refresh-token by which kubectl could renew it";
    check(&expired, &failing, over, no_token).await;
    let renewable = format!("{expired}, refresh-token: r");
    let away = "kubectl did not renew it (error: the provider is away): log in again";
    check(&renewable, &failing, over, away).await;
    let missing = "the OpenID Connect token has expired, and kubectl, which renews it, is not on PATH";
    let way_out = "put kubectl on PATH, or set KUBECTL_PATH to it";
    check(&renewable, &ProcessEnvironment::default(), missing, way_out).await;
}

#[tokio::test]
async fn openid_connect_tokens_are_kubectls() {
    let user = |token: &str| oidc_user(&format!("id-token: {token}"));
    let valid = Arc::new(Mutex::new(format!("Bearer {}", jwt(4_000_000_000))));
    let server = guarded(&valid).await;
    let kubeconfig = server.kubeconfig(&user(&jwt(4_000_000_000)));
    let cluster = kubeconfig.load().await;
    get(cluster.api(), "/").await;

    *valid.lock().unwrap() = format!("Bearer {}", jwt(4_000_000_001));
    kubeconfig.write(&server.url(), &server.ca, &user(&jwt(4_000_000_001)));
    get(cluster.api(), "/").await;

    let error = failure(&server.kubeconfig("{auth-provider: {name: gcp}}"), &ProcessEnvironment::default()).await;
    assert_eq!(error.message(), r#"user "u" logs in with auth-provider "gcp""#);
}

#[tokio::test]
async fn nothing_secret_is_shown() {
    let server = Server::https(hello).await;
    let cluster = server.cluster_of("{token: hunter2}").await;
    get(cluster.api(), "/").await;
    assert!(
        !format!("{cluster:?} {:?} {:?}", cluster.api(), server.kubeconfig("{token: hunter2}").flags())
            .contains("hunter2")
    );
}
