//! The clients: each does one thing again and again, with pauses, until it is told to stop.

use std::io::Read as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use flate2::read::GzDecoder;
use futures_util::{SinkExt as _, StreamExt as _, stream};
use http::Method;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::app::OWN;
use crate::client::{Caller, DOORS, Failure, Site, Socket, accepted, hash_slowly, in_time, next_in_time, read_whole};
use crate::content::{Dice, Hash, Ledger, hex, is_intact, page, random_body, sealed, whole_body};
use crate::tally::{LoadKind, Tally};

/// How much is asked for: the longer, the less. A fifth of a second is some forty requests a second in all, and 10 MiB.
const PACE: Duration = Duration::from_millis(200);
/// Kinds of clients; each has one at every door, and rests for so many times [`PACE`] on average.
const KINDS: [(Client, u32); 7] = [
    (Client::Transfers, 12),
    (Client::Posts, 14),
    (Client::OldSocket, 5),
    (Client::NewSockets, 25),
    (Client::Events, 2),
    (Client::SlowReader, 20),
    (Client::Quitter, 25),
];
/// After each piece that a slow reader takes.
const SLOW_PAUSE: Duration = Duration::from_millis(40);
const SLOW_SIZE: u64 = 3 << 20;

/// What a client does.
#[derive(Debug, Clone, Copy)]
enum Client {
    Transfers,
    Posts,
    /// It keeps one WebSocket open.
    OldSocket,
    /// It opens one after another.
    NewSockets,
    Events,
    SlowReader,
    /// It hangs up in the middle.
    Quitter,
}

/// What the clients share.
pub(crate) struct Shared {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) tally: Arc<Tally>,
    pub(crate) stop: CancellationToken,
}

/// Starts all clients of all sites.
pub(crate) fn start(sites: &[Arc<Site>], shared: &Arc<Shared>, seed: u64) -> JoinSet<()> {
    let mut clients = JoinSet::new();
    let mut dice = Dice::new(seed);
    for site in sites {
        for door in DOORS {
            for (kind, pauses) in KINDS {
                let worker = Worker {
                    caller: Caller::new(Arc::clone(site), door),
                    shared: Arc::clone(shared),
                    dice: Dice::new(dice.next()),
                    pause: PACE * pauses,
                };
                clients.spawn(worker.run(kind));
            }
        }
    }
    clients
}

/// A client at work.
struct Worker {
    caller: Caller,
    shared: Arc<Shared>,
    dice: Dice,
    pause: Duration,
}

impl Worker {
    async fn run(mut self, kind: Client) {
        let stop = self.shared.stop.clone();
        while self.rest().await {
            match kind {
                Client::Transfers => self.transfer().await,
                Client::Posts => self.post().await,
                // These two never end by themselves.
                Client::OldSocket => drop(stop.run_until_cancelled(self.talk(u64::MAX)).await),
                Client::Events => drop(stop.run_until_cancelled(self.listen()).await),
                Client::NewSockets => {
                    let messages = self.dice.below(8);
                    self.talk(messages).await;
                }
                Client::SlowReader => self.download(LoadKind::SlowDownload).await,
                Client::Quitter => self.quit().await,
            }
        }
    }

    /// Whether there is more to do after a pause.
    async fn rest(&mut self) -> bool {
        let pause = self.dice.around(self.pause);
        self.shared.stop.run_until_cancelled(sleep(pause)).await.is_some()
    }

    fn note(&self, kind: LoadKind, began: Instant, outcome: Result<u64, Failure>) -> bool {
        self.shared.tally.note(kind, (&self.caller.site, self.caller.door), began, outcome)
    }

    async fn transfer(&mut self) {
        match self.dice.below(12) {
            0..3 => self.download(LoadKind::Download).await,
            3..5 => self.download(LoadKind::ChunkedDownload).await,
            5 => self.download(LoadKind::CutDownload).await,
            6..8 => self.upload(LoadKind::Upload).await,
            8..10 => self.upload(LoadKind::ChunkedUpload).await,
            10 => self.page().await,
            _ => self.refusal().await,
        }
    }

    async fn download(&mut self, kind: LoadKind) {
        let number = self.shared.ledger.number();
        let (form, size, pause) = match kind {
            LoadKind::CutDownload => ("cut", 2 + self.dice.size(), Duration::ZERO),
            LoadKind::ChunkedDownload => ("chunked", self.dice.size(), Duration::ZERO),
            LoadKind::SlowDownload => ("chunked", SLOW_SIZE, SLOW_PAUSE),
            _ => ("length", self.dice.size(), Duration::ZERO),
        };
        let began = Instant::now();
        let path = format!("/download/{number}/{size}/{form}");
        let outcome = self.fetch(&path, pause).await;
        let sent = self.shared.ledger.take(number);
        let outcome = match (outcome, kind) {
            // It must be told that it is not whole.
            (Err(Failure::Cut(_)), LoadKind::CutDownload) => Ok(size / 2),
            (Err(Failure::Refused(status, _)), LoadKind::CutDownload) if status.is_server_error() => Ok(0),
            (Ok((length, _)), LoadKind::CutDownload) => {
                Err(Failure::Wrong(format!("{length} of {size} octets pass for the whole of what was broken off")))
            }
            (Ok(received), _) => compare(size, sent, received),
            (Err(failure), _) => Err(failure),
        };
        self.note(kind, began, outcome);
    }

    async fn fetch(&mut self, path: &str, pause: Duration) -> Result<(u64, Hash), Failure> {
        let answer = self.caller.send(Method::GET, path, &[], whole_body("")).await?;
        hash_slowly(accepted(answer).await?.body_mut(), pause).await
    }

    async fn upload(&mut self, kind: LoadKind) {
        let (number, size) = (self.shared.ledger.number(), self.dice.size());
        let began = Instant::now();
        let is_chunked = kind == LoadKind::ChunkedUpload;
        let outcome = self.send(Method::PUT, &format!("/upload/{number}"), number, size, is_chunked).await;
        self.note(kind, began, outcome);
    }

    /// Sends a random body, and compares what the app says of it.
    async fn send(
        &mut self,
        method: Method,
        path: &str,
        number: u64,
        size: u64,
        is_chunked: bool,
    ) -> Result<u64, Failure> {
        let body = random_body(Arc::clone(&self.shared.ledger), number, size, None);
        let length = size.to_string();
        let fields = [("content-length", length.as_str())];
        let answer = self.caller.send(method, path, &fields[usize::from(is_chunked)..], body).await;
        let text = match answer {
            Ok(answer) => read_whole(accepted(answer).await?.body_mut()).await,
            Err(failure) => Err(failure),
        };
        let sent = self.shared.ledger.take(number);
        let said: Value = serde_json::from_slice(&text?).map_err(|error| Failure::Wrong(error.to_string()))?;
        let Some((length, hash)) = sent else {
            return Err(Failure::Wrong(format!("of {size} octets the app has {said}, before the last was sent")));
        };
        if said["length"] == length && said["hash"] == hex(&hash) {
            return Ok(size);
        }
        Err(Failure::Wrong(format!("of {length} octets, {}, the app has {said}", hex(&hash))))
    }

    /// The app sees it once if it is answered, else at most once.
    async fn post(&mut self) {
        let number = self.shared.ledger.number();
        let size = self.dice.magnitude(512 * 1024);
        let (began, is_chunked) = (Instant::now(), self.dice.one_in(2));
        let outcome = self.send(Method::POST, &format!("/post/{number}"), number, size, is_chunked).await;
        let is_answered = outcome.is_ok();
        self.note(LoadKind::Post, began, outcome);
        let times = self.shared.ledger.posted(number);
        if times > 1 || (is_answered && times != 1) {
            self.shared
                .tally
                .complain(format!("POST {number}, answered: {is_answered}, reached the app {times} times"));
        }
    }

    async fn page(&mut self) {
        let began = Instant::now();
        let outcome = self.read_page().await;
        self.note(LoadKind::Page, began, outcome);
    }

    async fn read_page(&mut self) -> Result<u64, Failure> {
        let number = self.shared.ledger.number();
        let path = format!("/page/{number}");
        let answer = self.caller.send(Method::GET, &path, &[("accept-encoding", "gzip")], whole_body("")).await?;
        let mut answer = accepted(answer).await?;
        let is_gzip = answer.headers().get("content-encoding").is_some_and(|coding| coding == "gzip");
        let body = read_whole(answer.body_mut()).await?;
        let mut read = String::new();
        if is_gzip {
            let decoded = GzDecoder::new(&body[..]).read_to_string(&mut read);
            decoded.map_err(|error| Failure::Wrong(format!("no gzip: {error}")))?;
        } else {
            read = String::from_utf8(body).map_err(|error| Failure::Wrong(error.to_string()))?;
        }
        let expected = page(number, self.caller.prefix());
        if read == expected {
            return Ok(read.len() as u64);
        }
        let mut lines = read.lines().zip(expected.lines()).filter(|(read, expected)| read != expected);
        Err(Failure::Wrong(format!("a page is another, {} octets: {:?}", read.len(), lines.next())))
    }

    async fn refusal(&mut self) {
        let number = self.shared.ledger.number();
        let began = Instant::now();
        let outcome = self.read_refusal(number).await;
        let sent = self.shared.ledger.take(number);
        let outcome = outcome.and_then(|received| compare(received.0, sent, received));
        self.note(LoadKind::Refusal, began, outcome);
    }

    async fn read_refusal(&mut self, number: u64) -> Result<(u64, Hash), Failure> {
        let path = format!("/refuse/{number}");
        let mut answer = self.caller.send(Method::GET, &path, &[], whole_body("")).await?;
        if answer.headers().contains_key(OWN) {
            return hash_slowly(answer.body_mut(), Duration::ZERO).await;
        }
        accepted(answer).await?;
        Err(Failure::Wrong("200 instead of 503".to_owned()))
    }

    /// Opens a WebSocket, and exchanges so many messages.
    async fn talk(&mut self, messages: u64) {
        let began = Instant::now();
        let query = if self.caller.site.takes_queries && self.dice.one_in(2) { "?with=query" } else { "" };
        let opened = self.caller.web_socket(&format!("/socket{query}")).await;
        let mut socket = match opened {
            Ok(socket) => {
                self.note(LoadKind::WebSocket, began, Ok(0));
                socket
            }
            Err(failure) => {
                self.note(LoadKind::WebSocket, began, Err(failure));
                return;
            }
        };
        let mut last = Instant::now();
        for _ in 0..messages {
            sleep(self.dice.around(self.pause.min(PACE * 5))).await;
            let message = sealed(&mut self.dice);
            let outcome = exchange(&mut socket, message).await;
            if !self.note(LoadKind::WebSocketMessage, last, outcome) {
                return;
            }
            last = Instant::now();
            self.shared.tally.note_age(began);
        }
        if let Err(failure) = in_time("no end of a WebSocket", close(&mut socket)).await {
            self.note(LoadKind::WebSocket, last, Err(failure));
        }
    }

    /// Reads events until there are no more.
    async fn listen(&mut self) {
        let began = Instant::now();
        let path = format!("/events/{}", self.shared.ledger.number());
        let answer = match self.caller.send(Method::GET, &path, &[], whole_body("")).await {
            Ok(answer) => accepted(answer).await,
            Err(failure) => Err(failure),
        };
        let (mut answer, mut text, mut count, mut last) = match answer {
            Ok(answer) => (answer, Vec::new(), 0_u64, Instant::now()),
            Err(failure) => {
                self.note(LoadKind::EventStream, began, Err(failure));
                return;
            }
        };
        self.note(LoadKind::EventStream, began, Ok(0));
        loop {
            let piece = match next_in_time(answer.body_mut()).await {
                Ok(Some(piece)) => piece,
                ended => {
                    let failure = ended.err().unwrap_or_else(|| Failure::Cut("it ended".to_owned()));
                    self.note(LoadKind::Event, last, Err(failure));
                    return;
                }
            };
            text.extend_from_slice(&piece);
            while let Some(end) = text.windows(2).position(|pair| pair == b"\n\n") {
                let event: Vec<u8> = text.drain(..end + 2).collect();
                self.note(LoadKind::Event, last, judge_event(&event, count));
                (count, last) = (count + 1, Instant::now());
            }
        }
    }

    /// Begins something and leaves in the middle of it.
    async fn quit(&mut self) {
        let patience = self.dice.around(Duration::from_millis(300));
        let began = Instant::now();
        match self.dice.below(3) {
            0 => {
                let number = self.shared.ledger.number();
                let path = format!("/download/{number}/{SLOW_SIZE}/chunked");
                let _ = timeout(patience, self.fetch(&path, SLOW_PAUSE)).await;
            }
            1 => {
                let pieces = stream::repeat(Bytes::from(vec![7; 16 * 1024])).then(async |piece| {
                    sleep(SLOW_PAUSE).await;
                    Ok(Frame::data(piece))
                });
                let body = StreamBody::new(pieces.boxed()).boxed_unsync();
                let path = format!("/upload/{}", self.shared.ledger.number());
                let _ = timeout(patience, self.caller.send(Method::PUT, &path, &[], body)).await;
            }
            _ => {
                if let Ok(mut socket) = self.caller.web_socket("/socket").await {
                    let _ = timeout(patience, exchange(&mut socket, sealed(&mut self.dice))).await;
                }
            }
        }
        self.caller.hang_up();
        self.note(LoadKind::HangUp, began, Ok(0));
    }
}

fn compare(size: u64, sent: Option<(u64, Hash)>, received: (u64, Hash)) -> Result<u64, Failure> {
    if sent == Some(received) && received.0 == size {
        return Ok(size);
    }
    let sent = sent.map(|(length, hash)| (length, hex(&hash)));
    Err(Failure::Wrong(format!("of {size} octets, sent {sent:?}, came {}, {}", received.0, hex(&received.1))))
}

async fn exchange(socket: &mut Socket, message: tokio_tungstenite::tungstenite::Message) -> Result<u64, Failure> {
    let length = message.len() as u64;
    let exchanged = async {
        socket.send(message.clone()).await.map_err(Failure::cut)?;
        match socket.next().await {
            Some(Ok(echo)) if echo == message && is_intact(&echo) => Ok(2 * length),
            Some(Ok(echo)) if echo.is_close() => Err(Failure::cut(echo)),
            Some(Ok(echo)) => Err(Failure::Wrong(format!("{length} octets came back as {}", echo.len()))),
            Some(Err(error)) => Err(Failure::cut(error)),
            None => Err(Failure::Cut("it ended".to_owned())),
        }
    };
    in_time("no WebSocket message", exchanged).await
}

async fn close(socket: &mut Socket) -> Result<(), Failure> {
    socket.close(None).await.map_err(Failure::cut)?;
    while let Some(message) = socket.next().await {
        message.map_err(Failure::cut)?;
    }
    Ok(())
}

fn judge_event(event: &[u8], count: u64) -> Result<u64, Failure> {
    let text = String::from_utf8_lossy(event);
    let parts: Vec<&str> = text.trim_end_matches('\n').split(' ').collect();
    let is_right = matches!(parts[..], ["data:", number, hash, said]
        if number == count.to_string() && hash == hex(&Sha256::digest(said).into()));
    if is_right { Ok(event.len() as u64) } else { Err(Failure::Wrong(format!("event {count} is {text:?}"))) }
}
