//! When the API server wants to hear a call again (client-go `rest/with_retry.go`, `checkWait`). Pure.

use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderValue, StatusCode};

/// How often one call is made again (client-go `rest/request.go`).
pub(super) const MAX_RETRIES: usize = 10;

/// How long an answer asks to wait before the call is made again: 429 and 5xx with whole seconds in `Retry-After`. Nothing was
/// done for such a call.
pub(super) fn pause(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    if status != StatusCode::TOO_MANY_REQUESTS && !status.is_server_error() {
        return None;
    }
    let seconds = headers.get(RETRY_AFTER).and_then(|value: &HeaderValue| value.to_str().ok())?;
    seconds.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_asks_to_wait() {
        let check = |code: u16, value: Option<&str>, expect: Option<u64>| {
            let headers = value.map(|value| (RETRY_AFTER, value.parse().unwrap())).into_iter().collect();
            let found = pause(StatusCode::from_u16(code).unwrap(), &headers);
            assert_eq!(found, expect.map(Duration::from_secs), "{code} {value:?}");
        };
        check(429, Some("1"), Some(1));
        check(500, Some("1"), Some(1));
        check(503, Some("30"), Some(30));
        check(429, Some("0"), Some(0));
        check(429, None, None);
        check(429, Some("-1"), None);
        check(503, Some("soon"), None);
        check(503, Some("Wed, 21 Oct 2026 07:28:00 GMT"), None);
        check(200, Some("1"), None);
        check(404, Some("1"), None);
    }
}
