//! What time it is, for people and for programs.

use jiff::{Timestamp, Zoned};

/// `12:03:41`, where the user is.
pub fn clock() -> String {
    Zoned::now().strftime("%H:%M:%S").to_string()
}

/// RFC 3339 in UTC, with milliseconds.
pub fn timestamp() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}
