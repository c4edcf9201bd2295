//! What kind of key a certificate or a private key is, for errors that name it. Pure.
//!
//! Go (and so kubectl) signs and checks with kinds that ring does not: short and long RSA, P-521.

use std::fmt;

/// A key, as far as people tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyKind {
    /// RSA.
    Rsa {
        /// The length of the modulus.
        bits: usize,
        /// The public exponent; 65537 in nearly every key.
        exponent: u64,
    },
    /// A curve, by its name.
    Curve(&'static str),
}

/// What errors need of a certificate, also of one that is of version 1 (RFC 5280 section 4.1).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CertificateParts<'a> {
    /// Who signed it.
    pub(crate) issuer: &'a [u8],
    /// Whose it is.
    pub(crate) subject: &'a [u8],
    /// Its key, if that is of a kind with a name.
    pub(crate) key: Option<KeyKind>,
}

/// Object identifiers in DER (RFC 8017 appendix C, RFC 5480 section 2.1, RFC 8410 section 3).
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const ON_A_CURVE: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const CURVES: [(&[u8], &str); 7] = [
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07], "P-256"),
    (&[0x2b, 0x81, 0x04, 0x00, 0x22], "P-384"),
    (&[0x2b, 0x81, 0x04, 0x00, 0x23], "P-521"),
    (&[0x2b, 0x81, 0x04, 0x00, 0x21], "P-224"),
    (&[0x2b, 0x81, 0x04, 0x00, 0x0a], "secp256k1"),
    (&[0x2b, 0x65, 0x70], "Ed25519"),
    (&[0x2b, 0x65, 0x71], "Ed448"),
];

/// Tags of DER (X.690).
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const FIRST_OPTION: u8 = 0xa0;

/// Values one after the other.
#[derive(Clone, Copy)]
struct DerValues<'a>(&'a [u8]);

impl KeyKind {
    /// That of a private key in any of the three forms: PKCS #8, PKCS #1, SEC 1.
    pub(crate) fn of_private(der: &[u8]) -> Option<Self> {
        let mut key = DerValues(DerValues(der).take(SEQUENCE)?);
        key.take(INTEGER)?;
        match key.next()? {
            (INTEGER, modulus) => Some(Self::rsa(modulus, key.take(INTEGER)?)),
            (SEQUENCE, algorithm) => match DerValues(algorithm).take(IDENTIFIER)? {
                RSA => Self::of_private(key.take(OCTET_STRING)?),
                _ => Self::of_algorithm(algorithm),
            },
            (OCTET_STRING, _) => Self::curve(DerValues(key.take(FIRST_OPTION)?).take(IDENTIFIER)?),
            _ => None,
        }
    }

    /// Whether Go takes it in TLS, of clients as of servers (`crypto/rsa` and `crypto/tls`: RSA from 1024 bits on).
    pub(crate) fn is_kubectls(self) -> bool {
        match self {
            Self::Rsa { bits, .. } => bits >= 1024,
            Self::Curve(name) => matches!(name, "P-256" | "P-384" | "P-521" | "Ed25519"),
        }
    }

    /// Whether signatures of it can be checked here (ring `RSA_PKCS1_2048_8192_SHA256` and its like).
    pub(crate) fn is_checkable(self) -> bool {
        match self {
            Self::Rsa { bits, exponent } => (2048..=8192).contains(&bits) && exponent >= 3,
            Self::Curve(name) => matches!(name, "P-256" | "P-384" | "Ed25519"),
        }
    }

    /// Whether it can sign here (ring `RsaKeyPair`).
    pub(crate) fn is_signing(self) -> bool {
        match self {
            Self::Rsa { bits, exponent } => (2048..=4096).contains(&bits) && exponent >= 65537,
            Self::Curve(_) => self.is_checkable(),
        }
    }

    fn of_algorithm(algorithm: &[u8]) -> Option<Self> {
        let mut algorithm = DerValues(algorithm);
        match algorithm.take(IDENTIFIER)? {
            ON_A_CURVE => Self::curve(algorithm.take(IDENTIFIER)?),
            identifier => Self::curve(identifier),
        }
    }

    fn of_public(info: &[u8]) -> Option<Self> {
        let mut info = DerValues(info);
        let algorithm = info.take(SEQUENCE)?;
        if DerValues(algorithm).take(IDENTIFIER)? != RSA {
            return Self::of_algorithm(algorithm);
        }
        let (_unused_bits, key) = info.take(BIT_STRING)?.split_first()?;
        let mut key = DerValues(DerValues(key).take(SEQUENCE)?);
        Some(Self::rsa(key.take(INTEGER)?, key.take(INTEGER)?))
    }

    fn rsa(modulus: &[u8], exponent: &[u8]) -> Self {
        let exponent =
            exponent.iter().fold(0u64, |number, &octet| number.saturating_mul(256).saturating_add(octet.into()));
        let significant = modulus.iter().position(|&octet| octet != 0).map_or(&[][..], |first| &modulus[first..]);
        let unused = significant.first().map_or(0, |first| first.leading_zeros() as usize);
        Self::Rsa { bits: 8 * significant.len() - unused, exponent }
    }

    fn curve(identifier: &[u8]) -> Option<Self> {
        CURVES.iter().find(|(known, _)| *known == identifier).map(|&(_, name)| Self::Curve(name))
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa { bits, exponent: 65537 } => write!(f, "RSA {bits}"),
            Self::Rsa { bits, exponent } => write!(f, "RSA {bits} with the public exponent {exponent}"),
            Self::Curve(name) => f.write_str(name),
        }
    }
}

impl<'a> CertificateParts<'a> {
    /// Reads them; `None` where it is no certificate.
    pub(crate) fn of(der: &'a [u8]) -> Option<Self> {
        let mut fields = DerValues(DerValues(DerValues(der).take(SEQUENCE)?).take(SEQUENCE)?);
        if DerValues(fields.0).take(FIRST_OPTION).is_some() {
            fields.next()?; // the version
        }
        fields.take(INTEGER)?; // the serial number
        fields.take(SEQUENCE)?; // how it is signed
        let issuer = fields.take(SEQUENCE)?;
        fields.take(SEQUENCE)?; // from when until when
        let subject = fields.take(SEQUENCE)?;
        let key = KeyKind::of_public(fields.take(SEQUENCE)?);
        Some(Self { issuer, subject, key })
    }
}

impl<'a> DerValues<'a> {
    /// The next value and its tag.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&[tag, first], rest) = self.0.split_first_chunk::<2>()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x84 => {
                let (octets, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (octets.iter().fold(0, |length, &octet| length << 8 | usize::from(octet)), rest)
            }
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, value))
    }

    /// The next value, if it has this tag.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next().filter(|&(found, _)| found == tag).map(|(_, value)| value)
    }
}
