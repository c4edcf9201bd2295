//! Whatever comes from the far side of a port-forward, in pieces of any size: what is read is what its frames say, taken
//! apart at once by the rules below, and reading ends when the far side does; what is written arrives there as it was.
#![no_main]

use std::io;
use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use svcproxy::proxy::upstream::port_forward::{AgreedProtocol, PodStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::runtime::Builder;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

/// On a clock that runs ahead whenever everybody waits.
const END_TIMEOUT: Duration = Duration::from_secs(3600);
/// Of each side, so that much data is no reason to be slow.
const MOST_ACTS: usize = 20;
/// More than one side says.
const ROOM: usize = 2 << 20;
/// Octets of a sentence that are kept.
const LONGEST_SENTENCE: usize = 4096;
const FIN: u8 = 1;

/// What our side writes. A piece that is lost or stands in another place shows.
static PATTERN: LazyLock<Vec<u8>> = LazyLock::new(|| (0..=u16::MAX).map(|number| (number % 251) as u8).collect());

#[derive(Arbitrary, Debug)]
struct Conversation<'a> {
    protocol: u8,
    expects_plain_text: bool,
    /// Octets that our side makes room for at a time.
    room: u8,
    /// The lengths of what our side writes.
    written: Vec<u16>,
    ends_writing: bool,
    acts: Vec<FarAct<'a>>,
    says_goodbye: bool,
}

#[derive(Arbitrary, Debug)]
enum FarAct<'a> {
    /// Octets of the Pod, in a frame or message of their own.
    Data(&'a [u8]),
    /// As many more as are worth splitting.
    ManyData(u16),
    /// The kubelet's own words.
    Words(&'a [u8]),
    /// A stream is given up.
    Reset { stream: u8 },
    /// A question whether our side is there.
    Ping { id: u8 },
    /// Any control frame, or a message of another channel.
    Control { kind: u8, flags: u8, payload: &'a [u8] },
    /// Another stream's, or the last of ours.
    Frame { stream: u8, flags: u8, payload: &'a [u8] },
    /// The Pod sends nothing more.
    End,
    /// What is no frame, or the beginning of one.
    Octets(&'a [u8]),
    /// A piece ends here.
    Cut,
    /// And our side has time to read it.
    Pause,
}

/// How reading ends.
#[derive(Debug, PartialEq, Eq)]
enum ReadEnd {
    Ended,
    Said(String),
    Broken,
}

fuzz_target!(|conversation: Conversation<'_>| {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let talking = async { timeout(END_TIMEOUT, talk(&conversation)).await.expect("it ends") };
    runtime.block_on(talking);
});

async fn talk(conversation: &Conversation<'_>) {
    let protocol = match conversation.protocol % 3 {
        0 => AgreedProtocol::Spdy,
        1 => AgreedProtocol::TunnelledSpdy,
        _ => AgreedProtocol::Channels,
    };
    let pieces = pieces(protocol, &conversation.acts);
    let (ours, theirs) = duplex(ROOM);
    let far = tokio::spawn(far_side(protocol, theirs, pieces.clone(), conversation.says_goodbye));
    let stream = PodStream::open(ours, protocol, 8080, conversation.expects_plain_text).await.unwrap();
    let (mut reader, mut writer) = tokio::io::split(stream);
    let writing = async {
        let mut sent = Vec::new();
        for length in conversation.written.iter().take(MOST_ACTS) {
            let octets = &PATTERN[..usize::from(*length)];
            if writer.write_all(octets).await.is_err() {
                break;
            }
            sent.extend_from_slice(octets);
        }
        let is_whole = writer.flush().await.is_ok();
        if conversation.ends_writing {
            let _ = writer.shutdown().await;
        }
        (sent, is_whole)
    };
    let (read, (sent, is_whole)) = tokio::join!(read_all(&mut reader, conversation.room), writing);
    drop((reader, writer));
    let arrived = far.await.unwrap();
    assert!(sent.starts_with(&arrived) || arrived.starts_with(&sent));
    assert!(!is_whole || arrived == sent, "{} octets of {}", arrived.len(), sent.len());
    // Channels end both ways at once.
    if protocol != AgreedProtocol::Channels || !conversation.ends_writing {
        assert_eq!(read, expected(protocol, &pieces, conversation));
    }
}

async fn read_all(reader: &mut (impl AsyncReadExt + Unpin), room: u8) -> (Vec<u8>, ReadEnd) {
    let mut all = Vec::new();
    let mut room = vec![0; usize::from(room) * 64 + 1];
    loop {
        match reader.read(&mut room).await {
            Ok(0) => return (all, ReadEnd::Ended),
            Ok(length) => all.extend_from_slice(&room[..length]),
            Err(error) if error.kind() == io::ErrorKind::Other => return (all, ReadEnd::Said(error.to_string())),
            Err(_) => return (all, ReadEnd::Broken),
        }
    }
}

/// What the far side sends, each piece at once.
fn pieces(protocol: AgreedProtocol, acts: &[FarAct<'_>]) -> Vec<Option<Vec<u8>>> {
    let mut pieces = vec![Some(Vec::new())];
    for act in acts.iter().take(MOST_ACTS) {
        let mut more = match (protocol, act) {
            (_, FarAct::Pause) => {
                pieces.extend([None, Some(Vec::new())]);
                continue;
            }
            (_, FarAct::Cut) => {
                pieces.push(Some(Vec::new()));
                continue;
            }
            (AgreedProtocol::Channels, act) => {
                pieces.push(Some(Vec::new()));
                message(act)
            }
            (_, act) => frame(act),
        };
        if let Some(Some(piece)) = pieces.last_mut() {
            piece.append(&mut more);
        }
    }
    pieces
}

fn message(act: &FarAct<'_>) -> Vec<u8> {
    match act {
        FarAct::Data(octets) => [&[0], *octets].concat(),
        FarAct::ManyData(length) => [vec![0], vec![b'x'; usize::from(*length)]].concat(),
        FarAct::Words(octets) => [&[1], *octets].concat(),
        FarAct::Control { kind, payload, .. } | FarAct::Frame { stream: kind, payload, .. } => {
            [&[*kind], *payload].concat()
        }
        FarAct::Octets(octets) => octets.to_vec(),
        FarAct::Reset { .. } | FarAct::Ping { .. } | FarAct::End | FarAct::Cut | FarAct::Pause => Vec::new(),
    }
}

fn frame(act: &FarAct<'_>) -> Vec<u8> {
    let framed = |first: [u8; 4], flags: u8, payload: &[u8]| {
        let length = (payload.len() as u32).to_be_bytes();
        [&first[..], &[flags], &length[1..], payload].concat()
    };
    match act {
        FarAct::Data(octets) => framed([0, 0, 0, 3], 0, octets),
        FarAct::ManyData(length) => framed([0, 0, 0, 3], 0, &vec![b'x'; usize::from(*length)]),
        FarAct::Words(octets) => framed([0, 0, 0, 1], 0, octets),
        FarAct::Reset { stream } => framed([0x80, 3, 0, 3], 0, &[0, 0, 0, *stream % 6, 0, 0, 0, 5]),
        FarAct::Ping { id } => framed([0x80, 3, 0, 6], 0, &[0, 0, 0, *id]),
        FarAct::Control { kind, flags, payload } => framed([0x80, 3, 0, *kind], *flags, payload),
        FarAct::Frame { stream, flags, payload } => framed([0, 0, 0, *stream], *flags, payload),
        FarAct::End => framed([0, 0, 0, 3], FIN, &[]),
        FarAct::Octets(octets) => octets.to_vec(),
        FarAct::Cut | FarAct::Pause => Vec::new(),
    }
}

/// Says it all, ends, and gives what came in as data.
async fn far_side(
    protocol: AgreedProtocol,
    mut connection: DuplexStream,
    pieces: Vec<Option<Vec<u8>>>,
    says_goodbye: bool,
) -> Vec<u8> {
    if protocol == AgreedProtocol::Spdy {
        for piece in pieces {
            match piece {
                Some(piece) => drop(connection.write_all(&piece).await),
                None => sleep(Duration::from_millis(1)).await,
            }
        }
        sleep(Duration::from_millis(1)).await;
        let _ = connection.shutdown().await;
        let mut arrived = Vec::new();
        let _ = connection.read_to_end(&mut arrived).await;
        return data_in_frames(&arrived);
    }
    let (mut sink, mut source) = WebSocketStream::from_raw_socket(connection, Role::Server, None).await.split();
    let speaking = async {
        for piece in pieces {
            match piece {
                Some(piece) => drop(sink.send(Message::Binary(piece.into())).await),
                None => sleep(Duration::from_millis(1)).await,
            }
        }
        sleep(Duration::from_millis(1)).await;
        if says_goodbye {
            let _ = sink.close().await;
        }
        sink
    };
    let mut arrived: Vec<Bytes> = Vec::new();
    let listening = async {
        while let Some(Ok(message)) = source.next().await {
            if let Message::Binary(message) = message {
                arrived.push(message);
            }
        }
    };
    // Who leaves without a word had time to read.
    let leaving = async {
        let sink = speaking.await;
        sleep(Duration::from_millis(1)).await;
        drop(sink);
    };
    tokio::pin!(listening);
    let is_over = tokio::select! {
        () = leaving => false,
        () = &mut listening => true,
    };
    if !is_over && says_goodbye {
        listening.await;
    }
    match protocol {
        AgreedProtocol::Channels => arrived.iter().flat_map(|message| &message[1..]).copied().collect(),
        _ => data_in_frames(&arrived.concat()),
    }
}

/// The octets that are data, of what our side said.
fn data_in_frames(mut octets: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    while let Some((head, rest)) = octets.split_first_chunk::<8>() {
        let length = u32::from_be_bytes([0, head[5], head[6], head[7]]) as usize;
        assert!(rest.len() >= length, "frames are whole");
        assert!(head[..4] == [0, 0, 0, 3] || head[..2] == [0x80, 3], "{head:?}");
        if head[0] == 0 {
            data.extend_from_slice(&rest[..length]);
        }
        octets = &rest[length..];
    }
    assert!(octets.is_empty(), "{octets:?}");
    data
}

/// What our side reads of `pieces`, by the protocols' own rules.
fn expected(
    protocol: AgreedProtocol,
    pieces: &[Option<Vec<u8>>],
    conversation: &Conversation<'_>,
) -> (Vec<u8>, ReadEnd) {
    let pieces = pieces.iter().flatten();
    let (data, end) = match protocol {
        AgreedProtocol::Channels => said_in_channels(pieces, conversation.says_goodbye),
        _ => said_in_frames(&pieces.flatten().copied().collect::<Vec<u8>>()),
    };
    match data.first() {
        Some(0x15 | 0x16) if conversation.expects_plain_text => {
            (Vec::new(), ReadEnd::Said("the port speaks TLS".to_owned()))
        }
        _ => (data, end),
    }
}

fn said_in_channels<'a>(messages: impl Iterator<Item = &'a Vec<u8>>, says_goodbye: bool) -> (Vec<u8>, ReadEnd) {
    let mut data = Vec::new();
    let mut opened = [false; 2];
    for message in messages {
        let Some((&channel, octets)) = message.split_first() else { continue };
        let Some(opened) = opened.get_mut(usize::from(channel)) else { continue };
        match channel {
            _ if !std::mem::replace(opened, true) || octets.is_empty() => {}
            0 => data.extend_from_slice(octets),
            _ => return (data, ReadEnd::Said(String::from_utf8_lossy(octets).into_owned())),
        }
    }
    (data, if says_goodbye { ReadEnd::Ended } else { ReadEnd::Broken })
}

fn said_in_frames(mut octets: &[u8]) -> (Vec<u8>, ReadEnd) {
    let mut data = Vec::new();
    while let Some((head, rest)) = octets.split_first_chunk::<8>() {
        let length = u32::from_be_bytes([0, head[5], head[6], head[7]]) as usize;
        let is_whole = rest.len() >= length;
        let payload = &rest[..length.min(rest.len())];
        match head[..4] {
            [0, 0, 0, 3] => data.extend_from_slice(payload),
            [0, 0, 0, 1] if is_whole && length > 0 => {
                let words = &payload[..length.min(LONGEST_SENTENCE)];
                return (data, ReadEnd::Said(String::from_utf8_lossy(words).into_owned()));
            }
            [0x80, 3, 0, 3] if is_whole && payload.starts_with(&[0, 0, 0, 3]) => return (data, ReadEnd::Broken),
            [version, ..] if version >= 0x80 && head[..2] != [0x80, 3] => return (data, ReadEnd::Broken),
            _ => {}
        }
        if head[..4] == [0, 0, 0, 3] && head[4] & FIN != 0 && is_whole {
            return (data, ReadEnd::Ended);
        }
        octets = &rest[payload.len()..];
    }
    (data, ReadEnd::Broken)
}
