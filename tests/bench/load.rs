//! Clients that put load on something and take its time.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use support::tls_client::TlsClient;

use super::stand_in::{self, PROXY_PATH, StandIn};

const GIBIBYTE: u64 = 1 << 30;
/// How long each load lasts that is not a transfer.
const LASTS: Duration = Duration::from_millis(1500);
const PIECE: usize = 64 * 1024;

/// One kind of load.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Load {
    /// GET of so many octets, one after another on each of so many connections.
    Get {
        /// Of the body.
        octets: u64,
        /// At a time.
        connections: usize,
    },
    /// 1 GiB to the client.
    Download,
    /// 1 GiB from the client.
    Upload,
    /// A WebSocket message of so many octets and back, one after another.
    Echo {
        /// Of the message.
        octets: usize,
    },
}

/// What a load took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Took {
    /// Of a transfer the whole, otherwise the median of one request or message, in seconds.
    pub(crate) typical: f64,
    /// Requests or messages per second; transfers are one.
    pub(crate) rate: f64,
}

/// What a load took and what it cost the program in between.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taken {
    pub(crate) took: Took,
    /// Per request, message or transfer.
    pub(crate) cpu: Duration,
}

impl Load {
    pub(crate) fn is_transfer(self) -> bool {
        matches!(self, Self::Download | Self::Upload)
    }

    /// Runs with clients that `connect` makes; gives what it took, and how many requests or messages that were.
    pub(crate) async fn run(self, connect: impl AsyncFn() -> Client) -> (Took, usize) {
        let started = Instant::now();
        let mut times = match self {
            Self::Get { octets, connections } => get_for_a_while(octets, connections, connect).await,
            Self::Download => vec![connect().await.get(GIBIBYTE).await.unwrap()],
            Self::Upload => vec![connect().await.put(GIBIBYTE).await],
            Self::Echo { octets } => echo_for_a_while(octets, connect().await).await,
        };
        let count = times.len();
        let rate = count as f64 / started.elapsed().as_secs_f64();
        times.sort();
        (Took { typical: times[count / 2].as_secs_f64(), rate }, count)
    }
}

async fn get_for_a_while(octets: u64, connections: usize, connect: impl AsyncFn() -> Client) -> Vec<Duration> {
    let mut tasks = Vec::new();
    for _ in 0..connections {
        let mut client = connect().await;
        tasks.push(tokio::spawn(async move {
            let (end, mut times) = (Instant::now() + LASTS, Vec::new());
            while Instant::now() < end {
                times.push(client.get(octets).await.unwrap());
            }
            times
        }));
    }
    join_all(tasks).await.into_iter().flat_map(Result::unwrap).collect()
}

async fn echo_for_a_while(octets: usize, mut client: Client) -> Vec<Duration> {
    client.upgrade().await;
    let (end, mut times) = (Instant::now() + LASTS, Vec::new());
    let message = masked_message(octets);
    let mut back = vec![0; octets + header_length(octets)];
    while Instant::now() < end {
        let started = Instant::now();
        client.stream.write_all(&message).await.unwrap();
        client.stream.flush().await.unwrap();
        client.stream.read_exact(&mut back).await.unwrap();
        times.push(started.elapsed());
    }
    times
}

/// A binary message of zeros, with a mask of zeros (RFC 6455 section 5.2).
fn masked_message(octets: usize) -> Vec<u8> {
    let mut message = vec![0x82];
    match octets {
        0..126 => message.push(0x80 | u8::try_from(octets).unwrap()),
        126..65_536 => {
            message.push(0x80 | 126);
            message.extend(u16::try_from(octets).unwrap().to_be_bytes());
        }
        _ => {
            message.push(0x80 | 127);
            message.extend((octets as u64).to_be_bytes());
        }
    }
    message.resize(message.len() + 4 + octets, 0);
    message
}

fn header_length(octets: usize) -> usize {
    match octets {
        0..126 => 2,
        126..65_536 => 4,
        _ => 10,
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A connection that is kept. It knows just as much HTTP as it needs, so that it takes little of the machine.
pub(crate) struct Client {
    stream: Box<dyn Stream>,
    /// Whom it speaks to, as a browser would name it.
    host: SocketAddr,
    buffer: Vec<u8>,
}

impl Client {
    /// To a proxy.
    pub(crate) async fn plain(address: SocketAddr) -> Option<Self> {
        let stream = TcpStream::connect(address).await.ok()?;
        stream.set_nodelay(true).ok()?;
        Some(Self { stream: Box::new(stream), host: address, buffer: vec![0; PIECE] })
    }

    /// Straight to the stand-in.
    pub(crate) async fn tls(stand_in: &StandIn) -> Option<Self> {
        let authority = std::fs::read_to_string(stand_in.authority()).ok()?;
        let stream = TlsClient::trusting(&authority).connect(&stand_in::url(), "").await.ok()?;
        Some(Self { stream: Box::new(stream), host: stand_in::ADDRESS, buffer: vec![0; PIECE] })
    }

    /// Gets the file of so many octets; gives the time to the last of them.
    pub(crate) async fn get(&mut self, octets: u64) -> std::io::Result<Duration> {
        let started = Instant::now();
        let host = self.host;
        let request = format!("GET {PROXY_PATH}{octets} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\n\r\n");
        self.send(&request).await?;
        let mut rest = octets - self.answer("200").await?;
        while rest > 0 {
            let read = self.stream.read(&mut self.buffer).await? as u64;
            if read == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            rest -= read;
        }
        Ok(started.elapsed())
    }

    /// Puts so many octets; gives the time to the answer.
    async fn put(&mut self, octets: u64) -> Duration {
        let started = Instant::now();
        let host = self.host;
        let request = format!("PUT {PROXY_PATH}sink HTTP/1.1\r\nHost: {host}\r\nContent-Length: {octets}\r\n\r\n");
        self.send(&request).await.unwrap();
        let piece = vec![0; PIECE];
        for _ in 0..octets / PIECE as u64 {
            self.stream.write_all(&piece).await.unwrap();
        }
        self.stream.flush().await.unwrap();
        self.answer("200").await.unwrap();
        started.elapsed()
    }

    async fn upgrade(&mut self) {
        let host = self.host;
        let request = format!(
            "GET {PROXY_PATH}socket HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        );
        self.send(&request).await.unwrap();
        assert_eq!(self.answer("101").await.unwrap(), 0);
    }

    async fn send(&mut self, request: &str) -> std::io::Result<()> {
        self.stream.write_all(request.as_bytes()).await?;
        self.stream.flush().await
    }

    /// Reads a head with this status; gives how many octets of the body came along.
    async fn answer(&mut self, status: &str) -> std::io::Result<u64> {
        let mut length = 0;
        loop {
            let read = self.stream.read(&mut self.buffer[length..]).await?;
            if read == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            length += read;
            if let Some(end) = self.buffer[..length].windows(4).position(|window| window == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&self.buffer[..end]);
                if head.split(' ').nth(1) != Some(status) {
                    return Err(std::io::Error::other(head.into_owned()));
                }
                return Ok((length - end - 4) as u64);
            }
        }
    }
}
