//! Whom we take for the API server, and whom it takes us for.

use rcgen::date_time_ymd;
use rustls::DigitallySignedStruct;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};

use std::sync::Arc;

use super::certificates::{Authority, Signed, builder, self_signed, server_params};
use super::server::{Kubeconfig, Server, get, hello};
use crate::cluster::{Cluster, ConnectFlags, ProcessEnvironment, SendError, TlsProblem};
use crate::message::body::Body;

/// Made by `openssl x509 -req`, which writes version 1 unless it is told of extensions, as microk8s does.
pub(super) const VERSION_1: &str = "-----BEGIN CERTIFICATE-----
MIIBHDCBwwIUPnED0RRG6k5oW/qhj/9waG0AqrowCgYIKoZIzj0EAwIwEDEOMAwG
A1UEAwwFYWRtaW4wIBcNMjYxMTI0MDkwNDE1WhgPMjEyNjEwMzEwOTA0MTVaMBAx
DjAMBgNVBAMMBWFkbWluMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEgSjwN2jm
/UTEqCu7cU8IkwSvRm1tgKYBH6wxfbuJIWaPmNCk6Sq+ewTXN10AFLzh4eXi4g40
tI0FRZ9ZpmpKuzAKBggqhkjOPQQDAgNIADBFAiAHjUU3pBvU7R/7LacdjkMnRQBH
bXzZQC//dfrPUYMlIQIhAP4381++/H30iHvDVZieMQrMa+CeRSXouLIbrAuYmmzI
-----END CERTIFICATE-----
";
const VERSION_1_KEY: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgiEGVj98TbqHqCeY0
AJef0Oy8LScPRdnvva2puSQ/2wyhRANCAASBKPA3aOb9RMSoK7txTwiTBK9GbW2A
pgEfrDF9u4khZo+Y0KTpKr57BNc3XQAUvOHh5eLiDjS0jQVFn1mmakq7
-----END PRIVATE KEY-----
";

/// Lets everybody in who shows a certificate, as an API server does before it looks closer.
#[derive(Debug)]
struct Everybody;

impl ClientCertVerifier for Everybody {
    fn root_hint_subjects(&self) -> &[rustls::DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    // rustls does not parse version 1, so the key cannot be taken from it here; OpenSSL and Go can.
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

pub(super) async fn problem(cluster: &Cluster) -> TlsProblem {
    match cluster.api().send(http::Request::get("/").body(Body::Empty).unwrap()).await.unwrap_err() {
        SendError::Tls { problem, .. } => problem,
        other => panic!("{other}"),
    }
}

async fn serving(signed: &Signed) -> Server {
    Server::start(hello, Some(signed.config()), signed.certificate.clone()).await
}

#[tokio::test]
async fn trap_8_a_client_certificate_of_version_1_is_presented() {
    let authority = Authority::new("cluster");
    let signed = authority.server(&["127.0.0.1"]);
    let config = builder().with_client_cert_verifier(Arc::new(Everybody));
    let config = config.with_single_cert(signed.chain(), signed.private_key()).unwrap();
    let server = Server::start(hello, Some(config), authority.pem()).await;
    let kubeconfig = server.kubeconfig("{client-certificate: client.crt, client-key: client.key}");
    std::fs::write(kubeconfig.path().with_file_name("client.crt"), VERSION_1).unwrap();
    std::fs::write(kubeconfig.path().with_file_name("client.key"), VERSION_1_KEY).unwrap();
    get(kubeconfig.load().await.api(), "/").await;
    let version_1 = Signed { certificate: VERSION_1.to_owned(), key: String::new() };
    assert_eq!(server.notes.last().certificate.unwrap(), version_1.chain()[0].to_vec());
}

#[tokio::test]
async fn trap_9_a_certificate_that_is_given_itself_needs_no_issuer() {
    // One that signs itself, one of an authority that nobody knows, and one that says it is an authority.
    let mut authority_itself = server_params(&["127.0.0.1"]);
    authority_itself.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let given = [
        self_signed(&server_params(&["127.0.0.1"])),
        Authority::new("elsewhere").server(&["127.0.0.1"]),
        self_signed(&authority_itself),
    ];
    for signed in given {
        let server = serving(&signed).await;
        assert_eq!(get(server.cluster().await.api(), "/").await, "hello");
    }
}

#[tokio::test]
async fn trap_9_a_given_certificate_must_still_be_right() {
    let server = serving(&self_signed(&server_params(&["elsewhere.example"]))).await;
    let expected =
        TlsProblem::WrongName { expected: "127.0.0.1".to_owned(), presented: "elsewhere.example".to_owned() };
    assert_eq!(problem(&server.cluster().await).await, expected);

    let mut over = server_params(&["127.0.0.1"]);
    (over.not_before, over.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 2, 3));
    for is_ca in [rcgen::IsCa::NoCa, rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained)] {
        over.is_ca = is_ca;
        let server = serving(&self_signed(&over)).await;
        assert_eq!(problem(&server.cluster().await).await, TlsProblem::Expired(" on 2021-02-03".to_owned()));
    }

    let server = serving(&self_signed(&server_params(&["127.0.0.1"]))).await;
    let other = self_signed(&server_params(&["127.0.0.1"]));
    let cluster = Kubeconfig::new(&server.url(), &other.certificate, "{}").load().await;
    assert_eq!(problem(&cluster).await, TlsProblem::UnknownAuthority);
}

#[tokio::test]
pub(super) async fn problems_in_the_users_words() {
    let authority = Authority::new("cluster");
    let mut later = server_params(&["127.0.0.1"]);
    (later.not_before, later.not_after) = (date_time_ymd(2100, 1, 2), date_time_ymd(2101, 1, 1));
    let cases = [
        (authority.sign(&later), "its certificate is not valid yet, only from 2100-01-02"),
        (
            authority.server(&["a.example", "10.0.0.1"]),
            "its certificate is not for 127.0.0.1 but for a.example, 10.0.0.1",
        ),
        (Authority::new("other").server(&["127.0.0.1"]), "its certificate is signed by an unknown authority"),
        (Authority::new("cluster").server(&["127.0.0.1"]), "its certificate is signed by an unknown authority"),
    ];
    for (signed, words) in cases {
        let server = Server::start(hello, Some(signed.config()), authority.pem()).await;
        let url = server.url();
        let error = server.cluster().await.api().warm().await.unwrap_err();
        assert_eq!(error.to_string(), format!("no secure connection to the API server {url}: {words}"));
    }
    let plain = Server::http(hello).await;
    let url = plain.url().replace("http:", "https:");
    let cluster = Kubeconfig::new(&url, &authority.pem(), "{}").load().await;
    assert_eq!(problem(&cluster).await, TlsProblem::NotTls);
}

#[tokio::test]
async fn the_name_to_check_can_be_given() {
    let authority = Authority::new("cluster");
    let signed = authority.server(&["api.example"]);
    let server = Server::start(hello, Some(signed.config()), authority.pem()).await;
    let kubeconfig = server.kubeconfig("{}");
    let flags = ConnectFlags { tls_server_name: Some("api.example".to_owned()), ..kubeconfig.flags() };
    get(Cluster::load(&flags, &ProcessEnvironment::default()).await.unwrap().api(), "/").await;
}

#[tokio::test]
async fn nothing_is_checked_when_told_so() {
    let server = serving(&self_signed(&server_params(&["elsewhere.example"]))).await;
    let flags = ConnectFlags { insecure_skip_tls_verify: true, ..server.kubeconfig("{}").flags() };
    let kubeconfig = server.kubeconfig("{}");
    let flags = ConnectFlags { kubeconfig: Some(kubeconfig.path()), ..flags };
    get(Cluster::load(&flags, &ProcessEnvironment::default()).await.unwrap().api(), "/").await;
}

#[tokio::test]
async fn several_authorities() {
    let (one, two) = (Authority::new("one"), Authority::new("two"));
    let both = one.pem() + &two.pem();
    for authority in [one, two] {
        let server = Server::start(hello, Some(authority.server(&["127.0.0.1"]).config()), both.clone()).await;
        get(server.cluster().await.api(), "/").await;
    }
}

#[tokio::test]
async fn a_client_certificate_that_is_wanted_and_missing() {
    let authority = Authority::new("cluster");
    let signed = authority.server(&["127.0.0.1"]);
    let config = builder().with_client_cert_verifier(Arc::new(Everybody));
    let config = config.with_single_cert(signed.chain(), signed.private_key()).unwrap();
    let server = Server::start(hello, Some(config), authority.pem()).await;
    let problem = problem(&server.cluster().await).await;
    assert_eq!(problem.to_string(), "it does not accept the client certificate (CertificateRequired)");
}

#[tokio::test]
async fn sessions_are_resumed() {
    let authority = Authority::new("cluster");
    let signed = authority.server(&["127.0.0.1"]);
    let server = Server::start(
        |_| async { http::Response::builder().header("connection", "close").body(Body::full("x")).unwrap() },
        Some(signed.config()),
        authority.pem(),
    )
    .await;
    let cluster = server.cluster().await;
    for _ in 0..3 {
        get(cluster.api(), "/").await;
    }
    assert_eq!((server.notes.connections(), server.notes.resumed()), (3, 2));
}
