//! What the status line says. Pure.

use unicode_width::UnicodeWidthStr;

use crate::app::request_line::bytes;
use crate::proxy::local::TrafficCounts;

/// What is going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StatusCounts {
    /// What goes through.
    pub traffic: TrafficCounts,
    /// Ready endpoints of all open Services; `None` where they are not all known.
    pub ready: Option<usize>,
}

impl StatusCounts {
    /// One line of at most `width` columns. What does not fit is left out from the end on, whole words first.
    pub fn text(&self, width: usize) -> String {
        let mut line = String::new();
        for part in self.parts() {
            let gap = if line.is_empty() { "" } else { ", " };
            if line.width() + gap.len() + part.width() > width {
                break;
            }
            line.push_str(gap);
            line.push_str(&part);
        }
        if line.is_empty() { self.parts().remove(0).chars().take(width).collect() } else { line }
    }

    fn parts(&self) -> Vec<String> {
        let TrafficCounts { requests, octets, tunnels } = self.traffic;
        let mut parts = vec![counted(requests, "request"), bytes(octets)];
        if tunnels > 0 {
            parts.push(format!("{} open", counted(tunnels as u64, "WebSocket")));
        }
        if let Some(ready) = self.ready {
            parts.push(format!("{} ready", counted(ready as u64, "endpoint")));
        }
        parts
    }
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

    const BUSY: StatusCounts =
        StatusCounts { traffic: TrafficCounts { requests: 1204, octets: 34 << 20, tunnels: 2 }, ready: Some(3) };

    fn check(status: StatusCounts, width: usize, expect: &str) {
        assert_eq!(status.text(width), expect, "{width} columns of {status:?}");
    }

    #[test]
    fn what_is_going_on() {
        check(StatusCounts::default(), 80, "no request, 0 B");
        check(StatusCounts { ready: Some(0), ..StatusCounts::default() }, 80, "no request, 0 B, no endpoint ready");
        check(
            StatusCounts { traffic: TrafficCounts { requests: 1, octets: 1023, tunnels: 1 }, ready: Some(1) },
            80,
            "1 request, 1023 B, 1 WebSocket open, 1 endpoint ready",
        );
        check(BUSY, 80, "1204 requests, 34 MiB, 2 WebSockets open, 3 endpoints ready");
        check(StatusCounts { ready: None, ..BUSY }, 80, "1204 requests, 34 MiB, 2 WebSockets open");
    }

    #[test]
    fn narrow_terminals() {
        check(BUSY, 59, "1204 requests, 34 MiB, 2 WebSockets open, 3 endpoints ready");
        check(BUSY, 58, "1204 requests, 34 MiB, 2 WebSockets open");
        check(BUSY, 22, "1204 requests, 34 MiB");
        check(BUSY, 20, "1204 requests");
        check(BUSY, 13, "1204 requests");
        check(BUSY, 12, "1204 request");
        check(BUSY, 1, "1");
        check(BUSY, 0, "");
    }
}
