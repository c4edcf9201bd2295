//! The Pods to connect to: looked up when needed, remembered for a moment.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::failure::PodFailure;
use super::kept_pod::KeptPod;
use crate::cluster::api::endpoint_slices::wanted_port;
use crate::cluster::{ApiError, Cluster, EndpointSlice};
use crate::lock::lock;
use crate::proxy::upstream::backends::{Backend, ready_among_pods, ready_in_slices, selector};
use crate::proxy::upstream::diagnose::FailureCause;
use crate::service::{Service, Target};

/// For this long what was seen is taken to be still so. A Pod that is gone by then is noticed when it is connected to.
pub(super) const MAX_BACKENDS_AGE: Duration = Duration::from_secs(1);

/// What came of looking.
#[derive(Default)]
struct SeenPods {
    /// The ready Pods, and when they were seen.
    ready: Option<(Instant, Arc<[Backend]>)>,
    /// Why they could not be seen, and when that was tried.
    failed: Option<(Instant, PodFailure)>,
}

/// Finds the Pods of one Target.
pub(super) struct PodFinder {
    cluster: Cluster,
    target: Target,
    service: Option<Service>,
    seen: Arc<tokio::sync::Mutex<SeenPods>>,
    /// The same Pods, for those who cannot wait.
    latest: Mutex<Option<Arc<[Backend]>>>,
    /// Whether every change is told, so that what was seen is still so.
    pub(super) is_watched: AtomicBool,
    turn: AtomicUsize,
    /// The Pod that is kept to, if one is.
    kept: Option<Arc<KeptPod>>,
}

impl PodFinder {
    /// Finds the Pods of `target`; `service` is `None` where the user may not read it.
    pub(super) fn new(cluster: Cluster, target: Target, service: Option<Service>, kept: Option<Arc<KeptPod>>) -> Self {
        let (seen, latest, is_watched, turn) = Default::default();
        Self { cluster, target, service, seen, latest, is_watched, turn, kept }
    }

    /// A Pod to connect to, none of those in `avoid`: one after the other, or always the same one while it is ready.
    pub(super) async fn pick(&self, avoid: &[Arc<str>]) -> Result<Backend, PodFailure> {
        let is_first = avoid.is_empty();
        let backends = if is_first { self.look(MAX_BACKENDS_AGE).await } else { self.backends(Duration::ZERO).await }?;
        let usable: Vec<&Backend> = backends.iter().filter(|backend| !avoid.contains(&backend.pod)).collect();
        if usable.is_empty() {
            return Err(PodFailure::new(FailureCause::NoEndpoints, ""));
        }
        let next = usable[self.turn.fetch_add(1, Ordering::Relaxed) % usable.len()];
        Ok(self.kept.as_ref().map_or(next, |kept| kept.choose(&usable, next)).clone())
    }

    /// The ready Pods, as they were last told where every change is, else as seen less than `max_age` ago.
    pub(super) async fn look(&self, max_age: Duration) -> Result<Arc<[Backend]>, PodFailure> {
        let is_watched = self.is_watched.load(Ordering::Relaxed);
        self.backends(if is_watched { Duration::MAX } else { max_age }).await
    }

    /// The ready Pods, as seen less than `max_age` ago.
    async fn backends(&self, max_age: Duration) -> Result<Arc<[Backend]>, PodFailure> {
        let asked = Instant::now();
        let mut seen = self.seen.lock().await;
        if let Some((at, backends)) = &seen.ready
            && at.elapsed() < max_age
        {
            return Ok(backends.clone());
        }
        // Whoever waited while it failed would wait as long again.
        if let Some((_, failure)) = seen.failed.as_ref().filter(|(tried, _)| *tried >= asked) {
            return Err(failure.clone());
        }
        let at = Instant::now();
        match self.list().await {
            Ok(backends) => {
                let backends: Arc<[Backend]> = backends.into();
                seen.ready = Some((at, backends.clone()));
                *lock(&self.latest) = Some(backends.clone());
                Ok(backends)
            }
            Err(failure) => {
                seen.failed = Some((Instant::now(), failure.clone()));
                Err(failure)
            }
        }
    }

    /// Whether `pod` was ready when somebody last looked, if anybody has.
    pub(super) fn may_be_ready(&self, pod: &str) -> bool {
        lock(&self.latest).as_ref().is_none_or(|ready| ready.iter().any(|backend| *backend.pod == *pod))
    }

    async fn list(&self) -> Result<Vec<Backend>, PodFailure> {
        match self.cluster.endpoints(&self.target.namespace, self.target.service()).await {
            Ok(slices) => Ok(ready_in_slices(&slices, &wanted_port(&self.target))),
            Err(error @ ApiError::Forbidden { .. }) => self.list_pods().await.ok_or_else(|| error.into()),
            Err(error) => Err(error.into()),
        }
    }

    /// For those who may list Pods but not slices, as kubectl's port-forward does.
    async fn list_pods(&self) -> Option<Vec<Backend>> {
        let selector = selector(self.service.as_ref()?)?;
        let pods = self.cluster.pods(&self.target.namespace, &selector).await.ok()?;
        Some(ready_among_pods(&pods, &self.target))
    }

    /// Somebody else asked already: until there is an answer, nobody asks here.
    pub(super) fn expect(
        &self,
        slices: impl Future<Output = Option<Result<Vec<EndpointSlice>, ApiError>>> + Send + 'static,
    ) {
        let Ok(mut seen) = self.seen.clone().try_lock_owned() else { return };
        let wanted = wanted_port(&self.target);
        tokio::spawn(async move {
            if let Some(Ok(slices)) = slices.await {
                seen.ready = Some((Instant::now(), ready_in_slices(&slices, &wanted).into()));
            }
        });
    }

    /// Takes over what somebody else saw.
    pub(super) async fn learn(&self, slices: &[EndpointSlice]) -> Arc<[Backend]> {
        let backends: Arc<[Backend]> = ready_in_slices(slices, &wanted_port(&self.target)).into();
        self.seen.lock().await.ready = Some((Instant::now(), backends.clone()));
        *lock(&self.latest) = Some(backends.clone());
        backends
    }
}
