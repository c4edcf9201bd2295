//! The client's connection that a request came on, for what must last no longer than it.

use std::any::Any;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use http::Request;

use crate::lock::lock;

/// The connection that a request came on: an extension of the request. A clone is the same connection.
#[derive(Clone, Default)]
pub(crate) struct ClientConnection(Arc<ConnectionBelongings>);

#[derive(Default)]
struct ConnectionBelongings {
    has_login: AtomicBool,
    kept: Mutex<Vec<(usize, Arc<dyn Any + Send + Sync>)>>,
}

impl ClientConnection {
    /// The one that `request` came on, if it came on one.
    pub(crate) fn of<B>(request: &Request<B>) -> Option<&Self> {
        request.extensions().get()
    }

    /// From now on a login belongs to it.
    pub(crate) fn give_login(&self) {
        self.0.has_login.store(true, Ordering::Release);
    }

    /// Whether a login belongs to it, or is about to.
    pub(crate) fn has_login(&self) -> bool {
        self.0.has_login.load(Ordering::Acquire)
    }

    /// What `owner` keeps for it, and made at first: dropped with the connection.
    pub(crate) fn kept<T: Default + Send + Sync + 'static>(&self, owner: usize) -> Arc<T> {
        let mut kept = lock(&self.0.kept);
        let own = kept.iter().find(|(whose, _)| *whose == owner).map(|(_, own)| own.clone());
        own.and_then(|own| own.downcast().ok()).unwrap_or_else(|| {
            let made = Arc::<T>::default();
            kept.push((owner, made.clone()));
            made
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_owner_keeps_its_own_for_as_long_as_the_connection_lasts() {
        let connection = ClientConnection::default();
        let one = connection.kept::<Mutex<u8>>(1);
        *lock(&one) = 7;
        assert_eq!(*lock(&connection.clone().kept::<Mutex<u8>>(1)), 7);
        assert_eq!(*lock(&connection.kept::<Mutex<u8>>(2)), 0);
        assert!(!connection.has_login());
        connection.clone().give_login();
        assert!(connection.has_login());
        drop(connection);
        assert_eq!(Arc::strong_count(&one), 1);
    }
}
