//! Keys and certificates that kubectl takes and ring does not, made by `openssl`.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{AlertDescription, SignatureAlgorithm, SignatureScheme};

use super::certificates::{Authority, Signed, builder};
use super::server::{Server, hello};
use super::trust::problem;
use crate::cluster::client::client_identity::identity;
use crate::cluster::client::key_kind::{CertificateParts, KeyKind};
use crate::cluster::{SendError, TlsProblem};
use crate::error::Error;

macro_rules! pem {
    ($name:literal) => {
        include_str!(concat!("odd_keys/", $name))
    };
}

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

#[test]
fn client_keys() {
    let check = |key: &str, expect: Result<(), (&str, &str)>| {
        let read = identity(pem!("p256.crt").as_bytes(), key.as_bytes(), "user \"u\"").map(|_| ());
        let expect = expect.map_err(|(message, hint)| Error::usage(message).hint(hint));
        assert_eq!(read, expect, "{key}");
    };
    check(pem!("p256.key"), Ok(()));
    check(pem!("p256-sec1.key"), Ok(()));
    check(pem!("p256-labelled-rsa.key"), Ok(()));
    let other = "get one with a key of RSA 2048 to 4096, P-256, P-384 or Ed25519, or log in by another way";
    let named = |kind: &str, who: &str| {
        format!("the client certificate of user \"u\" cannot be used: its key is {kind}, {who}")
    };
    let only_kubectl = "which kubectl takes and this program does not";
    let nobody = "which neither kubectl nor this program takes";
    check(pem!("rsa1024.key"), Err((&named("RSA 1024", only_kubectl), other)));
    check(pem!("p521.key"), Err((&named("P-521", only_kubectl), other)));
    check(pem!("rsa2048-exponent3.key"), Err((&named("RSA 2048 with the public exponent 3", only_kubectl), other)));
    check(pem!("rsa512.key"), Err((&named("RSA 512", nobody), other)));
    check(pem!("p224.key"), Err((&named("P-224", nobody), other)));
    check(pem!("ed448.key"), Err((&named("Ed448", nobody), other)));
    check(
        pem!("p256-without-public.key"),
        Err((
            "the client certificate of user \"u\" cannot be used: its key is P-256 in a form that kubectl may take and this \
             program does not",
            "write it anew: openssl pkey -in KEY -out NEW_KEY",
        )),
    );
    for encrypted in [pem!("encrypted-pkcs8.key"), pem!("encrypted-sec1.key")] {
        check(
            encrypted,
            Err((
                "the client key of user \"u\" is encrypted, which kubectl does not take either",
                "take the password off: openssl pkey -in KEY -out NEW_KEY",
            )),
        );
    }
}

#[test]
fn what_is_no_key() {
    let check = |certificate: &str, key: &str, expect: &str| {
        let error = identity(certificate.as_bytes(), key.as_bytes(), "user \"u\"").unwrap_err();
        assert_eq!(error.message(), expect);
    };
    let (certificate, key) = (pem!("p256.crt"), pem!("p256.key"));
    check(key, key, "the client certificate of user \"u\" is not a PEM certificate");
    check(certificate, certificate, "the client key of user \"u\" is not a PEM private key");
    check(certificate, "", "the client key of user \"u\" is not a PEM private key");
    let nonsense = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    check(certificate, nonsense, "the client key of user \"u\" is not a private key of a known kind");
    let other = Authority::new("cluster").client("jane");
    check(&other.certificate, key, "the client key of user \"u\" does not belong to the certificate");
    check(certificate, &other.key, "the client key of user \"u\" does not belong to the certificate");
}

#[test]
fn kinds_in_certificates() {
    let check = |pem: &str, expect: KeyKind, issuer_of: &str| {
        let (certificate, signed) = (der(pem), der(issuer_of));
        let parts = CertificateParts::of(&certificate).unwrap();
        assert_eq!(parts.key, Some(expect), "{pem}");
        assert_eq!(CertificateParts::of(&signed).unwrap().issuer, parts.subject, "{issuer_of}");
    };
    check(pem!("rsa1024.crt"), KeyKind::Rsa { bits: 1024, exponent: 65537 }, pem!("rsa1024.crt"));
    check(pem!("p521.crt"), KeyKind::Curve("P-521"), pem!("p521.crt"));
    check(pem!("p256.crt"), KeyKind::Curve("P-256"), pem!("p256.crt"));
    check(pem!("ca-rsa1024.crt"), KeyKind::Rsa { bits: 1024, exponent: 65537 }, pem!("by-rsa1024.crt"));
    check(pem!("ca-p521.crt"), KeyKind::Curve("P-521"), pem!("by-p521.crt"));
    check(super::trust::VERSION_1, KeyKind::Curve("P-256"), super::trust::VERSION_1);
    for cut in 0..200 {
        assert_eq!(CertificateParts::of(&der(pem!("p256.crt"))[..cut]), None);
    }
}

#[tokio::test]
async fn an_authority_whose_key_cannot_be_checked() {
    let key = pem!("p256.key").to_owned();
    for (certificate, authority, kind) in [
        (pem!("by-rsa1024.crt"), pem!("ca-rsa1024.crt"), "RSA 1024"),
        (pem!("by-p521.crt"), pem!("ca-p521.crt"), "P-521"),
    ] {
        let signed = Signed { certificate: certificate.to_owned(), key: key.clone() };
        let server = Server::start(hello, Some(signed.config()), authority.to_owned()).await;
        let expect =
            TlsProblem::UncheckableKey(format!("its certificate is signed by an authority whose key is {kind}"));
        assert_eq!(problem(&server.cluster().await).await, expect);
    }
}

/// Signs with anything at all, as far as a client can tell that cannot check it.
#[derive(Debug)]
struct AnySigner;

impl SigningKey for AnySigner {
    fn choose_scheme(&self, _: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        Some(Box::new(Self))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::RSA
    }
}

impl Signer for AnySigner {
    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        Ok(vec![1; 128])
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::RSA_PSS_SHA256
    }
}

#[derive(Debug)]
struct Shown(Arc<CertifiedKey>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

#[tokio::test]
async fn a_server_whose_key_cannot_be_checked() {
    let certificate = pem!("rsa1024.crt");
    let shown = CertifiedKey::new(vec![der(certificate)], Arc::new(AnySigner));
    let config = builder().with_no_client_auth().with_cert_resolver(Arc::new(Shown(Arc::new(shown))));
    let server = Server::start(hello, Some(config), certificate.to_owned()).await;
    let cluster = server.cluster().await;
    let found = problem(&cluster).await;
    assert_eq!(found, TlsProblem::UncheckableKey("its certificate's key is RSA 1024".to_owned()));
    let error = Error::from(SendError::Tls { server: "https://api".to_owned(), problem: found });
    let words = "no secure connection to the API server https://api: its certificate's key is RSA 1024, which kubectl takes \
                 and this program does not";
    assert_eq!(error.message(), words);
    assert!(!error.hint_text().unwrap().contains("kubectl"), "{error:?}");
}

#[test]
fn nothing_in_common() {
    let alert = rustls::Error::AlertReceived(AlertDescription::HandshakeFailure);
    assert_eq!(TlsProblem::from(&alert), TlsProblem::NothingInCommon("HandshakeFailure".to_owned()));
}
