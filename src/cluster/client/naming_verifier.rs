//! Checks a server's certificate as another verifier does, and says which key is of a kind that cannot be checked here.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, OtherError, SignatureScheme};

use super::key_kind::{CertificateParts, KeyKind};

/// Asks another one.
#[derive(Debug)]
pub(crate) struct NamingVerifier {
    /// Whose word counts.
    pub(crate) inner: Arc<dyn ServerCertVerifier>,
    /// The authorities that the user gave.
    pub(crate) given: Vec<CertificateDer<'static>>,
}

/// A key that nothing here can check a signature of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UncheckableKey {
    /// The server's.
    #[error("its certificate's key is {0}")]
    OfServer(KeyKind),
    /// That of an authority that has signed for it.
    #[error("its certificate is signed by an authority whose key is {0}")]
    OfAuthority(KeyKind),
}

impl UncheckableKey {
    /// The one inside an error of rustls.
    pub(crate) fn within(error: &rustls::Error) -> Option<Self> {
        let rustls::Error::Other(OtherError(error)) = error else { return None };
        error.downcast_ref().copied()
    }

    /// Which key that is.
    pub(crate) fn kind(self) -> KeyKind {
        match self {
            Self::OfServer(kind) | Self::OfAuthority(kind) => kind,
        }
    }

    fn error(self) -> rustls::Error {
        rustls::Error::Other(OtherError(Arc::new(self)))
    }
}

impl NamingVerifier {
    /// Why the signature of `certificate` could not be checked.
    fn named(certificate: &CertificateDer<'_>, error: rustls::Error) -> rustls::Error {
        match CertificateParts::of(certificate).and_then(|parts| parts.key) {
            Some(kind) if !kind.is_checkable() => UncheckableKey::OfServer(kind).error(),
            _ => error,
        }
    }

    /// The key of an authority of this chain that cannot be checked.
    fn uncheckable_authority(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
    ) -> Option<KeyKind> {
        let shown = || std::iter::once(end_entity).chain(intermediates).filter_map(|der| CertificateParts::of(der));
        let known = intermediates.iter().chain(&self.given).filter_map(|der| CertificateParts::of(der));
        let signers = known.filter(|signer| shown().any(|signed| signed.issuer == signer.subject));
        signers.filter_map(|signer| signer.key).find(|kind| !kind.is_checkable())
    }
}

impl ServerCertVerifier for NamingVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let result = self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp, now);
        result.map_err(|error| match error {
            error if !is_about_a_signature(&error) => error,
            error => match self.uncheckable_authority(end_entity, intermediates) {
                Some(kind) => UncheckableKey::OfAuthority(kind).error(),
                None => error,
            },
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let result = self.inner.verify_tls12_signature(message, certificate, signed);
        result.map_err(|error| Self::named(certificate, error))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let result = self.inner.verify_tls13_signature(message, certificate, signed);
        result.map_err(|error| Self::named(certificate, error))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

fn is_about_a_signature(error: &rustls::Error) -> bool {
    matches!(
        error,
        rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer
                | CertificateError::BadSignature
                | CertificateError::UnsupportedSignatureAlgorithmContext { .. }
                | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. }
        )
    )
}
