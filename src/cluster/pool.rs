//! Connections that are kept: the one that was free last is taken first, and a connection is free again only when
//! the answer's body and the request's body have both ended.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1};
use hyper_util::rt::TokioIo;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::connect::{Connector, Stream};
use super::send_error::SendError;
use crate::upstream::Body;

/// Longer than this no connection waits for its next request: load balancers drop idle ones, often after 60 seconds
/// and without a word.
const IDLE: Duration = Duration::from_secs(60);

/// Connections at a time; a browser opens six per site.
const PLACES: usize = 64;

/// For this long a request waits for a place. Then it gets a connection beyond [`PLACES`], since those may be held by
/// answers that never end (event streams, long polls).
const PATIENCE: Duration = Duration::from_secs(3);

/// Octets per direction and connection (spike figures: more is no faster and costs memory at 128 connections).
const BUFFER: usize = 64 * 1024;

/// Keeps the connections to one API server.
#[derive(Debug, Clone)]
pub(crate) struct Pool {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    connector: Connector,
    places: Arc<Semaphore>,
    generation: AtomicU64,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// The one that became free last is the last.
    idle: Vec<Idle>,
    /// Whether somebody will look for connections that waited too long.
    reaped: bool,
}

/// A connection that waits for a request.
#[derive(Debug)]
struct Idle {
    connection: Connection,
    /// Wall clock, since the monotonic one stands still while a laptop sleeps.
    since: SystemTime,
}

/// The sending side of a connection.
#[derive(Debug)]
struct Connection {
    sender: http1::SendRequest<Body>,
    line: Arc<Line>,
}

/// What a connection's driver and its user share.
#[derive(Debug)]
struct Line {
    generation: u64,
    busy: Mutex<Option<Busy>>,
}

/// A connection at work; its driver takes it back to the pool.
#[derive(Debug)]
struct Busy {
    sender: http1::SendRequest<Body>,
    place: Option<OwnedSemaphorePermit>,
}

/// What came of a request.
pub(crate) enum Outcome {
    /// The head of the answer.
    Answer(Response<Incoming>),
    /// No answer. A connection that was `reused` may have been dead already.
    Lost { error: hyper::Error, reused: bool },
}

impl Pool {
    /// Keeps what `connector` makes.
    pub(crate) fn new(connector: Connector) -> Self {
        let shared = Shared {
            connector,
            places: Arc::new(Semaphore::new(PLACES)),
            generation: AtomicU64::new(0),
            kept: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// What makes the connections.
    pub(crate) fn connector(&self) -> &Connector {
        &self.shared.connector
    }

    /// Lets no connection that exists now serve another request.
    pub(crate) fn retire(&self) {
        self.shared.generation.fetch_add(1, Ordering::AcqRel);
        self.shared.kept().idle.clear();
    }

    /// Sends `request` on a kept connection, else on a new one. One that is found dead before anything was written to it
    /// is replaced.
    pub(crate) async fn send(&self, mut request: Request<Body>) -> Result<Outcome, SendError> {
        let mut place = self.place().await;
        while let Some(connection) = self.shared.take() {
            match connection.send(request, place).await {
                Ok(answer) => return Ok(Outcome::Answer(answer)),
                Err(mut failure) => match failure.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Ok(Outcome::Lost { error: failure.into_error(), reused: true }),
                },
            }
            place = self.place().await;
        }
        let connection = self.open().await?;
        match connection.send(request, place).await {
            Ok(answer) => Ok(Outcome::Answer(answer)),
            Err(failure) => Ok(Outcome::Lost { error: failure.into_error(), reused: false }),
        }
    }

    /// Sends `request` on a connection of its own, which may become something else than HTTP.
    pub(crate) async fn send_alone(&self, request: Request<Body>) -> Result<Outcome, SendError> {
        let stream = self.shared.connector.connect().await?;
        let (mut sender, connection) = handshake(stream).await?;
        tokio::spawn(connection.with_upgrades());
        match sender.send_request(request).await {
            Ok(answer) => Ok(Outcome::Answer(answer)),
            Err(error) => Ok(Outcome::Lost { error, reused: false }),
        }
    }

    /// Opens a connection ahead of the first request.
    pub(crate) async fn warm(&self) -> Result<(), SendError> {
        let connection = self.open().await?;
        self.shared.keep(connection);
        Ok(())
    }

    async fn place(&self) -> Option<OwnedSemaphorePermit> {
        let places = &self.shared.places;
        match places.clone().try_acquire_owned() {
            Ok(place) => Some(place),
            Err(_) => tokio::time::timeout(PATIENCE, places.clone().acquire_owned()).await.ok()?.ok(),
        }
    }

    async fn open(&self) -> Result<Connection, SendError> {
        let generation = self.shared.generation.load(Ordering::Acquire);
        let stream = self.shared.connector.connect().await?;
        let (sender, connection) = handshake(stream).await?;
        let line = Arc::new(Line { generation, busy: Mutex::default() });
        let driver = Driver { connection, line: line.clone(), pool: Arc::downgrade(&self.shared) };
        tokio::spawn(driver);
        Ok(Connection { sender, line })
    }
}

impl Connection {
    /// The sender stays with the driver, which finds out when it is free again.
    async fn send(
        mut self,
        request: Request<Body>,
        place: Option<OwnedSemaphorePermit>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Body>>> {
        let answer = {
            let mut busy = self.line.busy();
            let answer = self.sender.try_send_request(request);
            *busy = Some(Busy { sender: self.sender, place });
            answer
        };
        answer.await
    }
}

impl Line {
    fn busy(&self) -> MutexGuard<'_, Option<Busy>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection that became free last, if it is still good.
    fn take(&self) -> Option<Connection> {
        let mut kept = self.kept();
        while let Some(Idle { connection, since }) = kept.idle.pop() {
            if !connection.sender.is_closed() && !is_over(since) {
                return Some(connection);
            }
        }
        None
    }

    fn keep(self: &Arc<Self>, connection: Connection) {
        if connection.line.generation != self.generation.load(Ordering::Acquire) {
            return;
        }
        let mut kept = self.kept();
        kept.idle.push(Idle { connection, since: SystemTime::now() });
        if !kept.reaped {
            kept.reaped = true;
            tokio::spawn(reap(Arc::downgrade(self)));
        }
    }
}

fn is_over(since: SystemTime) -> bool {
    since.elapsed().is_ok_and(|age| age > IDLE)
}

/// Closes connections that waited too long, until none waits.
async fn reap(pool: Weak<Shared>) {
    loop {
        tokio::time::sleep(IDLE / 4).await;
        let Some(shared) = pool.upgrade() else { return };
        let mut kept = shared.kept();
        kept.idle.retain(|idle| !is_over(idle.since) && !idle.connection.sender.is_closed());
        kept.reaped = !kept.idle.is_empty();
        if !kept.reaped {
            return;
        }
    }
}

/// Runs a connection, and gives its sending side back to the pool whenever it is free.
struct Driver {
    connection: http1::Connection<TokioIo<Stream>, Body>,
    line: Arc<Line>,
    pool: Weak<Shared>,
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let ended = Pin::new(&mut self.connection).poll(context).is_ready();
        self.give_back(context);
        if ended { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Driver {
    fn give_back(&self, context: &mut Context<'_>) {
        let mut busy = self.line.busy();
        let Some(Busy { sender, .. }) = busy.as_mut() else { return };
        let Poll::Ready(free) = sender.poll_ready(context) else { return };
        let Some(Busy { sender, place }) = busy.take() else { return };
        drop(busy);
        if let (Ok(()), Some(pool)) = (free, self.pool.upgrade()) {
            pool.keep(Connection { sender, line: self.line.clone() });
        }
        drop(place);
    }
}

type Handshake = (http1::SendRequest<Body>, http1::Connection<TokioIo<Stream>, Body>);

async fn handshake(stream: Stream) -> Result<Handshake, SendError> {
    http1::Builder::new()
        .max_buf_size(BUFFER)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| SendError::Interrupted { cause: error.to_string() })
}
