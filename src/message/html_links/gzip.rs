//! Whether a client takes gzip, the one compression in which links can be changed.

use http::HeaderMap;
use http::header::ACCEPT_ENCODING;

use crate::message::field_tokens::tokens;

/// Whether a request's `Accept-Encoding` allows gzip, by name or by `*` (RFC 9110 12.5.3).
pub fn takes_gzip(headers: &HeaderMap) -> bool {
    let mut any = false;
    for coding in tokens(headers, &ACCEPT_ENCODING) {
        let (name, parameters) = coding.split_once(';').unwrap_or((coding, ""));
        match name.trim() {
            name if name.eq_ignore_ascii_case("gzip") => return is_wanted(parameters),
            "*" => any = is_wanted(parameters),
            _ => {}
        }
    }
    any
}

/// RFC 9110 12.4.2: a weight of 0 means "not acceptable".
fn is_wanted(parameters: &str) -> bool {
    let weight = parameters.trim().strip_prefix("q=").or_else(|| parameters.trim().strip_prefix("Q="));
    weight.is_none_or(|weight| weight.trim().parse() != Ok(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn by_name_or_by_star() {
        for (lines, expect) in [
            (&["gzip, deflate, br, zstd"][..], true),
            (&["GZIP; q=0.5"], true),
            (&["br", "gzip"], true),
            (&["*"], true),
            (&["gzip;q=0.001"], true),
            (&["gzip;q=1, *;q=0"], true),
            (&["gzip;q=0"], false),
            (&["*, gzip;q=0.0"], false),
            (&["*;q=0"], false),
            (&["identity"], false),
            (&["br, zstd, xgzip"], false),
            (&[""], false),
            (&[], false),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(ACCEPT_ENCODING, HeaderValue::from_static(line));
            }
            assert_eq!(takes_gzip(&headers), expect, "{lines:?}");
        }
    }
}
