//! What a connection to a Pod's port carries, in either of the two protocols of `pods/portforward`.

use std::io::{self, IoSlice};

use bytes::{BufMut, Bytes, BytesMut};

use super::channels::ChannelProtocol;
use super::spdy::SpdyProtocol;

/// What came from the far side.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FramingEvent {
    /// The Pod's data.
    Data(Bytes),
    /// The Pod sends nothing more.
    End,
    /// Why there is no data: the kubelet's own words.
    Failed(String),
    /// The far side gave the connection up.
    Reset,
    /// Something to send back.
    Answer(Bytes),
}

/// The protocol of one connection.
#[derive(Debug)]
pub(super) enum PodFraming {
    /// Two channels, each message of one.
    Channels(ChannelProtocol),
    /// Two streams of SPDY.
    Spdy(SpdyProtocol),
}

impl PodFraming {
    /// What is to be sent first to reach `port` of the Pod, where the request has not said all.
    pub(super) fn opening(&self, port: u16) -> Option<Bytes> {
        match self {
            Self::Channels(_) => None,
            Self::Spdy(_) => Some(SpdyProtocol::opening(port)),
        }
    }

    /// Whether the end of the carrier is the end of the data; else something broke.
    pub(super) fn ends_with_carrier(&self) -> bool {
        matches!(self, Self::Channels(_))
    }

    /// The next thing in `piece`, of which what was used is taken away; `None` once more is needed.
    pub(super) fn next(&mut self, piece: &mut Bytes) -> io::Result<Option<FramingEvent>> {
        match self {
            Self::Channels(channels) => Ok(channels.next(piece)),
            Self::Spdy(spdy) => spdy.next(piece),
        }
    }

    /// The first `length` octets of `slices`, to be sent as data.
    pub(super) fn data(&self, slices: &[IoSlice<'_>], length: usize) -> Bytes {
        match self {
            Self::Channels(_) => message(&[ChannelProtocol::DATA], slices, length),
            Self::Spdy(_) => message(&SpdyProtocol::data_head(length), slices, length),
        }
    }

    /// What says that this side sends nothing more, where the protocol has it.
    pub(super) fn end(&self) -> Option<Bytes> {
        match self {
            Self::Channels(_) => None,
            Self::Spdy(_) => Some(SpdyProtocol::end()),
        }
    }

    /// What shows life to the far side, where the protocol has it.
    pub(super) fn ping(&self) -> Option<Bytes> {
        match self {
            Self::Channels(_) => None,
            Self::Spdy(_) => Some(SpdyProtocol::ping()),
        }
    }
}

fn message(head: &[u8], slices: &[IoSlice<'_>], length: usize) -> Bytes {
    let mut message = BytesMut::with_capacity(head.len() + length);
    message.put_slice(head);
    for slice in slices {
        let room = head.len() + length - message.len();
        message.put_slice(&slice[..slice.len().min(room)]);
    }
    message.freeze()
}
