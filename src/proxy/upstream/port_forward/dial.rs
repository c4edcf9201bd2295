//! A new connection into a ready Pod: `pods/portforward`, and TLS inside for https.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use super::failure::PodFailure;
use super::finder::PodFinder;
use super::handshake::{ForwardHandshake, OpenedForward};
use super::pod_stream::PodStream;
use crate::cluster::Cluster;
use crate::cluster::client::pool::PoolConnector;
use crate::cluster::client::tls::TlsClient;
use crate::lock::lock;
use crate::message::byte_stream::ByteStream;
use crate::proxy::upstream::backends::Backend;
use crate::proxy::upstream::diagnose::FailureCause;

/// How long API server and kubelet may take to open a port-forward: as long as the API server dials a node.
const PORT_FORWARD_OPEN_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the Pod's TLS handshake may take: as long as the API server gives it.
const POD_TLS_TIMEOUT: Duration = Duration::from_secs(10);
/// Pods that are tried for one connection. In a rollout slices name Pods for a moment that are gone already.
const ATTEMPTS: usize = 3;

type RawPodStream = PodStream<TokioIo<Upgraded>>;

/// Makes connections to the Pods of one Target.
pub(super) struct PodDialer {
    pub(super) cluster: Cluster,
    pub(super) namespace: String,
    pub(super) finder: Arc<PodFinder>,
    /// For Pods that speak https.
    pub(super) tls: Option<Arc<TlsClient>>,
    /// The one to begin with.
    pub(super) handshake: Mutex<ForwardHandshake>,
}

impl PodDialer {
    async fn open(&self, backend: &Backend) -> Result<ByteStream, PodFailure> {
        tracing::debug!(pod = %backend.pod, port = backend.port, tls = self.tls.is_some(), "dials");
        let raw = timeout(PORT_FORWARD_OPEN_TIMEOUT, self.port_forward(backend)).await.map_err(|_| {
            PodFailure::new(
                FailureCause::NodeUnreachable,
                format!("no answer within {} seconds", PORT_FORWARD_OPEN_TIMEOUT.as_secs()),
            )
        })??;
        match &self.tls {
            None => Ok(Box::new(raw)),
            Some(tls) => secure(tls, raw).await,
        }
    }

    async fn port_forward(&self, Backend { pod, port }: &Backend) -> Result<RawPodStream, PodFailure> {
        let target = format!("/api/v1/namespaces/{}/pods/{pod}/portforward?ports={port}", self.namespace);
        let (connection, protocol) = self.upgrade(&target).await?;
        PodStream::open(connection, protocol, *port, self.tls.is_none())
            .await
            .map_err(|error| PodFailure::broke_off(&error))
    }

    /// Where a handshake is refused, the next one is tried, from then on first; if all are, the first refusal counts. One
    /// for a reason that nobody knows counts as one of the handshake, as with kubectl; and so does a missing right, since
    /// SPDY takes another (client-go `tools/portforward/fallback_dialer.go`).
    async fn upgrade(&self, target: &str) -> Result<OpenedForward, PodFailure> {
        let mut handshake = *lock(&self.handshake);
        let mut refusal = None;
        loop {
            let failure = match handshake.open(&self.cluster, target).await {
                Err(failure) if is_of_handshake(&failure.cause) => failure,
                Err(failure) => return Err(failure),
                Ok(opened) => {
                    *lock(&self.handshake) = handshake;
                    return Ok(opened);
                }
            };
            let first = refusal.get_or_insert(failure);
            let next = if is_of_rights(&first.cause) { handshake.with_other_right() } else { handshake.next() };
            let Some(next) = next else { return Err(first.clone()) };
            tracing::debug!(?handshake, ?next, why = first.words, "this handshake of port-forward was refused");
            handshake = next;
        }
    }
}

fn is_of_handshake(cause: &FailureCause) -> bool {
    matches!(cause, FailureCause::NoPortForward | FailureCause::PodNotReached) || is_of_rights(cause)
}

fn is_of_rights(cause: &FailureCause) -> bool {
    matches!(cause, FailureCause::Forbidden(_))
}

async fn secure(tls: &TlsClient, raw: RawPodStream) -> Result<ByteStream, PodFailure> {
    let connecting = tls.connect(raw);
    match timeout(POD_TLS_TIMEOUT, connecting).await {
        Ok(Ok(stream)) => Ok(Box::new(stream)),
        Ok(Err(error)) => Err(PodFailure::tls(&error)),
        Err(_) => Err(PodFailure::new(
            FailureCause::PodTls,
            format!("no handshake within {} seconds", POD_TLS_TIMEOUT.as_secs()),
        )),
    }
}

impl PoolConnector for PodDialer {
    const IS_APP: bool = true;

    /// The Pod's name.
    type Peer = Arc<str>;
    type Error = PodFailure;

    /// One that was busy when its Pod ceased to be ready is not kept afterwards.
    fn is_wanted(&self, pod: &Arc<str>) -> bool {
        self.finder.may_be_ready(pod)
    }

    fn losses(&self) -> u64 {
        self.cluster.api().losses()
    }

    async fn connect(&self) -> Result<(ByteStream, Arc<str>), PodFailure> {
        let mut gone = Vec::new();
        loop {
            let backend = self.finder.pick(&gone).await?;
            match self.open(&backend).await {
                Ok(stream) => return Ok((Box::new(stream), backend.pod)),
                Err(failure) if failure.pod_is_gone && gone.len() + 1 < ATTEMPTS => gone.push(backend.pod),
                Err(failure) => return Err(failure),
            }
        }
    }
}
