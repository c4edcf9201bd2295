//! The query parameter of URLs that are opened once. Pure.

/// Its name.
pub(crate) const TOKEN_PARAMETER: &str = "svcproxy-token";

/// Whether `query` has it, however that is written.
pub(crate) fn has_token_parameter(query: &str) -> bool {
    let name = |pair: &str| pair.split('=').next().unwrap_or_default().to_owned();
    let decoded = |name: String| percent_encoding::percent_decode_str(&name).decode_utf8_lossy().into_owned();
    query.split(['&', ';']).map(name).map(decoded).any(|name| name.eq_ignore_ascii_case(TOKEN_PARAMETER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_it_is_written() {
        for query in ["svcproxy-token=x", "a=1&svcproxy-token", "a;SvcProxy-Token=1", "%73vcproxy%2Dtoken=x"] {
            assert!(has_token_parameter(query), "{query}");
        }
        assert!(!has_token_parameter("token=svcproxy-token&xsvcproxy-token=1"));
    }
}
