//! The certificate of each site, made when a browser first asks for it, kept in memory only.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use jiff::ToSpan;
use jiff::civil::Date;
use rcgen::KeyPair;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::authority::{LocalAuthority, PERMITTED_NAME, key_for_rustls, today};
use crate::lock::lock;

/// A certificate is good for so many days from when it is made.
const LEAF_LIFETIME_DAYS: i32 = 6;
/// A certificate is made anew after so many days, well before it ends.
const RENEWAL_DAYS: i32 = 4;
/// So many names are kept; a page can ask for as many as it likes.
const MAX_KEPT_NAMES: usize = 256;
/// What is spoken over TLS, the best first (RFC 7301).
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Makes certificates by the name that a client says (SNI). Browsers refuse `*.localhost`, so each site has its own.
#[derive(Debug)]
pub struct SiteCertificates {
    authority: LocalAuthority,
    /// One for all: none of them is known elsewhere, and none leaves this process.
    key: KeyPair,
    made: Mutex<HashMap<String, (Date, Arc<CertifiedKey>)>>,
}

impl SiteCertificates {
    /// Those that `authority` vouches for.
    ///
    /// # Errors
    /// When the system has no random bits.
    pub fn new(authority: LocalAuthority) -> Result<Self, rcgen::Error> {
        Ok(Self { authority, key: KeyPair::generate()?, made: Mutex::default() })
    }

    /// How the listener speaks TLS with them.
    ///
    /// # Errors
    /// Never with the protocol versions that the provider has.
    pub fn server_config(self) -> Result<Arc<ServerConfig>, rustls::Error> {
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions()?.with_no_client_auth();
        let mut config = builder.with_cert_resolver(Arc::new(self));
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
        Ok(Arc::new(config))
    }

    fn certificate_for(&self, name: &str, today: Date) -> Option<Arc<CertifiedKey>> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        if !is_ours(&name) {
            return None;
        }
        let mut made = lock(&self.made);
        if let Some((day, certificate)) = made.get(&name)
            && (*day..day.saturating_add(RENEWAL_DAYS.days())).contains(&today)
        {
            return Some(Arc::clone(certificate));
        }
        if made.len() >= MAX_KEPT_NAMES {
            made.clear();
        }
        let leaf = self.authority.vouch_for(std::slice::from_ref(&name), &self.key, today, LEAF_LIFETIME_DAYS).ok()?;
        let key = ring::sign::any_supported_type(&key_for_rustls(&self.key).into()).ok()?;
        let certificate = Arc::new(CertifiedKey::new(vec![leaf], key));
        made.insert(name, (today, Arc::clone(&certificate)));
        Some(certificate)
    }
}

/// Whether the authority may vouch for it at all.
fn is_ours(name: &str) -> bool {
    name.strip_suffix(PERMITTED_NAME).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

impl ResolvesServerCert for SiteCertificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.certificate_for(hello.server_name()?, today())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    fn certificates() -> SiteCertificates {
        SiteCertificates::new(LocalAuthority::make(today()).unwrap()).unwrap()
    }

    #[test]
    fn one_for_each_name_and_made_once() {
        let certificates = certificates();
        let day = date(2026, 11, 29);
        let first = certificates.certificate_for("web.localhost", day).unwrap();
        let again = certificates.certificate_for("WEB.localhost.", day).unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        let other = certificates.certificate_for("api.localhost", day).unwrap();
        assert_ne!(first.cert, other.cert);
        assert!(certificates.certificate_for("localhost", day).is_some());
    }

    #[test]
    fn names_elsewhere_get_none() {
        for name in ["example.com", "xlocalhost", "localhost.example", ""] {
            assert!(certificates().certificate_for(name, today()).is_none(), "{name}");
        }
    }

    #[test]
    fn a_long_run_has_a_new_one_before_the_old_one_ends() {
        let certificates = certificates();
        let day = date(2026, 11, 29);
        let first = certificates.certificate_for("web.localhost", day).unwrap();
        let third = certificates.certificate_for("web.localhost", date(2026, 12, 2)).unwrap();
        let fourth = certificates.certificate_for("web.localhost", date(2026, 12, 3)).unwrap();
        assert!(Arc::ptr_eq(&first, &third) && !Arc::ptr_eq(&first, &fourth));
        let set_back = certificates.certificate_for("web.localhost", date(2026, 12, 1)).unwrap();
        assert!(!Arc::ptr_eq(&set_back, &fourth), "it is not good yet");
    }

    #[test]
    fn names_without_end_take_no_memory_without_end() {
        let certificates = certificates();
        for number in 0..MAX_KEPT_NAMES + 3 {
            certificates.certificate_for(&format!("s{number}.localhost"), today()).unwrap();
        }
        assert!(lock(&certificates.made).len() <= MAX_KEPT_NAMES);
    }
}
