//! What the status line says. Pure.

use std::time::Duration;

use crate::app::request_line::bytes;
use crate::proxy::local::TrafficCounts;
use crate::service::Readiness;
use crate::terminal::styled_text::{StyledText, TextTone};

/// More Services than these are told of by their number.
const MAX_NAMED: usize = 3;

/// What is going on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StatusFacts {
    /// The open Services, and how many of their endpoints are ready, as far as that is known.
    pub services: Vec<(String, Option<Readiness>)>,
    /// What goes through.
    pub traffic: TrafficCounts,
    /// What is wrong with the way to the cluster.
    pub trouble: Option<String>,
}

/// A part of the line, and how soon it is left out where there is no room: the highest first.
struct StatusPart {
    tone: TextTone,
    text: String,
    dispensability: u8,
}

impl StatusFacts {
    /// One line of at most `width` columns. Where that is too little, whole parts are left out, what matters least first.
    pub fn text(&self, width: usize) -> StyledText {
        let mut parts = self.parts();
        while parts.len() > 1 && joined(&parts).width() > width {
            let most = parts.iter().map(|part| part.dispensability).max();
            let last = parts.iter().rposition(|part| Some(part.dispensability) == most);
            parts.remove(last.unwrap_or_default());
        }
        if joined(&parts).width() > width {
            parts.iter_mut().for_each(|part| part.text = part.text.chars().take(width).collect());
        }
        joined(&parts)
    }

    fn parts(&self) -> Vec<StatusPart> {
        let TrafficCounts { requests, failed, octets, tunnels } = self.traffic;
        let mut parts = if self.trouble.is_none() { self.service_parts() } else { Vec::new() };
        let failures = if failed == 0 { String::new() } else { format!(", {failed} failed") };
        parts.push(StatusPart::new(1, TextTone::Dim, format!("{}{failures}", counted(requests, "request"))));
        parts.push(StatusPart::new(3, TextTone::Dim, bytes(octets)));
        if tunnels > 0 {
            parts.push(StatusPart::new(3, TextTone::Dim, format!("{} open", counted(tunnels as u64, "WebSocket"))));
        }
        parts.extend(self.trouble.as_ref().map(|trouble| StatusPart::new(0, TextTone::Bad, trouble.clone())));
        parts
    }

    fn service_parts(&self) -> Vec<StatusPart> {
        if self.services.len() <= MAX_NAMED {
            return self.services.iter().filter_map(|(name, ready)| Some(service_part(name, (*ready)?))).collect();
        }
        let known: Option<Vec<Readiness>> = self.services.iter().map(|(_, ready)| *ready).collect();
        let Some(known) = known else { return Vec::new() };
        let ready = known.iter().filter(|count| count.ready > 0).count();
        let tone = if ready < known.len() { TextTone::Doubtful } else { TextTone::Dim };
        vec![StatusPart::new(2, tone, format!("{ready} of {} Services ready", known.len()))]
    }
}

/// `12 requests, 3 failed · p50 4 ms, p95 31 ms · 34 MiB`: what went through in all, with the times of half and of nearly all.
pub(super) fn sums(traffic: TrafficCounts, [half, most]: [Option<Duration>; 2]) -> String {
    let TrafficCounts { requests, failed, octets, .. } = traffic;
    let failures = if failed == 0 { String::new() } else { format!(", {failed} failed") };
    let times = half.zip(most).map(|(half, most)| format!(" · p50 {}, p95 {}", short(half), short(most)));
    format!("{}{failures}{} · {}", counted(requests, "request"), times.unwrap_or_default(), bytes(octets))
}

fn short(time: Duration) -> String {
    match time.as_secs_f64() * 1e3 {
        milliseconds if milliseconds < 10.0 => format!("{milliseconds:.1} ms"),
        milliseconds if milliseconds < 10_000.0 => format!("{milliseconds:.0} ms"),
        milliseconds => format!("{:.0} s", milliseconds / 1e3),
    }
}

fn service_part(name: &str, Readiness { ready, total }: Readiness) -> StatusPart {
    let tone = if ready == 0 { TextTone::Doubtful } else { TextTone::Dim };
    StatusPart::new(2, tone, format!("{name} {ready}/{total}"))
}

impl StatusPart {
    fn new(dispensability: u8, tone: TextTone, text: String) -> Self {
        Self { tone, text, dispensability }
    }
}

fn joined(parts: &[StatusPart]) -> StyledText {
    parts.iter().enumerate().fold(StyledText::default(), |line, (at, part)| {
        let line = if at == 0 { line } else { line.with(TextTone::Dim, " · ") };
        line.with(part.tone, part.text.clone())
    })
}

fn counted(count: u64, thing: &str) -> String {
    match count {
        0 => format!("no {thing}"),
        1 => format!("1 {thing}"),
        _ => format!("{count} {thing}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(services: &[(&str, Option<(usize, usize)>)], trouble: Option<&str>) -> StatusFacts {
        let readiness = |(ready, total)| Readiness { ready, total };
        StatusFacts {
            services: services.iter().map(|(name, ready)| ((*name).to_owned(), ready.map(readiness))).collect(),
            traffic: TrafficCounts { requests: 1204, failed: 3, octets: 34 << 20, tunnels: 2 },
            trouble: trouble.map(str::to_owned),
        }
    }

    fn check(facts: &StatusFacts, width: usize, expect: &str) {
        assert_eq!(facts.text(width).painted(false), expect, "{width} columns of {facts:?}");
    }

    #[test]
    fn what_is_going_on() {
        check(&StatusFacts::default(), 80, "no request · 0 B");
        let one = StatusFacts { traffic: TrafficCounts::default(), ..facts(&[("web", Some((0, 1)))], None) };
        check(&one, 80, "web 0/1 · no request · 0 B");
        let two = facts(&[("grafana", Some((1, 1))), ("db", None)], None);
        check(&two, 80, "grafana 1/1 · 1204 requests, 3 failed · 34 MiB · 2 WebSockets open");
        let many = ["a", "b", "c", "d"].map(|name| (name, Some((usize::from(name != "b"), 2))));
        check(&facts(&many, None), 80, "3 of 4 Services ready · 1204 requests, 3 failed · 34 MiB · 2 WebSockets open");
    }

    #[test]
    fn nobody_is_ready_behind_an_api_server_that_is_gone() {
        let gone = facts(&[("grafana", Some((1, 1)))], Some("API server unreachable for 28 s"));
        let expect = "1204 requests, 3 failed · 34 MiB · 2 WebSockets open · API server unreachable for 28 s";
        check(&gone, 90, expect);
        check(&gone, 60, "1204 requests, 3 failed · API server unreachable for 28 s");
        check(&gone, 40, "API server unreachable for 28 s");
    }

    #[test]
    fn the_sums_at_the_end() {
        let times = [Some(Duration::from_micros(4200)), Some(Duration::from_millis(31))];
        let traffic = TrafficCounts { requests: 12, failed: 3, octets: 34 << 20, tunnels: 0 };
        assert_eq!(sums(traffic, times), "12 requests, 3 failed · p50 4.2 ms, p95 31 ms · 34 MiB");
        assert_eq!(sums(TrafficCounts::default(), [None, None]), "no request · 0 B");
    }

    #[test]
    fn narrow_terminals() {
        let busy = facts(&[("grafana", Some((1, 1)))], None);
        check(&busy, 66, "grafana 1/1 · 1204 requests, 3 failed · 34 MiB · 2 WebSockets open");
        check(&busy, 65, "grafana 1/1 · 1204 requests, 3 failed · 34 MiB");
        check(&busy, 45, "grafana 1/1 · 1204 requests, 3 failed");
        check(&busy, 36, "1204 requests, 3 failed");
        check(&busy, 12, "1204 request");
        check(&busy, 0, "");
    }
}
