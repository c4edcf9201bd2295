//! Serving at once what is most likely meant, while it is found out what is: whoever comes early waits for that, no longer than
//! if it had been known before. Nothing is said of a guess, and no answer is given by it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio_util::task::AbortOnDropHandle;

use super::open::ServingSession;
use super::ready_line::short_names;
use super::shown_run::shown_run;
use crate::error::Error;
use crate::find::FoundTarget;
use crate::proxy::local::{ListenOn, LocalListener, LocalProxy, TrafficStats, serve_guess};
use crate::proxy::upstream::limitation::Via;
use crate::proxy::upstream::{Dispatcher, HeadStart};
use crate::service::Target;

/// What came early is answered to its end, however long that takes.
const EARLY_ANSWER_TIMEOUT: Duration = Duration::MAX;

/// What is served of a guess until what was found takes its place.
pub struct ServedBefore {
    label: String,
    listener: LocalListener,
    activity: TrafficStats,
    way: watch::Sender<Option<Dispatcher>>,
    stop: oneshot::Sender<()>,
    server: AbortOnDropHandle<usize>,
}

impl ServingSession<'_> {
    /// Serves `guess`, where that can do no harm.
    pub async fn serve_guess(&self, guess: Option<Target>) -> Option<ServedBefore> {
        let guess = guess.filter(|_| self.may_guess())?;
        let listener = self.bind(&guess).await.ok()?;
        let here = listener.once_more()?;
        let (way, settled) = watch::channel(None);
        let upstream = HeadStart::new(self.cluster, &guess, settled);
        let site = self.site(&guess, guess.proxy_paths(), Arc::new(upstream), watch::channel(None).1);
        let label = site.label.clone();
        let names = HashMap::from_iter([label.clone()].into_iter().zip(short_names(std::slice::from_ref(&guess))));
        let found = FoundTarget { target: guess, read: None };
        let shown = shown_run(self.cluster.context(), self.cluster.server(), &[&found], listener.port());
        let local = self.local_proxy(vec![site], names, shown, &here).ok()?;
        tracing::info!(id = %found.target.id, "serves what is most likely meant, until it is read");
        let activity = local.activity.clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(serve_guess(here, local, async { drop(stopped.await) }, EARLY_ANSWER_TIMEOUT));
        Some(ServedBefore { label, listener, activity, way, stop, server: AbortOnDropHandle::new(server) })
    }

    /// Whether nobody is told or given anything before it is certain. A token is one of the true run; a command starts, and
    /// other machines come, only afterwards; and what goes by port-forward or with checked certificates is not sent ahead.
    fn may_guess(&self) -> bool {
        let (plan, serving) = (self.plan, &self.plan.serving);
        let is_at_loopback = matches!(&plan.listen, ListenOn::Tcp { addresses, .. } if addresses.is_empty());
        let may_be_sent_ahead = serving.via != Via::PortForward && !serving.sticky && !serving.verify_tls;
        is_at_loopback
            && may_be_sent_ahead
            && plan.command.is_empty()
            && plan.guard.require_token != Some(true)
            && !plan.dry_run
            && serving.wait.is_none()
    }

    /// A listener for `found`: the one at which the guess is served, if it was right. Whoever came for a wrong one finds that
    /// nobody listens.
    ///
    /// # Errors
    /// When the address is taken, missing or not allowed.
    pub async fn listener_for(
        &self,
        found: &[FoundTarget],
        before: Option<ServedBefore>,
    ) -> Result<(LocalListener, Option<ServedBefore>), Error> {
        let first = &found[0].target;
        if let Some(before) = before {
            let is_right = found.len() == 1 && self.label(first) == before.label;
            match before.listener.once_more().filter(|_| is_right) {
                Some(listener) => return Ok((listener, Some(before))),
                None => before.give_up().await,
            }
        }
        Ok((self.bind(first).await?, None))
    }
}

impl ServedBefore {
    /// Whatever waits goes by `way`, and counts as traffic of `local`.
    pub fn settle(&self, local: &mut LocalProxy, way: &Dispatcher) {
        local.activity = self.activity.clone();
        self.way.send_replace(Some(way.clone()));
    }

    /// No more requests come this way; those that came are answered when the result is over.
    pub(super) fn hand_over(self) -> AbortOnDropHandle<usize> {
        let _ = self.stop.send(());
        self.server
    }

    async fn give_up(self) {
        let Self { way, listener, server, .. } = self;
        drop((way, listener));
        server.abort();
        let _ = server.await; // its place is free then
    }
}
