//! What objects of the API have in common on the wire, in JSON as in protobuf: one description of each object serves
//! both. Pure.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use prost::Message;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::service::Protocol;

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

/// The values of `keys`, and none of the others, which may be large.
pub(super) fn only<'de, D: Deserializer<'de>>(
    keys: &'static [&'static str],
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    struct OnlyKeys(&'static [&'static str]);
    impl<'de> Visitor<'de> for OnlyKeys {
        type Value = BTreeMap<String, String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("names and texts")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(BTreeMap::new())
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut kept = BTreeMap::new();
            while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                if self.0.contains(&key.as_ref()) {
                    kept.insert(key.into_owned(), map.next_value()?);
                } else {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            Ok(kept)
        }
    }
    deserializer.deserialize_any(OnlyKeys(keys))
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
