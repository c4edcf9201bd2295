//! Whatever path a page asks for, what is sent stays below the proxy path, in every reading.
#![no_main]

use http::uri::PathAndQuery;
use libfuzzer_sys::fuzz_target;
use svcproxy::message::safe_path::SafePath;
use svcproxy::proxy::upstream::service_proxy::prefixed_path;

const PREFIX: &str = "/api/v1/namespaces/ns/services/web:http/proxy";

fuzz_target!(|data: &[u8]| {
    let Ok(asked) = PathAndQuery::try_from([b"/", data].concat()) else { return };
    let Ok(safe) = SafePath::check(&asked) else { return };
    let target = prefixed_path(PREFIX, &safe);
    assert_eq!(target.query(), asked.query());
    let mut reading = target.path().as_bytes().to_vec();
    for _ in 0..4 {
        let text = String::from_utf8_lossy(&reading).replace('\\', "/");
        assert!(text.starts_with(&format!("{PREFIX}/")), "{text}");
        assert!(!text.split('/').any(|segment| matches!(segment, "." | "..")), "{text}");
        assert!(!text.split('/').any(|segment| segment.starts_with("..;") || segment.starts_with(".;")), "{text}");
        reading = decoded(&reading);
    }
    let again = PathAndQuery::try_from(&target.as_str()[PREFIX.len()..]).unwrap();
    assert_eq!(prefixed_path(PREFIX, &SafePath::check(&again).unwrap()), target);
});

/// As lenient as anybody is.
fn decoded(path: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    let mut rest = path;
    while let Some((&first, after)) = rest.split_first() {
        let escape = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match escape.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) if first == b'%' && after[0] != b'+' => {
                decoded.push(byte);
                rest = &after[2..];
            }
            _ => {
                decoded.push(first);
                rest = after;
            }
        }
    }
    decoded
}
