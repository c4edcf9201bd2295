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
        let differences = self.differences(&visit.record, base, opened).into_iter();
        let troubles: Vec<String> = visit.used.clone().err().into_iter().chain(differences).collect();
        if troubles.is_empty() { Ok(()) } else { Err(troubles.join("; ")) }
    }

    fn differences(&self, record: &Record, base: &str, opened: &str) -> BTreeSet<String> {
        let astray = record.requests.iter().filter(|request| request.url != opened && is_astray(&request.url, base));
        let astray = astray.filter(|request| !is_of_the_browser(&request.url));
        let astray = astray.map(|request| format!("a request went astray: {}", request.url));
        let failed = record.requests.iter().filter_map(|request| failure(request, base));
        let failed = failed.filter(|failure| !self.failures.contains(failure));
        let errors = record.console_errors.iter().filter(|error| !error.split(' ').next().is_some_and(is_of_the_browser));
        let errors = errors.map(|error| anonymous(error, base));
        let errors = errors.filter(|error| !self.console_errors.contains(error));
        let errors = errors.map(|error| format!("the console says: {error}"));
        astray.chain(failed).chain(errors).collect()
    }
}

/// A request that was answered with an error or not at all, without what differs between two visits.
fn failure(request: &Request, base: &str) -> Option<String> {
    let reason = match request.end.as_ref()? {
        End::Status(status) if *status < 400 => return None,
        End::Status(status) => status.to_string(),
        End::Failure(reason) => reason.clone(),
    };
    let path = request.url.split(['?', '#']).next().unwrap_or_default();
    if is_of_the_browser(path) {
        return None;
    }
    Some(format!("{reason} for {}", anonymous(path, base)))
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
    host == "localhost" || host.ends_with(".localhost") || host.starts_with("127.") || host.starts_with("10.77.") || host == "[::1]"
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
