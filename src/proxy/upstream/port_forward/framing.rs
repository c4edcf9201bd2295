//! What a connection to a Pod's port carries, whichever of the two protocols of `pods/portforward` it is.

use std::io::{self, IoSlice};

use bytes::{BufMut, Bytes, BytesMut};

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
pub(super) trait PodFraming: Send {
    /// Whether the end of the carrier is the end of the data; else something broke.
    fn ends_with_carrier(&self) -> bool;

    /// The next thing in `piece`, of which what was used is taken away; `None` once more is needed.
    ///
    /// # Errors
    /// When this is not the protocol that was agreed on.
    fn next(&mut self, piece: &mut Bytes) -> io::Result<Option<FramingEvent>>;

    /// The first `length` octets of `slices`, to be sent as data.
    fn data(&self, slices: &[IoSlice<'_>], length: usize) -> Bytes;

    /// What is to be sent first to reach `port` of the Pod, where the request has not said all.
    fn opening(&self, _port: u16) -> Option<Bytes> {
        None
    }

    /// What says that this side sends nothing more, where the protocol has it.
    fn end(&self) -> Option<Bytes> {
        None
    }

    /// What shows life to the far side, where the protocol has it.
    fn ping(&self) -> Option<Bytes> {
        None
    }
}

/// `head`, and the first `length` octets of `slices`.
pub(super) fn message(head: &[u8], slices: &[IoSlice<'_>], length: usize) -> Bytes {
    let mut message = BytesMut::with_capacity(head.len() + length);
    message.put_slice(head);
    for slice in slices {
        let room = head.len() + length - message.len();
        message.put_slice(&slice[..slice.len().min(room)]);
    }
    message.freeze()
}
