//! The channel protocol `v4.channel.k8s.io`, as the kubelet speaks it (cri-streaming
//! `pkg/streaming/portforward/websocket.go`).
//!
//! Each message of the WebSocket is a channel's number and octets: channel 0 carries data, channel 1 a sentence if the
//! port cannot be reached; the first message of each is the port number. Nothing says that one direction ended, so
//! ending the writing side ends the connection.

use std::io::{self, IoSlice};
use std::mem;

use bytes::Bytes;

use super::framing::{FramingEvent, PodFraming, message};

/// Which channels have said their port number.
#[derive(Default)]
pub(super) struct ChannelProtocol {
    opened: [bool; 2],
}

impl ChannelProtocol {
    /// The number of the channel that carries data.
    const DATA: u8 = 0;
    const ERROR: u8 = 1;
}

impl PodFraming for ChannelProtocol {
    fn ends_with_carrier(&self) -> bool {
        true
    }

    /// Each piece is one message, and taken away whole.
    fn next(&mut self, piece: &mut Bytes) -> io::Result<Option<FramingEvent>> {
        let mut message = mem::take(piece);
        if message.is_empty() {
            return Ok(None);
        }
        let channel = message.split_to(1)[0];
        let is_opened = self.opened.get_mut(usize::from(channel)).is_some_and(|opened| mem::replace(opened, true));
        Ok(match channel {
            _ if !is_opened || message.is_empty() => None,
            Self::ERROR => Some(FramingEvent::Failed(String::from_utf8_lossy(&message).into_owned())),
            _ => Some(FramingEvent::Data(message)),
        })
    }

    fn data(&self, slices: &[IoSlice<'_>], length: usize) -> Bytes {
        message(&[Self::DATA], slices, length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages() {
        let mut channels = ChannelProtocol::default();
        let mut next = |message: &'static [u8]| {
            let mut piece = Bytes::from_static(message);
            let event = channels.next(&mut piece).unwrap();
            assert!(piece.is_empty(), "a message is one thing");
            event
        };
        let data = |octets: &'static [u8]| Some(FramingEvent::Data(Bytes::from_static(octets)));
        assert_eq!(next(b""), None);
        assert_eq!(next(b"\x00\x90\x1f"), None, "the port number");
        assert_eq!(next(b"\x01\x90\x1f"), None, "the port number");
        assert_eq!(next(b"\x00\x90\x1f"), data(b"\x90\x1f"));
        assert_eq!(next(b"\x00"), None);
        assert_eq!(next(b"\x07no such channel"), None);
        assert_eq!(next(b"\x01connection refused"), Some(FramingEvent::Failed("connection refused".to_owned())));
    }
}
