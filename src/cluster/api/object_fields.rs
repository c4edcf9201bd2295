//! What objects of the API have in common on the wire, in JSON as in protobuf: one description of each object serves
//! both. Pure.

use std::borrow::Cow;

use prost::Message;
use serde::Deserialize;
use serde::de::Deserializer;
use serde_json::Value;

use crate::service::Protocol;

/// An object of which only what every object has is looked at.
#[derive(Deserialize)]
pub(crate) struct BareObject {
    pub(super) metadata: BareMetadata,
}

/// What every object has; a bookmark has no name.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct BareMetadata {
    pub(super) name: String,
    pub(super) resource_version: String,
}

/// The items of the list `field` of an object that is read as a whole; none where there is no such list.
pub(crate) fn each<'a>(object: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    object[field].as_array().into_iter().flatten()
}

/// The text `field` of an object that is read as a whole; empty where there is none.
pub(super) fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object[field].as_str().unwrap_or_default()
}

/// `meta.v1.Time`, with the precision of seconds that it has in JSON.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct WireTime {
    /// Since 1970.
    #[prost(int64, tag = "1")]
    pub(super) seconds: i64,
}

/// A time in RFC 3339; one that cannot be understood is none.
pub(super) fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<WireTime>, D::Error> {
    let text = Option::<Cow<'de, str>>::deserialize(deserializer)?;
    let timestamp = text.and_then(|text| text.parse::<jiff::Timestamp>().ok());
    Ok(timestamp.map(|timestamp| WireTime { seconds: timestamp.as_second() }))
}

/// Lists that Go calls `nil` are `null` in JSON.
pub(super) fn or_empty<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// A port number; 0, which none is, where it is out of range.
pub(super) fn port_number(number: i32) -> u16 {
    u16::try_from(number).unwrap_or_default()
}

/// `text` unless it is empty, which means that nothing was said.
pub(super) fn set(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

/// The transport protocol of a port; not said means TCP.
pub(super) fn protocol(text: &str) -> Protocol {
    match text {
        "UDP" => Protocol::Udp,
        "SCTP" => Protocol::Sctp,
        _ => Protocol::Tcp,
    }
}
