//! What is sent: octets that nobody can guess, in sizes that vary, and how both ends know that they are the same.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body::{Body as _, Frame};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Incoming;
use sha2::{Digest as _, Sha256};
use tokio_tungstenite::tungstenite::Message;

/// The body of every request and answer here.
pub(crate) type AnyBody = UnsyncBoxBody<Bytes, io::Error>;
/// SHA-256.
pub(crate) type Hash = [u8; 32];

/// Most of what is sent is smaller than this.
const USUAL_SIZE: u64 = 4 << 20;
const HUGE_SIZE: u64 = 50 << 20;
/// One body in so many is huge.
const HUGE_ONE_IN: u64 = 250;
const MAX_PIECE: u64 = 64 * 1024;

/// Random numbers, the same for the same seed (xorshift64*).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// 0 or more, below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub(crate) fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    /// Below `limit`; each power of two is as likely as the next.
    pub(crate) fn magnitude(&mut self, limit: u64) -> u64 {
        let power = self.below(u64::from(limit.ilog2()) + 1);
        self.below(1 << power)
    }

    /// Of a body.
    pub(crate) fn size(&mut self) -> u64 {
        if self.one_in(HUGE_ONE_IN) { HUGE_SIZE } else { self.magnitude(USUAL_SIZE) }
    }

    pub(crate) fn octets(&mut self, count: usize) -> Vec<u8> {
        let mut octets = Vec::with_capacity(count + 8);
        while octets.len() < count {
            octets.extend_from_slice(&self.next().to_le_bytes());
        }
        octets.truncate(count);
        octets
    }

    /// Letters of one, two, three and four octets.
    pub(crate) fn text(&mut self, letters: u64) -> String {
        const ALPHABET: [char; 16] =
            ['a', 'e', 'n', ' ', 'Z', '7', '"', '\\', 'ä', 'ß', 'Ж', '中', '€', '🦀', '\u{7f}', '\t'];
        (0..letters).map(|_| ALPHABET[usize::try_from(self.below(16)).unwrap()]).collect()
    }

    /// A time around `mean`, from nothing to twice as long.
    pub(crate) fn around(&mut self, mean: Duration) -> Duration {
        mean.mul_f64(self.below(2000) as f64 / 1000.0)
    }
}

/// A WebSocket message that proves itself: the hash of the rest comes first.
pub(crate) fn sealed(dice: &mut Dice) -> Message {
    let size = if dice.one_in(50) { 1 << 20 } else { dice.magnitude(64 * 1024) };
    if dice.one_in(2) {
        let text = dice.text(size / 4);
        return Message::text(format!("{}{text}", hex(&Sha256::digest(&text).into())));
    }
    let octets = dice.octets(usize::try_from(size).unwrap());
    Message::binary([&Sha256::digest(&octets)[..], &octets].concat())
}

pub(crate) fn is_intact(message: &Message) -> bool {
    match message {
        Message::Text(text) => {
            text.split_at_checked(64).is_some_and(|(hash, rest)| hash == hex(&Sha256::digest(rest).into()))
        }
        Message::Binary(octets) => {
            octets.split_at_checked(32).is_some_and(|(hash, rest)| hash == &Sha256::digest(rest)[..])
        }
        _ => true,
    }
}

pub(crate) fn hex(hash: &Hash) -> String {
    hash.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// What both ends write down.
#[derive(Default)]
pub(crate) struct Ledger {
    last: AtomicU64,
    /// By the number of a body, its length and hash, once the last of it was handed over by who sends it.
    sent: Mutex<HashMap<u64, (u64, Hash)>>,
    /// How often the app has seen the POST of each number.
    posts: Mutex<HashMap<u64, u32>>,
    /// What the app found wrong.
    complaints: Mutex<Vec<String>>,
}

impl Ledger {
    /// For a body that nobody has sent yet.
    pub(crate) fn number(&self) -> u64 {
        self.last.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// What was sent, which is forgotten.
    pub(crate) fn take(&self, number: u64) -> Option<(u64, Hash)> {
        self.sent.lock().unwrap().remove(&number)
    }

    fn record(&self, number: u64, length: u64, hash: Hash) {
        self.sent.lock().unwrap().insert(number, (length, hash));
    }

    pub(crate) fn count_post(&self, number: u64) {
        *self.posts.lock().unwrap().entry(number).or_default() += 1;
    }

    /// How often the app has seen this one.
    pub(crate) fn posted(&self, number: u64) -> u32 {
        self.posts.lock().unwrap().get(&number).copied().unwrap_or_default()
    }

    /// Numbers that the app has seen more than once.
    pub(crate) fn posted_twice(&self) -> Vec<u64> {
        self.posts.lock().unwrap().iter().filter(|(_, times)| **times > 1).map(|(number, _)| *number).collect()
    }

    pub(crate) fn complain(&self, complaint: String) {
        self.complaints.lock().unwrap().push(complaint);
    }

    pub(crate) fn complaints(&self) -> Vec<String> {
        self.complaints.lock().unwrap().clone()
    }
}

/// Random octets in pieces of random sizes, written down in the ledger when the last one is handed over. After `cut` octets,
/// where it is given, it fails.
pub(crate) fn random_body(ledger: Arc<Ledger>, number: u64, size: u64, cut: Option<u64>) -> AnyBody {
    if size == 0 {
        // A body of which nothing is to be sent is not asked for anything.
        ledger.record(number, 0, Sha256::digest([]).into());
    }
    let state = (Dice::new(number), Sha256::new(), 0_u64);
    let pieces = stream::unfold(state, move |(mut dice, mut hasher, done)| {
        let ledger = Arc::clone(&ledger);
        async move {
            if cut.is_some_and(|cut| done >= cut) {
                return Some((Err(io::ErrorKind::ConnectionReset.into()), (dice, hasher, done)));
            }
            if done == size {
                return None;
            }
            let length = (1 + dice.below(MAX_PIECE)).min(cut.unwrap_or(size) - done);
            let piece = dice.octets(usize::try_from(length).unwrap());
            hasher.update(&piece);
            if done + length == size {
                ledger.record(number, size, hasher.clone().finalize().into());
            }
            Some((Ok(Frame::data(Bytes::from(piece))), (dice, hasher, done + length)))
        }
    });
    StreamBody::new(pieces).boxed_unsync()
}

pub(crate) fn whole_body(body: impl Into<Bytes>) -> AnyBody {
    Full::new(body.into()).map_err(|never| match never {}).boxed_unsync()
}

/// The next octets of a body; nothing at its end.
pub(crate) async fn next_piece(body: &mut Incoming) -> Option<Result<Bytes, hyper::Error>> {
    loop {
        match std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await? {
            Ok(frame) => {
                if let Ok(data) = frame.into_data() {
                    return Some(Ok(data));
                }
            }
            Err(error) => return Some(Err(error)),
        }
    }
}

/// The page of this number: so many links and paragraphs, and what its links become below `prefix`.
pub(crate) fn page(number: u64, prefix: &str) -> String {
    let mut dice = Dice::new(number);
    let mut page = format!("<!DOCTYPE html>\n<html><head><title>{number}</title></head>\n<body>\n");
    for _ in 0..dice.below(400) {
        let (target, words) = (dice.next(), dice.octets(40));
        page += &format!("<p class=\"x\"><a href=\"{prefix}/to/{target}?a=b\">{target}</a>");
        page += &format!(" {} &amp; <img src=\"near/{target}.png\"></p>\n", hex(&Sha256::digest(&words).into()));
    }
    page + "</body></html>\n"
}
