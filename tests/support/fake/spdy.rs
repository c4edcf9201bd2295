//! The kubelet's end of SPDY/3.1 (moby/spdystream, cri-streaming `pkg/streaming/portforward/httpstream.go`): a stream of data
//! and one for an error.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use flate2::{Decompress, FlushDecompress};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf, split};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::port_forward::{LINGER, PIECE, not_forwarded};

const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;
const FIN: u8 = 1;
/// RFC 1950 section 2.2, with the checksum of SPDY's dictionary.
const ZLIB: [u8; 6] = [0x78, 0xbb, 0xe3, 0xc6, 0xa7, 0xc2];

/// Forwards the one pair of streams that a connection opens to `ip`.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Send + 'static>(io: S, ip: &str) {
    let (from_client, to_client) = split(io);
    let mut session = Session {
        from_client,
        to_client: ToClient(Arc::new(Mutex::new(to_client))),
        inflate: Decompress::new(false),
        streams: HashMap::new(),
        pod: None,
    };
    let _ = session.run(ip).await; // the client has gone
}

struct Session<S> {
    from_client: ReadHalf<S>,
    to_client: ToClient<S>,
    inflate: Decompress,
    /// `streamtype` → ID.
    streams: HashMap<String, u32>,
    pod: Option<Pod>,
}

/// The way to the Pod, and who carries what comes back.
struct Pod {
    writer: tokio::net::tcp::OwnedWriteHalf,
    coming_back: JoinHandle<()>,
}

impl<S: AsyncRead + AsyncWrite + Send + 'static> Session<S> {
    async fn run(&mut self, ip: &str) -> io::Result<()> {
        loop {
            let mut head = [0; 8];
            self.from_client.read_exact(&mut head).await?;
            let [a, b, c, d, flags, length @ ..] = head;
            let mut payload = vec![0; length.iter().fold(0, |length, octet| length << 8 | usize::from(*octet))];
            self.from_client.read_exact(&mut payload).await?;
            match (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])) {
                (0x8003, SYN_STREAM) => self.open(&payload, ip).await?,
                (0x8003, PING) => self.to_client.control(PING, &payload).await?,
                (0x8003, _) => {}
                _ if self.streams.get("data") == Some(&u32::from_be_bytes([a, b, c, d])) => {
                    self.data(&payload, flags & FIN != 0).await?;
                }
                other => panic!("a frame of no stream: {other:x?}"),
            }
        }
    }

    async fn open(&mut self, payload: &[u8], ip: &str) -> io::Result<()> {
        let stream = u32::from_be_bytes(payload[..4].try_into().unwrap());
        let fields = self.fields(&payload[10..]);
        self.to_client.control(SYN_REPLY, &[&payload[..4], &ZLIB, &[0, 4, 0, 0xfb, 0xff, 0, 0, 0, 0]].concat()).await?;
        self.streams.insert(fields["streamtype"].clone(), stream);
        assert!(fields.contains_key("requestid"), "{fields:?}");
        let (Some(error), Some(data)) = (self.streams.get("error"), self.streams.get("data")) else { return Ok(()) };
        let address = SocketAddr::new(ip.parse().expect("an address"), fields["port"].parse().expect("a port"));
        match TcpStream::connect(address).await {
            Ok(stream) => {
                let _ = stream.set_nodelay(true);
                let (from_pod, writer) = stream.into_split();
                let (to_client, streams) = (self.to_client.clone(), [*data, *error]);
                let coming_back = tokio::spawn(async move {
                    let _ = bring_back(from_pod, to_client, streams).await; // the client has gone
                });
                self.pod = Some(Pod { writer, coming_back });
                Ok(())
            }
            Err(cause) => {
                let words = not_forwarded(address, &cause);
                self.to_client.data(*error, 0, words.as_bytes()).await?;
                for stream in [data, error] {
                    self.to_client.control(RST_STREAM, &[stream.to_be_bytes(), [0, 0, 0, 5]].concat()).await?;
                }
                Ok(())
            }
        }
    }

    async fn data(&mut self, data: &[u8], is_last: bool) -> io::Result<()> {
        let Some(pod) = &mut self.pod else { return Ok(()) };
        let _ = pod.writer.write_all(data).await; // the Pod may have gone
        if is_last {
            let _ = timeout(LINGER, &mut pod.coming_back).await;
            pod.coming_back.abort();
            self.pod = None;
            self.to_client.data(self.streams["data"], FIN, b"").await?;
        }
        Ok(())
    }

    /// Names and values of a stream's head.
    fn fields(&mut self, block: &[u8]) -> HashMap<String, String> {
        let block = if self.streams.is_empty() { block.strip_prefix(&ZLIB).expect("SPDY's dictionary") } else { block };
        let mut plain = Vec::with_capacity(PIECE);
        self.inflate.decompress_vec(block, &mut plain, FlushDecompress::Sync).expect("deflate");
        let mut rest = &plain[..];
        let number = |rest: &mut &[u8]| {
            let (number, after) = rest.split_first_chunk().expect("a whole block");
            *rest = after;
            u32::from_be_bytes(*number) as usize
        };
        let count = number(&mut rest);
        let mut text = || {
            let length = number(&mut rest);
            let (text, after) = rest.split_at(length);
            rest = after;
            String::from_utf8(text.to_vec()).unwrap()
        };
        let fields = (0..count).map(|_| (text(), text())).collect();
        assert!(rest.is_empty(), "{rest:?}");
        fields
    }
}

/// A container runtime ends both directions a moment after the first.
async fn bring_back<S: AsyncWrite>(mut pod: OwnedReadHalf, client: ToClient<S>, streams: [u32; 2]) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    while let Ok(length @ 1..) = pod.read(&mut piece).await {
        client.data(streams[0], 0, &piece[..length]).await?;
    }
    tokio::time::sleep(LINGER).await;
    for stream in streams {
        client.data(stream, FIN, b"").await?;
    }
    Ok(())
}

/// Frames to the client, one at a time.
struct ToClient<S>(Arc<Mutex<WriteHalf<S>>>);

impl<S> Clone for ToClient<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: AsyncWrite> ToClient<S> {
    async fn control(&self, kind: u16, payload: &[u8]) -> io::Result<()> {
        self.frame(0x8003_0000 | u32::from(kind), 0, payload).await
    }

    async fn data(&self, stream: u32, flags: u8, data: &[u8]) -> io::Result<()> {
        self.frame(stream, flags, data).await
    }

    async fn frame(&self, first: u32, flags: u8, payload: &[u8]) -> io::Result<()> {
        let second = u32::from(flags) << 24 | u32::try_from(payload.len()).unwrap();
        let frame = [&first.to_be_bytes()[..], &second.to_be_bytes(), payload].concat();
        let mut client = self.0.lock().await;
        client.write_all(&frame).await?;
        client.flush().await
    }
}
