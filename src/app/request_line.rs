//! What is printed of a request. Pure.

use std::borrow::Cow;
use std::time::Duration;

use serde::Serialize;

use crate::proxy::local::{RefusalReason, RequestRecord};
use crate::proxy::upstream::{RouteTaken, Transport};
use crate::terminal::printable::json_line;
use crate::terminal::styled_text::{StyledText, TextTone};

/// What takes longer stands out.
const USUAL_DURATION_LIMIT: Duration = Duration::from_secs(1);

/// Parameters of a query whose values are secrets of apps, also as a part of longer names.
const SECRET_PARAMETERS: [&str; 9] =
    ["token", "secret", "password", "passwd", "apikey", "api_key", "api-key", "signature", "credential"];
/// The same, but only as whole names.
const SHORT_SECRET_PARAMETERS: [&str; 6] = ["code", "key", "sig", "pwd", "auth", "jwt"];

/// One request, in the order in which its fields are printed as JSON; `docs/reference.md` names them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestLine<'a> {
    /// When it is printed (RFC 3339).
    time: String,
    method: &'a str,
    path: &'a str,
    query: Option<String>,
    status: u16,
    bytes_in: u64,
    bytes_out: u64,
    milliseconds: u128,
    transport: Option<&'static str>,
    pod: Option<&'a str>,
    site: Option<&'a str>,
    /// Whether it is a WebSocket that has just opened.
    open: bool,
    refused: Option<&'a str>,
}

impl<'a> RequestLine<'a> {
    /// What `record` says; of the query never what is likely a secret. `time` is now.
    pub fn new(record: &'a RequestRecord, time: String) -> Self {
        let carried = record.extensions.get::<RouteTaken>();
        Self {
            time,
            method: record.method.as_str(),
            path: &record.path,
            query: record.query.as_deref().map(without_secrets),
            status: record.status.as_u16(),
            bytes_in: record.bytes_in,
            bytes_out: record.bytes_out,
            milliseconds: record.duration.as_millis(),
            transport: carried.map(|carried| carried.transport.as_str()),
            pod: carried.and_then(|carried| carried.pod.as_deref()),
            site: record.site.as_deref(),
            open: record.is_open,
            refused: record.extensions.get::<RefusalReason>().map(|reason| reason.0.as_str()),
        }
    }

    /// For people, one after another: `GET /ui/ 200 12 KiB 34 ms service-proxy`.
    pub fn text(&self) -> String {
        let by = [self.transport, self.pod].into_iter().flatten().map(|by| format!(" {by}")).collect::<String>();
        format!("{} {} {} {} {}{by}", self.method, self.path, self.status, self.size(), self.time_taken())
    }

    /// For people at a terminal, in columns: `clock`, the Service in `columns` of them, method, status, size, duration, and what was
    /// asked for; the way only where it is not the usual one.
    pub fn columns(&self, clock: &str, service: &str, columns: usize) -> StyledText {
        let (size, taken) = match self.open {
            true => ("WebSocket".to_owned(), "open".to_owned()),
            false => (self.size(), self.time_taken()),
        };
        let is_slow = self.milliseconds >= USUAL_DURATION_LIMIT.as_millis() && !self.is_tunnel();
        let query = self.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
        let line = StyledText::new(TextTone::Dim, format!("{clock} "))
            .with(TextTone::Plain, format!("{service:columns$} {:6} ", self.method))
            .with(self.tone(), format!("{:3}", self.status))
            .with(TextTone::Plain, format!(" {size:>9} "))
            .with(if is_slow { TextTone::Doubtful } else { TextTone::Plain }, format!("{taken:>8}"))
            .with(TextTone::Plain, format!("  {}{query}", self.path));
        match (self.refused, self.unusual_way()) {
            (Some(reason), _) => line.with(TextTone::Doubtful, format!("  refused: {reason}")),
            (None, Some(way)) => line.with(TextTone::Dim, format!("  {way}")),
            (None, None) => line,
        }
    }

    /// For programs.
    pub fn json(&self) -> String {
        json_line(self)
    }

    fn tone(&self) -> TextTone {
        match self.status {
            500.. => TextTone::Bad,
            400..=499 => TextTone::Doubtful,
            _ => TextTone::Plain,
        }
    }

    fn is_tunnel(&self) -> bool {
        self.status == 101
    }

    fn unusual_way(&self) -> Option<String> {
        let way = self.transport.filter(|way| *way != Transport::ServiceProxy.as_str())?;
        Some([Some(way), self.pod].into_iter().flatten().collect::<Vec<_>>().join(" "))
    }

    fn size(&self) -> String {
        let sent = if self.bytes_in == 0 { String::new() } else { format!("{}+", bytes(self.bytes_in)) };
        format!("{sent}{}", bytes(self.bytes_out))
    }

    fn time_taken(&self) -> String {
        let milliseconds = self.milliseconds;
        if milliseconds < 10_000 { format!("{milliseconds} ms") } else { format!("{} s", milliseconds / 1000) }
    }
}

/// `query` with `…` in the place of values that are likely secrets.
fn without_secrets(query: &str) -> String {
    let shown = |pair: &'_ str| -> Cow<'_, str> {
        match pair.split_once('=') {
            Some((name, value)) if !value.is_empty() && is_secret(name) => format!("{name}=…").into(),
            _ => pair.to_owned().into(),
        }
    };
    query.split('&').map(shown).collect::<Vec<_>>().join("&")
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SHORT_SECRET_PARAMETERS.contains(&&name[..]) || SECRET_PARAMETERS.iter().any(|secret| name.contains(secret))
}

/// An amount in the largest binary unit that leaves a whole number, rounded to it: `0 B`, `1023 B`, `34 KiB`.
#[allow(clippy::cast_precision_loss, reason = "it is rounded anyway")]
pub fn bytes(amount: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut rest = amount as f64;
    let mut unit = 0;
    while rest.round() >= 1024.0 && unit + 1 < UNITS.len() {
        rest /= 1024.0;
        unit += 1;
    }
    format!("{rest:.0} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> RequestLine<'static> {
        RequestLine {
            time: "2026-01-01T00:00:00Z".to_owned(),
            method: "PUT",
            path: "/a%20b",
            query: None,
            status: 201,
            bytes_in: 2048,
            bytes_out: 7,
            milliseconds: 34,
            transport: Some("port-forward"),
            pod: Some("web-0"),
            site: Some("web--default--abcdef"),
            open: false,
            refused: None,
        }
    }

    #[test]
    fn for_people() {
        assert_eq!(line().text(), "PUT /a%20b 201 2 KiB+7 B 34 ms port-forward web-0");
        let get =
            RequestLine { method: "GET", bytes_in: 0, milliseconds: 12_000, pod: None, transport: None, ..line() };
        assert_eq!(get.text(), "GET /a%20b 201 7 B 12 s");
    }

    #[test]
    fn for_people_in_columns() {
        let check = |line: &RequestLine<'_>, expect: &str| {
            assert_eq!(line.columns("12:03:41", "web", 7).painted(false), expect);
        };
        check(&line(), "12:03:41 web     PUT    201 2 KiB+7 B    34 ms  /a%20b  port-forward web-0");
        let usual = RequestLine {
            method: "GET",
            status: 502,
            bytes_in: 0,
            bytes_out: 12_000,
            milliseconds: 1200,
            query: Some("x=1".to_owned()),
            transport: Some("service-proxy"),
            pod: None,
            ..line()
        };
        check(&usual, "12:03:41 web     GET    502    12 KiB  1200 ms  /a%20b?x=1");
        let colours = usual.columns("12:03:41", "web", 7).painted(true);
        assert!(colours.contains("\u{1b}[31m502") && colours.contains("\u{1b}[33m 1200 ms"), "{colours:?}");
        let refused = RequestLine { status: 403, refused: Some("not yours. Use --x."), ..usual.clone() };
        check(&refused, "12:03:41 web     GET    403    12 KiB  1200 ms  /a%20b?x=1  refused: not yours. Use --x.");
        let open = RequestLine { status: 101, open: true, ..usual };
        check(&open, "12:03:41 web     GET    101 WebSocket     open  /a%20b?x=1");
    }

    #[test]
    fn for_programs() {
        let json: serde_json::Value = serde_json::from_str(&line().json()).unwrap();
        assert_eq!((json["method"].as_str(), json["bytesIn"].as_u64()), (Some("PUT"), Some(2048)));
    }

    #[test]
    fn secrets_in_queries() {
        let check = |query: &str, expect: &str| assert_eq!(without_secrets(query), expect, "{query}");
        check("x=1&token=abc", "x=1&token=…");
        check("access_token=a&Code=b&keyword=c", "access_token=…&Code=…&keyword=c");
        check("X-Amz-Signature=s&token=&x", "X-Amz-Signature=…&token=&x");
        check("", "");
    }

    #[test]
    fn amounts() {
        let check = |amount: u64, expect: &str| assert_eq!(bytes(amount), expect);
        check(0, "0 B");
        check(1023, "1023 B");
        check(1024, "1 KiB");
        check(1535, "1 KiB");
        check(1536, "2 KiB");
        check(1024 * 1024 - 1, "1 MiB");
        check(u64::MAX, "16777216 TiB");
    }
}
