//! How many clients may be connected, by how many files the system lets this program open, and who goes when a new one comes.
//!
//! Each client takes two open files, one on either side. Without a limit those who wait for nothing, such as the connections that
//! browsers keep, would leave none for the way to the API server. nginx does the same (`worker_connections`, its "reusing
//! connections").

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Once, OnceLock};
use std::time::Duration;

#[cfg(unix)]
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::lock::lock;

/// Open files that are for no client: output, listeners, timers, watches, the history, credential plugins.
const OWN_FILES: u64 = 32;
/// On either side.
const FILES_OF_A_CLIENT: u64 = 2;
/// So many clients find a place however few files there are: a page's.
const MIN_PLACES: u64 = 2;
/// After so long it is looked again who has nothing under way.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// Enough for ten thousand clients; macOS allows everybody as many as that (`OPEN_MAX`), and no more.
const ENOUGH_OPEN_FILES: u64 = if cfg!(target_os = "macos") { 10_240 } else { 20_480 };

/// The places of one listener.
#[derive(Debug)]
pub(crate) struct ClientPlaces {
    open_files: u64,
    most: usize,
    taken: Mutex<TakenPlaces>,
    left: Notify,
    told: Once,
}

/// By the order of arrival.
#[derive(Debug, Default)]
struct TakenPlaces {
    next: u64,
    clients: BTreeMap<u64, SeatedClient>,
}

/// What is known of a client.
#[derive(Debug, Clone, Default)]
struct SeatedClient {
    unanswered: TaskTracker,
    leave: CancellationToken,
}

/// One client's place, until dropped.
#[derive(Debug)]
pub(crate) struct ClientPlace {
    places: Arc<ClientPlaces>,
    number: u64,
    client: SeatedClient,
}

impl ClientPlaces {
    /// As many as so many open files are enough for.
    pub(crate) fn within(open_files: u64) -> Self {
        let most = (open_files.saturating_sub(OWN_FILES) / FILES_OF_A_CLIENT).max(MIN_PLACES);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        Self { open_files, most, taken: Mutex::default(), left: Notify::new(), told: Once::new() }
    }

    /// A place for a new client. Where there is none, whoever came first and has nothing under way leaves for it.
    pub(crate) async fn take(self: &Arc<Self>) -> ClientPlace {
        loop {
            if let Some((number, client)) = self.try_take() {
                return ClientPlace { places: Arc::clone(self), number, client };
            }
            self.make_room();
            let _ = timeout(LOOK_INTERVAL, self.left.notified()).await;
        }
    }

    fn try_take(&self) -> Option<(u64, SeatedClient)> {
        let mut taken = lock(&self.taken);
        if taken.clients.len() >= self.most {
            return None;
        }
        let (number, client) = (taken.next, SeatedClient::default());
        taken.next += 1;
        taken.clients.insert(number, client.clone());
        Some((number, client))
    }

    /// Has one client leave that waits for nothing, and says once why.
    pub(crate) fn make_room(&self) {
        self.told.call_once(|| {
            tracing::warn!(
                "as many clients are connected as {} open files are enough for: idle ones are disconnected for new ones; \
                 `ulimit -n` before the start allows more",
                self.open_files
            );
        });
        let taken = lock(&self.taken);
        let is_idle = |client: &&SeatedClient| client.unanswered.is_empty() && !client.leave.is_cancelled();
        if let Some(client) = taken.clients.values().find(is_idle) {
            client.leave.cancel();
        }
    }
}

impl ClientPlace {
    /// Has a token for each request of this client that is not answered to the end.
    pub(crate) fn unanswered(&self) -> TaskTracker {
        self.client.unanswered.clone()
    }

    /// Cancelled when somebody else needs the place, or when it is a tunnel's, which is never idle.
    pub(crate) fn leave(&self) -> CancellationToken {
        self.client.leave.clone()
    }
}

impl Drop for ClientPlace {
    fn drop(&mut self) {
        lock(&self.places.taken).clients.remove(&self.number);
        self.places.left.notify_one();
    }
}

/// How many files this program may open. The first time the system is asked to allow enough.
pub(crate) fn open_files_limit() -> u64 {
    static LIMIT: OnceLock<u64> = OnceLock::new();
    *LIMIT.get_or_init(allow_many_open_files)
}

/// Raises the soft limit, which is for programs that ask in vain for files of higher numbers (`select`), as Go programs
/// such as kubectl do: 1,024 is usual on Linux, 256 on macOS. Gives the limit.
#[cfg(unix)]
fn allow_many_open_files() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let Some(current) = current.filter(|&current| current < ENOUGH_OPEN_FILES) else {
        return current.unwrap_or(ENOUGH_OPEN_FILES);
    };
    let wanted = maximum.map_or(ENOUGH_OPEN_FILES, |maximum| maximum.min(ENOUGH_OPEN_FILES));
    match setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }) {
        Ok(()) => wanted,
        Err(cause) => {
            tracing::debug!(%cause, "no more open files than the system allows at first");
            current
        }
    }
}

/// Windows counts no sockets.
#[cfg(not(unix))]
fn allow_many_open_files() -> u64 {
    ENOUGH_OPEN_FILES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_files_each_and_some_for_the_program() {
        for (open_files, most) in [(0, 2), (40, 4), (1024, 496), (20_480, 10_224)] {
            assert_eq!(ClientPlaces::within(open_files).most, most, "{open_files}");
        }
    }

    #[tokio::test]
    async fn who_came_first_and_waits_for_nothing_leaves() {
        let places = Arc::new(ClientPlaces::within(38));
        let [first, second, third] = [places.take().await, places.take().await, places.take().await];
        let busy = first.unanswered().token();
        let next = tokio::spawn({
            let places = Arc::clone(&places);
            async move { places.take().await }
        });
        second.leave().cancelled().await;
        assert!(!first.leave().is_cancelled() && !third.leave().is_cancelled());
        drop(second);
        let fourth = next.await.unwrap();
        third.leave().cancel();
        places.make_room();
        assert!(fourth.leave().is_cancelled(), "neither the busy one nor the tunnel");
        drop(busy);
        places.make_room();
        assert!(first.leave().is_cancelled());
    }
}
