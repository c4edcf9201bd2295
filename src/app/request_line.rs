//! What `--log-requests` prints of a finished request. Pure.

use serde::Serialize;

use crate::proxy::local::RequestRecord;
use crate::proxy::upstream::RouteTaken;

/// One finished request, in the order in which it is printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestLine<'a> {
    method: &'a str,
    path: &'a str,
    status: u16,
    bytes_in: u64,
    bytes_out: u64,
    milliseconds: u128,
    transport: Option<&'static str>,
    pod: Option<&'a str>,
    site: Option<&'a str>,
}

impl<'a> RequestLine<'a> {
    /// What `record` says; never the query, which may hold secrets.
    pub fn new(record: &'a RequestRecord) -> Self {
        let carried = record.extensions.get::<RouteTaken>();
        Self {
            method: record.method.as_str(),
            path: &record.path,
            status: record.status.as_u16(),
            bytes_in: record.bytes_in,
            bytes_out: record.bytes_out,
            milliseconds: record.duration.as_millis(),
            transport: carried.map(|carried| carried.transport.as_str()),
            pod: carried.and_then(|carried| carried.pod.as_deref()),
            site: record.site.as_deref(),
        }
    }

    /// For people: `GET /ui/ 200 12 KiB 34 ms service-proxy`.
    pub fn text(&self) -> String {
        let sent = if self.bytes_in == 0 { String::new() } else { format!("{}+", bytes(self.bytes_in)) };
        let milliseconds = self.milliseconds;
        let time =
            if milliseconds < 10_000 { format!("{milliseconds} ms") } else { format!("{} s", milliseconds / 1000) };
        let by = [self.transport, self.pod].into_iter().flatten().map(|by| format!(" {by}")).collect::<String>();
        format!("{} {} {} {sent}{} {time}{by}", self.method, self.path, self.status, bytes(self.bytes_out))
    }

    /// For programs.
    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("strings and numbers always serialise")
    }
}

/// An amount in the largest binary unit that leaves a whole number: `0 B`, `1023 B`, `34 KiB`.
pub fn bytes(amount: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut rest = amount;
    let mut unit = 0;
    while rest >= 1024 && unit + 1 < UNITS.len() {
        rest /= 1024;
        unit += 1;
    }
    format!("{rest} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> RequestLine<'static> {
        RequestLine {
            method: "PUT",
            path: "/a%20b",
            status: 201,
            bytes_in: 2048,
            bytes_out: 7,
            milliseconds: 34,
            transport: Some("port-forward"),
            pod: Some("web-0"),
            site: Some("web--default--abcdef"),
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
    fn for_programs() {
        let json: serde_json::Value = serde_json::from_str(&line().json()).unwrap();
        assert_eq!((json["method"].as_str(), json["bytesIn"].as_u64()), (Some("PUT"), Some(2048)));
    }

    #[test]
    fn amounts() {
        let check = |amount: u64, expect: &str| assert_eq!(bytes(amount), expect);
        check(0, "0 B");
        check(1023, "1023 B");
        check(1024, "1 KiB");
        check(u64::MAX, "16777215 TiB");
    }
}
