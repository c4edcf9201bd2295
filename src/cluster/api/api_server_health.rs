//! Whether the API server answers, as far as the last requests showed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tokio::sync::watch;

use crate::cluster::client::send_error::SendError;

/// What is known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ApiServerHealth {
    /// It answers, or nobody asked yet.
    #[default]
    Well,
    /// Connections to it were lost, and nobody knows yet whether others can be made.
    Lost(HealthTrouble),
    /// It cannot be reached.
    Unreachable(HealthTrouble),
    /// It does not know the user any more, or there is nothing to log in with.
    CredentialsRefused(HealthTrouble),
}

/// Since when, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthTrouble {
    /// When it was first seen.
    pub since: Instant,
    /// A sentence without its period.
    pub why: String,
}

/// The one who knows. Costs a request a load while all is well.
#[derive(Debug, Default)]
pub(crate) struct HealthRecord {
    health: watch::Sender<ApiServerHealth>,
    is_troubled: AtomicBool,
}

impl HealthRecord {
    /// Tells of changes from now on.
    pub(crate) fn watch(&self) -> watch::Receiver<ApiServerHealth> {
        self.health.subscribe()
    }

    /// There was an answer, whatever it says.
    pub(crate) fn answered(&self) {
        self.clear(|health| !matches!(health, ApiServerHealth::CredentialsRefused(_)));
    }

    /// The API server took the credentials.
    pub(crate) fn accepted(&self) {
        self.clear(|_| true);
    }

    /// There was none.
    pub(crate) fn failed(&self, error: &SendError) {
        match error {
            SendError::Credentials(error) => self.refused(error.message()),
            SendError::Resolve { .. } | SendError::Connect { .. } | SendError::Proxy { .. } | SendError::Tls { .. } => {
                self.trouble(ApiServerHealth::Unreachable(HealthTrouble::new(&error.cause())));
            }
            // One request may break for many reasons; the next one shows. Who loses connections says so by itself.
            SendError::HeadTooLarge | SendError::Interrupted { .. } | SendError::Lost { .. } => {}
        }
    }

    /// Connections were lost, because of `why`.
    pub(crate) fn lost(&self, why: &impl ToString) {
        if *self.health.borrow() == ApiServerHealth::Well {
            self.trouble(ApiServerHealth::Lost(HealthTrouble::new(&why.to_string())));
        }
    }

    /// The API server does not take the credentials.
    pub(crate) fn refused(&self, why: &str) {
        self.trouble(ApiServerHealth::CredentialsRefused(HealthTrouble::new(why)));
    }

    /// Trouble of the same kind goes on: its beginning stays.
    fn trouble(&self, trouble: ApiServerHealth) {
        self.is_troubled.store(true, Ordering::Release);
        self.health.send_if_modified(|health| {
            let is_new = std::mem::discriminant(health) != std::mem::discriminant(&trouble);
            if is_new {
                *health = trouble;
            }
            is_new
        });
    }

    fn clear(&self, is_over: impl FnOnce(&ApiServerHealth) -> bool) {
        if !self.is_troubled.load(Ordering::Acquire) {
            return;
        }
        self.health.send_if_modified(|health| {
            let is_over = *health != ApiServerHealth::Well && is_over(health);
            if is_over {
                *health = ApiServerHealth::Well;
                self.is_troubled.store(false, Ordering::Release);
            }
            is_over
        });
    }
}

impl HealthTrouble {
    fn new(why: &str) -> Self {
        Self { since: Instant::now(), why: why.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn trouble_begins_and_ends_once() {
        let record = HealthRecord::default();
        let mut watch = record.watch();
        let gone = SendError::Connect { address: "10.0.0.1:6443".to_owned(), cause: "no route to host".to_owned() };
        record.answered();
        assert!(!watch.has_changed().unwrap());
        record.failed(&SendError::HeadTooLarge);
        assert!(!watch.has_changed().unwrap());
        record.failed(&gone);
        let ApiServerHealth::Unreachable(trouble) = watch.borrow_and_update().clone() else { panic!("it is gone") };
        assert_eq!(trouble.why, "no route to host at 10.0.0.1:6443");
        record.failed(&gone);
        assert!(!watch.has_changed().unwrap(), "still gone");
        record.answered();
        assert_eq!(*watch.borrow_and_update(), ApiServerHealth::Well);
        record.failed(&SendError::Credentials(Error::failed("the plugin failed")));
        assert!(matches!(&*watch.borrow_and_update(), ApiServerHealth::CredentialsRefused(_)));
        record.answered();
        assert!(!watch.has_changed().unwrap(), "an app may have answered 401 itself");
        record.accepted();
        assert_eq!(*watch.borrow_and_update(), ApiServerHealth::Well);
    }
}
