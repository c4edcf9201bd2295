//! The segment after `services/`: `[scheme:]name[:port]`, as apimachinery's `pkg/util/net/port_split.go` reads it.

use std::fmt;
use std::str::FromStr;

use clap::ValueEnum;

use super::PortRef;
use crate::message::scheme::Scheme;

/// As an ID says it: in lower case.
impl FromStr for Scheme {
    type Err = ServiceIdError;

    fn from_str(text: &str) -> Result<Self, ServiceIdError> {
        <Self as ValueEnum>::from_str(text, false).map_err(|_| ServiceIdError::Scheme(text.to_owned()))
    }
}

/// A literal Service ID. Made of checked parts only, so it can stand in a path as it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceId {
    scheme: Option<Scheme>,
    name: String,
    port: Option<PortRef>,
}

/// Why a text is no Service ID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServiceIdError {
    /// More than three parts.
    #[error("has more than three parts; it is [scheme:]name[:port]")]
    Parts,
    /// Neither `http` nor `https`, in lower case.
    #[error("has the scheme \"{0}\"; it can only be http or https")]
    Scheme(String),
    /// No name.
    #[error("does not name a Service; it is [scheme:]name[:port]")]
    NoName,
    /// Not a DNS label.
    #[error("has the Service name \"{0}\", which is not a valid name (a-z, 0-9 and -)")]
    Name(String),
    /// Neither a number from 1 to 65535 nor a DNS label.
    #[error("has the port \"{0}\", which is neither a port name nor a number from 1 to 65535")]
    Port(String),
}

impl ServiceId {
    /// An ID of parts that are already checked.
    pub(super) fn new(scheme: Option<Scheme>, name: &str, port: Option<PortRef>) -> Self {
        Self { scheme, name: name.to_owned(), port }
    }

    /// An ID of a name and whatever else is known of it.
    ///
    /// # Errors
    /// When `name` or the port's name is no DNS label.
    pub fn from_parts(scheme: Option<Scheme>, name: &str, port: Option<PortRef>) -> Result<Self, ServiceIdError> {
        if name.is_empty() {
            return Err(ServiceIdError::NoName);
        }
        if !is_dns_label(name) {
            return Err(ServiceIdError::Name(name.to_owned()));
        }
        match port {
            Some(PortRef::Name(port)) if !is_dns_label(&port) => Err(ServiceIdError::Port(port)),
            Some(PortRef::Number(0)) => Err(ServiceIdError::Port("0".to_owned())),
            port => Ok(Self::new(scheme, name, port)),
        }
    }

    /// The scheme, if the ID says one. Without, the API server speaks plain http; by https it verifies no certificate.
    pub fn scheme(&self) -> Option<Scheme> {
        self.scheme
    }

    /// The Service's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The port, if the ID says one. Without, the API server looks for an unnamed endpoint port.
    pub fn port(&self) -> Option<&PortRef> {
        self.port.as_ref()
    }

    /// Whether this reads like `scheme:name` but is Service and port: there is no two-part form with a scheme.
    pub fn looks_like_scheme_and_name(&self) -> bool {
        self.scheme.is_none() && self.port.is_some() && matches!(self.name.as_str(), "http" | "https")
    }
}

/// Whether `text` is a DNS label as Kubernetes wants it of a namespace, Service or port name (RFC 1123, at most 63).
pub fn is_dns_label(text: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && bytes.first().copied().is_some_and(alphanumeric)
        && bytes.last().copied().is_some_and(alphanumeric)
        && bytes.iter().all(|&byte| alphanumeric(byte) || byte == b'-')
}

/// Reads a port as people write it: digits are a number, anything else a name.
///
/// # Errors
/// When it can be neither.
pub fn parse_port(text: &str) -> Result<PortRef, ServiceIdError> {
    let wrong = || ServiceIdError::Port(text.to_owned());
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok().filter(|&number| number != 0).map(PortRef::Number).ok_or_else(wrong);
    }
    if is_dns_label(text) { Ok(PortRef::Name(text.to_owned())) } else { Err(wrong()) }
}

impl FromStr for ServiceId {
    type Err = ServiceIdError;

    fn from_str(text: &str) -> Result<Self, ServiceIdError> {
        let parts: Vec<&str> = text.split(':').collect();
        let (scheme, name, port) = match parts[..] {
            [name] => ("", name, ""),
            [name, port] => ("", name, port),
            [scheme, name, port] => (scheme, name, port),
            _ => return Err(ServiceIdError::Parts),
        };
        let scheme = if scheme.is_empty() { None } else { Some(scheme.parse()?) };
        let port = if port.is_empty() { None } else { Some(parse_port(port)?) };
        Self::from_parts(scheme, name, port)
    }
}

impl fmt::Display for ServiceId {
    /// With a scheme always three parts, so an empty port leaves its colon.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(scheme) = self.scheme {
            write!(f, "{scheme}:{}:", self.name)?;
            return self.port.as_ref().map_or(Ok(()), |port| write!(f, "{port}"));
        }
        f.write_str(&self.name)?;
        self.port.as_ref().map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, expect: Option<(&str, &str, &str)>) {
        let found = text.parse::<ServiceId>().ok();
        let parts = found.as_ref().map(|id| {
            let port = id.port().map(ToString::to_string).unwrap_or_default();
            (id.scheme().map_or("", Scheme::as_str).to_owned(), id.name().to_owned(), port)
        });
        let expect = expect.map(|(scheme, name, port)| (scheme.to_owned(), name.to_owned(), port.to_owned()));
        assert_eq!(parts, expect, "{text:?}");
    }

    #[test]
    fn reads_what_the_api_server_reads() {
        check("a", Some(("", "a", "")));
        check("a:", Some(("", "a", "")));
        check("a:80", Some(("", "a", "80")));
        check("http:a", Some(("", "http", "a")));
        check("https:a", Some(("", "https", "a")));
        check("https:a:", Some(("https", "a", "")));
        check("https:a:web", Some(("https", "a", "web")));
        check(":a:1", Some(("", "a", "1")));
    }

    #[test]
    fn refuses_what_the_api_server_refuses() {
        for text in ["", ":a", "::", "ftp:a:1", "HTTP:a:1", "a:b:c:d", "http::a", "http::"] {
            check(text, None);
        }
    }

    #[test]
    fn refuses_what_could_leave_the_segment() {
        for text in ["a/b", "..", "a%2fb", "a:0", "a:65536", "a:+80", "a:b/c", "A", "a b", "a?x", "é", "a:-1"] {
            check(text, None);
        }
    }

    proptest! {
        #[test]
        fn printing_and_reading_is_a_round_trip(
            scheme in prop::option::of(prop_oneof![Just(Scheme::Http), Just(Scheme::Https)]),
            name in "[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?",
            port in prop::option::of(prop_oneof![
                (1u16..).prop_map(PortRef::Number),
                "[a-z][a-z0-9]{0,8}".prop_map(PortRef::Name),
            ]),
        ) {
            let id = ServiceId::new(scheme, &name, port);
            prop_assert_eq!(id.to_string().parse::<ServiceId>().unwrap(), id);
        }

        #[test]
        fn what_is_read_is_one_path_segment(text in "\\PC{0,40}") {
            if let Ok(id) = text.parse::<ServiceId>() {
                let printed = id.to_string();
                prop_assert!(printed.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-:".contains(&b)));
            }
        }
    }
}
