//! Logins that belong to a connection, not to a request (RFC 4559 section 6; MS-NTHT): whoever sends on a connection that was
//! logged in on is taken for the user who did. Pure.

use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};

const SCHEMES: [&[u8]; 2] = [b"ntlm", b"negotiate"];

/// Whether a request with `headers` is a step of such a login.
pub(super) fn is_step(headers: &HeaderMap) -> bool {
    headers.get_all(AUTHORIZATION).iter().any(names_scheme)
}

/// Whether an answer asks for such a login.
pub(super) fn is_asked_for(status: StatusCode, headers: &HeaderMap) -> bool {
    status == StatusCode::UNAUTHORIZED && headers.get_all(WWW_AUTHENTICATE).iter().any(names_scheme)
}

fn names_scheme(value: &HeaderValue) -> bool {
    let challenges = value.as_bytes().split(|octet| *octet == b',').map(<[u8]>::trim_ascii);
    let mut schemes = challenges.map(|challenge| challenge.split(|octet| *octet == b' ').next().unwrap_or_default());
    schemes.any(|scheme| SCHEMES.iter().any(|known| known.eq_ignore_ascii_case(scheme)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_a_connection() {
        let check = |status: u16, values: &[&'static str], expect: bool| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(WWW_AUTHENTICATE, HeaderValue::from_static(value));
                headers.append(AUTHORIZATION, HeaderValue::from_static(value));
            }
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(is_asked_for(status, &headers), expect && status == 401, "{status} {values:?}");
            assert_eq!(is_step(&headers), expect, "{values:?}");
        };
        for values in [&["NTLM"][..], &["ntlm TlRMTVNT"], &["Basic realm=\"a\"", "Negotiate"], &["Negotiate, NTLM"]] {
            check(401, values, true);
            check(200, values, true);
        }
        for values in [&[][..], &["Basic realm=\"NTLM\""], &["Bearer ntlm"], &["Digest realm=\"a\", qop=\"auth\""]] {
            check(401, values, false);
        }
    }
}
