//! A new connection into a ready Pod: `pods/portforward`, and TLS inside for https.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::failure::Failure;
use super::finder::Finder;
use super::handshake::{Handshake, Opened};
use super::pod_stream::PodStream;
use crate::cluster::Cluster;
use crate::cluster::client::pool::Connect;
use crate::cluster::client::tls::TlsClient;
use crate::proxy::upstream::backends::Backend;
use crate::proxy::upstream::diagnose::{Cause, Trouble};

/// How long API server and kubelet may take to open a port-forward: as long as the API server dials a node.
const OPEN_LIMIT: Duration = Duration::from_secs(30);
/// How long the Pod's TLS handshake may take: as long as the API server gives it.
const TLS_LIMIT: Duration = Duration::from_secs(10);
/// Pods that are tried for one connection. In a rollout slices name Pods for a moment that are gone already.
const ATTEMPTS: usize = 3;

type Raw = PodStream<TokioIo<Upgraded>>;

/// Makes connections to the Pods of one Target.
pub(super) struct Dialer {
    cluster: Cluster,
    namespace: String,
    finder: Arc<Finder>,
    tls: Option<Arc<TlsClient>>,
    /// The one to begin with.
    handshake: Mutex<Handshake>,
}

/// A connection to a Pod's port.
pub(super) enum PodConnection {
    /// Plain text.
    Plain(Box<Raw>),
    /// TLS.
    Tls(Box<TlsStream<Raw>>),
}

impl Dialer {
    /// Connects to the Pods that `finder` finds in `namespace`, with `tls` if they speak https, by `handshake` where that
    /// is known.
    pub(super) fn new(
        cluster: Cluster,
        namespace: String,
        finder: Arc<Finder>,
        tls: Option<Arc<TlsClient>>,
        handshake: Handshake,
    ) -> Self {
        Self { cluster, namespace, finder, tls, handshake: Mutex::new(handshake) }
    }

    async fn open(&self, backend: &Backend) -> Result<PodConnection, Failure> {
        let raw = timeout(OPEN_LIMIT, self.port_forward(backend)).await.map_err(|_| {
            Failure::new(Cause::NodeUnreachable, format!("no answer within {} seconds", OPEN_LIMIT.as_secs()))
        })??;
        match &self.tls {
            None => Ok(PodConnection::Plain(Box::new(raw))),
            Some(tls) => secure(tls, raw).await,
        }
    }

    async fn port_forward(&self, Backend { pod, port }: &Backend) -> Result<Raw, Failure> {
        let target = format!("/api/v1/namespaces/{}/pods/{pod}/portforward?ports={port}", self.namespace);
        let (carrier, framing) = self.upgrade(&target).await?;
        let opening = PodStream::open(carrier, framing, *port, self.tls.is_none());
        opening.await.map_err(|error| Failure::new(Cause::ApiServer(Trouble::BrokeOff), error.to_string()))
    }

    /// Where a handshake is refused, the next one is tried, from then on first; if all are, the first refusal counts. One
    /// for a reason that nobody knows counts as one of the handshake, as with kubectl.
    async fn upgrade(&self, target: &str) -> Result<Opened, Failure> {
        let mut handshake = *self.handshake();
        let mut refusal = None;
        loop {
            let failure = match handshake.open(&self.cluster, target).await {
                Err(failure) if matches!(failure.cause, Cause::NoPortForward | Cause::PodNotReached) => failure,
                Err(failure) => return Err(failure),
                Ok(opened) => {
                    *self.handshake() = handshake;
                    return Ok(opened);
                }
            };
            let first = refusal.get_or_insert(failure);
            let Some(next) = handshake.next() else { return Err(first.clone()) };
            tracing::debug!(?handshake, ?next, why = first.words, "this handshake of port-forward was refused");
            handshake = next;
        }
    }

    fn handshake(&self) -> MutexGuard<'_, Handshake> {
        self.handshake.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn secure(tls: &TlsClient, raw: Raw) -> Result<PodConnection, Failure> {
    let connecting = TlsConnector::from(tls.config()).connect(tls.server_name(), raw);
    match timeout(TLS_LIMIT, connecting).await {
        Ok(Ok(stream)) => Ok(PodConnection::Tls(Box::new(stream))),
        Ok(Err(error)) => Err(Failure::tls(&error)),
        Err(_) => Err(Failure::new(Cause::PodTls, format!("no handshake within {} seconds", TLS_LIMIT.as_secs()))),
    }
}

impl Connect for Dialer {
    type Stream = PodConnection;
    /// The Pod's name.
    type Peer = Arc<str>;
    type Error = Failure;

    async fn connect(&self) -> Result<(PodConnection, Arc<str>), Failure> {
        let mut gone = Vec::new();
        loop {
            let backend = self.finder.pick(&gone).await?;
            match self.open(&backend).await {
                Ok(stream) => return Ok((stream, backend.pod)),
                Err(failure) if failure.pod_is_gone && gone.len() + 1 < ATTEMPTS => gone.push(backend.pod),
                Err(failure) => return Err(failure),
            }
        }
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer").field("finder", &self.finder).finish_non_exhaustive()
    }
}

/// Does the same with whichever it is.
macro_rules! each {
    ($connection:expr, $stream:ident => $do:expr) => {
        match $connection {
            PodConnection::Plain($stream) => $do,
            PodConnection::Tls($stream) => $do,
        }
    };
}

impl AsyncRead for PodConnection {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_read(context, buffer))
    }
}

impl AsyncWrite for PodConnection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_write(context, octets))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        each!(self, stream => stream.is_write_vectored())
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_shutdown(context))
    }
}
