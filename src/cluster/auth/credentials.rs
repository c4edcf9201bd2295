//! Who we are to the API server: the current credentials are ready to be used, and are renewed in time, by one at a time.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwapOption;
use http::HeaderValue;
use tokio::sync::Mutex;
use tokio::time::sleep;

use super::issued::IssuedCredentials;
use super::login::UserLogin;
use crate::cluster::client::client_identity::ClientIdentity;
use crate::cluster::client::connect::ClusterConnector;
use crate::cluster::client::pool::ConnectionPool;
use crate::error::Error;

/// For this long after a failure the source is not asked again; each failure that follows doubles it, up to
/// [`MAX_FAILURE_RETRY_INTERVAL`].
const FAILURE_RETRY_INTERVAL: Duration = Duration::from_millis(500);
const MAX_FAILURE_RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// Credentials that took the place of refused ones, and are refused too, are not replaced again before this age. It doubles
/// each time, up to [`MAX_REPLACEMENT_AGE`]: whoever refuses them may be an app that pretends to be the API server.
const MIN_REPLACEMENT_AGE: Duration = Duration::from_secs(5);
const MAX_REPLACEMENT_AGE: Duration = Duration::from_secs(300);

/// Credentials are used for at least this long, whatever they say, so that a wrong clock does not make each request ask the
/// source.
const MIN_CREDENTIAL_LIFETIME: Duration = Duration::from_secs(2);

/// The longest sleep before the wall clock is looked at again: timers stand still while a laptop sleeps.
const MAX_CLOCK_CHECK_INTERVAL: Duration = Duration::from_secs(15);

/// What requests are sent with.
pub(crate) struct ActiveCredential {
    /// `Authorization`; `None` for anonymous users and for certificates.
    pub(crate) authorization: Option<HeaderValue>,
    /// The client certificate.
    pub(crate) identity: Option<ClientIdentity>,
    expires: Option<SystemTime>,
    obtained: SystemTime,
    /// Why the source was asked for it.
    reason: RenewalReason,
}

/// Why the source is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RenewalReason {
    /// There is nothing yet, or its time is over.
    Time,
    /// The API server refused what there is.
    Refused,
}

/// The one source of credentials.
pub(crate) struct Credentials {
    login: UserLogin,
    /// Learns which client certificate to present.
    pool: Arc<ConnectionPool<ClusterConnector>>,
    current: ArcSwapOption<ActiveCredential>,
    /// Held by whoever asks the source: its last word, if it gave nothing.
    asking: Mutex<Option<SourceFailure>>,
    futile: FutileReplacements,
}

/// The source gave nothing.
struct SourceFailure {
    at: Instant,
    error: Error,
    /// How often in a row.
    times: u32,
}

impl SourceFailure {
    fn is_recent(&self) -> bool {
        self.at.elapsed() < doubled(FAILURE_RETRY_INTERVAL, self.times - 1, MAX_FAILURE_RETRY_INTERVAL)
    }
}

/// How often in a row credentials were replaced because they were refused, and the new ones were refused too.
#[derive(Default)]
struct FutileReplacements(AtomicU32);

impl FutileReplacements {
    fn count(&self, was_refused: bool) {
        let count = |futile| Some(if was_refused { u32::saturating_add(futile, 1) } else { 0 });
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count);
    }

    /// How old credentials must be to be replaced again.
    fn min_age(&self) -> Duration {
        let times = self.0.load(Ordering::Relaxed).saturating_sub(1);
        doubled(MIN_REPLACEMENT_AGE, times, MAX_REPLACEMENT_AGE)
    }
}

/// `interval` doubled so many `times`, but not longer than `longest`. Pure.
fn doubled(interval: Duration, times: u32, longest: Duration) -> Duration {
    interval.saturating_mul(2_u32.saturating_pow(times)).min(longest)
}

impl Credentials {
    /// Credentials from `login`, for the connections of `pool`.
    pub(crate) fn new(login: UserLogin, pool: Arc<ConnectionPool<ClusterConnector>>) -> Arc<Self> {
        Arc::new(Self {
            login,
            pool,
            current: ArcSwapOption::empty(),
            asking: Mutex::default(),
            futile: FutileReplacements::default(),
        })
    }

    /// What to send with now; waits for the source only if there is nothing that is still good.
    ///
    /// # Errors
    /// When the source gives nothing.
    pub(crate) async fn current(self: &Arc<Self>) -> Result<Arc<ActiveCredential>, Error> {
        match self.current.load_full() {
            Some(credential) if !credential.is_over() => Ok(credential),
            stale => self.renew(stale, RenewalReason::Time).await,
        }
    }

    /// What the last requests were sent with.
    pub(crate) fn latest(&self) -> Option<Arc<ActiveCredential>> {
        self.current.load_full()
    }

    /// Whether the source may ever give something else.
    pub(crate) fn is_renewable(&self) -> bool {
        self.login.is_renewable()
    }

    /// Something else to try after the API server has refused `refused`.
    pub(crate) async fn after_refusal(self: &Arc<Self>, refused: &ActiveCredential) -> Option<Arc<ActiveCredential>> {
        let current = self.current.load_full()?;
        let other = |credential: &Arc<ActiveCredential>| !credential.is_same_as(refused);
        if other(&current) {
            return Some(current);
        }
        if current.reason == RenewalReason::Refused && current.is_younger_than(self.futile.min_age()) {
            return None;
        }
        self.renew(Some(current), RenewalReason::Refused).await.ok().filter(other)
    }

    /// What [`Self::after_refusal`] gave was accepted, or `was_refused` too.
    pub(crate) fn was_replaced(&self, was_refused: bool) {
        self.futile.count(was_refused);
    }

    /// Asks the source, unless somebody has done so since `seen`. It is asked to the end even when nobody waits any more, since
    /// a plugin may have got half way through a login.
    async fn renew(
        self: &Arc<Self>,
        seen: Option<Arc<ActiveCredential>>,
        reason: RenewalReason,
    ) -> Result<Arc<ActiveCredential>, Error> {
        let shared = self.clone();
        let asking = tokio::spawn(async move { shared.ask(seen.as_ref(), reason).await });
        asking.await.unwrap_or_else(|_| Err(Error::failed("logging in was interrupted")))
    }

    async fn ask(
        self: &Arc<Self>,
        seen: Option<&Arc<ActiveCredential>>,
        reason: RenewalReason,
    ) -> Result<Arc<ActiveCredential>, Error> {
        let mut failure = self.asking.lock().await;
        let current = self.current.load_full();
        if let Some(newer) = current.as_ref().filter(|current| seen.is_none_or(|seen| !Arc::ptr_eq(seen, current))) {
            return Ok(newer.clone());
        }
        if let Some(recent) = failure.as_ref().filter(|failure| failure.is_recent()) {
            return Err(recent.error.clone());
        }
        match self.login.obtain(current.is_none()).await {
            Ok(issued) => {
                *failure = None;
                Ok(self.accept(issued, reason, current.as_deref()))
            }
            Err(error) => {
                let is_news = current.is_some() && failure.as_ref().is_none_or(|before| before.error != error);
                if is_news {
                    tracing::warn!("{error}");
                }
                let times = failure.as_ref().map_or(1, |before| before.times.saturating_add(1));
                *failure = Some(SourceFailure { at: Instant::now(), error: error.clone(), times });
                Err(error)
            }
        }
    }

    fn accept(
        self: &Arc<Self>,
        issued: IssuedCredentials,
        reason: RenewalReason,
        before: Option<&ActiveCredential>,
    ) -> Arc<ActiveCredential> {
        let IssuedCredentials { authorization, identity, expires, renew } = issued;
        let shown = before.and_then(|before| before.identity.as_ref());
        if shown.map(|shown| &shown.cert) != identity.as_ref().map(|new| &new.cert) {
            self.present(identity.clone());
        }
        let obtained = SystemTime::now();
        let credential = Arc::new(ActiveCredential { authorization, identity, expires, obtained, reason });
        self.current.store(Some(credential.clone()));
        if let Some(at) = renew {
            tokio::spawn(renew_at(at, Arc::downgrade(self), Arc::downgrade(&credential)));
        }
        credential
    }

    /// Presents another client certificate from now on. Connections that are there finish what they are at, and no more.
    fn present(&self, identity: Option<ClientIdentity>) {
        let Some(tls) = &self.pool.connector.tls else { return };
        tls.present(identity);
        self.pool.retire();
    }
}

impl ActiveCredential {
    fn is_over(&self) -> bool {
        self.expires.is_some_and(|expires| SystemTime::now() >= expires.max(self.obtained + MIN_CREDENTIAL_LIFETIME))
    }

    fn is_younger_than(&self, limit: Duration) -> bool {
        self.obtained.elapsed().is_ok_and(|age| age < limit)
    }

    fn is_same_as(&self, other: &Self) -> bool {
        self.authorization == other.authorization && self.has_identity(other.identity.as_ref())
    }

    fn has_identity(&self, other: Option<&ClientIdentity>) -> bool {
        self.identity.as_ref().map(|own| &own.cert) == other.map(|other| &other.cert)
    }
}

/// Renews `credential` at the given time, unless it has been replaced, and tries again until that works.
async fn renew_at(at: SystemTime, shared: Weak<Credentials>, credential: Weak<ActiveCredential>) {
    while let Some(left) = at.duration_since(SystemTime::now()).ok().filter(|left| !left.is_zero()) {
        sleep(left.min(MAX_CLOCK_CHECK_INTERVAL)).await;
    }
    while let (Some(shared), Some(credential)) = (shared.upgrade(), credential.upgrade()) {
        if shared.renew(Some(credential), RenewalReason::Time).await.is_ok() {
            return;
        }
        drop(shared);
        sleep(MAX_CLOCK_CHECK_INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_refuses_everything_is_believed_ever_less() {
        let futile = FutileReplacements::default();
        let mut ages = Vec::new();
        for _ in 0..9 {
            ages.push(futile.min_age().as_secs());
            futile.count(true);
        }
        assert_eq!(ages, [5, 5, 10, 20, 40, 80, 160, 300, 300]);
        futile.count(false);
        assert_eq!(futile.min_age(), MIN_REPLACEMENT_AGE);
    }

    #[test]
    fn one_failure_is_soon_forgotten() {
        let pause = |times| doubled(FAILURE_RETRY_INTERVAL, times, MAX_FAILURE_RETRY_INTERVAL).as_millis();
        assert_eq!([0, 1, 2, 3, 4, 1000].map(pause), [500, 1000, 2000, 4000, 5000, 5000]);
        let failure = |times, ago| {
            let at = Instant::now().checked_sub(Duration::from_millis(ago)).unwrap();
            SourceFailure { at, error: Error::failed("no"), times }
        };
        assert!(failure(1, 0).is_recent() && !failure(1, 600).is_recent() && failure(3, 600).is_recent());
    }
}
