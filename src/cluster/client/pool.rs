//! Connections that are kept: the one that was free last is taken first, and a connection is free again only when
//! the answer's body and the request's body have both ended.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1};
use hyper_util::rt::TokioIo;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::dial_ahead::{DialAhead, DialUnderWay};
use crate::lock::lock;
use crate::message::body::Body;
use crate::message::byte_stream::ByteStream;
use crate::message::capped_reads::{CappedReads, MAX_HEAD_LINES, MAX_HEAD_SIZE};
use crate::message::replay::{LastSend, SendTrace};

/// Longer than this no connection waits for its next request: load balancers drop idle ones, often after 60 seconds
/// and without a word.
pub(crate) const CONNECTION_IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// So long a connection that was made before it was needed counts as a new one.
const NEW_CONNECTION_AGE: Duration = Duration::from_secs(5);

/// Connections at a time; a browser opens six per site.
const PLACES: usize = 64;

/// For this long a request waits for a place. Then there are [`FURTHER_PLACES`], since those that there are may be held by
/// answers that never end (event streams, long polls) and uploads that stand still.
const POOL_PLACE_TIMEOUT: Duration = Duration::from_secs(3);

/// So many places come at once, so that not everybody waits in vain.
const FURTHER_PLACES: usize = 16;

/// Makes the connections that a pool keeps.
pub(crate) trait PoolConnector: Send + Sync + 'static {
    /// Whom a connection leads to.
    type Peer: Clone + Send + Sync + 'static;
    /// Why there is no connection.
    type Error: From<hyper::Error> + Send;
    /// Whether an app is at the other end itself, with no server between that puts its messages in order.
    const IS_APP: bool;

    /// Whether a connection to `peer` is worth keeping.
    fn is_wanted(&self, _peer: &Self::Peer) -> bool {
        true
    }

    /// Makes a connection that is ready for the first request.
    fn connect(&self) -> impl Future<Output = Result<(ByteStream, Self::Peer), Self::Error>> + Send;

    /// How often connections were lost, because the network has changed or nobody was at their other end: no connection from
    /// before should serve another request.
    fn losses(&self) -> u64;
}

/// Keeps the connections that a [`PoolConnector`] makes.
pub(crate) struct ConnectionPool<C: PoolConnector> {
    /// What makes the connections.
    pub(crate) connector: C,
    places: Arc<Semaphore>,
    /// How many there are beyond [`PLACES`].
    further: AtomicUsize,
    generation: AtomicU64,
    kept: Mutex<KeptConnections<C::Peer>>,
    ahead: Arc<DialAhead<PooledConnection<C::Peer>, C::Error>>,
    /// Whether one connection more than are at work is to wait for the next request.
    keeps_spare: AtomicBool,
}

struct KeptConnections<P> {
    /// The one that became free last is the last.
    idle: Vec<IdleConnection<P>>,
    /// Whether somebody will look for connections that waited too long.
    reaped: bool,
}

/// A connection that waits for a request.
struct IdleConnection<P> {
    connection: PooledConnection<P>,
    /// Wall clock, since the monotonic one stands still while a laptop sleeps.
    since: SystemTime,
}

/// The sending side of a connection.
struct PooledConnection<P> {
    sender: http1::SendRequest<Body>,
    line: Arc<ConnectionShared<P>>,
    /// When it was made; `None` once it has carried a request.
    unused_since: Option<SystemTime>,
}

/// What a connection's driver and its user share.
struct ConnectionShared<P> {
    generation: u64,
    peer: P,
    busy: Mutex<Option<BusyConnection>>,
}

/// A connection at work; its driver takes it back to the pool.
struct BusyConnection {
    sender: http1::SendRequest<Body>,
    place: PoolPlace,
}

/// A connection that serves one client alone, and ends when this is dropped.
pub(crate) struct TiedConnection<P>(tokio::sync::Mutex<Option<(http1::SendRequest<Body>, P)>>);

impl<P> Default for TiedConnection<P> {
    fn default() -> Self {
        Self(tokio::sync::Mutex::default())
    }
}

/// One of the [`PLACES`]; `None` for a connection beyond them.
type PoolPlace = Option<OwnedSemaphorePermit>;

/// A connection that no pool keeps, and what came of the first request on it.
type OwnConnection<P> = (http1::SendRequest<Body>, SendOutcome<P>);

/// What came of a request.
pub(crate) enum SendOutcome<P> {
    /// The head of the answer, and who gave it.
    Answer(Response<Incoming>, P),
    /// No answer. A connection that was `reused` may have been dead already.
    Lost { error: hyper::Error, reused: bool, peer: P },
}

impl<C: PoolConnector> ConnectionPool<C> {
    /// Keeps what `connector` makes.
    pub(crate) fn new(connector: C) -> Arc<Self> {
        Arc::new(Self {
            connector,
            places: Arc::new(Semaphore::new(PLACES)),
            further: AtomicUsize::new(0),
            generation: AtomicU64::new(0),
            kept: Mutex::new(KeptConnections { idle: Vec::new(), reaped: false }),
            ahead: Arc::default(),
            keeps_spare: AtomicBool::new(false),
        })
    }

    /// From now on, whenever the last connection that waits is taken, another one is made, so that who needs one next need
    /// not wait for it. Nothing is made while nothing is used: a spare one is closed like any other that waits too long.
    pub(crate) fn keep_spare(&self) {
        self.keeps_spare.store(true, Ordering::Relaxed);
    }

    /// Lets no connection that exists now serve another request.
    pub(crate) fn retire(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        lock(&self.kept).idle.clear();
    }

    /// Closes the connections that wait, except those to `wanted` peers.
    pub(crate) fn keep_only(&self, wanted: impl Fn(&C::Peer) -> bool) {
        lock(&self.kept).idle.retain(|idle| wanted(&idle.connection.line.peer));
    }

    /// Sends `request` on a kept connection that has not waited longer than `wait`, else on a new one, as is one that is sent
    /// for the last time. One that is found dead before anything was written to it is replaced.
    pub(crate) async fn send(
        self: &Arc<Self>,
        mut request: Request<Body>,
        wait: Duration,
    ) -> Result<SendOutcome<C::Peer>, C::Error> {
        if request.extensions().get::<LastSend>().is_some() {
            return self.send_fresh(request).await;
        }
        let trace = SendTrace::of(&request);
        let mut place = self.place().await;
        while let Some(connection) = self.take(wait) {
            self.replace_spare();
            let (peer, reused) = (connection.line.peer.clone(), connection.may_be_dead());
            match connection.send(request, place).await {
                Ok(answer) => return Ok(SendOutcome::Answer(answer, peer)),
                Err(mut failure) => match failure.take_message() {
                    Some(unsent) => request = unsent,
                    None => {
                        trace.was_lost(reused);
                        return Ok(SendOutcome::Lost { error: failure.into_error(), reused, peer });
                    }
                },
            }
            place = self.place().await;
        }
        self.send_on_new(request, place).await
    }

    /// Sends `request` on a new connection, which is kept afterwards.
    pub(crate) async fn send_fresh(self: &Arc<Self>, request: Request<Body>) -> Result<SendOutcome<C::Peer>, C::Error> {
        let place = self.place().await;
        self.send_on_new(request, place).await
    }

    async fn send_on_new(
        self: &Arc<Self>,
        request: Request<Body>,
        place: PoolPlace,
    ) -> Result<SendOutcome<C::Peer>, C::Error> {
        let connection = self.open_or_claim().await?;
        let peer = connection.line.peer.clone();
        match connection.send(request, place).await {
            Ok(answer) => Ok(SendOutcome::Answer(answer, peer)),
            Err(failure) => Ok(SendOutcome::Lost { error: failure.into_error(), reused: false, peer }),
        }
    }

    /// Sends `request` on a connection of its own, which may become something else than HTTP: a kept one that has not waited
    /// longer than `wait`, or a new one.
    pub(crate) async fn send_alone(
        self: &Arc<Self>,
        mut request: Request<Body>,
        wait: Duration,
    ) -> Result<SendOutcome<C::Peer>, C::Error> {
        let is_last = request.extensions().get::<LastSend>().is_some();
        while let Some(connection) = self.take(wait).filter(|_| !is_last) {
            self.replace_spare();
            let reused = connection.may_be_dead();
            let PooledConnection { mut sender, line, .. } = connection;
            match send_on_kept(&mut sender, request, reused).await {
                Ok(Ok(answer)) => return Ok(SendOutcome::Answer(answer, line.peer.clone())),
                Ok(Err(error)) => return Ok(SendOutcome::Lost { error, reused, peer: line.peer.clone() }),
                Err(unsent) => request = unsent,
            }
        }
        let PooledConnection { mut sender, line, .. } = self.open_or_claim().await?;
        SendTrace::of(&request).was_sent();
        Ok(match sender.send_request(request).await {
            Ok(answer) => SendOutcome::Answer(answer, line.peer.clone()),
            Err(error) => SendOutcome::Lost { error, reused: false, peer: line.peer.clone() },
        })
    }

    async fn send_on_own(&self, request: Request<Body>) -> Result<OwnConnection<C::Peer>, C::Error> {
        let (stream, peer) = self.connector.connect().await?;
        let (mut sender, connection) = handshake(stream, C::IS_APP).await?;
        tokio::spawn(connection);
        SendTrace::of(&request).was_sent();
        let outcome = match sender.send_request(request).await {
            Ok(answer) => SendOutcome::Answer(answer, peer),
            Err(error) => SendOutcome::Lost { error, reused: false, peer },
        };
        Ok((sender, outcome))
    }

    /// Sends `request` on the connection `tied`, or on a new one that takes its place where there is none yet or it is dead.
    /// No other request goes out on it meanwhile.
    pub(crate) async fn send_tied(
        &self,
        mut request: Request<Body>,
        tied: &TiedConnection<C::Peer>,
    ) -> Result<SendOutcome<C::Peer>, C::Error> {
        let mut kept = tied.0.lock().await;
        if let Some((mut sender, peer)) = kept.take()
            && sender.ready().await.is_ok()
        {
            match send_on_kept(&mut sender, request, true).await {
                Ok(Ok(answer)) => {
                    *kept = Some((sender, peer.clone()));
                    return Ok(SendOutcome::Answer(answer, peer));
                }
                Ok(Err(error)) => return Ok(SendOutcome::Lost { error, reused: true, peer }),
                Err(unsent) => request = unsent,
            }
        }
        let (sender, outcome) = self.send_on_own(request).await?;
        if let SendOutcome::Answer(_, peer) = &outcome {
            *kept = Some((sender, peer.clone()));
        }
        Ok(outcome)
    }

    /// Opens a connection ahead of the first request.
    pub(crate) async fn warm(self: &Arc<Self>) -> Result<(), C::Error> {
        let connection = self.open().await?;
        self.keep(connection);
        Ok(())
    }

    /// Makes a connection that the next request takes. Where no request waited for it, as many `further` ones are made for who
    /// comes beside that request, one after the other.
    pub(crate) fn dial_ahead(self: &Arc<Self>, further: usize) {
        let Some(under_way) = self.ahead.begin(self.generation.load(Ordering::Acquire)) else { return };
        let pool = self.clone();
        tokio::spawn(async move {
            if pool.dial(under_way).await && further > 0 {
                pool.dial_ahead(further - 1);
            }
        });
    }

    /// Whether a connection was made that waits now.
    async fn dial(self: &Arc<Self>, under_way: DialUnderWay<PooledConnection<C::Peer>, C::Error>) -> bool {
        let unclaimed = under_way.end(self.open().await);
        let is_kept = unclaimed.is_some();
        unclaimed.into_iter().for_each(|connection| self.keep(connection));
        is_kept
    }

    fn replace_spare(self: &Arc<Self>) {
        if self.keeps_spare.load(Ordering::Relaxed) && lock(&self.kept).idle.is_empty() {
            self.dial_ahead(0);
        }
    }

    /// A new connection: the one that is on its way already, or another. A spare one follows, so that the two do not shake
    /// hands at the same time.
    async fn open_or_claim(self: &Arc<Self>) -> Result<PooledConnection<C::Peer>, C::Error> {
        let opened = match self.ahead.claim(self.generation.load(Ordering::Acquire)) {
            Some(claimed) => match claimed.await {
                Ok(opened) => opened?,
                Err(_) => self.open().await?,
            },
            None => self.open().await?,
        };
        self.replace_spare();
        Ok(opened)
    }

    async fn place(&self) -> PoolPlace {
        let places = &self.places;
        if let Ok(place) = places.clone().try_acquire_owned() {
            self.give_up_further_places();
            return Some(place);
        }
        if let Ok(place) = tokio::time::timeout(POOL_PLACE_TIMEOUT, places.clone().acquire_owned()).await {
            return place.ok();
        }
        self.further.fetch_add(FURTHER_PLACES, Ordering::Relaxed);
        places.add_permits(FURTHER_PLACES);
        None
    }

    /// Once there are as many free places as there were at first.
    fn give_up_further_places(&self) {
        if self.further.load(Ordering::Relaxed) > 0 && self.places.available_permits() >= PLACES {
            let given_up = self.places.forget_permits(self.further.swap(0, Ordering::Relaxed));
            tracing::debug!(given_up, "further places are not needed any more");
        }
    }

    async fn open(self: &Arc<Self>) -> Result<PooledConnection<C::Peer>, C::Error> {
        let generation = self.generation();
        let (stream, peer) = self.connector.connect().await?;
        let (sender, connection) = handshake(stream, C::IS_APP).await?;
        let line = Arc::new(ConnectionShared { generation, peer, busy: Mutex::default() });
        let driver = ConnectionDriver { connection, line: line.clone(), pool: Arc::downgrade(self) };
        tokio::spawn(driver);
        Ok(PooledConnection { sender, line, unused_since: Some(SystemTime::now()) })
    }

    /// Only ever grows.
    /// Changes whenever no connection from before is good any more.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire) + self.connector.losses()
    }

    /// Whether a request would have to wait until a connection is made.
    pub(crate) fn has_none_idle(&self) -> bool {
        lock(&self.kept).idle.is_empty()
    }

    /// The connection that became free last, if it is still good and has not waited longer than `wait`.
    fn take(&self, wait: Duration) -> Option<PooledConnection<C::Peer>> {
        let mut kept = lock(&self.kept);
        // The others have waited longer still.
        if kept.idle.last().is_some_and(|idle| is_older(idle.since, wait)) {
            return None;
        }
        while let Some(IdleConnection { connection, since }) = kept.idle.pop() {
            let is_current = connection.line.generation == self.generation();
            if is_current && !connection.sender.is_closed() && !is_over(since) {
                return Some(connection);
            }
        }
        None
    }

    fn keep(self: &Arc<Self>, connection: PooledConnection<C::Peer>) {
        let is_current = connection.line.generation == self.generation();
        if !is_current || !self.connector.is_wanted(&connection.line.peer) {
            return;
        }
        let mut kept = lock(&self.kept);
        kept.idle.push(IdleConnection { connection, since: SystemTime::now() });
        if !kept.reaped {
            kept.reaped = true;
            tokio::spawn(reap(Arc::downgrade(self)));
        }
    }
}

impl<P> PooledConnection<P> {
    /// Whether somebody may have closed it without a word meanwhile. One that was made a moment ago is as good as new.
    fn may_be_dead(&self) -> bool {
        self.unused_since.is_none_or(|made| is_older(made, NEW_CONNECTION_AGE))
    }

    /// The sender stays with the driver, which finds out when it is free again.
    async fn send(
        mut self,
        request: Request<Body>,
        place: PoolPlace,
    ) -> Result<Response<Incoming>, TrySendError<Request<Body>>> {
        let trace = SendTrace::of(&request);
        let answer = {
            let mut busy = lock(&self.line.busy);
            let answer = self.sender.try_send_request(request);
            *busy = Some(BusyConnection { sender: self.sender, place });
            answer
        };
        let outcome = answer.await;
        let is_unsent = outcome.as_ref().is_err_and(|failure| failure.message().is_some());
        if !is_unsent {
            trace.was_sent();
        }
        outcome
    }
}

fn is_over(since: SystemTime) -> bool {
    is_older(since, CONNECTION_IDLE_TIMEOUT)
}

fn is_older(since: SystemTime, limit: Duration) -> bool {
    since.elapsed().is_ok_and(|age| age > limit)
}

/// Closes connections that waited too long, until none waits.
async fn reap<C: PoolConnector>(pool: Weak<ConnectionPool<C>>) {
    loop {
        tokio::time::sleep(CONNECTION_IDLE_TIMEOUT / 4).await;
        let Some(shared) = pool.upgrade() else { return };
        let mut kept = lock(&shared.kept);
        kept.idle.retain(|idle| !is_over(idle.since) && !idle.connection.sender.is_closed());
        kept.reaped = !kept.idle.is_empty();
        if !kept.reaped {
            return;
        }
    }
}

/// Runs a connection, and gives its sending side back to the pool whenever it is free.
struct ConnectionDriver<C: PoolConnector, F> {
    connection: F,
    line: Arc<ConnectionShared<C::Peer>>,
    pool: Weak<ConnectionPool<C>>,
}

impl<C: PoolConnector, F: Future<Output = hyper::Result<()>> + Unpin> Future for ConnectionDriver<C, F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let ended = Pin::new(&mut self.connection).poll(context).is_ready();
        self.give_back(context);
        if ended { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl<C: PoolConnector, F> ConnectionDriver<C, F> {
    fn give_back(&self, context: &mut Context<'_>) {
        let mut busy = lock(&self.line.busy);
        let Some(BusyConnection { sender, .. }) = busy.as_mut() else { return };
        let Poll::Ready(free) = sender.poll_ready(context) else { return };
        let Some(BusyConnection { sender, place }) = busy.take() else { return };
        drop(busy);
        if let (Ok(()), Some(pool)) = (free, self.pool.upgrade()) {
            pool.keep(PooledConnection { sender, line: self.line.clone(), unused_since: None });
        }
        drop(place);
    }
}

/// Sends `request` on a connection that waited, and `may_be_dead`; gives it back where the connection was found dead before
/// anything was written to it.
async fn send_on_kept(
    sender: &mut http1::SendRequest<Body>,
    request: Request<Body>,
    may_be_dead: bool,
) -> Result<Result<Response<Incoming>, hyper::Error>, Request<Body>> {
    let trace = SendTrace::of(&request);
    match sender.try_send_request(request).await {
        Ok(answer) => {
            trace.was_sent();
            Ok(Ok(answer))
        }
        Err(mut failure) => match failure.take_message() {
            Some(unsent) => Err(unsent),
            None => {
                trace.was_sent();
                trace.was_lost(may_be_dead);
                Ok(Err(failure.into_error()))
            }
        },
    }
}

/// Apps get the names of fields as the client wrote them, and may answer what curl and browsers take: folded lines (RFC
/// 9112 section 5.2), a blank before the colon, lines without one.
async fn handshake(
    stream: ByteStream,
    is_app: bool,
) -> Result<(http1::SendRequest<Body>, impl Future<Output = hyper::Result<()>> + Send + Unpin + 'static), hyper::Error>
{
    let mut settings = http1::Builder::new();
    settings.max_buf_size(MAX_HEAD_SIZE).max_headers(MAX_HEAD_LINES);
    if is_app {
        settings
            .preserve_header_case(true)
            .title_case_headers(true)
            .allow_obsolete_multiline_headers_in_responses(true)
            .allow_spaces_after_header_name_in_responses(true)
            .ignore_invalid_headers_in_responses(true);
    }
    let (sender, connection) = settings.handshake(TokioIo::new(CappedReads::new(stream))).await?;
    Ok((sender, connection.with_upgrades()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Connects to nothing.
    struct NoConnector;

    impl PoolConnector for NoConnector {
        const IS_APP: bool = false;

        type Peer = ();
        type Error = hyper::Error;

        async fn connect(&self) -> Result<(ByteStream, ()), hyper::Error> {
            std::future::pending().await
        }

        fn losses(&self) -> u64 {
            0
        }
    }

    #[tokio::test(start_paused = true)]
    async fn uploads_that_stand_still_make_one_wait_and_not_everybody() {
        let pool = ConnectionPool::new(NoConnector);
        let mut still = Vec::new();
        for _ in 0..PLACES {
            still.push(pool.place().await.unwrap());
        }
        let began = tokio::time::Instant::now();
        assert!(pool.place().await.is_none(), "a connection beyond the places");
        assert_eq!(began.elapsed(), POOL_PLACE_TIMEOUT);
        for _ in 0..100 {
            assert!(pool.place().await.is_some());
        }
        assert_eq!(began.elapsed(), POOL_PLACE_TIMEOUT);
        still.clear();
        assert!(pool.place().await.is_some());
        assert_eq!(pool.places.available_permits(), PLACES);
    }
}
