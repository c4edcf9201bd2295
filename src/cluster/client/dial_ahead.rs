//! A connection that is being made before anybody needs it, and who takes it when it is there.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::lock::lock;

/// For this long after a connection could not be made nobody makes one ahead: whoever needs one tries anyway.
const FAILED_DIAL_PAUSE: Duration = Duration::from_secs(5);

/// At most one connection on its way; `generation` is that of the credentials that it was begun with.
pub(crate) struct DialAhead<T, E>(Mutex<DialState<T, E>>);

/// A connection on its way. When dropped it is not, however that came about.
pub(crate) struct DialUnderWay<T, E> {
    ahead: Arc<DialAhead<T, E>>,
    generation: u64,
}

/// What there is of it.
enum DialState<T, E> {
    Nothing,
    Failed(Instant),
    UnderWay { generation: u64, claim: Option<oneshot::Sender<Result<T, E>>> },
}

impl<T, E> Default for DialAhead<T, E> {
    fn default() -> Self {
        Self(Mutex::new(DialState::Nothing))
    }
}

impl<T, E> DialAhead<T, E> {
    /// Permission to make a connection now; none while one is on its way, or soon after one failed.
    pub(crate) fn begin(self: &Arc<Self>, generation: u64) -> Option<DialUnderWay<T, E>> {
        let mut state = lock(&self.0);
        match &*state {
            DialState::UnderWay { generation: begun, .. } if *begun == generation => return None,
            DialState::Failed(at) if at.elapsed() < FAILED_DIAL_PAUSE => return None,
            _ => *state = DialState::UnderWay { generation, claim: None },
        }
        Some(DialUnderWay { ahead: self.clone(), generation })
    }

    /// The connection on its way, for the caller alone; `None` where there is none, or it is somebody else's.
    pub(crate) fn claim(&self, generation: u64) -> Option<oneshot::Receiver<Result<T, E>>> {
        match &mut *lock(&self.0) {
            DialState::UnderWay { generation: begun, claim: claim @ None } if *begun == generation => {
                let (sender, receiver) = oneshot::channel();
                *claim = Some(sender);
                Some(receiver)
            }
            _ => None,
        }
    }
}

impl<T, E> DialUnderWay<T, E> {
    /// The connection is made, or will not be. Gives back one that nobody claimed.
    pub(crate) fn end(self, outcome: Result<T, E>) -> Option<T> {
        let after = if outcome.is_ok() { DialState::Nothing } else { DialState::Failed(Instant::now()) };
        match self.leave(after) {
            Some(claim) => claim.send(outcome).err()?.ok(),
            None => outcome.ok(),
        }
    }

    /// Whoever claimed it; nobody where another one has taken its place.
    fn leave(&self, after: DialState<T, E>) -> Option<oneshot::Sender<Result<T, E>>> {
        let mut state = lock(&self.ahead.0);
        match &mut *state {
            DialState::UnderWay { generation, claim } if *generation == self.generation => {
                let claim = claim.take();
                *state = after;
                claim
            }
            _ => None,
        }
    }
}

impl<T, E> Drop for DialUnderWay<T, E> {
    fn drop(&mut self) {
        self.leave(DialState::Nothing);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Ahead = Arc<DialAhead<&'static str, &'static str>>;

    #[test]
    fn one_at_a_time_for_one_claimant() {
        let ahead = Ahead::default();
        assert!(ahead.claim(0).is_none());
        let dial = ahead.begin(0).unwrap();
        assert!(ahead.begin(0).is_none());
        let mut claimed = ahead.claim(0).unwrap();
        assert!(ahead.claim(0).is_none(), "it is somebody's");
        assert_eq!(dial.end(Ok("it")), None);
        assert_eq!(claimed.try_recv().unwrap(), Ok("it"));
        assert!(ahead.begin(0).is_some());
    }

    #[test]
    fn what_nobody_takes_comes_back() {
        let ahead = Ahead::default();
        assert_eq!(ahead.begin(0).unwrap().end(Ok("it")), Some("it"));
        let dial = ahead.begin(0).unwrap();
        drop(ahead.claim(0));
        assert_eq!(dial.end(Ok("it")), Some("it"));
    }

    #[test]
    fn a_failure_is_the_claimants_and_no_reason_to_try_again_at_once() {
        let ahead = Ahead::default();
        let dial = ahead.begin(0).unwrap();
        let mut claimed = ahead.claim(0).unwrap();
        assert_eq!(dial.end(Err("gone")), None);
        assert_eq!(claimed.try_recv().unwrap(), Err("gone"));
        assert!(ahead.begin(0).is_none());
    }

    #[test]
    fn whoever_waits_for_one_that_was_given_up_waits_no_longer() {
        let ahead = Ahead::default();
        let dial = ahead.begin(0).unwrap();
        let mut claimed = ahead.claim(0).unwrap();
        drop(dial);
        assert!(matches!(claimed.try_recv(), Err(oneshot::error::TryRecvError::Closed)));
    }

    #[test]
    fn one_with_other_credentials_takes_its_place() {
        let ahead = Ahead::default();
        let old = ahead.begin(0).unwrap();
        assert!(ahead.claim(1).is_none());
        let new = ahead.begin(1).unwrap();
        let mut claimed = ahead.claim(1).unwrap();
        assert_eq!(old.end(Ok("old")), Some("old"));
        assert_eq!(new.end(Ok("new")), None);
        assert_eq!(claimed.try_recv().unwrap(), Ok("new"));
    }
}
