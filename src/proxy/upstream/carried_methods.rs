//! Which methods the service proxy carried for this user, and when a refusal of one of them is believed. Pure.
//!
//! An API server that starts refuses everybody for some seconds, until it has read who may do what
//! (`plugin/pkg/auth/authorizer/rbac` of Kubernetes reads from caches that fill). A right that was taken away stays away.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use http::Method;

/// A method that was carried is refused for at least so long until that is taken for how it is from now on.
const MIN_BELIEVED_REFUSAL: Duration = Duration::from_secs(30);
/// Refusals that are further apart are not taken for one.
const MAX_REFUSAL_GAP: Duration = Duration::from_secs(60);

/// The methods that were carried, each with its refusals since.
#[derive(Debug, Default)]
pub(super) struct CarriedMethods(HashMap<Method, Option<RefusalSpan>>);

/// From the first refusal to the last one.
#[derive(Debug, Clone, Copy)]
struct RefusalSpan {
    first: Instant,
    last: Instant,
}

impl CarriedMethods {
    /// The service proxy has carried `method`.
    pub(super) fn carry(&mut self, method: &Method) {
        *self.0.entry(with_same_right(method)).or_default() = None;
    }

    /// `method` is refused at `now`. Whether that may pass.
    pub(super) fn refuse(&mut self, method: &Method, now: Instant) -> bool {
        let Some(refusals) = self.0.get_mut(&with_same_right(method)) else { return false };
        let span = match *refusals {
            Some(span) if now.duration_since(span.last) <= MAX_REFUSAL_GAP => RefusalSpan { last: now, ..span },
            _ => RefusalSpan { first: now, last: now },
        };
        *refusals = Some(span);
        now.duration_since(span.first) < MIN_BELIEVED_REFUSAL
    }
}

/// A HEAD takes the right that a GET takes (apiserver `pkg/endpoints/request/requestinfo.go`).
fn with_same_right(method: &Method) -> Method {
    if method == Method::HEAD { Method::GET } else { method.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Refusals of a GET after so many seconds, once a GET was carried; whether each may pass.
    fn check(refusals: &[(u64, bool)]) {
        let (mut methods, start) = (CarriedMethods::default(), Instant::now());
        methods.carry(&Method::GET);
        for &(seconds, expect) in refusals {
            let now = start + Duration::from_secs(seconds);
            assert_eq!(methods.refuse(&Method::HEAD, now), expect, "after {seconds} s of {refusals:?}");
        }
    }

    #[test]
    fn which_refusals_may_pass() {
        check(&[(0, true), (1, true), (29, true), (30, false), (31, false)]);
        check(&[(0, true), (60, false)]);
        check(&[(0, true), (61, true), (100, false)]);
        check(&[(0, true), (3600, true), (7200, true)]);
    }

    #[test]
    fn what_was_never_carried_is_refused_for_good() {
        let (mut methods, now) = (CarriedMethods::default(), Instant::now());
        methods.carry(&Method::GET);
        assert!(methods.refuse(&Method::GET, now) && !methods.refuse(&Method::POST, now));
    }

    #[test]
    fn what_is_carried_again_was_not_refused() {
        let (mut methods, start) = (CarriedMethods::default(), Instant::now());
        for seconds in [0, 20, 40, 60] {
            methods.carry(&Method::POST);
            assert!(methods.refuse(&Method::POST, start + Duration::from_secs(seconds)), "after {seconds} s");
        }
    }
}
