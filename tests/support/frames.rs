//! HTTP/2 frame by frame, for clients that do not keep to it (RFC 9113 section 4, RFC 7541).

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf, split};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::TlsClient;

/// Kinds of frames.
pub const DATA: u8 = 0;
/// A request's head, or its beginning.
pub const HEADERS: u8 = 1;
/// Which stream depends on which.
pub const PRIORITY: u8 = 2;
/// The end of a stream before its end.
pub const RST_STREAM: u8 = 3;
/// What a side takes.
pub const SETTINGS: u8 = 4;
/// To be answered.
pub const PING: u8 = 6;
const GOAWAY: u8 = 7;
/// How much more may be sent.
pub const WINDOW_UPDATE: u8 = 8;
/// More of a head.
pub const CONTINUATION: u8 = 9;

/// The flag of the last frame of a stream, and of an answer to SETTINGS or PING.
pub const END_STREAM: u8 = 1;
/// The flag of the last frame of a head.
pub const END_HEADERS: u8 = 4;

/// An identifier in SETTINGS: how much a peer may send on a new stream.
pub const INITIAL_WINDOW_SIZE: u16 = 4;
const HEADER_TABLE_SIZE: u16 = 1;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAME_HEAD_LENGTH: usize = 9;
/// Longer than any answer takes.
const DEADLINE: Duration = Duration::from_secs(30);

/// A frame as it goes over the wire.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// SETTINGS of these identifiers.
pub fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    let pairs = values.iter().flat_map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat());
    frame(SETTINGS, 0, 0, pairs.collect::<Vec<_>>())
}

/// Fields of a head, each with its name and value as they are, remembered by nobody.
pub fn literals(fields: &[(&str, &str)]) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
}

/// A field that the other side remembers: 62 names it from now on.
pub fn remembered(name: &str, value: &str) -> Vec<u8> {
    [vec![0x40], text(name), text(value)].concat()
}

/// A string without Huffman coding (RFC 7541 section 5.2).
fn text(text: &str) -> Vec<u8> {
    const PREFIX: usize = 127;
    let mut coded = Vec::new();
    if text.len() < PREFIX {
        coded.push(u8::try_from(text.len()).unwrap());
    } else {
        coded.push(127);
        let mut rest = text.len() - PREFIX;
        while rest >= 128 {
            coded.push(u8::try_from(rest % 128).unwrap() | 128);
            rest /= 128;
        }
        coded.push(u8::try_from(rest).unwrap());
    }
    coded.extend_from_slice(text.as_bytes());
    coded
}

/// What came of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamFate {
    /// An answer with this status.
    Status(u16),
    /// It was ended with this error.
    Reset(u32),
    /// The connection was, with this error if any was said.
    Gone(Option<u32>),
}

/// A frame that came.
struct ReceivedFrame {
    kind: u8,
    stream: u32,
    payload: Vec<u8>,
}

/// A connection on which frames are sent as they are given.
pub struct FrameConnection {
    writer: WriteHalf<TlsStream<TcpStream>>,
    /// What came, or the half that nobody reads.
    frames: Result<UnboundedReceiver<ReceivedFrame>, ReadHalf<TlsStream<TcpStream>>>,
    _reader: Option<AbortOnDrop>,
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl FrameConnection {
    /// To the host of `url`, beginning with these `settings`. Everything that comes is read.
    pub async fn open(client: &TlsClient, url: &str, settings: &[(u16, u32)]) -> Self {
        let (reader, writer) = Self::begin(client, url, settings).await;
        let (sender, frames) = unbounded_channel();
        let reader = AbortOnDrop(tokio::spawn(read_frames(reader, sender)));
        Self { writer, frames: Ok(frames), _reader: Some(reader) }
    }

    /// The same, but nothing is read, ever.
    pub async fn open_unread(client: &TlsClient, url: &str, settings: &[(u16, u32)]) -> Self {
        let (reader, writer) = Self::begin(client, url, settings).await;
        Self { writer, frames: Err(reader), _reader: None }
    }

    async fn begin(
        client: &TlsClient,
        url: &str,
        values: &[(u16, u32)],
    ) -> (ReadHalf<TlsStream<TcpStream>>, WriteHalf<TlsStream<TcpStream>>) {
        let mut stream = client.connect(url, "h2").await.unwrap();
        // No table: each head that comes can be read by itself.
        let values = [&[(HEADER_TABLE_SIZE, 0)], values].concat();
        stream.write_all(&[PREFACE, &settings(&values)].concat()).await.unwrap();
        split(stream)
    }

    /// Sends frames; whether the other side still takes any.
    pub async fn send(&mut self, frames: impl AsRef<[u8]>) -> bool {
        let writer = &mut self.writer;
        let sending = async { writer.write_all(frames.as_ref()).await.is_ok() && writer.flush().await.is_ok() };
        timeout(DEADLINE, sending).await.expect("the other side takes frames, or ends")
    }

    /// Sends `frames` so many times, or until the other side ends or stops to take anything.
    pub async fn send_until_stuck(&mut self, times: usize, frames: &[u8]) {
        /// Far longer than anything on this machine is under way.
        const STUCK: Duration = Duration::from_secs(1);
        for _ in 0..times {
            let writer = &mut self.writer;
            let sending = async { writer.write_all(frames).await.is_ok() && writer.flush().await.is_ok() };
            if !timeout(STUCK, sending).await.unwrap_or(false) {
                return;
            }
        }
    }

    /// What comes of `stream`.
    pub async fn fate(&mut self, stream: u32) -> StreamFate {
        let frames = self.frames.as_mut().unwrap_or_else(|_| panic!("nobody reads"));
        let waiting = async {
            let mut said = None;
            while let Some(frame) = frames.recv().await {
                match frame.kind {
                    GOAWAY => said = Some(number(&frame.payload[4..])),
                    HEADERS if frame.stream == stream => return StreamFate::Status(status(&frame.payload)),
                    RST_STREAM if frame.stream == stream => return StreamFate::Reset(number(&frame.payload)),
                    _ => {}
                }
            }
            StreamFate::Gone(said)
        };
        timeout(DEADLINE, waiting).await.unwrap_or_else(|_| panic!("nothing comes of stream {stream}"))
    }

    /// Waits until so many frames of a kind have come.
    pub async fn until_came(&mut self, kind: u8, count: usize) {
        let frames = self.frames.as_mut().unwrap_or_else(|_| panic!("nobody reads"));
        let waiting = async {
            let mut came = 0;
            while came < count {
                came += usize::from(frames.recv().await.expect("the connection goes on").kind == kind);
            }
        };
        timeout(DEADLINE, waiting).await.unwrap_or_else(|_| panic!("fewer than {count} frames of kind {kind}"));
    }
}

async fn read_frames(mut reader: ReadHalf<TlsStream<TcpStream>>, sender: UnboundedSender<ReceivedFrame>) {
    let mut head = [0; FRAME_HEAD_LENGTH];
    while reader.read_exact(&mut head).await.is_ok() {
        let length = number(&[0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        let is_whole = reader.read_exact(&mut payload).await.is_ok();
        let frame = ReceivedFrame { kind: head[3], stream: number(&head[5..]), payload };
        if !is_whole || sender.send(frame).is_err() {
            return;
        }
    }
}

fn number(octets: &[u8]) -> u32 {
    u32::from_be_bytes(octets[..4].try_into().unwrap())
}

/// `:status`, with which an answer's head begins, by a server that may remember nothing (RFC 7541 appendices A and B).
fn status(head: &[u8]) -> u16 {
    const KNOWN: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    let is_table_size = |octet: &&u8| **octet & 0xe0 == 0x20;
    let head = &head[head.iter().take_while(is_table_size).count()..];
    if head[0] & 0x80 != 0 {
        return KNOWN[usize::from(head[0] & 0x7f) - 8];
    }
    let (is_huffman, length) = (head[1] & 0x80 != 0, usize::from(head[1] & 0x7f));
    let value = &head[2..2 + length];
    if is_huffman { digits(value) } else { str::from_utf8(value).unwrap().parse().unwrap() }
}

/// Three digits in Huffman code: 0 to 2 have five bits, the others six, from 011001 on.
fn digits(code: &[u8]) -> u16 {
    let mut bits = code.iter().flat_map(|octet| (0..8).rev().map(move |bit| u16::from(octet >> bit & 1)));
    let mut take = |count: usize| bits.by_ref().take(count).fold(0, |value, bit| value * 2 + bit);
    (0..3).fold(0, |value, _| {
        let five = take(5);
        value * 10 + if five < 3 { five } else { five * 2 + take(1) - 0b01_1001 + 3 }
    })
}
