//! Watching: what is there now, and again each time that changes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use futures_util::Stream;
use futures_util::stream::unfold;
use http::{HeaderMap, Method, StatusCode};
use http_body_util::BodyExt;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::time::{sleep, timeout};

use super::api_error::{ApiError, StatusObject};
use super::endpoint_slices::{self, EndpointSlice};
use super::list::{ListRequest, ListedObject, encoded};
use super::list_json::ListMetadata;
use super::object_fields::{BareMetadata, BareObject};
use crate::cluster::Cluster;
use crate::cluster::client::send_error::SendError;
use crate::message::body::Body;
use crate::service::Service;

/// After this long the API server ends a watch, and a new one begins (client-go's reflector asks for 5 to 10 minutes).
const MAX_WATCH_LIFETIME: Duration = Duration::from_secs(300);

/// A watch that is silent for this long is dead: the API server sends a bookmark about every minute.
const WATCH_SILENCE_TIMEOUT: Duration = Duration::from_secs(150);

/// The wait between two watches, and the first one after a failure; that doubles up to [`MAX_WATCH_RETRY_INTERVAL`].
const FIRST_WATCH_RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// The longest wait after a failure.
const MAX_WATCH_RETRY_INTERVAL: Duration = Duration::from_secs(30);

/// Octets of one event at most: etcd takes objects of 1.5 MiB unless told otherwise.
const MAX_EVENT: usize = 8 << 20;

impl Cluster {
    /// The EndpointSlices of one Service, again each time that one of them changes.
    ///
    /// An error is followed by another attempt after a while, except when a right is missing from the start: then the stream
    /// ends.
    pub fn watch_endpoints(
        &self,
        namespace: &str,
        service: &str,
    ) -> impl Stream<Item = Result<Vec<EndpointSlice>, ApiError>> + Send + 'static + use<> {
        self.watch(endpoint_slices::slices_of(namespace, service))
    }

    /// The Service `name`, again each time that it changes; nothing when it is not there. Errors as with
    /// [`Self::watch_endpoints`].
    pub fn watch_service(
        &self,
        namespace: &str,
        name: &str,
    ) -> impl Stream<Item = Result<Vec<Service>, ApiError>> + Send + 'static + use<> {
        self.watch(ListRequest::new("/api/v1", "services", Some(namespace)).named(name))
    }

    fn watch<U: ListedObject + Clone + PartialEq>(
        &self,
        list: ListRequest,
    ) -> impl Stream<Item = Result<Vec<U>, ApiError>> + Send + 'static + use<U> {
        let watch = ObjectWatch {
            cluster: self.clone(),
            list,
            step: WatchStep::List,
            objects: BTreeMap::new(),
            failures: 0,
            has_read: false,
        };
        unfold(watch, |mut watch| async move { watch.next().await.map(|item| (item, watch)) })
    }
}

/// A watch that goes on for ever, over any number of connections.
struct ObjectWatch<U> {
    cluster: Cluster,
    list: ListRequest,
    step: WatchStep,
    /// What is there, by name.
    objects: BTreeMap<String, U>,
    /// Failures since something worked.
    failures: u32,
    /// Whether everything was read once.
    has_read: bool,
}

/// A list whose objects are looked into later.
#[derive(Deserialize)]
struct RawListPage {
    metadata: ListMetadata,
    items: Option<Vec<Box<RawValue>>>,
}

/// What to do next.
enum WatchStep {
    /// Read everything.
    List,
    /// Ask for what changes after a state.
    Ask { version: String },
    /// Read what changes.
    Follow { version: String, lines: WatchLines },
    /// No more.
    End,
}

impl<U: ListedObject + Clone + PartialEq> ObjectWatch<U> {
    /// Everything that is there, once that has changed.
    async fn next(&mut self) -> Option<Result<Vec<U>, ApiError>> {
        loop {
            let changed = match std::mem::replace(&mut self.step, WatchStep::List) {
                WatchStep::List => self.list().await,
                WatchStep::Ask { version } => self.ask(version).await,
                WatchStep::Follow { version, lines } => self.follow(version, lines).await,
                WatchStep::End => return None,
            };
            match changed {
                Ok(false) => {}
                Ok(true) => return Some(Ok(self.objects.values().cloned().collect())),
                Err(error) => {
                    self.failures += 1;
                    // An API server that starts refuses for a moment what it will allow.
                    let is_refused = matches!(error, ApiError::Forbidden { .. } | ApiError::Unseen(_));
                    if is_refused && !self.has_read {
                        self.step = WatchStep::End;
                    }
                    return Some(Err(error));
                }
            }
        }
    }

    /// Reads everything, after a wait if something has failed before.
    async fn list(&mut self) -> Result<bool, ApiError> {
        if self.failures > 0 {
            sleep(wait(self.failures)).await;
        }
        let page: RawListPage = self.cluster.read(&self.list.target("resourceVersion=0"), &self.list.rule).await?;
        let version = page.metadata.resource_version.clone();
        let parsed = page.items.iter().flatten().map(|raw| parse::<U::Wire>(raw)).collect::<Result<Vec<_>, _>>();
        let objects = parsed.map_err(|_| self.unclear())?;
        self.objects = objects.into_iter().map(|(metadata, object)| (metadata.name, object.into())).collect();
        (self.failures, self.has_read) = (0, true);
        self.step = WatchStep::Ask { version };
        Ok(true)
    }

    /// Asks for what changes from now on.
    async fn ask(&mut self, version: String) -> Result<bool, ApiError> {
        let parameters = format!(
            "watch=1&allowWatchBookmarks=true&timeoutSeconds={}&resourceVersion={}",
            MAX_WATCH_LIFETIME.as_secs(),
            encoded(&version)
        );
        let request = self.cluster.request(Method::GET, &self.list.target(&parameters), Body::Empty);
        let answer = self.cluster.api().send(request).await?;
        self.cluster.heed_head(answer.headers());
        let (code, headers) = (answer.status(), answer.headers().clone());
        let mut lines = WatchLines { body: answer.into_body(), rest: BytesMut::new() };
        if !code.is_success() {
            let body = lines.next().await?.unwrap_or_default();
            return self.refused(ApiError::from_answer(code, &headers, &body, &self.list.rule));
        }
        self.step = WatchStep::Follow { version, lines };
        Ok(false)
    }

    /// Takes one change in.
    async fn follow(&mut self, version: String, mut lines: WatchLines) -> Result<bool, ApiError> {
        let Some(line) = lines.next().await? else {
            sleep(FIRST_WATCH_RETRY_INTERVAL).await;
            self.step = WatchStep::Ask { version };
            return Ok(false);
        };
        let event: WatchEvent<'_> = serde_json::from_slice(&line).map_err(|_| self.unclear())?;
        if event.kind == "ERROR" {
            return self.refused(self.error_of(&event));
        }
        let metadata = read_metadata(event.object).map_err(|_| self.unclear())?;
        self.step = WatchStep::Follow { version: metadata.resource_version, lines };
        match event.kind.as_ref() {
            "DELETED" => Ok(self.objects.remove(&metadata.name).is_some()),
            "ADDED" | "MODIFIED" => {
                let (metadata, object) = parse::<U::Wire>(event.object).map_err(|_| self.unclear())?;
                let object: U = object.into();
                let is_seen = self.objects.get(&metadata.name) != Some(&object);
                self.objects.insert(metadata.name, object);
                Ok(is_seen)
            }
            _ => Ok(false),
        }
    }

    /// A state that is forgotten is read anew; anything else is an error.
    fn refused(&mut self, error: ApiError) -> Result<bool, ApiError> {
        match error {
            ApiError::Expired => {
                self.failures += 1;
                Ok(false)
            }
            error => Err(error),
        }
    }

    fn error_of(&self, event: &WatchEvent<'_>) -> ApiError {
        let json = event.object.get().as_bytes();
        let code = StatusObject::parse(json).and_then(|status| StatusCode::from_u16(status.code).ok());
        let code = code.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        ApiError::from_answer(code, &HeaderMap::new(), json, &self.list.rule)
    }

    fn unclear(&self) -> ApiError {
        ApiError::Malformed { path: self.list.target("watch=1"), cause: "unexpected content".to_owned() }
    }
}

fn wait(failures: u32) -> Duration {
    MAX_WATCH_RETRY_INTERVAL.min(FIRST_WATCH_RETRY_INTERVAL * 2_u32.pow(failures.min(10)))
}

fn parse<T: DeserializeOwned>(raw: &RawValue) -> serde_json::Result<(BareMetadata, T)> {
    Ok((read_metadata(raw)?, serde_json::from_str(raw.get())?))
}

fn read_metadata(raw: &RawValue) -> serde_json::Result<BareMetadata> {
    serde_json::from_str::<BareObject>(raw.get()).map(|object| object.metadata)
}

/// One line of a watch.
#[derive(Deserialize)]
struct WatchEvent<'a> {
    #[serde(rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    object: &'a RawValue,
}

/// The lines of a body that may never end.
struct WatchLines {
    body: Body,
    rest: BytesMut,
}

impl WatchLines {
    /// The next line without its end; what comes after the last end is a line too.
    async fn next(&mut self) -> Result<Option<BytesMut>, SendError> {
        let mut searched = 0;
        loop {
            if let Some(at) = self.rest[searched..].iter().position(|&octet| octet == b'\n') {
                let line = self.rest.split_to(searched + at);
                self.rest.advance(1);
                return Ok(Some(line));
            }
            searched = self.rest.len();
            match timeout(WATCH_SILENCE_TIMEOUT, self.body.frame()).await {
                Ok(Some(Ok(_))) if searched > MAX_EVENT => {
                    return Err(SendError::interrupted("one of its events is too long"));
                }
                Ok(Some(Ok(frame))) => self.rest.extend_from_slice(frame.data_ref().map_or(&[], |data| data)),
                Ok(None) => return Ok(Some(self.rest.split()).filter(|line| !line.is_empty())),
                Ok(Some(Err(error))) => return Err(SendError::interrupted(&error)),
                Err(_) => return Err(SendError::interrupted("it has been silent for too long")),
            }
        }
    }
}
