//! Where a site's own redirects led a browser lately: a login there comes back from that origin.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use http::Uri;

use crate::lock::lock;
use crate::message::host_port::url_authority;
use crate::message::scheme::Scheme;

/// How long somebody may take to log in elsewhere.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(600);
/// How many origins are remembered, the latest ones.
const MAX_ORIGINS: usize = 32;
/// The longest origin that is remembered: a scheme and a name (RFC 1035 section 2.3.4) with a port.
const MAX_ORIGIN_LENGTH: usize = 300;

/// The origins to which each site sent navigations lately.
#[derive(Debug, Default)]
pub(crate) struct LoginsElsewhere(Mutex<VecDeque<SentAway>>);

#[derive(Debug)]
struct SentAway {
    site: usize,
    origin: String,
    at: Instant,
}

impl LoginsElsewhere {
    /// `site` answered a navigation with a redirect to `location` at `now`.
    pub(crate) fn note(&self, site: usize, location: &str, now: Instant) {
        let Some(origin) = origin_of(location) else { return };
        let mut all = lock(&self.0);
        all.retain(|sent| (sent.site, &sent.origin) != (site, &origin));
        all.truncate(MAX_ORIGINS - 1);
        all.push_front(SentAway { site, origin, at: now });
    }

    /// Whether a login at `origin` may come back to `site` at `now`.
    pub(crate) fn may_come_back(&self, site: usize, origin: &str, now: Instant) -> bool {
        self.is_lately(now, |sent| sent.site == site && sent.origin == origin)
    }

    /// Whether a login somewhere may come back to `site` at `now`.
    pub(crate) fn is_any_under_way(&self, site: usize, now: Instant) -> bool {
        self.is_lately(now, |sent| sent.site == site)
    }

    fn is_lately(&self, now: Instant, is_it: impl Fn(&SentAway) -> bool) -> bool {
        let is_lately = |sent: &SentAway| now.saturating_duration_since(sent.at) < LOGIN_TIMEOUT;
        lock(&self.0).iter().any(|sent| is_it(sent) && is_lately(sent))
    }
}

/// As browsers write it: in lower case, without the scheme's own port (RFC 6454 section 6.2).
fn origin_of(location: &str) -> Option<String> {
    let url: Uri = location.parse().ok()?;
    let (scheme, authority) = (url.scheme_str()?, url.authority()?);
    let known = Scheme::of_url(scheme.as_bytes())?;
    let host = authority.host().to_ascii_lowercase();
    let origin = format!("{scheme}://{}", url_authority(known, &host, authority.port_u16()));
    (origin.len() <= MAX_ORIGIN_LENGTH).then_some(origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_those_of_browsers() {
        for (location, expect) in [
            ("https://IdP.example/saml?a=b", Some("https://idp.example")),
            ("https://idp.example:443/", Some("https://idp.example")),
            ("http://idp.example:8080/x", Some("http://idp.example:8080")),
            ("https://me@idp.example/", Some("https://idp.example")),
            ("/login", None),
            ("//idp.example/", None),
            ("javascript:alert(1)", None),
        ] {
            assert_eq!(origin_of(location).as_deref(), expect, "{location}");
        }
    }

    #[test]
    fn only_that_site_and_only_for_a_while() {
        let logins = LoginsElsewhere::default();
        let begin = Instant::now();
        logins.note(1, "https://idp.example/login", begin);
        let comes = |site, origin, after| logins.may_come_back(site, origin, begin + after);
        assert!(comes(1, "https://idp.example", Duration::from_secs(599)));
        assert!(!comes(1, "https://idp.example", LOGIN_TIMEOUT));
        assert!(!comes(0, "https://idp.example", Duration::ZERO));
        assert!(!comes(1, "http://idp.example", Duration::ZERO));
        assert!(!comes(1, "https://evil.idp.example", Duration::ZERO));
    }

    #[test]
    fn no_more_than_so_many_are_remembered() {
        let logins = LoginsElsewhere::default();
        let now = Instant::now();
        (0..100).for_each(|number| logins.note(0, &format!("https://idp{number}.example/"), now));
        assert_eq!(lock(&logins.0).len(), MAX_ORIGINS);
        assert!(logins.may_come_back(0, "https://idp99.example", now));
        assert!(!logins.may_come_back(0, "https://idp0.example", now));
    }
}
