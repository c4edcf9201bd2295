//! The certificate authority. It can do no harm: critical name constraints let it vouch for `localhost` and names below it
//! and for nothing else (RFC 5280 section 4.2.1.10), for no other authority (path length 0) and for servers only.

use std::fs::{self, DirBuilder};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use jiff::ToSpan;
use jiff::tz::TimeZone;
use jiff::{Timestamp, civil::Date};
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, PublicKeyData,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};

use crate::error::{Error, system_words};
use crate::terminal::private_file::write_atomically;

/// Browsers are asked to trust it this long.
const AUTHORITY_LIFETIME_YEARS: i32 = 10;
/// The name that it vouches for, and those below it.
pub const PERMITTED_NAME: &str = "localhost";

/// The certificate that browsers trust, and the key with which it vouches for sites.
#[derive(Debug)]
pub struct LocalAuthority {
    key: KeyPair,
    certificate: CertificateDer<'static>,
    pem: String,
}

impl LocalAuthority {
    /// A new one, with a key of its own, from the day before `today`, since clocks differ.
    ///
    /// # Errors
    /// When the system has no random bits.
    pub fn make(today: Date) -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = params(&key);
        params.not_before = day(today.saturating_sub(1.day()));
        params.not_after = day(today.saturating_add(AUTHORITY_LIFETIME_YEARS.years()));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.name_constraints = Some(only_this_machine());
        let certificate = params.self_signed(&key)?;
        Ok(Self { key, pem: certificate.pem(), certificate: certificate.der().clone() })
    }

    /// The one in `folder`, if there is one.
    ///
    /// # Errors
    /// One sentence when there is something, and it cannot be read or used.
    pub fn read(folder: &Path) -> Result<Option<Self>, Error> {
        let files = AuthorityFiles::of(folder);
        let text = |file: &Path| match fs::read_to_string(file) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unusable(file, system_words(&error))),
        };
        let (Some(key), Some(pem)) = (text(&files.key)?, text(&files.certificate)?) else { return Ok(None) };
        let key = KeyPair::from_pem(&key).map_err(|error| unusable(&files.key, error.to_string()))?;
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes());
        let certificate = certificate.map_err(|error| unusable(&files.certificate, error.to_string()))?;
        Ok(Some(Self { key, certificate, pem }))
    }

    /// Writes it into `folder`, the key for this user's eyes only.
    ///
    /// # Errors
    /// One sentence when that is not possible.
    pub fn keep(&self, folder: &Path) -> Result<(), Error> {
        let files = AuthorityFiles::of(folder);
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        let written = builder
            .recursive(true)
            .create(folder)
            .and_then(|()| write_atomically(&files.key, self.key.serialize_pem().as_bytes(), 0o600))
            .and_then(|()| write_atomically(&files.certificate, self.pem.as_bytes(), 0o644));
        written.map_err(|error| {
            Error::failed(format!("cannot write the local CA into {}: {}", folder.display(), system_words(&error)))
        })
    }

    /// Takes away what [`LocalAuthority::keep`] wrote.
    ///
    /// # Errors
    /// One sentence when that is not possible.
    pub fn forget(folder: &Path) -> Result<(), Error> {
        let files = AuthorityFiles::of(folder);
        for file in [files.key, files.certificate] {
            match fs::remove_file(&file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    let words = system_words(&error);
                    return Err(Error::failed(format!("cannot remove {}: {words}", file.display())));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Its name, which no other one has, as browsers list it.
    pub fn name(&self) -> String {
        name_of(&self.key)
    }

    /// The certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// A certificate for `names`, all of them DNS names, and `key`, from the day before `today` to so many days after.
    ///
    /// # Errors
    /// When one of the names cannot stand in a certificate.
    pub fn vouch_for(
        &self,
        names: &[String],
        key: &KeyPair,
        today: Date,
        days: i32,
    ) -> Result<CertificateDer<'static>, rcgen::Error> {
        let mut leaf = CertificateParams::new(names)?;
        leaf.distinguished_name = DistinguishedName::new();
        leaf.distinguished_name.push(DnType::CommonName, "kubectl-svcproxy");
        leaf.use_authority_key_identifier_extension = true;
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        leaf.not_before = day(today.saturating_sub(1.day()));
        leaf.not_after = day(today.saturating_add(days.days()));
        let issuer = Issuer::new(params(&self.key), &self.key);
        Ok(leaf.signed_by(key, &issuer)?.der().clone())
    }
}

/// Where the authority is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorityFiles {
    /// Its key.
    pub key: PathBuf,
    /// Its certificate.
    pub certificate: PathBuf,
}

impl AuthorityFiles {
    /// Those in `folder`, the state folder of this program.
    pub fn of(folder: &Path) -> Self {
        Self { key: folder.join("local-ca.key.pem"), certificate: folder.join("local-ca.pem") }
    }
}

fn unusable(file: &Path, why: impl std::fmt::Display) -> Error {
    Error::failed(format!("the local CA cannot be used: {}: {why}", file.display()))
        .hint("kubectl svcproxy --remove-ca, then --install-ca, makes another one; --tls=false does without")
}

/// What every certificate of the authority says of it.
fn params(key: &KeyPair) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name_of(key));
    params
}

fn name_of(key: &KeyPair) -> String {
    let hash = Sha256::digest(key.subject_public_key_info());
    format!("kubectl-svcproxy local CA {}", HEXLOWER.encode(&hash[..4]))
}

/// A kind of name without a permitted one is not constrained at all, so addresses are all excluded.
fn only_this_machine() -> NameConstraints {
    let everywhere = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
    let all = |address| GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(address, 0));
    NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName(PERMITTED_NAME.to_owned())],
        excluded_subtrees: everywhere.map(all).into(),
    }
}

/// The day on which it is everywhere at least a part of.
pub fn today() -> Date {
    Timestamp::now().to_zoned(TimeZone::UTC).date()
}

fn day(date: Date) -> time::OffsetDateTime {
    let [month, day] = [date.month(), date.day()].map(|number| u8::try_from(number).unwrap_or(1));
    rcgen::date_time_ymd(date.year().into(), month, day)
}

/// The private key of a certificate in the form in which rustls takes it.
pub(super) fn key_for_rustls(key: &KeyPair) -> PrivatePkcs8KeyDer<'static> {
    PrivatePkcs8KeyDer::from(key.serialize_der())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier;
    use rustls::crypto::ring;
    use rustls::pki_types::{ServerName, UnixTime};
    use rustls::{CertificateError, RootCertStore};

    /// Whether rustls, trusting `authority` as a root, takes a certificate of it for `name`.
    fn is_taken(authority: &LocalAuthority, name: &str) -> Result<(), rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.add(authority.certificate().clone()).unwrap();
        let provider = Arc::new(ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf = authority.vouch_for(&[name.to_owned()], &key, today(), 6).unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        verifier.verify_server_cert(&leaf, &[], &name, &[], UnixTime::now()).map(drop)
    }

    #[test]
    fn it_vouches_for_names_of_this_machine_only() {
        let authority = LocalAuthority::make(today()).unwrap();
        for name in ["localhost", "grafana--monitoring--abc.localhost", "a.b.localhost"] {
            assert_eq!(is_taken(&authority, name), Ok(()), "{name}");
        }
        let outside = (0..1_000).map(|number| format!("host-{number}.{}", ["example.com", "com", "corp"][number % 3]));
        let others = [
            "127.0.0.1",
            "::1",
            "10.0.0.1",
            "xlocalhost",
            "localhost.example",
            "my-localhost",
            "kubernetes.default.svc",
        ];
        for name in outside.chain(others.map(str::to_owned)) {
            let refused = is_taken(&authority, &name);
            assert!(
                matches!(&refused, Err(rustls::Error::InvalidCertificate(CertificateError::Other(other)))
                    if format!("{other:?}").contains("NameConstraintViolation")),
                "{name}: {refused:?}"
            );
        }
    }

    #[test]
    fn it_is_kept_for_this_user_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("state");
        assert!(LocalAuthority::read(&place).unwrap().is_none());
        let authority = LocalAuthority::make(today()).unwrap();
        authority.keep(&place).unwrap();
        let again = LocalAuthority::read(&place).unwrap().unwrap();
        assert_eq!((again.name(), again.certificate()), (authority.name(), authority.certificate()));
        assert_eq!(is_taken(&again, "web.localhost"), Ok(()), "another run vouches for sites as well");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |file: &Path| fs::metadata(file).unwrap().permissions().mode() & 0o777;
            assert_eq!((mode(&AuthorityFiles::of(&place).key), mode(&place)), (0o600, 0o700));
        }
        LocalAuthority::forget(&place).unwrap();
        assert!(LocalAuthority::read(&place).unwrap().is_none());
    }

    #[test]
    fn what_cannot_be_used_says_which_file_and_the_way_out() {
        let folder = tempfile::tempdir().unwrap();
        LocalAuthority::make(today()).unwrap().keep(folder.path()).unwrap();
        fs::write(AuthorityFiles::of(folder.path()).key, "-----BEGIN nonsense").unwrap();
        let error = LocalAuthority::read(folder.path()).unwrap_err();
        assert!(error.message().contains("local-ca.key.pem"), "{}", error.message());
        assert!(error.hint_text().unwrap().contains("--remove-ca"));
    }

    #[test]
    fn two_are_never_mistaken_for_each_other() {
        let [one, two] = [0, 1].map(|_| LocalAuthority::make(today()).unwrap().name());
        assert!(one.starts_with("kubectl-svcproxy local CA ") && one != two, "{one}, {two}");
    }
}
