//! The one Pod that a run keeps to.

use std::sync::{Arc, Mutex};

use crate::lock::lock;
use crate::proxy::upstream::Notices;
use crate::proxy::upstream::backends::Backend;

/// One Pod for a whole run, whatever is spoken to it, and another when it goes, which the user is told.
pub struct KeptPod {
    service: String,
    notices: Notices,
    pod: Mutex<Option<Arc<str>>>,
}

impl KeptPod {
    /// None yet, of `service`.
    pub(in crate::proxy::upstream) fn new(service: &str, notices: Notices) -> Self {
        Self { service: service.to_owned(), notices, pod: Mutex::default() }
    }

    /// The Pod of before if it is among `usable`, else `next`, which is kept to from now on.
    pub(super) fn choose<'a>(&self, usable: &[&'a Backend], next: &'a Backend) -> &'a Backend {
        let mut kept = lock(&self.pod);
        let same = kept.as_ref().and_then(|pod| usable.iter().find(|backend| backend.pod == *pod));
        if let Some(same) = same {
            return same;
        }
        if let Some(before) = kept.replace(next.pod.clone()) {
            let (service, after) = (&self.service, &next.pod);
            self.notices.tell(format!("{service}: its Pod {before} is gone, everything goes to {after} from now on"));
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_when_it_goes_and_that_is_said_once() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let tell = told.clone();
        let kept = KeptPod::new("web", Notices::new(move |line| lock(&tell).push(line.to_owned())));
        let [a, b] = ["a", "b"].map(|pod| Backend { pod: pod.into(), port: 80 });
        assert_eq!(kept.choose(&[&a, &b], &b), &b);
        assert_eq!(kept.choose(&[&a, &b], &a), &b);
        assert!(lock(&told).is_empty());
        for _ in 0..2 {
            assert_eq!(kept.choose(&[&a], &a), &a);
        }
        assert_eq!(*lock(&told), ["web: its Pod b is gone, everything goes to a from now on"]);
    }
}
