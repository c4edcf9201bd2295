//! A client certificate and its key, read from PEM, and why some that kubectl takes are not taken here.

use std::sync::Arc;

use rustls::InconsistentKeys;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SigningKey};

use super::key_kind::KeyKind;
use crate::error::Error;

/// A client certificate with its key.
pub(crate) type ClientIdentity = Arc<CertifiedKey>;

/// Reads a client certificate and its key from PEM. `origin` names where they come from.
///
/// # Errors
/// When one is none, the key is of a kind that cannot be used, or it is another certificate's.
pub(crate) fn identity(certificate: &[u8], key: &[u8], origin: &str) -> Result<ClientIdentity, Error> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(certificate).filter_map(Result::ok).collect();
    if chain.is_empty() {
        return Err(Error::usage(format!("the client certificate of {origin} is not a PEM certificate")));
    }
    let identity = CertifiedKey::new(chain, private_key(key, origin)?);
    match identity.keys_match() {
        Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            Err(Error::usage(format!("the client key of {origin} does not belong to the certificate"))
                .hint("they are made together: get both again, from one place"))
        }
        // rustls does not parse X.509 version 1, which API servers and kubectl accept.
        _ => Ok(Arc::new(identity)),
    }
}

/// Go looks at what a key is, whatever its label says (`crypto/tls` `parsePrivateKey`).
fn private_key(pem: &[u8], origin: &str) -> Result<Arc<dyn SigningKey>, Error> {
    if is_encrypted(pem) {
        return Err(Error::usage(format!(
            "the client key of {origin} is encrypted, which kubectl does not take either"
        ))
        .hint("take the password off: openssl pkey -in KEY -out NEW_KEY"));
    }
    let key = PrivateKeyDer::from_pem_slice(pem)
        .map_err(|_| Error::usage(format!("the client key of {origin} is not a PEM private key")))?;
    let der = key.secret_der();
    let forms: [PrivateKeyDer<'static>; 3] = [
        PrivateKeyDer::Pkcs8(der.to_vec().into()),
        PrivateKeyDer::Pkcs1(der.to_vec().into()),
        PrivateKeyDer::Sec1(der.to_vec().into()),
    ];
    let provider = ring::default_provider();
    let taken = forms.into_iter().find_map(|form| provider.key_provider.load_private_key(form).ok());
    taken.ok_or_else(|| untaken(KeyKind::of_private(der), origin))
}

/// PKCS #8's way, and the older one (RFC 1421 section 4.6.1.1).
fn is_encrypted(pem: &[u8]) -> bool {
    let holds = |mark: &[u8]| pem.windows(mark.len()).any(|part| part == mark);
    holds(b"-----BEGIN ENCRYPTED PRIVATE KEY-----") || holds(b"Proc-Type: 4,ENCRYPTED")
}

fn untaken(kind: Option<KeyKind>, origin: &str) -> Error {
    let Some(kind) = kind else {
        return Error::usage(format!("the client key of {origin} is not a private key of a known kind"));
    };
    let cannot = format!("the client certificate of {origin} cannot be used: its key is {kind}");
    if kind.is_signing() {
        return Error::usage(format!("{cannot} in a form that kubectl may take and this program does not"))
            .hint("write it anew: openssl pkey -in KEY -out NEW_KEY");
    }
    let who = if kind.is_kubectls() {
        "which kubectl takes and this program does not"
    } else {
        "which neither kubectl nor this program takes"
    };
    Error::usage(format!("{cannot}, {who}"))
        .hint("get one with a key of RSA 2048 to 4096, P-256, P-384 or Ed25519, or log in by another way")
}
