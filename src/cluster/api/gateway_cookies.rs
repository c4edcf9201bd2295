//! Cookies of whoever stands in front of the API server: a gateway that logs users in or keeps them to one server. They are
//! known by coming with answers to our own calls, which no app has seen, and are none of a page's or an app's business: a page
//! would give the gateway's session to the app.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};

use crate::lock::lock;
use crate::message::cookie_fields;

/// Names that are remembered; whoever sends more is no gateway.
const MAX_NAMES: usize = 64;

/// The names of a gateway's cookies. Costs a message a load where there are none.
#[derive(Debug, Default)]
pub(crate) struct GatewayCookies {
    has_some: AtomicBool,
    names: Mutex<BTreeSet<Vec<u8>>>,
}

impl GatewayCookies {
    /// Takes in what came with the answer to a call of our own.
    pub(crate) fn learn(&self, headers: &HeaderMap) {
        for cookie in headers.get_all(SET_COOKIE) {
            let mut names = lock(&self.names);
            if names.len() < MAX_NAMES {
                names.insert(cookie_fields::set_name(cookie).to_vec());
            }
            self.has_some.store(true, Ordering::Release);
        }
    }

    /// Keeps them out of a page's request.
    pub(crate) fn keep_out_of_request(&self, headers: &mut HeaderMap) {
        self.change(headers, &COOKIE, |line, names| cookie_fields::without(line, |name| names.contains(name)));
    }

    /// Keeps them out of an app's answer.
    pub(crate) fn keep_out_of_answer(&self, headers: &mut HeaderMap) {
        self.change(headers, &SET_COOKIE, |line, names| {
            Some(line.clone()).filter(|line| !names.contains(cookie_fields::set_name(line)))
        });
    }

    fn change(
        &self,
        headers: &mut HeaderMap,
        field: &http::HeaderName,
        kept: impl Fn(&HeaderValue, &BTreeSet<Vec<u8>>) -> Option<HeaderValue>,
    ) {
        if !self.has_some.load(Ordering::Acquire) || !headers.contains_key(field) {
            return;
        }
        let names = lock(&self.names);
        let lines: Vec<HeaderValue> = headers.get_all(field).iter().filter_map(|line| kept(line, &names)).collect();
        headers.remove(field);
        for line in lines {
            headers.append(field, line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateways_cookies_stay_between_it_and_us() {
        let fields = |field: http::HeaderName, lines: &[&'static str]| -> HeaderMap {
            lines.iter().map(|line| (field.clone(), HeaderValue::from_static(line))).collect()
        };
        let cookies = GatewayCookies::default();
        let mut request = fields(COOKIE, &["a=1; gate=x; b=2", "gate=y"]);
        cookies.keep_out_of_request(&mut request);
        assert_eq!(request.get_all(COOKIE).iter().count(), 2, "nobody has such a cookie yet");
        cookies.learn(&fields(SET_COOKIE, &["gate=secret; Path=/; HttpOnly"]));
        cookies.keep_out_of_request(&mut request);
        assert_eq!(request.get_all(COOKIE).iter().collect::<Vec<_>>(), ["a=1; b=2"]);
        let mut answer = fields(SET_COOKIE, &["gate=other", "gateway=1; Path=/", " gate =third", "a=gate"]);
        cookies.keep_out_of_answer(&mut answer);
        assert_eq!(answer.get_all(SET_COOKIE).iter().collect::<Vec<_>>(), ["gateway=1; Path=/", "a=gate"]);
    }
}
