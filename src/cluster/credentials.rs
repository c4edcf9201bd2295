//! Who we are to the API server: the current credentials are ready to be used, and are renewed in time, by one at a time.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwapOption;
use http::HeaderValue;
use tokio::sync::Mutex;
use tokio::time::sleep;

use super::connect::Connector;
use super::login::{Issued, Login};
use super::pool::Pool;
use super::tls::Identity;
use crate::error::Error;

/// For this long after a failure the source is not asked again.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// Credentials younger than this are not replaced because a server refuses them: the next ones would be the same.
const FRESH: Duration = Duration::from_secs(5);

/// Credentials are used for at least this long, whatever they say, so that a wrong clock does not make each request ask the
/// source.
const AT_LEAST: Duration = Duration::from_secs(2);

/// The longest sleep before the wall clock is looked at again: timers stand still while a laptop sleeps.
const LOOK: Duration = Duration::from_secs(15);

/// What requests are sent with.
pub(crate) struct Credential {
    /// `Authorization`; `None` for anonymous users and for certificates.
    pub(crate) authorization: Option<HeaderValue>,
    identity: Option<Identity>,
    obtained: SystemTime,
    expires: Option<SystemTime>,
    /// Counts the different ones.
    generation: u64,
}

/// The one source of credentials.
pub(crate) struct Credentials {
    shared: Arc<Shared>,
}

struct Shared {
    login: Login,
    /// Learns which client certificate to present.
    pool: Pool<Connector>,
    current: ArcSwapOption<Credential>,
    /// Held by whoever asks the source.
    renewal: Mutex<Option<Failure>>,
}

/// The source's last word, if it gave nothing.
struct Failure {
    when: Instant,
    error: Error,
}

impl Credentials {
    /// Credentials from `login`, for the connections of `pool`.
    pub(crate) fn new(login: Login, pool: Pool<Connector>) -> Self {
        let shared = Shared { login, pool, current: ArcSwapOption::empty(), renewal: Mutex::default() };
        Self { shared: Arc::new(shared) }
    }

    /// What to send with now; waits for the source only if there is nothing that is still good.
    ///
    /// # Errors
    /// When the source gives nothing.
    pub(crate) async fn current(&self) -> Result<Arc<Credential>, Error> {
        match self.shared.current.load_full() {
            Some(credential) if !credential.is_over() => Ok(credential),
            stale => self.shared.renew(stale.as_deref()).await,
        }
    }

    /// Whether the source may ever give something else.
    pub(crate) fn is_renewable(&self) -> bool {
        self.shared.login.is_renewable()
    }

    /// Something else to try after a server has refused `credential`.
    pub(crate) async fn after_refusal(&self, credential: &Credential) -> Option<Arc<Credential>> {
        let is_current =
            self.shared.current.load().as_ref().is_some_and(|current| current.generation == credential.generation);
        let is_fresh = credential.obtained.elapsed().is_ok_and(|age| age < FRESH);
        if is_current && is_fresh {
            return None;
        }
        match self.shared.renew(Some(credential)).await {
            Ok(renewed) => (renewed.generation != credential.generation).then_some(renewed),
            Err(error) => {
                tracing::warn!("{error}");
                None
            }
        }
    }
}

impl Credential {
    fn is_over(&self) -> bool {
        self.expires.is_some_and(|expires| SystemTime::now() >= expires.max(self.obtained + AT_LEAST))
    }
}

impl Shared {
    /// Asks the source, unless somebody has done so since `seen`. It is asked to the end even when nobody waits any more, since
    /// a plugin may have got half way through a login.
    async fn renew(self: &Arc<Self>, seen: Option<&Credential>) -> Result<Arc<Credential>, Error> {
        let (shared, seen) = (self.clone(), seen.map(|seen| (seen.generation, seen.obtained)));
        let asking = tokio::spawn(async move { shared.ask(seen).await });
        asking.await.unwrap_or_else(|_| Err(Error::failed("logging in was interrupted")))
    }

    async fn ask(self: Arc<Self>, seen: Option<(u64, SystemTime)>) -> Result<Arc<Credential>, Error> {
        let mut failure = self.renewal.lock().await;
        let current = self.current.load_full();
        if let Some(current) = &current
            && seen != Some((current.generation, current.obtained))
            && !current.is_over()
        {
            return Ok(current.clone());
        }
        if let Some(Failure { when, error }) = &*failure
            && when.elapsed() < AFTER_FAILURE
        {
            return Err(error.clone());
        }
        match self.login.obtain(current.is_none()).await {
            Ok(issued) => {
                *failure = None;
                Ok(self.accept(issued, current.as_deref()))
            }
            Err(error) => {
                *failure = Some(Failure { when: Instant::now(), error: error.clone() });
                Err(error)
            }
        }
    }

    fn accept(self: &Arc<Self>, issued: Issued, before: Option<&Credential>) -> Arc<Credential> {
        let Issued { authorization, identity, expires, renew } = issued;
        let same_identity = before.is_some_and(|before| same(before.identity.as_ref(), identity.as_ref()));
        if !same_identity {
            self.pool.present(identity.clone());
        }
        let unchanged = same_identity && before.is_some_and(|before| before.authorization == authorization);
        let generation = before.map_or(0, |before| before.generation + u64::from(!unchanged));
        let credential =
            Arc::new(Credential { authorization, identity, obtained: SystemTime::now(), expires, generation });
        self.current.store(Some(credential.clone()));
        if let Some(at) = renew {
            tokio::spawn(renew_at(Arc::downgrade(self), at, Arc::downgrade(&credential)));
        }
        credential
    }
}

fn same(one: Option<&Identity>, other: Option<&Identity>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.cert == other.cert,
        (None, None) => true,
        _ => false,
    }
}

/// Renews `credential` at the given time, if it is still the current one, and tries again until that works.
async fn renew_at(shared: Weak<Shared>, at: SystemTime, credential: Weak<Credential>) {
    let mut told = false;
    while let Ok(left) = at.duration_since(SystemTime::now())
        && !left.is_zero()
    {
        sleep(left.min(LOOK)).await;
    }
    while let (Some(shared), Some(credential)) = (shared.upgrade(), credential.upgrade()) {
        match shared.renew(Some(&credential)).await {
            Ok(_) => return,
            Err(error) if !told => tracing::warn!("{error}"),
            Err(error) => tracing::debug!("{error}"),
        }
        told = true;
        drop((shared, credential));
        sleep(LOOK).await;
    }
}
