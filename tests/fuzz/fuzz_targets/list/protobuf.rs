//! Protobuf as an API server writes it (gogo's encoder): fields that are not set are there, too.

/// A list in its envelope (apimachinery `pkg/runtime/serializer/protobuf`, `runtime.Unknown`).
pub(crate) fn document(kind: &str, list: &[u8]) -> Vec<u8> {
    let kind = [text(1, "v1"), text(2, kind)].concat();
    [&b"k8s\0"[..], &message(1, &kind), &message(2, list), &text(3, ""), &text(4, "")].concat()
}

pub(crate) fn message(number: u8, content: &[u8]) -> Vec<u8> {
    [&varint(u64::from(number) << 3 | 2)[..], &varint(content.len() as u64), content].concat()
}

pub(crate) fn text(number: u8, text: &str) -> Vec<u8> {
    message(number, text.as_bytes())
}

pub(crate) fn number(number: u8, value: i64) -> Vec<u8> {
    [varint(u64::from(number) << 3), varint(value as u64)].concat()
}

/// A field of a map.
pub(crate) fn entry(number: u8, (key, value): (&str, &str)) -> Vec<u8> {
    message(number, &[text(1, key), text(2, value)].concat())
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut octets = Vec::new();
    while value >= 0x80 {
        octets.push((value & 0x7f | 0x80) as u8);
        value >>= 7;
    }
    octets.push(value as u8);
    octets
}
