//! `--require-token`: the URL that is opened carries a token, good once per host name, which becomes a cookie. So
//! neither the URL in a browser's history nor the one in another user's process list lets anybody in later.

use std::collections::HashSet;
use std::sync::Mutex;

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue, Method};

use super::admit::is_reading;
use super::hosts::OwnHost;
use crate::lock::lock;
use crate::message::cookie_fields::{OWN_COOKIE, cookie_values};

/// Name of the query parameter that carries the token.
pub(in crate::proxy::local) const PARAMETER: &str = "svcproxy-token";

/// What stands between a request and the Service where a token is asked for.
#[derive(Debug)]
pub(crate) struct TokenGate {
    token: String,
    /// What the cookie says; never derived from the token, which others may have seen.
    session: String,
    cookie: String,
    /// Which hosts the token has opened.
    opened: Mutex<HashSet<OwnHost>>,
}

/// What the gate does with a request that it lets in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum GatePassage {
    /// It may pass.
    Through,
    /// The client is sent to this path and query, the same without the token, with this cookie if it has none yet.
    Onward(String, Option<HeaderValue>),
}

/// Why the gate stays closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GateClosed {
    /// Neither cookie nor token.
    NoToken,
    /// A token that is not ours.
    WrongToken,
    /// Our token, once more.
    UsedToken,
    /// Several cookies of our name: somebody tries to put their own before ours.
    SeveralCookies,
}

/// 128 random bits, more than anybody can try, as hexadecimal digits.
///
/// # Errors
/// When the system has none.
pub(crate) fn random_text() -> Result<String, getrandom::Error> {
    let mut bits = [0; 16];
    getrandom::fill(&mut bits)?;
    Ok(data_encoding::HEXLOWER.encode(&bits))
}

impl TokenGate {
    /// A gate that `token` opens. `session` is another secret; `port` keeps two programs of one
    /// host name apart, which share their cookies (RFC 6265 section 8.5).
    pub(crate) fn new(token: String, session: String, port: Option<u16>) -> Self {
        let cookie = format!("{OWN_COOKIE}-{}", port.unwrap_or_default());
        Self { token, session, cookie, opened: Mutex::default() }
    }

    /// Whether a request may pass.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn pass(
        &self,
        host: OwnHost,
        method: &Method,
        target: &str,
        headers: &HeaderMap,
    ) -> Result<GatePassage, GateClosed> {
        let has_session = self.has_session(headers)?;
        match take_token(target).filter(|_| is_reading(method)) {
            Some((_, target)) if has_session => Ok(GatePassage::Onward(target, None)),
            Some((token, target)) => Ok(GatePassage::Onward(target, Some(self.open(host, token)?))),
            None if has_session => Ok(GatePassage::Through),
            None => Err(GateClosed::NoToken),
        }
    }

    fn has_session(&self, headers: &HeaderMap) -> Result<bool, GateClosed> {
        let mut values = headers.get_all(COOKIE).iter().flat_map(|line| cookie_values(line, &self.cookie));
        match (values.next(), values.next()) {
            (None, _) => Ok(false),
            (Some(value), None) => Ok(is_same_secret(value, self.session.as_bytes())),
            (Some(_), Some(_)) => Err(GateClosed::SeveralCookies),
        }
    }

    /// Opens `host` with `token`, which works once, and gives the cookie that keeps it open.
    fn open(&self, host: OwnHost, token: &str) -> Result<HeaderValue, GateClosed> {
        if !is_same_secret(token.as_bytes(), self.token.as_bytes()) {
            return Err(GateClosed::WrongToken);
        }
        if !lock(&self.opened).insert(host) {
            return Err(GateClosed::UsedToken);
        }
        let cookie = format!("{}={}; Path=/; HttpOnly; SameSite=Strict", self.cookie, self.session);
        Ok(HeaderValue::try_from(cookie).expect("both parts are letters, digits and dashes"))
    }
}

/// The token in the query of `target`, and `target` without it.
fn take_token(target: &str) -> Option<(&str, String)> {
    let (path, query) = target.split_once('?')?;
    let token = query.split('&').find_map(token_of)?;
    let others: Vec<&str> = query.split('&').filter(|pair| token_of(pair).is_none()).collect();
    let rest = if others.is_empty() { path.to_owned() } else { format!("{path}?{}", others.join("&")) };
    Some((token, rest))
}

fn token_of(pair: &str) -> Option<&str> {
    pair.split_once('=').filter(|(name, _)| *name == PARAMETER).map(|(_, token)| token)
}

/// Compares in a time that does not tell how much of a guess was right.
fn is_same_secret(guess: &[u8], secret: &[u8]) -> bool {
    let difference = guess.iter().zip(secret).fold(0, |difference, (a, b)| difference | (a ^ b));
    guess.len() == secret.len() && std::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::COOKIE;

    fn gate() -> TokenGate {
        TokenGate::new("t0ken".to_owned(), "s3ssion".to_owned(), Some(8001))
    }

    fn cookies(lines: &[&'static str]) -> HeaderMap {
        lines.iter().map(|line| (COOKIE, HeaderValue::from_static(line))).collect()
    }

    fn pass(gate: &TokenGate, host: OwnHost, target: &str, lines: &[&'static str]) -> Result<GatePassage, GateClosed> {
        gate.pass(host, &Method::GET, target, &cookies(lines))
    }

    #[test]
    fn t4_nothing_passes_without_the_token() {
        let gate = gate();
        let site = OwnHost::Site(0);
        assert_eq!(pass(&gate, site, "/", &[]), Err(GateClosed::NoToken));
        assert_eq!(pass(&gate, site, "/?svcproxy-token=guess", &[]), Err(GateClosed::WrongToken));
        assert_eq!(pass(&gate, site, "/?svcproxy-token=t0ke", &[]), Err(GateClosed::WrongToken));
        assert_eq!(pass(&gate, site, "/?svcproxy-token=t0ken1", &[]), Err(GateClosed::WrongToken));
        assert_eq!(pass(&gate, site, "/?xsvcproxy-token=t0ken", &[]), Err(GateClosed::NoToken));
        assert_eq!(pass(&gate, site, "/", &["svcproxy-session-8001=t0ken"]), Err(GateClosed::NoToken));
        assert_eq!(pass(&gate, site, "/", &["svcproxy-session-8002=s3ssion"]), Err(GateClosed::NoToken));
        let post = gate.pass(site, &Method::POST, "/?svcproxy-token=t0ken", &HeaderMap::new());
        assert_eq!(post, Err(GateClosed::NoToken));
    }

    #[test]
    fn the_token_opens_each_host_once() {
        let gate = gate();
        let cookie = HeaderValue::from_static("svcproxy-session-8001=s3ssion; Path=/; HttpOnly; SameSite=Strict");
        let opened = |target: &str| Ok(GatePassage::Onward(target.to_owned(), Some(cookie.clone())));
        assert_eq!(pass(&gate, OwnHost::Site(0), "/a?b=1&svcproxy-token=t0ken&c", &[]), opened("/a?b=1&c"));
        assert_eq!(pass(&gate, OwnHost::Site(0), "/?svcproxy-token=t0ken", &[]), Err(GateClosed::UsedToken));
        assert_eq!(pass(&gate, OwnHost::Site(1), "/?svcproxy-token=t0ken", &[]), opened("/"));
        assert_eq!(pass(&gate, OwnHost::Loopback, "/?svcproxy-token=t0ken", &[]), opened("/"));
        assert_eq!(pass(&gate, OwnHost::Localhost, "/?svcproxy-token=t0ken", &[]), opened("/"));
        assert_eq!(pass(&gate, OwnHost::Named, "/?svcproxy-token=t0ken", &[]), opened("/"));
    }

    #[test]
    fn the_cookie_passes() {
        let gate = gate();
        let mine = "a=1; svcproxy-session-8001=s3ssion";
        assert_eq!(pass(&gate, OwnHost::Site(0), "/?a", &[mine]), Ok(GatePassage::Through));
        let again = pass(&gate, OwnHost::Site(0), "/?svcproxy-token=whatever", &[mine]);
        assert_eq!(again, Ok(GatePassage::Onward("/".to_owned(), None)));
    }

    #[test]
    fn t10_two_cookies_of_our_name_are_refused() {
        let gate = gate();
        for lines in [
            &["svcproxy-session-8001=evil; svcproxy-session-8001=s3ssion"][..],
            &["svcproxy-session-8001=s3ssion", "svcproxy-session-8001=evil"],
        ] {
            assert_eq!(pass(&gate, OwnHost::Site(0), "/", lines), Err(GateClosed::SeveralCookies));
        }
    }
}
