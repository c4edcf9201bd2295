//! The part of SPDY/3.1 that `pods/portforward` uses (cri-streaming `pkg/streaming/portforward/httpstream.go`): one
//! connection to a Pod's port is two streams, one of data and one of a sentence if the port cannot be reached.
//!
//! Sections are those of SPDY/3 (draft-mbelshe-httpbis-spdy-00), to which 3.1 adds nothing that is used here. Kubernetes'
//! side is moby/spdystream, which neither heeds nor sends WINDOW_UPDATE: TCP alone says how much may be under way. So
//! each connection has one pair of streams, else a slow one would hold up the others.

use std::io::{self, IoSlice};

use bytes::{BufMut, Bytes, BytesMut};

use super::framing::{FramingEvent, PodFraming, message};

/// IDs of the two streams. A client's are odd.
const ERROR: u32 = 1;
const DATA: u32 = 3;

/// Types of control frames (section 2.6).
const SYN_STREAM: u16 = 1;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;

/// The first two octets of a control frame of this version.
const CONTROL: u16 = 0x8003;
/// The flag of a stream's last frame.
const FIN: u8 = 1;
/// Octets of a frame before its payload.
const HEAD: usize = 8;
/// Octets that are kept of a payload other than data: the longest sentence fits many times.
const LONGEST_KEPT: usize = 4096;

/// What comes over one connection, frame by frame.
#[derive(Default)]
pub(super) struct SpdyProtocol {
    /// The next frame's head, as far as it came.
    head: Vec<u8>,
    frame: Option<SpdyFrame>,
    /// The payload of `frame`, unless it is data.
    kept: Vec<u8>,
    ended: bool,
}

/// A frame whose payload is on its way.
#[derive(Clone, Copy)]
struct SpdyFrame {
    kind: SpdyFrameKind,
    /// Octets of payload to come.
    left: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum SpdyFrameKind {
    Data {
        is_last: bool,
    },
    Sentence,
    Reset,
    Ping,
    /// Nothing that is of use here.
    Other,
}

impl SpdyProtocol {
    /// What `part` of a payload says; with `is_whole` it is the last one.
    fn carries(&mut self, kind: SpdyFrameKind, part: Bytes, is_whole: bool) -> Option<FramingEvent> {
        if is_whole {
            self.frame = None;
            self.ended = kind == SpdyFrameKind::Data { is_last: true };
        }
        if matches!(kind, SpdyFrameKind::Data { .. }) {
            return (!part.is_empty()).then_some(FramingEvent::Data(part));
        }
        let room = LONGEST_KEPT - self.kept.len();
        self.kept.extend_from_slice(&part[..part.len().min(room)]);
        if !is_whole {
            return None;
        }
        let kept = std::mem::take(&mut self.kept);
        let number = kept.first_chunk().copied().map(u32::from_be_bytes);
        match kind {
            SpdyFrameKind::Sentence => {
                (!kept.is_empty()).then(|| FramingEvent::Failed(String::from_utf8_lossy(&kept).into_owned()))
            }
            SpdyFrameKind::Reset => (number == Some(DATA)).then_some(FramingEvent::Reset),
            // Section 2.6.5: the even ones are the far side's questions.
            SpdyFrameKind::Ping => {
                number.filter(|id| id % 2 == 0).map(|id| FramingEvent::Answer(control(PING, &id.to_be_bytes())))
            }
            SpdyFrameKind::Data { .. } | SpdyFrameKind::Other => None,
        }
    }
}

impl PodFraming for SpdyProtocol {
    fn ends_with_carrier(&self) -> bool {
        false
    }

    /// The first frames of a connection: they open both streams.
    fn opening(&self, port: u16) -> Option<Bytes> {
        let port = port.to_string();
        let mut frames = BytesMut::new();
        for (stream, kind) in [(ERROR, "error"), (DATA, "data")] {
            let fields = header_block(&[("streamtype", kind), ("port", &port), ("requestid", "0")]);
            // Section 2.6.1: of no other stream, of the highest priority, without a credential.
            let payload = [&stream.to_be_bytes()[..], &[0; 6], &uncompressed(&fields, stream == ERROR)].concat();
            frames.put_slice(&control(SYN_STREAM, &payload));
        }
        Some(frames.freeze())
    }

    fn data(&self, slices: &[IoSlice<'_>], length: usize) -> Bytes {
        message(&head(DATA, 0, length), slices, length)
    }

    /// The last frame of the data.
    fn end(&self) -> Option<Bytes> {
        Some(Bytes::copy_from_slice(&head(DATA, FIN, 0)))
    }

    /// A question whether somebody is there.
    fn ping(&self) -> Option<Bytes> {
        Some(control(PING, &[0, 0, 0, 1]))
    }

    fn next(&mut self, piece: &mut Bytes) -> io::Result<Option<FramingEvent>> {
        while !self.ended {
            let Some(frame) = &mut self.frame else {
                self.head.extend_from_slice(&take(piece, HEAD - self.head.len()));
                let Ok(head) = <[u8; HEAD]>::try_from(&self.head[..]) else { return Ok(None) };
                self.head.clear();
                self.frame = Some(SpdyFrame::of(head)?);
                continue;
            };
            let part = take(piece, frame.left);
            frame.left -= part.len();
            let SpdyFrame { kind, left } = *frame;
            if left > 0 && part.is_empty() {
                return Ok(None);
            }
            let event = self.carries(kind, part, left == 0);
            if event.is_some() {
                return Ok(event);
            }
        }
        Ok(Some(FramingEvent::End))
    }
}

impl SpdyFrame {
    /// The frame that begins with `head` (section 2.2).
    fn of(head: [u8; HEAD]) -> io::Result<Self> {
        let [a, b, c, d, flags, length @ ..] = head;
        let left = length.iter().fold(0, |length, octet| length << 8 | usize::from(*octet));
        let kind = match (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])) {
            (CONTROL, RST_STREAM) => SpdyFrameKind::Reset,
            (CONTROL, PING) => SpdyFrameKind::Ping,
            (CONTROL, _) => SpdyFrameKind::Other,
            (0x8000.., _) => return Err(io::Error::new(io::ErrorKind::InvalidData, "this is not SPDY/3.1")),
            _ => match u32::from_be_bytes([a, b, c, d]) {
                DATA => SpdyFrameKind::Data { is_last: flags & FIN != 0 },
                ERROR => SpdyFrameKind::Sentence,
                _ => SpdyFrameKind::Other,
            },
        };
        Ok(Self { kind, left })
    }
}

/// The first `most` octets of `piece`, or all of it.
fn take(piece: &mut Bytes, most: usize) -> Bytes {
    piece.split_to(piece.len().min(most))
}

/// The head of a frame with `length` octets of payload, fewer than 2^24.
fn head(first: u32, flags: u8, length: usize) -> [u8; HEAD] {
    let length = u32::try_from(length).expect("frames are shorter than 2^24 octets");
    let second = u32::from(flags) << 24 | length;
    (u64::from(first) << 32 | u64::from(second)).to_be_bytes()
}

fn control(kind: u16, payload: &[u8]) -> Bytes {
    let first = u32::from(CONTROL) << 16 | u32::from(kind);
    [&head(first, 0, payload.len()), payload].concat().into()
}

/// Names and values of a stream's head (section 2.6.10).
fn header_block(fields: &[(&str, &str)]) -> Vec<u8> {
    let length = |length: usize| u32::try_from(length).expect("a few short fields").to_be_bytes();
    let mut block = length(fields.len()).to_vec();
    for text in fields.iter().flat_map(|(name, value)| [name, value]) {
        block.extend_from_slice(&length(text.len()));
        block.extend_from_slice(text.as_bytes());
    }
    block
}

/// `block` in the one zlib stream of a connection's header blocks, which begins with the `first`. Two short blocks a
/// connection are not worth a compressor with SPDY's dictionary: they are stored (RFC 1951 section 3.2.4), and an empty
/// block makes the far side give out what it has.
fn uncompressed(block: &[u8], first: bool) -> Vec<u8> {
    /// RFC 1950 section 2.2, with the checksum of the dictionary of SPDY/3.
    const BEGINNING: [u8; 6] = [0x78, 0xbb, 0xe3, 0xc6, 0xa7, 0xc2];
    let length = u16::try_from(block.len()).expect("a few short fields");
    let beginning = if first { &BEGINNING[..] } else { &[] };
    let stored = [&[0][..], &length.to_le_bytes(), &(!length).to_le_bytes(), block].concat();
    [beginning, &stored, &[0, 0, 0, 0xff, 0xff]].concat()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// What opens a connection to `port`.
    pub(in crate::proxy::upstream::port_forward) fn opening(port: u16) -> Bytes {
        SpdyProtocol::default().opening(port).unwrap()
    }

    /// A frame of data.
    pub(in crate::proxy::upstream::port_forward) fn data(stream: u32, flags: u8, data: &[u8]) -> Vec<u8> {
        [&head(stream, flags, data.len()), data].concat()
    }

    /// A frame that gives `stream` up.
    pub(in crate::proxy::upstream::port_forward) fn reset(stream: u32) -> Bytes {
        control(RST_STREAM, &[&stream.to_be_bytes()[..], &[0, 0, 0, 5]].concat())
    }

    fn events(octets: &[u8], piece: usize) -> io::Result<Vec<FramingEvent>> {
        let mut spdy = SpdyProtocol::default();
        let mut events = Vec::new();
        for piece in octets.chunks(piece) {
            let mut piece = Bytes::copy_from_slice(piece);
            while let Some(event) = spdy.next(&mut piece)? {
                match (events.last_mut(), event) {
                    (Some(FramingEvent::End), FramingEvent::End) => break,
                    (Some(FramingEvent::Data(before)), FramingEvent::Data(more)) => {
                        *before = [&before[..], &more].concat().into();
                    }
                    (_, event) => events.push(event),
                }
            }
        }
        Ok(events)
    }

    #[test]
    fn frames_in_pieces_of_any_size() {
        let reply = control(2, &[0, 0, 0, 3, 0x78, 0xbb, 0xe3, 0xc6, 0xa7, 0xc2, 0, 0, 0]);
        let window = control(9, &[0, 0, 0, 3, 0, 1, 0, 0]);
        let octets = [
            &reply[..],
            &control(5, &[]),
            &data(3, 0, b"one "),
            &window,
            &data(7, 0, b"no such stream"),
            &control(PING, &[0, 0, 0, 1]),
            &data(3, 0, b""),
            &data(3, 0, b"two"),
            &control(PING, &[0, 0, 0, 2]),
            &data(1, 1, b""),
            &reset(1),
            &data(1, 0, b"connection refused"),
            &reset(3),
            &data(3, FIN, b"three"),
        ]
        .concat();
        for piece in 1..=octets.len() {
            let expect = [
                FramingEvent::Data(Bytes::from_static(b"one two")),
                FramingEvent::Answer(control(PING, &[0, 0, 0, 2])),
                FramingEvent::Failed("connection refused".to_owned()),
                FramingEvent::Reset,
                FramingEvent::Data(Bytes::from_static(b"three")),
                FramingEvent::End,
            ];
            assert_eq!(events(&octets, piece).unwrap(), expect, "in pieces of {piece}");
        }
    }

    #[test]
    fn a_long_sentence_is_cut() {
        let long = data(1, 0, &vec![b'x'; 3 * LONGEST_KEPT]);
        assert_eq!(events(&long, 1000).unwrap(), [FramingEvent::Failed("x".repeat(LONGEST_KEPT))]);
    }

    #[test]
    fn another_version_is_refused() {
        assert!(events(b"\x80\x02\x00\x01\x00\x00\x00\x00", 8).is_err());
        assert!(events(b"HTTP/1.1 400", 8).unwrap().is_empty(), "only a frame of some stream");
    }

    #[test]
    fn the_frames_that_open_a_connection() {
        let opening = opening(80);
        let block = |kind: &str| {
            let texts = ["streamtype", kind, "port", "80", "requestid", "0"];
            let texts = texts.map(|text| [&(text.len() as u32).to_be_bytes()[..], text.as_bytes()].concat());
            [&3u32.to_be_bytes()[..], &texts.concat()].concat()
        };
        let stored = |block: &[u8]| {
            let length = (block.len() as u16).to_le_bytes();
            [&[0][..], &length, &length.map(|octet| !octet), block, &[0, 0, 0, 0xff, 0xff]].concat()
        };
        let head = |stream: u8| [0, 0, 0, stream, 0, 0, 0, 0, 0, 0];
        let first = [&head(1)[..], &[0x78, 0xbb, 0xe3, 0xc6, 0xa7, 0xc2], &stored(&block("error"))].concat();
        let second = [&head(3)[..], &stored(&block("data"))].concat();
        assert_eq!(opening, [control(1, &first), control(1, &second)].concat());
    }
}
