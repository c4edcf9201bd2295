//! Whether a visit through a proxy looked like one without.

use std::collections::BTreeSet;

use crate::browser::{End, Outcome, Record, Request};

/// How it went to use an app.
pub(super) struct Visit {
    /// What the person says.
    pub(super) used: Outcome,
    /// What the browser says.
    pub(super) record: Record,
}

/// What went wrong on an app's pages when nothing was in between: its own habits, which nobody else is blamed for.
#[derive(Debug)]
pub(super) struct Expected {
    failures: BTreeSet<String>,
    console_errors: BTreeSet<String>,
}

impl Expected {
    /// From a direct visit to the app at `base`.
    pub(super) fn of(record: &Record, base: &str) -> Self {
        Self {
            failures: record.requests.iter().filter_map(|request| failure(request, base)).collect(),
            console_errors: record.console_errors.iter().map(|error| anonymous(error, base)).collect(),
        }
    }

    /// Judges a visit to the app at `base`, which began with the URL `opened`. Where it failed, requests that went wrong say
    /// more than the element that did not appear.
    pub(super) fn judge(&self, visit: &Visit, base: &str, opened: &str) -> Outcome {
        let mut troubles = self.differences(&visit.record, base, opened);
        troubles.extend(visit.used.clone().err());
        if troubles.is_empty() { Ok(()) } else { Err(troubles.join("; ")) }
    }

    /// The shortest of a kind first.
    fn differences(&self, record: &Record, base: &str, opened: &str) -> Vec<String> {
        let requests = || record.requests.iter().filter(|request| !is_of_the_browser(&request.url));
        let is_astray = |request: &&Request| request.url != opened && is_astray(&request.url, base);
        let astray = requests().filter(is_astray).map(|request| format!("asks for {}", ended(&request.url, request)));
        let failed = requests().filter(|request| !is_astray(request)).filter_map(|request| failure(request, base));
        let failed = failed.filter(|failure| !self.failures.contains(failure));
        let errors =
            record.console_errors.iter().filter(|error| !error.split(' ').next().is_some_and(is_of_the_browser));
        let errors = errors.map(|error| anonymous(error, base)).filter(|error| !self.console_errors.contains(error));
        let errors = errors.map(|error| format!("console: {error}"));
        [sorted(astray), sorted(failed), sorted(errors)].concat()
    }
}

fn sorted(differences: impl Iterator<Item = String>) -> Vec<String> {
    let mut differences: Vec<String> = differences.collect();
    differences.sort_by_key(|difference| (difference.len(), difference.clone()));
    differences.dedup();
    differences
}

/// A request that was answered with an error or not at all, without what differs between two visits.
fn failure(request: &Request, base: &str) -> Option<String> {
    if matches!(request.end, None | Some(End::Status(..400))) {
        return None;
    }
    Some(ended(&anonymous(&request.url, base), request))
}

/// A URL without its query, and how the request for it ended.
fn ended(url: &str, request: &Request) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    match &request.end {
        Some(End::Status(status)) => format!("{url}, which is answered {status}"),
        Some(End::Failure(reason)) => format!("{url}, which fails: {reason}"),
        None => format!("{url}, which is not answered"),
    }
}

/// The icon that a browser looks for where no page asks for it, at times.
fn is_of_the_browser(url: &str) -> bool {
    let path = url.splitn(4, '/').nth(3);
    path == Some("favicon.ico")
}

/// Whether a URL is on this machine, but not below `base`, or goes to the app by a path that is not the app's.
fn is_astray(url: &str, base: &str) -> bool {
    let url = as_http(url);
    match url.strip_prefix(base) {
        Some(path) => path.starts_with("api/v1/namespaces/"),
        None => url.starts_with("http://") && is_local(&url) && url != base.trim_end_matches('/'),
    }
}

fn is_local(url: &str) -> bool {
    let authority = url.trim_start_matches("http://").split('/').next().unwrap_or_default();
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    host == "localhost"
        || host.ends_with(".localhost")
        || host.starts_with("127.")
        || host.starts_with("10.77.")
        || host == "[::1]"
}

fn as_http(url: &str) -> String {
    url.strip_prefix("ws://").map_or_else(|| url.to_owned(), |rest| format!("http://{rest}"))
}

/// `text` with `/` for the app's base URL, and `#` for identifiers and numbers, which are others on each visit.
fn anonymous(text: &str, base: &str) -> String {
    let mut text = text.to_owned();
    if let Some(authority) = base.strip_prefix("http://") {
        text = text.replace(base, "/").replace(&format!("ws://{authority}"), "/");
    }
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let mut anonymous = String::with_capacity(text.len());
    for word in text.split_inclusive(|c: char| !is_word(c)) {
        let (word, end) = word.split_at(word.trim_end_matches(|c: char| !is_word(c)).len());
        let changing = word.contains(|c: char| c.is_ascii_digit());
        anonymous.push_str(if changing { "#" } else { word });
        anonymous.push_str(end);
    }
    anonymous
}
