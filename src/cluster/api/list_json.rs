//! A list as the Kubernetes API writes it, read piece by piece, so that never more than one object of it is kept as
//! text. Pure.

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

/// What a list says of itself.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ListMetadata {
    /// Where it goes on; empty where this was all.
    #[serde(rename = "continue", default)]
    pub(super) next: String,
    /// The state of the cluster that it shows.
    #[serde(default)]
    pub(crate) resource_version: String,
}

/// Why something is no list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MalformedList {
    /// It ends before its end.
    TooShort,
    /// After so many bytes stands something else than expected.
    After(usize),
}

/// What came of a list and is not understood yet, because its end is still to come.
#[derive(Debug, Default)]
pub(super) struct UnreadBytes {
    pub(super) bytes: Vec<u8>,
    /// How many bytes were before them.
    before: usize,
}

impl UnreadBytes {
    /// Takes the next piece in.
    pub(super) fn add(&mut self, piece: &[u8]) {
        self.bytes.extend_from_slice(piece);
    }

    /// The bytes before `at` are understood.
    pub(super) fn forget(&mut self, at: usize) {
        self.bytes.drain(..at);
        self.before += at;
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

/// A list that is being read.
#[derive(Debug, Default)]
pub(super) struct JsonListReader {
    unread: UnreadBytes,
    place: JsonListPosition,
    metadata: Option<ListMetadata>,
}

/// What comes next.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum JsonListPosition {
    #[default]
    Beginning,
    Member,
    Item,
    End,
}

impl JsonListReader {
    /// Takes the next piece in, and adds the objects that are complete with it to `items`.
    pub(super) fn read<T: DeserializeOwned>(&mut self, piece: &[u8], items: &mut Vec<T>) -> Result<(), MalformedList> {
        self.unread.add(piece);
        let mut at = 0;
        while let Some(next) = self.step(at, items)? {
            at = next;
        }
        self.unread.forget(at);
        Ok(())
    }

    /// What the list says of itself, if it was complete.
    pub(super) fn finish(self) -> Result<ListMetadata, MalformedList> {
        match self.place {
            JsonListPosition::End => self.metadata.ok_or(self.unread.unexpected(0)),
            _ => Err(MalformedList::TooShort),
        }
    }

    /// Where to go on after what stands at `at`; `None` when its end is still to come.
    fn step<T: DeserializeOwned>(&mut self, at: usize, items: &mut Vec<T>) -> Result<Option<usize>, MalformedList> {
        let Some(at) = self.after(at, |byte| byte.is_ascii_whitespace() || byte == b',') else { return Ok(None) };
        let place = match (self.place, self.unread.bytes[at]) {
            (JsonListPosition::Beginning, b'{') | (JsonListPosition::Item, b']') => JsonListPosition::Member,
            (JsonListPosition::Member, b'}') => JsonListPosition::End,
            (JsonListPosition::Member, _) => return self.member(at),
            (JsonListPosition::Item, _) => {
                let item = self.value(at)?;
                return Ok(item.map(|(item, end)| {
                    items.push(item);
                    end
                }));
            }
            (JsonListPosition::Beginning | JsonListPosition::End, _) => return Err(self.unread.unexpected(at)),
        };
        self.place = place;
        Ok(Some(at + 1))
    }

    fn member(&mut self, at: usize) -> Result<Option<usize>, MalformedList> {
        let Some((name, end)) = self.value::<String>(at)? else { return Ok(None) };
        let Some(colon) = self.after(end, |byte| byte.is_ascii_whitespace()) else { return Ok(None) };
        if self.unread.bytes[colon] != b':' {
            return Err(self.unread.unexpected(colon));
        }
        let Some(value) = self.after(colon + 1, |byte| byte.is_ascii_whitespace()) else { return Ok(None) };
        match name.as_str() {
            "items" if self.unread.bytes[value] == b'[' => {
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
        let mut values = serde_json::Deserializer::from_slice(&self.unread.bytes[at..]).into_iter::<T>();
        match values.next() {
            // More always follows, and might belong to it.
            Some(Ok(value)) => {
                Ok(Some((value, at + values.byte_offset())).filter(|(_, end)| *end < self.unread.bytes.len()))
            }
            Some(Err(error)) if !error.is_eof() && !is_at_end(&error, &self.unread.bytes[at..]) => {
                Err(self.unread.unexpected(at))
            }
            Some(Err(_)) | None => Ok(None),
        }
    }

    /// The place of the first byte from `at` on that is not `skipped`.
    fn after(&self, at: usize, skipped: impl Fn(u8) -> bool) -> Option<usize> {
        self.unread.bytes[at..].iter().position(|&byte| !skipped(byte)).map(|count| at + count)
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
        assert_eq!((items.len(), &reader.unread.bytes[..]), (1, &br#",{"b":"#[..]));
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

    proptest! {
        #[test]
        fn whatever_comes_nothing_panics(text in "[\\[\\]{}:,\"\\\\a ]{0,40}", size in 1usize..9) {
            let _ = read(&text, size);
            let _ = read(&format!("{{\"items\":[{text}"), size);
        }
    }
}
