//! A list as the Kubernetes API writes it, read piece by piece, so that never more than one object of it is kept as
//! text. Pure.

use prost::Message;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

/// What a list says of itself (`meta.v1.ListMeta`).
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ListMetadata {
    /// The state of the cluster that it shows.
    #[prost(string, tag = "2")]
    pub(crate) resource_version: String,
    /// Where it goes on; empty where this was all.
    #[prost(string, tag = "3")]
    #[serde(rename = "continue")]
    pub(super) next: String,
}

/// Why something is no list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum MalformedList {
    /// It ends before its end.
    #[error("it ends too early")]
    TooShort,
    /// One thing of it is longer than anything that Kubernetes keeps.
    #[error("after {0} bytes stands something of more than {max} MiB", max = MAX_UNREAD >> 20)]
    TooLong(usize),
    /// After so many bytes stands something else than expected.
    #[error("unexpected content after {0} bytes")]
    After(usize),
}

/// Octets of one object at most: etcd takes 1.5 MiB unless told otherwise.
const MAX_UNREAD: usize = 8 << 20;

/// A list that is being read, in the encoding whose places are `P`.
#[derive(Debug, Default)]
pub(super) struct ListReader<P> {
    /// What came and is not understood yet, because its end is still to come.
    pub(super) unread: Vec<u8>,
    /// How many bytes were before them.
    before: usize,
    pub(super) place: P,
    pub(super) metadata: Option<ListMetadata>,
}

/// Where to go on; `None` when the end of what stands there is still to come.
pub(super) type NextPlace = Result<Option<usize>, MalformedList>;

impl<P> ListReader<P> {
    /// Takes the next piece in, and lets `step` understand as much as there is.
    pub(super) fn advance(
        &mut self,
        piece: &[u8],
        mut step: impl FnMut(&mut Self, usize) -> NextPlace,
    ) -> Result<(), MalformedList> {
        self.unread.extend_from_slice(piece);
        let mut at = 0;
        while let Some(next) = step(self, at)? {
            at = next;
        }
        self.unread.drain(..at);
        self.before += at;
        if self.unread.len() > MAX_UNREAD { Err(MalformedList::TooLong(self.before)) } else { Ok(()) }
    }

    /// Which byte of the whole answer stands at `at`.
    pub(super) fn position(&self, at: usize) -> usize {
        self.before + at
    }

    /// What stands at `at` is not what should.
    pub(super) fn unexpected(&self, at: usize) -> MalformedList {
        MalformedList::After(self.position(at))
    }
}

pub(super) type JsonListReader = ListReader<JsonListPosition>;

/// What comes next.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum JsonListPosition {
    #[default]
    Beginning,
    Member,
    Item,
    End,
}

impl JsonListReader {
    /// Takes the next piece in, and adds the objects that are complete with it to `items`.
    pub(super) fn read<T: DeserializeOwned>(&mut self, piece: &[u8], items: &mut Vec<T>) -> Result<(), MalformedList> {
        self.advance(piece, |reader, at| reader.step(at, items))
    }

    /// What the list says of itself, if it was complete.
    pub(super) fn finish(self) -> Result<ListMetadata, MalformedList> {
        match self.place {
            JsonListPosition::End => self.metadata.ok_or(MalformedList::After(self.before)),
            _ => Err(MalformedList::TooShort),
        }
    }

    /// Where to go on after what stands at `at`; `None` when its end is still to come.
    fn step<T: DeserializeOwned>(&mut self, at: usize, items: &mut Vec<T>) -> NextPlace {
        let Some(at) = self.after(at, |byte| byte.is_ascii_whitespace() || byte == b',') else { return Ok(None) };
        let place = match (self.place, self.unread[at]) {
            (JsonListPosition::Beginning, b'{') | (JsonListPosition::Item, b']') => JsonListPosition::Member,
            (JsonListPosition::Member, b'}') => JsonListPosition::End,
            (JsonListPosition::Member, _) => return self.member(at),
            (JsonListPosition::Item, _) => {
                let Some((item, end)) = self.value(at)? else { return Ok(None) };
                items.push(item);
                return Ok(Some(end));
            }
            (JsonListPosition::Beginning | JsonListPosition::End, _) => return Err(self.unexpected(at)),
        };
        self.place = place;
        Ok(Some(at + 1))
    }

    fn member(&mut self, at: usize) -> NextPlace {
        let Some((name, end)) = self.value::<String>(at)? else { return Ok(None) };
        let Some(colon) = self.after(end, |byte| byte.is_ascii_whitespace()) else { return Ok(None) };
        if self.unread[colon] != b':' {
            return Err(self.unexpected(colon));
        }
        let Some(value) = self.after(colon + 1, |byte| byte.is_ascii_whitespace()) else { return Ok(None) };
        match name.as_str() {
            "items" if self.unread[value] == b'[' => {
                self.place = JsonListPosition::Item;
                Ok(Some(value + 1))
            }
            "items" => Ok(self.value::<()>(value)?.map(|((), end)| end)),
            "metadata" => Ok(self.value(value)?.map(|(metadata, end)| {
                self.metadata = Some(metadata);
                end
            })),
            _ => Ok(self.value::<IgnoredAny>(value)?.map(|(_, end)| end)),
        }
    }

    /// The value at `at` and where it ends; `None` when its end is still to come.
    fn value<T: DeserializeOwned>(&self, at: usize) -> Result<Option<(T, usize)>, MalformedList> {
        let mut values = serde_json::Deserializer::from_slice(&self.unread[at..]).into_iter::<T>();
        match values.next() {
            // More always follows, and might belong to it.
            Some(Ok(value)) => Ok(Some((value, at + values.byte_offset())).filter(|(_, end)| *end < self.unread.len())),
            Some(Err(error)) if !error.is_eof() && !is_at_end(&error, &self.unread[at..]) => Err(self.unexpected(at)),
            Some(Err(_)) | None => Ok(None),
        }
    }

    /// The place of the first byte from `at` on that is not `skipped`.
    fn after(&self, at: usize, skipped: impl Fn(u8) -> bool) -> Option<usize> {
        self.unread[at..].iter().position(|&byte| !skipped(byte)).map(|count| at + count)
    }
}

/// Whether `text` may be right as far as it goes: a number that is skipped and cut off behind its sign, its point or its
/// `e` is an invalid number to serde_json, not an end that comes too early.
fn is_at_end(error: &serde_json::Error, text: &[u8]) -> bool {
    let last_line = text.rsplit(|&byte| byte == b'\n').next().unwrap_or_default();
    let lines = 1 + text.iter().filter(|&&byte| byte == b'\n').count();
    error.line() == lines && error.column() >= last_line.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// What is read of `text` in pieces of `size` bytes: the items, and the `continue`.
    fn read(text: &str, size: usize) -> Result<(Vec<Value>, String), MalformedList> {
        let mut reader = JsonListReader::default();
        let mut items = Vec::new();
        for piece in text.as_bytes().chunks(size) {
            reader.read(piece, &mut items)?;
        }
        reader.finish().map(|metadata| (items, metadata.next))
    }

    #[test]
    fn the_pieces_do_not_matter() {
        let text = r#" {"kind":"ServiceList", "apiVersion" : "v1","x":{"items":[1]},"y":-12.5e-7,"z":
            -0.5,"metadata":{"resourceVersion":"7","continue":"a\"]}b"},
            "items":[{"name":"]}\\"},{"ü":[1,2,{}]} , {} ] , "late":null} "#;
        let items = vec![json!({"name": "]}\\"}), json!({"ü": [1, 2, {}]}), json!({})];
        for size in 1..text.len() + 1 {
            assert_eq!(read(text, size), Ok((items.clone(), "a\"]}b".to_owned())), "{size}");
        }
    }

    #[test]
    fn no_more_is_kept_than_has_to_be() {
        let mut reader = JsonListReader::default();
        let mut items: Vec<Value> = Vec::new();
        reader.read(br#"{"metadata":{"continue":"next"},"items":[{"a":1},{"b":"#, &mut items).unwrap();
        assert_eq!((items.len(), &reader.unread[..]), (1, &br#",{"b":"#[..]));
    }

    #[test]
    fn no_items_and_items_before_the_rest() {
        assert_eq!(read(r#"{"metadata":{},"items":null}"#, 9), Ok((vec![], String::new())));
        assert_eq!(read(r#"{"metadata":{}}"#, 9), Ok((vec![], String::new())));
        let items_first = r#"{"items":[{}],"metadata":{"continue":"x"}}"#;
        assert_eq!(read(items_first, 9), Ok((vec![json!({})], "x".to_owned())));
    }

    #[test]
    fn what_is_no_list() {
        let check = |text: &str, expect: MalformedList| assert_eq!(read(text, 5), Err(expect), "{text}");
        check("", MalformedList::TooShort);
        check("{\"metadata\":{},\"items\":[{}", MalformedList::TooShort);
        check("{\"metadata\":{},\"items\":[{}]", MalformedList::TooShort);
        check("<html>", MalformedList::After(0));
        check("[]", MalformedList::After(0));
        check("{\"items\":\"hunter2\"}", MalformedList::After(9));
        check("{\"metadata\":{},\"items\":[}]}", MalformedList::After(24));
        check("{\"metadata\" {}}", MalformedList::After(12));
        check("{\"items\":[]}", MalformedList::After(12));
        check("{\"metadata\":{}} {}", MalformedList::After(16));
    }

    #[test]
    fn an_object_of_a_gibibyte_is_not_waited_for() {
        let endless = std::iter::once("{\"items\":[\"".to_owned()).chain(std::iter::repeat("x".repeat(1 << 20)));
        let mut reader = JsonListReader::default();
        let mut items: Vec<Value> = Vec::new();
        let refused = endless.take(1024).find_map(|piece| reader.read(piece.as_bytes(), &mut items).err());
        assert_eq!(refused, Some(MalformedList::TooLong(10)));
        assert!(reader.unread.len() <= MAX_UNREAD + (1 << 20));
    }

    proptest! {
        #[test]
        fn whatever_comes_nothing_panics(text in "[\\[\\]{}:,\"\\\\a ]{0,40}", size in 1usize..9) {
            let _ = read(&text, size);
            let _ = read(&format!("{{\"items\":[{text}"), size);
        }
    }
}
