//! EndpointSlices that are asked for beside their Service, by those who will want them once it is there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};

use super::api_error::ApiError;
use super::endpoint_slices::EndpointSlice;
use crate::cluster::Cluster;
use crate::lock::lock;

/// An answer is good for so long; after that whoever wants to know asks anew.
const MAX_ANSWER_AGE: Duration = Duration::from_secs(1);

/// All slices of one Service, or why they are not known.
type AnsweredSlices = Result<Vec<EndpointSlice>, ApiError>;

/// When it came, and what; `None` where the question was broken off.
type SlicesAnswer = Shared<BoxFuture<'static, Option<(Instant, AnsweredSlices)>>>;

/// Questions on their way and answers, by namespace and Service. A clone is the same.
#[derive(Debug, Clone, Default)]
pub struct EndpointsAhead(Arc<Mutex<HashMap<(String, String), SlicesAnswer>>>);

impl EndpointsAhead {
    /// Asks for the slices of `service`, without waiting for the answer.
    pub fn ask(&self, cluster: &Cluster, namespace: &str, service: &str) {
        let (cluster, key) = (cluster.clone(), (namespace.to_owned(), service.to_owned()));
        let (asked_in, asked_of) = key.clone();
        let asking = tokio::spawn(async move {
            let answer = cluster.endpoints(&asked_in, &asked_of).await;
            (Instant::now(), answer)
        });
        lock(&self.0).insert(key, asking.map(Result::ok).boxed().shared());
    }

    /// The answer, once it is there; `None` where nobody asked, or it is old.
    pub fn answer(
        &self,
        namespace: &str,
        service: &str,
    ) -> impl Future<Output = Option<Result<Vec<EndpointSlice>, ApiError>>> + Send + 'static + use<> {
        let answer = lock(&self.0).get(&(namespace.to_owned(), service.to_owned())).cloned();
        async move {
            let (at, answer) = answer?.await?;
            (at.elapsed() < MAX_ANSWER_AGE).then_some(answer)
        }
    }
}
