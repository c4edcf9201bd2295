//! `--as` and its like: whom the API server shall take us for, as headers (client-go `transport.ImpersonationConfig`).

use std::fmt::Write;

use http::{HeaderName, HeaderValue};
use kube::config::AuthInfo;

use crate::error::Error;

/// The headers, in the order in which they are sent; none when nobody is impersonated.
///
/// # Errors
/// When something is impersonated without a user, or a value cannot be sent.
pub(crate) fn headers(user: &AuthInfo) -> Result<Vec<(HeaderName, HeaderValue)>, Error> {
    let groups = user.impersonate_groups.iter().flatten().map(|group| ("impersonate-group".to_owned(), group));
    let uid = user.impersonate_uid.iter().filter(|uid| !uid.is_empty()).map(|uid| ("impersonate-uid".to_owned(), uid));
    let extra =
        user.impersonate_user_extra.iter().flatten().flat_map(|(key, values)| {
            values.iter().map(|value| (format!("impersonate-extra-{}", escaped(key)), value))
        });
    let mut rest: Vec<_> = uid.chain(groups).chain(extra).collect();
    rest.sort();
    match user.impersonate.as_ref().filter(|name| !name.is_empty()) {
        Some(name) => std::iter::once(("impersonate-user".to_owned(), name)).chain(rest).map(header).collect(),
        None if rest.is_empty() => Ok(Vec::new()),
        None => {
            Err(Error::usage("a group, UID or extra can be impersonated only together with a user")
                .hint("add --as USER"))
        }
    }
}

fn header((name, value): (String, &String)) -> Result<(HeaderName, HeaderValue), Error> {
    let unsendable = |_| Error::usage(format!("{value:?} cannot be sent as {name}"));
    let value = HeaderValue::from_bytes(value.as_bytes()).map_err(unsendable)?;
    let name = HeaderName::try_from(&name).expect("what a header name cannot have is escaped");
    Ok((name, value))
}

/// A key as part of a header's name: in lower case, anything that no name may have (RFC 9110 section 5.6.2), and the percent
/// sign, as percent and two hexadecimal digits.
fn escaped(key: &str) -> String {
    let mut name = String::new();
    for octet in key.to_lowercase().into_bytes() {
        if octet.is_ascii_alphanumeric() || b"!#$&'*+-.^_`|~".contains(&octet) {
            name.push(char::from(octet));
        } else {
            write!(name, "%{octet:02x}").expect("a String takes everything");
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn sent(user: &AuthInfo) -> Vec<String> {
        let headers = headers(user).unwrap();
        headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect()
    }

    #[test]
    fn everything_at_once() {
        let user = AuthInfo {
            impersonate: Some("jane".to_owned()),
            impersonate_uid: Some("7".to_owned()),
            impersonate_groups: Some(vec!["b".to_owned(), "a".to_owned()]),
            impersonate_user_extra: Some(HashMap::from([(
                "acme.com/Scope s".to_owned(),
                vec!["x".to_owned(), "y".to_owned()],
            )])),
            ..AuthInfo::default()
        };
        let expected = [
            "impersonate-user: jane",
            "impersonate-extra-acme.com%2fscope%20s: x",
            "impersonate-extra-acme.com%2fscope%20s: y",
            "impersonate-group: a",
            "impersonate-group: b",
            "impersonate-uid: 7",
        ];
        assert_eq!(sent(&user), expected);
    }

    #[test]
    fn nobody() {
        assert!(sent(&AuthInfo::default()).is_empty());
        let groups = AuthInfo { impersonate_groups: Some(vec!["g".to_owned()]), ..AuthInfo::default() };
        assert!(headers(&groups).is_err());
        let line_break = AuthInfo { impersonate: Some("a\nb".to_owned()), ..AuthInfo::default() };
        assert!(headers(&line_break).is_err());
    }
}
