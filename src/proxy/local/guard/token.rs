//! `--require-token`: the URL that is opened carries a token of its site, good once, under whichever of this program's names it is
//! used first, which becomes a cookie of that name. So neither the URL in a browser's history nor the one in another user's
//! process list lets anybody in later.

use std::collections::HashSet;
use std::sync::Mutex;

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue, Method};
use sha2::{Digest, Sha256};

use super::admit::{AdmittedRequest, is_reading};
use crate::lock::lock;
use crate::message::cookie_fields::{OWN_COOKIE, cookie_values};
use crate::message::host_port;
use crate::message::token_parameter::TOKEN_PARAMETER;

/// What tokens and sessions are made of, and who needs one.
#[derive(Clone)]
pub struct RequiredToken {
    secret: String,
    /// Who needs one.
    pub asked: TokenAsked,
}

/// Of whom a token is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenAsked {
    /// Of everybody.
    Always,
    /// Where nothing else tells whose page sends a request: browsers send Fetch Metadata to no name but this machine's own
    /// without TLS (W3C Fetch Metadata, section 2).
    WithoutFetchMetadata,
}

impl RequiredToken {
    /// A new one.
    ///
    /// # Errors
    /// When the system has no random bits.
    pub fn new(asked: TokenAsked) -> Result<Self, getrandom::Error> {
        random_text().map(|secret| Self { secret, asked })
    }

    /// The token in the URL of the site called `label`.
    pub(in crate::proxy::local) fn of_site(&self, label: &str) -> String {
        self.derived("token", label)
    }

    /// What the cookie of the host `name` says; never derived from a token, which others may have seen.
    fn session(&self, name: &str) -> String {
        self.derived("session", &name.to_ascii_lowercase())
    }

    /// The cookie by which a program is let in at `authority`, our host and port, as in `Cookie`.
    pub fn cookie(&self, authority: &str, port: Option<u16>) -> String {
        format!("{}={}", cookie_name(port), self.session(host_port::split(authority).0))
    }

    fn derived(&self, purpose: &str, name: &str) -> String {
        let digest = Sha256::new().chain_update(&self.secret).chain_update([0]).chain_update(purpose);
        let digest = digest.chain_update([0]).chain_update(name).finalize();
        data_encoding::HEXLOWER.encode(&digest[..16])
    }
}

impl std::fmt::Debug for RequiredToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RequiredToken").field("asked", &self.asked).finish_non_exhaustive()
    }
}

/// The name of our cookie: `port` keeps two programs of one host name apart, which share their cookies (RFC 6265 section 8.5).
fn cookie_name(port: Option<u16>) -> String {
    format!("{OWN_COOKIE}-{}", port.unwrap_or_default())
}

/// What stands between a request and the Service where a token is asked for.
#[derive(Debug)]
pub(crate) struct TokenGate {
    required: RequiredToken,
    /// Tokens of all sites.
    tokens: Vec<String>,
    cookie: String,
    /// Which of the tokens were used.
    used: Mutex<HashSet<usize>>,
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
fn random_text() -> Result<String, getrandom::Error> {
    let mut bits = [0; 16];
    getrandom::fill(&mut bits)?;
    Ok(data_encoding::HEXLOWER.encode(&bits))
}

impl TokenGate {
    /// A gate that the tokens of the sites called `labels` open.
    pub(crate) fn new<'a>(required: RequiredToken, labels: impl Iterator<Item = &'a str>, port: Option<u16>) -> Self {
        let tokens = labels.map(|label| required.of_site(label)).collect();
        Self { required, tokens, cookie: cookie_name(port), used: Mutex::default() }
    }

    /// Whether `request` may pass.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn pass(
        &self,
        request: &AdmittedRequest<'_>,
        method: &Method,
        headers: &HeaderMap,
    ) -> Result<GatePassage, GateClosed> {
        let taken = take_token(request.target.as_str()).filter(|_| is_reading(method));
        if self.required.asked == TokenAsked::WithoutFetchMetadata && !request.is_unmarked {
            return Ok(taken.map_or(GatePassage::Through, |(_, target)| GatePassage::Onward(target, None)));
        }
        let has_session = self.has_session(request.authority, headers)?;
        match taken {
            Some((_, target)) if has_session => Ok(GatePassage::Onward(target, None)),
            Some((token, target)) => Ok(GatePassage::Onward(target, Some(self.open(request.authority, token)?))),
            None if has_session => Ok(GatePassage::Through),
            None => Err(GateClosed::NoToken),
        }
    }

    fn session(&self, authority: &str) -> String {
        self.required.session(host_port::split(authority).0)
    }

    fn has_session(&self, authority: &str, headers: &HeaderMap) -> Result<bool, GateClosed> {
        let mut values = headers.get_all(COOKIE).iter().flat_map(|line| cookie_values(line, &self.cookie));
        match (values.next(), values.next()) {
            (None, _) => Ok(false),
            (Some(value), None) => Ok(is_same_secret(value, self.session(authority).as_bytes())),
            (Some(_), Some(_)) => Err(GateClosed::SeveralCookies),
        }
    }

    /// Opens the name in `authority` with `token`, which works once, and gives the cookie that keeps it open.
    fn open(&self, authority: &str, token: &str) -> Result<HeaderValue, GateClosed> {
        let is_it = |ours: &String| is_same_secret(token.as_bytes(), ours.as_bytes());
        let which = self.tokens.iter().position(is_it).ok_or(GateClosed::WrongToken)?;
        if !lock(&self.used).insert(which) {
            return Err(GateClosed::UsedToken);
        }
        let cookie = format!("{}={}; Path=/; HttpOnly; SameSite=Strict", self.cookie, self.session(authority));
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
    pair.split_once('=').filter(|(name, _)| *name == TOKEN_PARAMETER).map(|(_, token)| token)
}

/// Compares in a time that does not tell how much of a guess was right.
fn is_same_secret(guess: &[u8], secret: &[u8]) -> bool {
    let difference = guess.iter().zip(secret).fold(0, |difference, (a, b)| difference | (a ^ b));
    guess.len() == secret.len() && std::hint::black_box(difference) == 0
}

#[cfg(test)]
pub(in crate::proxy::local) mod tests {
    use super::*;
    use crate::message::safe_path::SafePath;
    use crate::proxy::local::guard::hosts::OwnHost;
    use http::header::COOKIE;

    const SITE: &str = "web.localhost:8001";

    /// What tokens are made of in a test.
    pub(in crate::proxy::local) fn required(asked: TokenAsked) -> RequiredToken {
        RequiredToken { secret: "s3cret".to_owned(), asked }
    }

    fn gate() -> TokenGate {
        TokenGate::new(required(TokenAsked::Always), ["web", "db"].into_iter(), Some(8001))
    }

    fn token(label: &str) -> String {
        required(TokenAsked::Always).of_site(label)
    }

    fn session(authority: &str) -> String {
        required(TokenAsked::Always).cookie(authority, Some(8001))
    }

    fn ask(
        gate: &TokenGate,
        method: &Method,
        authority: &str,
        target: &str,
        cookies: &[&str],
    ) -> Result<GatePassage, GateClosed> {
        let request = AdmittedRequest {
            host: OwnHost::Site(0),
            target: SafePath::check(&target.parse().unwrap()).unwrap(),
            authority,
            is_navigation: true,
            is_from_elsewhere: false,
            is_top_level: true,
            is_handshake: false,
            is_unmarked: authority == "dev.example",
        };
        let headers = cookies.iter().map(|line| (COOKIE, HeaderValue::from_str(line).unwrap())).collect();
        gate.pass(&request, method, &headers)
    }

    fn pass(gate: &TokenGate, authority: &str, target: &str, cookies: &[&str]) -> Result<GatePassage, GateClosed> {
        ask(gate, &Method::GET, authority, target, cookies)
    }

    #[test]
    fn t4_nothing_passes_without_the_token() {
        let (gate, token) = (gate(), token("web"));
        assert_eq!(pass(&gate, SITE, "/", &[]), Err(GateClosed::NoToken));
        for guess in ["guess", &token[1..], &format!("{token}1"), "s3cret"] {
            assert_eq!(pass(&gate, SITE, &format!("/?svcproxy-token={guess}"), &[]), Err(GateClosed::WrongToken));
        }
        assert_eq!(pass(&gate, SITE, &format!("/?xsvcproxy-token={token}"), &[]), Err(GateClosed::NoToken));
        assert_eq!(pass(&gate, SITE, "/", &[&format!("svcproxy-session-8001={token}")]), Err(GateClosed::NoToken));
        let other_port = session(SITE).replace("8001", "8002");
        assert_eq!(pass(&gate, SITE, "/", &[&other_port]), Err(GateClosed::NoToken));
        let post = ask(&gate, &Method::POST, SITE, &format!("/?svcproxy-token={token}"), &[]);
        assert_eq!(post, Err(GateClosed::NoToken));
    }

    #[test]
    fn t4_a_token_is_used_up_for_all_names_at_once() {
        let (gate, names) = (gate(), [SITE, "localhost:8001", "127.0.0.1:8001", "[::1]:8001", "dev.example"]);
        let cookie = format!("{}; Path=/; HttpOnly; SameSite=Strict", session(SITE));
        let opened = GatePassage::Onward("/a?b=1&c".to_owned(), Some(HeaderValue::from_str(&cookie).unwrap()));
        let with = |label: &str| format!("/a?b=1&svcproxy-token={}&c", token(label));
        assert_eq!(pass(&gate, SITE, &with("web"), &[]), Ok(opened));
        for name in names {
            assert_eq!(pass(&gate, name, &with("web"), &[]), Err(GateClosed::UsedToken), "{name}");
        }
        assert!(pass(&gate, "127.0.0.1:8001", &with("db"), &[]).is_ok(), "each site has a token of its own");
    }

    #[test]
    fn a_session_is_one_names() {
        let gate = gate();
        let mine = format!("a=1; {}", session(SITE));
        assert_eq!(pass(&gate, SITE, "/?a", &[&mine]), Ok(GatePassage::Through));
        assert_eq!(pass(&gate, "WEB.localhost:9000", "/?a", &[&mine]), Ok(GatePassage::Through), "a forwarded port");
        let again = pass(&gate, SITE, "/?svcproxy-token=whatever", &[&mine]);
        assert_eq!(again, Ok(GatePassage::Onward("/".to_owned(), None)));
        for other in ["localhost:8001", "127.0.0.1:8001", "db.localhost:8001"] {
            assert_eq!(pass(&gate, other, "/", &[&mine]), Err(GateClosed::NoToken), "{other}");
        }
    }

    #[test]
    fn only_where_nothing_else_tells_whose_page_it_is() {
        let gate = TokenGate::new(required(TokenAsked::WithoutFetchMetadata), ["web"].into_iter(), Some(8001));
        assert_eq!(pass(&gate, SITE, "/", &[]), Ok(GatePassage::Through));
        let with = format!("/?svcproxy-token={}", token("web"));
        assert_eq!(pass(&gate, SITE, &with, &[]), Ok(GatePassage::Onward("/".to_owned(), None)), "not used up");
        assert_eq!(pass(&gate, "dev.example", "/", &[]), Err(GateClosed::NoToken));
        assert!(matches!(pass(&gate, "dev.example", &with, &[]), Ok(GatePassage::Onward(_, Some(_)))));
    }

    #[test]
    fn t10_two_cookies_of_our_name_are_refused() {
        let (gate, mine) = (gate(), session(SITE));
        for lines in
            [&[&format!("svcproxy-session-8001=evil; {mine}") as &str][..], &[&mine, "svcproxy-session-8001=evil"]]
        {
            assert_eq!(pass(&gate, SITE, "/", lines), Err(GateClosed::SeveralCookies));
        }
    }
}
