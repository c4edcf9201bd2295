//! TLS towards the API server: whom to trust, who we are, and what went wrong in the user's words.

use std::io;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::SingleCertAndKey;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{Connect, TlsConnector};

use super::client_identity::ClientIdentity;
use super::naming_verifier::{NamingVerifier, UncheckableKey};
use crate::error::Error;

/// Whose word counts for who the API server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ServerTrust {
    /// The system's trust store.
    System,
    /// These certificates: authorities, or the server's own.
    These(Vec<CertificateDer<'static>>),
    /// The system's trust store and these.
    SystemAnd(Vec<CertificateDer<'static>>),
    /// Nobody's: any certificate will do.
    Anything,
}

impl ServerTrust {
    /// Who is trusted, for the log.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::System => "the system's authorities",
            Self::These(_) => "the given certificates",
            Self::SystemAnd(_) => "the system's authorities and the given certificates",
            Self::Anything => "anybody",
        }
    }

    /// Reads certificates from PEM. `origin` names where they come from.
    pub(crate) fn from_pem(pem: &[u8], origin: &str) -> Result<Self, Error> {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        match certificates {
            Ok(certificates) if !certificates.is_empty() => Ok(Self::These(certificates)),
            _ => Err(Error::usage(format!("{origin} holds no PEM certificate"))),
        }
    }

    /// For a `https` proxy in front of the server: the cluster's authorities, as in Go, and the system's.
    pub(crate) fn for_proxies(&self) -> Self {
        match self {
            Self::These(certificates) => Self::SystemAnd(certificates.clone()),
            other => other.clone(),
        }
    }
}

/// What ALPN calls it (RFC 9113 section 3.2).
pub(crate) const HTTP2: &[u8] = b"h2";

/// The TLS side of connections, swappable while running because client certificates expire.
#[derive(Debug)]
pub(crate) struct TlsClient {
    /// What to check the certificate against.
    server_name: ServerName<'static>,
    /// Without a client certificate.
    base: ClientConfig,
    /// The configuration for the next handshake.
    config: ArcSwap<ClientConfig>,
}

impl TlsClient {
    /// Trusts as `trust` says and expects a certificate for `server_name`, a host name or an IP address.
    pub(crate) fn new(trust: &ServerTrust, server_name: &str) -> Result<Self, Error> {
        let server_name = ServerName::try_from(server_name.to_owned())
            .map_err(|_| Error::usage(format!("{server_name:?} is not a host name that a certificate can have")))?;
        let mut base = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("ring has cipher suites for TLS 1.2 and 1.3")
            .dangerous()
            .with_custom_certificate_verifier(verifier(trust)?)
            .with_no_client_auth();
        base.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { server_name, config: ArcSwap::from_pointee(base.clone()), base })
    }

    /// Presents `identity` in handshakes from now on, or none. Sessions of the one before are not resumed.
    pub(crate) fn present(&self, identity: Option<ClientIdentity>) {
        let mut config = self.base.clone();
        config.resumption = rustls::client::Resumption::default();
        if let Some(identity) = identity {
            config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(identity));
        }
        self.config.store(Arc::new(config));
    }

    /// Shakes hands over `stream`, and asks for HTTP/2.
    pub(crate) fn connect_http2<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> Connect<S> {
        let mut config = ClientConfig::clone(&self.config.load());
        config.alpn_protocols = vec![HTTP2.to_vec(), b"http/1.1".to_vec()];
        TlsConnector::from(Arc::new(config)).connect(self.server_name.clone(), stream)
    }

    /// Shakes hands over `stream`.
    pub(crate) fn connect<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> Connect<S> {
        TlsConnector::from(self.config.load_full()).connect(self.server_name.clone(), stream)
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn verifier(trust: &ServerTrust) -> Result<Arc<dyn ServerCertVerifier>, Error> {
    let algorithms = provider().signature_verification_algorithms;
    let (inner, given): (Arc<dyn ServerCertVerifier>, _) = match trust {
        ServerTrust::System => (Arc::new(system_verifier(&[])?), Vec::new()),
        ServerTrust::SystemAnd(given) => (Arc::new(system_verifier(given)?), given.clone()),
        ServerTrust::These(given) => {
            let by = Some((given.clone(), webpki_verifier(given)?));
            (Arc::new(GivenVerifier { given: by, algorithms }), given.clone())
        }
        ServerTrust::Anything => (Arc::new(GivenVerifier { given: None, algorithms }), Vec::new()),
    };
    Ok(Arc::new(NamingVerifier { inner, given }))
}

fn webpki_verifier(certificates: &[CertificateDer<'static>]) -> Result<Arc<WebPkiServerVerifier>, Error> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates.iter().cloned());
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(|_| Error::usage("the certificate authority of this cluster is not an X.509 certificate"))
}

fn system_verifier(more: &[CertificateDer<'static>]) -> Result<rustls_platform_verifier::Verifier, Error> {
    rustls_platform_verifier::Verifier::new_with_extra_roots(more.iter().cloned(), provider()).map_err(|_| {
        Error::failed("the system has no trusted certificates, and the kubeconfig names none for this cluster")
            .hint("install the ca-certificates package, or give --certificate-authority FILE")
    })
}

/// Checks against given certificates; one that is itself given needs no issuer. Without any (`insecure-skip-tls-verify`)
/// the server must hold the key of the certificate it shows, whoever it is.
///
/// Go accepts a leaf certificate in the pool of authorities as the whole chain (`crypto/x509` `Certificate.Verify`), webpki
/// does not, and a self-signed or pinned server certificate in `certificate-authority` is common.
#[derive(Debug)]
struct GivenVerifier {
    given: Option<(Vec<CertificateDer<'static>>, Arc<WebPkiServerVerifier>)>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for GivenVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some((given, webpki)) = &self.given else { return Ok(ServerCertVerified::assertion()) };
        // webpki looks at the dates before it looks for an issuer, so a given certificate that fails here for want of
        // an issuer has passed the check of its dates.
        match webpki.verify_server_cert(end_entity, intermediates, server_name, ocsp, now) {
            Err(error) if lacks_issuer(&error) && given.iter().any(|given| given.as_ref() == end_entity.as_ref()) => {
                let certificate = rustls::server::ParsedCertificate::try_from(end_entity)?;
                rustls::client::verify_server_name(&certificate, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            result => result,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn lacks_issuer(error: &rustls::Error) -> bool {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => true,
        // webpki's "a CA certificate is used as an end entity" has no name of its own in rustls.
        rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(other))) => {
            other.to_string() == "CaUsedAsEndEntity"
        }
        _ => false,
    }
}

/// What stands in the way of a secure connection. Its text follows "no secure connection to …: ".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsProblem {
    /// The server's certificate is too old.
    #[error("its certificate has expired{0}")]
    Expired(String),
    /// The server's certificate is for later.
    #[error("its certificate is not valid yet{0}")]
    NotValidYet(String),
    /// The server's certificate is somebody else's.
    #[error("its certificate is not for {expected} but for {presented}")]
    WrongName {
        /// What was asked for.
        expected: String,
        /// What it is for.
        presented: String,
    },
    /// Nobody who is trusted has signed the server's certificate.
    #[error("its certificate is signed by an unknown authority")]
    UnknownAuthority,
    /// The server does not like our certificate, or that we have none.
    #[error("it does not accept the client certificate ({0})")]
    ClientCertificate(String),
    /// A key of the server or of an authority is such that no signature of it can be checked here, but by kubectl.
    #[error("{0}, which kubectl takes and this program does not")]
    UncheckableKey(String),
    /// The same, and kubectl cannot either.
    #[error("{0}, which neither kubectl nor this program takes")]
    WeakKey(String),
    /// It is signed by a method that is not known here.
    #[error("its certificate is signed by a method that this program cannot check")]
    UnknownSignature,
    /// Both speak TLS, and no kind of it that the other one speaks.
    #[error("it speaks no kind of TLS that this program speaks, or none with its certificate ({0})")]
    NothingInCommon(String),
    /// Something else than TLS came back.
    #[error("what answers there does not speak TLS")]
    NotTls,
    /// Anything else, in the library's words.
    #[error("{0}")]
    Other(String),
}

impl TlsProblem {
    /// What a failed handshake means.
    pub(crate) fn of(error: &io::Error) -> Self {
        match within(error) {
            Some(error) => Self::from(error),
            None if error.kind() == io::ErrorKind::UnexpectedEof => Self::Other("it closed the connection".to_owned()),
            None => Self::Other(error.to_string()),
        }
    }
}

/// The TLS error inside an I/O error.
pub(crate) fn within(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

impl From<&rustls::Error> for TlsProblem {
    fn from(error: &rustls::Error) -> Self {
        use AlertDescription as Alert;
        if let Some(key) = UncheckableKey::within(error) {
            let which = if key.kind().is_kubectls() { Self::UncheckableKey } else { Self::WeakKey };
            return which(key.to_string());
        }
        match error {
            rustls::Error::InvalidCertificate(error) => error.into(),
            rustls::Error::AlertReceived(alert) if is_about_our_certificate(*alert) => {
                Self::ClientCertificate(format!("{alert:?}"))
            }
            rustls::Error::AlertReceived(
                alert @ (Alert::HandshakeFailure | Alert::ProtocolVersion | Alert::InsufficientSecurity),
            ) => Self::NothingInCommon(format!("{alert:?}")),
            rustls::Error::PeerIncompatible(why) => Self::NothingInCommon(format!("{why:?}")),
            rustls::Error::InvalidMessage(_) => Self::NotTls,
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<&CertificateError> for TlsProblem {
    fn from(error: &CertificateError) -> Self {
        match error {
            CertificateError::Expired => Self::Expired(String::new()),
            CertificateError::ExpiredContext { not_after, .. } => Self::Expired(on(" on", *not_after)),
            CertificateError::NotValidYet => Self::NotValidYet(String::new()),
            CertificateError::NotValidYetContext { not_before, .. } => {
                Self::NotValidYet(on(", only from", *not_before))
            }
            CertificateError::NotValidForNameContext { expected, presented } => {
                Self::WrongName { expected: expected.to_str().into_owned(), presented: names(presented) }
            }
            // A bad signature is what an authority of the same name leaves behind: that of the cluster that was here before.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::UnknownAuthority,
            CertificateError::UnsupportedSignatureAlgorithmContext { .. }
            | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => Self::UnknownSignature,
            other => Self::Other(format!("its certificate cannot be used: {other}")),
        }
    }
}

fn is_about_our_certificate(alert: AlertDescription) -> bool {
    use AlertDescription as Alert;
    matches!(
        alert,
        Alert::CertificateRequired
            | Alert::BadCertificate
            | Alert::CertificateExpired
            | Alert::CertificateRevoked
            | Alert::CertificateUnknown
            | Alert::UnsupportedCertificate
            | Alert::UnknownCA
            | Alert::AccessDenied
    )
}

/// webpki writes `DnsName("example.com")` and `IpAddress(10.0.0.1)`.
fn names(presented: &[String]) -> String {
    let plain = |name: &String| -> String {
        let inner = name.split_once('(').map_or(name.as_str(), |(_, inner)| inner);
        inner.trim_end_matches(')').trim_matches('"').to_owned()
    };
    if presented.is_empty() {
        "no host at all".to_owned()
    } else {
        presented.iter().map(plain).collect::<Vec<_>>().join(", ")
    }
}

fn on(preposition: &str, time: UnixTime) -> String {
    let date = i64::try_from(time.as_secs()).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    date.map(|date| format!("{preposition} {}", date.strftime("%Y-%m-%d"))).unwrap_or_default()
}
