//! `--wait`: for whom, what is missing, and for how long already.

use std::future::pending;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::service_changes;
use crate::cluster::Cluster;
use crate::error::Error;
use crate::service::{Readiness, Target};
use crate::terminal::output::Output;
use crate::terminal::styled_text::{StyledText, TextTone};

/// How often the line is drawn again.
const WAIT_REDRAW_INTERVAL: Duration = Duration::from_secs(1);

/// One Service that is waited for.
pub(super) struct EndpointWait<'a> {
    target: &'a Target,
    seen: watch::Sender<Option<Readiness>>,
}

impl<'a> EndpointWait<'a> {
    pub(super) fn new(target: &'a Target) -> Self {
        Self { target, seen: watch::Sender::new(None) }
    }

    /// Waits for a ready endpoint, at most `limit`.
    ///
    /// # Errors
    /// When there is none in time, or the endpoints may not be seen.
    pub(super) async fn until_ready(&self, cluster: &Cluster, limit: Duration) -> Result<(), Error> {
        service_changes::wait_for_endpoint(cluster, self.target, limit, &self.seen).await
    }

    /// `web in shop (0 of 2)`; nothing of one that is ready.
    fn missing(&self) -> Option<String> {
        let name = format!("{} in {}", self.target.service(), self.target.namespace);
        match *self.seen.borrow() {
            None => Some(name),
            Some(Readiness { ready: 0, total }) => Some(format!("{name} (0 of {total})")),
            Some(_) => None,
        }
    }
}

/// Says for whom it waits until it is dropped: once, or where the terminal has a line for it, again and again.
pub(super) async fn show(waits: &[EndpointWait<'_>], is_live: bool, output: &Output) {
    if !is_live {
        output.print_hint(&line(waits, None));
        return pending().await;
    }
    let began = Instant::now();
    loop {
        output.status(|width| {
            let text = line(waits, Some(began.elapsed()));
            StyledText::new(TextTone::Dim, text.chars().take(width).collect::<String>())
        });
        tokio::time::sleep(WAIT_REDRAW_INTERVAL).await;
    }
}

fn line(waits: &[EndpointWait<'_>], waited: Option<Duration>) -> String {
    let missing: Vec<String> = waits.iter().filter_map(EndpointWait::missing).collect();
    let seconds = waited.map(|waited| format!(", for {} s", waited.as_secs())).unwrap_or_default();
    format!("waiting for a ready endpoint of {}{seconds}", missing.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_missing() {
        let targets = ["web", "db"].map(|name| Target::unread("shop", name.parse().unwrap(), None));
        let waits = targets.each_ref().map(EndpointWait::new);
        assert_eq!(line(&waits, None), "waiting for a ready endpoint of web in shop, db in shop");
        waits[0].seen.send_replace(Some(Readiness { ready: 0, total: 2 }));
        waits[1].seen.send_replace(Some(Readiness { ready: 1, total: 1 }));
        let waited = Some(Duration::from_secs(12));
        assert_eq!(line(&waits, waited), "waiting for a ready endpoint of web in shop (0 of 2), for 12 s");
    }
}
