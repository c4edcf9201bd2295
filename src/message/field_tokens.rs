//! Header fields whose value is a list, and those that may stand only once. Pure.

use http::{HeaderMap, HeaderName, HeaderValue};

/// The items of the comma-separated lists in the headers called `name` (RFC 9110 section 5.6.1), without the blanks
/// around them. What is not visible ASCII is left out.
pub(crate) fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

/// Whether `token` is in one of the lists called `name`, in whatever case.
pub(crate) fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    tokens(headers, name).any(|item| item.eq_ignore_ascii_case(token))
}

/// `line`, a list of `items`, as it is if none of them is bad, else the others with `separator` between them; `None` if
/// nothing is left.
pub(crate) fn without_items<'a>(
    line: &HeaderValue,
    items: impl Iterator<Item = &'a [u8]> + Clone,
    separator: &[u8],
    is_bad: impl Fn(&[u8]) -> bool,
) -> Option<HeaderValue> {
    if !items.clone().any(&is_bad) {
        return Some(line.clone());
    }
    let others: Vec<&[u8]> = items.filter(|item| !is_bad(item)).collect();
    HeaderValue::from_bytes(&others.join(separator)).ok().filter(|others| !others.is_empty())
}

/// The value of a header that must not stand there twice; `None` too if it is not visible ASCII.
pub(crate) fn only_value<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { value.to_str().ok() }
}
