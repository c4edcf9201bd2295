//! The API server's own errors, told from a Service's answers by their shape (apimachinery `pkg/apis/meta/v1`, type
//! `ApiServerStatus`).

use http::StatusCode;

use crate::cluster::api::api_error::StatusObject;

/// Octets of an answer that are looked at: the longest message of an API server fits many times.
pub(super) const LIMIT: usize = 64 * 1024;

/// What an API server says when it answers a request itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiServerStatus {
    /// The HTTP status.
    pub code: StatusCode,
    /// A word such as `ServiceUnavailable`; empty for some errors of upgrades.
    pub reason: String,
    /// The sentence, with whatever names and addresses it carries.
    pub message: String,
}

impl ApiServerStatus {
    /// Reads the whole body of an answer with the status `code`; `None` unless every mark of a `ApiServerStatus` is there.
    pub fn read(code: StatusCode, body: &[u8]) -> Option<Self> {
        let StatusObject { reason, message, .. } =
            StatusObject::parse(body).filter(|status| status.is_failure_of(code))?;
        Some(Self { code, reason, message })
    }
}

/// Whether a body that begins with `start` may still turn out to be a [`ApiServerStatus`]: the API server writes the kind
/// first, compact or indented.
pub(super) fn may_begin(start: &[u8]) -> bool {
    const BEGINNING: &[u8] = b"{\"kind\":\"Status\"";
    let mut expected = BEGINNING.iter();
    start.iter().filter(|byte| !byte.is_ascii_whitespace()).all(|byte| expected.next().is_none_or(|want| want == byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPACT: &str = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"no endpoints available for service \"web\"","reason":"ServiceUnavailable","code":503}"#;

    fn read(code: u16, body: &str) -> Option<ApiServerStatus> {
        ApiServerStatus::read(StatusCode::from_u16(code).unwrap(), body.as_bytes())
    }

    #[test]
    fn read_by_shape() {
        let status = read(503, COMPACT).unwrap();
        assert_eq!(status.message, "no endpoints available for service \"web\"");
        assert_eq!(status.reason, "ServiceUnavailable");
        let indented =
            serde_json::to_string_pretty(&serde_json::from_str::<serde_json::Value>(COMPACT).unwrap()).unwrap();
        assert_eq!(read(503, &indented), Some(status));
        let bare = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","code":500}"#;
        assert_eq!(read(500, bare).unwrap().message, "");
    }

    #[test]
    fn anything_else_is_the_services_own() {
        for body in [
            "",
            "no endpoints available for service \"web\"",
            r#"{"kind":"Status","apiVersion":"v1","status":"Success","code":503}"#,
            r#"{"kind":"Status","apiVersion":"v1","status":"Failure","code":404}"#,
            r#"{"kind":"Status","apiVersion":"v2","status":"Failure","code":503}"#,
            r#"{"kind":"Pod","apiVersion":"v1","status":"Failure","code":503}"#,
            r#"{"status":"Failure","message":"no endpoints available","code":503}"#,
        ] {
            assert_eq!(read(503, body), None, "{body}");
        }
    }

    #[test]
    fn told_early_that_it_is_none() {
        for start in ["", "{", "{\"ki", "{\n  \"kind\": \"Status\",\n", COMPACT] {
            assert!(may_begin(start.as_bytes()), "{start}");
        }
        for start in ["[", "{\"error\":", "{\"kind\":\"Pod\"", "<html>"] {
            assert!(!may_begin(start.as_bytes()), "{start}");
        }
    }
}
