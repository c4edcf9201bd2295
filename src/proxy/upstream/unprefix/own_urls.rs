//! Absolute URLs that an app makes of the host that it sees, in scripts, JSON and whatever else is text. Pure.

use super::HostPair;
use crate::message::text_replacement::TextReplacement;
use crate::service::Scheme;

/// What stands between a scheme and a host: in a text, within a JSON string, in a query.
const SEPARATORS: [(&str, &str); 4] = [("://", ":"), (r":\/\/", ":"), ("%3A%2F%2F", "%3A"), ("%3a%2f%2f", "%3a")];

/// What of an app's texts is a URL of its own, to be opened under the local host as the browser knows it: the app sees
/// `hosts.sent`, and takes the browser to speak `scheme`.
pub(in crate::proxy::upstream) fn replacements(scheme: Scheme, hosts: &HostPair) -> Vec<TextReplacement> {
    let [from, to] = [scheme, hosts.browser].map(|scheme| match scheme {
        Scheme::Http => ["http", "ws"],
        Scheme::Https => ["https", "wss"],
    });
    let schemes = [(from[0], to[0]), (from[1], to[1])];
    let [sent, local] = [&hosts.sent, &hosts.local].map(|host| String::from_utf8_lossy(host.as_bytes()));
    let of = |(from, to): (&str, &str), (separator, colon): (&str, &str)| {
        let host = |host: &str| host.replace(':', colon);
        let url = |scheme: &str, name: &str| format!("{scheme}{separator}{}", host(name)).into_bytes();
        TextReplacement { from: url(from, &sent), to: url(to, &local) }
    };
    schemes.into_iter().flat_map(|scheme| SEPARATORS.map(|separator| of(scheme, separator))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn in_every_spelling() {
        let [sent, local] = ["app.example:81", "web.localhost:8001"].map(HeaderValue::from_static);
        let pairs = |scheme, browser| -> Vec<String> {
            let hosts = HostPair { sent: sent.clone(), local: local.clone(), browser };
            let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).unwrap();
            let all = replacements(scheme, &hosts);
            all.iter().map(|replacement| format!("{} {}", text(&replacement.from), text(&replacement.to))).collect()
        };
        assert_eq!(
            pairs(Scheme::Https, Scheme::Http),
            [
                "https://app.example:81 http://web.localhost:8001",
                r"https:\/\/app.example:81 http:\/\/web.localhost:8001",
                "https%3A%2F%2Fapp.example%3A81 http%3A%2F%2Fweb.localhost%3A8001",
                "https%3a%2f%2fapp.example%3a81 http%3a%2f%2fweb.localhost%3a8001",
                "wss://app.example:81 ws://web.localhost:8001",
                r"wss:\/\/app.example:81 ws:\/\/web.localhost:8001",
                "wss%3A%2F%2Fapp.example%3A81 ws%3A%2F%2Fweb.localhost%3A8001",
                "wss%3a%2f%2fapp.example%3a81 ws%3a%2f%2fweb.localhost%3a8001",
            ]
        );
        assert_eq!(pairs(Scheme::Http, Scheme::Http)[0], "http://app.example:81 http://web.localhost:8001");
        let by_tls = pairs(Scheme::Http, Scheme::Https);
        assert_eq!(by_tls[0], "http://app.example:81 https://web.localhost:8001");
        assert_eq!(by_tls[4], "ws://app.example:81 wss://web.localhost:8001");
    }
}
