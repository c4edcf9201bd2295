//! The Kubernetes API's own binary form, in which it writes lists in a fraction of the time that JSON takes it: four
//! bytes, then an envelope (`runtime.Unknown`) around the list (apimachinery `pkg/runtime/serializer/protobuf`). Read
//! piece by piece, as [`super::list_json`] reads JSON. Pure.

use prost::Message;
use prost::encoding::{WireType, decode_key, decode_varint};

use super::list_json::{ListMetadata, ListReader, MalformedList, NextPlace};

/// What every message begins with.
pub(super) const MAGIC: [u8; 4] = *b"k8s\0";
/// The field of the envelope that holds the list.
const RAW: u32 = 2;
/// The field of a list that says something of itself, and the one of its objects.
const METADATA: u32 = 1;
const ITEM: u32 = 2;
/// A field begins with two numbers of at most ten bytes.
const LONGEST_HEAD: usize = 20;

/// `runtime.Unknown`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ProtobufEnvelope {
    #[prost(bytes = "vec", tag = "2")]
    pub(super) raw: Vec<u8>,
}

pub(super) type ProtobufListReader = ListReader<ProtobufListPosition>;

/// What comes next.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProtobufListPosition {
    #[default]
    Magic,
    /// A field of the envelope, before the list.
    Envelope,
    /// A field of the list, which ends after so many bytes altogether.
    List { end: usize },
    /// The rest of the envelope.
    Rest,
}

/// A field that is there as a whole.
struct ProtobufField {
    number: u32,
    /// Where its content stands.
    start: usize,
    end: usize,
}

impl ProtobufListReader {
    /// Takes the next piece in, and hands each object that is complete with it to `item`, which returns whether it is
    /// what it should be.
    pub(super) fn read(&mut self, piece: &[u8], mut item: impl FnMut(&[u8]) -> bool) -> Result<(), MalformedList> {
        self.advance(piece, |reader, at| reader.step(at, &mut item))
    }

    /// What the list says of itself, if it was complete.
    pub(super) fn finish(self) -> Result<ListMetadata, MalformedList> {
        let is_whole = match self.place {
            ProtobufListPosition::Rest => self.unread.is_empty(),
            ProtobufListPosition::List { end } => self.position(0) == end,
            _ => false,
        };
        if is_whole { Ok(self.metadata.unwrap_or_default()) } else { Err(MalformedList::TooShort) }
    }

    fn step(&mut self, at: usize, item: &mut impl FnMut(&[u8]) -> bool) -> NextPlace {
        match self.place {
            ProtobufListPosition::Magic => self.magic(),
            ProtobufListPosition::Envelope => self.envelope(at),
            ProtobufListPosition::List { end } if self.position(at) >= end => {
                self.place = ProtobufListPosition::Rest;
                Ok(Some(at))
            }
            ProtobufListPosition::List { .. } => self.list(at, item),
            ProtobufListPosition::Rest => Ok(self.field(at)?.map(|field| field.end)),
        }
    }

    fn magic(&mut self) -> NextPlace {
        match self.unread.first_chunk() {
            Some(&MAGIC) => {
                self.place = ProtobufListPosition::Envelope;
                Ok(Some(MAGIC.len()))
            }
            Some(_) => Err(MalformedList::After(0)),
            None => Ok(None),
        }
    }

    fn envelope(&mut self, at: usize) -> NextPlace {
        let Some(head) = self.head(at)? else { return Ok(None) };
        if head.number == RAW {
            self.place = ProtobufListPosition::List { end: self.position(head.end) };
            return Ok(Some(head.start));
        }
        Ok(self.field(at)?.map(|field| field.end))
    }

    fn list(&mut self, at: usize, item: &mut impl FnMut(&[u8]) -> bool) -> NextPlace {
        let Some(ProtobufField { number, start, end }) = self.field(at)? else { return Ok(None) };
        let content = &self.unread[start..end];
        let is_right = match number {
            METADATA => {
                self.metadata = ListMetadata::decode(content).ok();
                self.metadata.is_some()
            }
            ITEM => item(content),
            _ => true,
        };
        if is_right { Ok(Some(end)) } else { Err(self.unexpected(at)) }
    }

    /// The field at `at`; `None` when its end is still to come.
    fn field(&self, at: usize) -> Result<Option<ProtobufField>, MalformedList> {
        Ok(self.head(at)?.filter(|field| field.end <= self.unread.len()))
    }

    /// The field at `at`, of which only the head need be there.
    fn head(&self, at: usize) -> Result<Option<ProtobufField>, MalformedList> {
        let mut rest = &self.unread[at..];
        let is_whole = rest.len() >= LONGEST_HEAD;
        let head = decode_key(&mut rest).and_then(|(number, kind)| {
            let value = decode_varint(&mut rest)?;
            Ok((number, kind, value))
        });
        let start = self.unread.len() - rest.len();
        match head {
            Ok((number, WireType::LengthDelimited, length)) => {
                let end = usize::try_from(length).ok().and_then(|length| start.checked_add(length));
                end.map(|end| Some(ProtobufField { number, start, end })).ok_or(self.unexpected(at))
            }
            Ok((number, WireType::Varint, _)) => Ok(Some(ProtobufField { number, start, end: start })),
            Ok(_) => Err(self.unexpected(at)),
            Err(_) if is_whole => Err(self.unexpected(at)),
            Err(_) => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, PartialEq, Message)]
    struct Object {
        #[prost(string, tag = "1")]
        name: String,
    }

    #[derive(Clone, PartialEq, Message)]
    struct List {
        #[prost(message, optional, tag = "1")]
        metadata: Option<ListMetadata>,
        #[prost(message, repeated, tag = "2")]
        items: Vec<Object>,
        #[prost(int64, tag = "9")]
        later: i64,
    }

    /// `runtime.Unknown` with all its fields.
    #[derive(Clone, PartialEq, Message)]
    struct Whole {
        #[prost(bytes = "vec", tag = "1")]
        kind: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")]
        raw: Vec<u8>,
        #[prost(string, tag = "4")]
        media: String,
    }

    fn document(names: &[&str], next: &str) -> Vec<u8> {
        let object = |name: &&str| Object { name: (*name).to_owned() };
        let metadata = ListMetadata { next: next.to_owned(), resource_version: "7".to_owned() };
        let list = List { metadata: Some(metadata), items: names.iter().map(object).collect(), later: 300 };
        let whole = Whole { kind: b"kind".to_vec(), raw: list.encode_to_vec(), media: "x".repeat(300) };
        [MAGIC.to_vec(), whole.encode_to_vec()].concat()
    }

    /// The names that are read of `bytes` in pieces of `size` bytes, and the `continue`.
    fn read(bytes: &[u8], size: usize) -> Result<(Vec<String>, String), MalformedList> {
        let mut reader = ProtobufListReader::default();
        let mut names = Vec::new();
        for piece in bytes.chunks(size) {
            reader.read(piece, |item| Object::decode(item).map(|object| names.push(object.name)).is_ok())?;
        }
        reader.finish().map(|metadata| (names, metadata.next))
    }

    #[test]
    fn the_pieces_do_not_matter() {
        let long = "x".repeat(200);
        let bytes = document(&["one", &long, ""], "next");
        let expect = (["one", &long, ""].map(str::to_owned).to_vec(), "next".to_owned());
        for size in 1..=bytes.len() {
            assert_eq!(read(&bytes, size), Ok(expect.clone()), "{size}");
        }
    }

    #[test]
    fn an_empty_list() {
        assert_eq!(read(&document(&[], ""), 3), Ok((vec![], String::new())));
    }

    #[test]
    fn what_is_no_list() {
        let bytes = document(&["one"], "");
        let list_end = bytes.iter().rposition(|&byte| byte != b'x').unwrap() - 2;
        for length in 0..list_end {
            assert_eq!(read(&bytes[..length], 7), Err(MalformedList::TooShort), "{length}");
        }
        assert_eq!(read(b"{\"items\":[]}", 5), Err(MalformedList::After(0)));
        assert_eq!(read(&[&MAGIC[..], &[0xff; 30]].concat(), 64), Err(MalformedList::After(4)));
        let broken =
            document(&["one"], "").iter().map(|&byte| if byte == b'o' { 0xff } else { byte }).collect::<Vec<_>>();
        assert!(matches!(read(&broken, 64), Err(MalformedList::After(_))));
    }

    proptest! {
        #[test]
        fn whatever_comes_nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..60), size in 1usize..9) {
            let _ = read(&[&MAGIC[..], &bytes].concat(), size);
            let _ = read(&[&MAGIC[..], &[0x12, 50], &bytes].concat(), size);
        }
    }
}
