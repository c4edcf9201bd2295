//! Errors of the API server: a `v1` `Status` in JSON.

use std::fmt;

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Body, whole};

/// An error, as `metav1.Status` says it.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    code: u16,
    reason: &'static str,
    message: String,
    details: Option<Value>,
}

/// The order of Go's fields.
#[derive(Serialize)]
struct Wire<'a> {
    kind: &'static str,
    #[serde(rename = "apiVersion")]
    api_version: &'static str,
    metadata: Value,
    status: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details<'a>>,
    code: u16,
}

#[derive(Serialize)]
struct Details<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    causes: Option<&'a Value>,
    #[serde(rename = "retryAfterSeconds", skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<u64>,
}

impl Status {
    /// Any status.
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: None }
    }

    /// 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 401.
    pub fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    /// 404 for an object; `resource` is its plural, with its group behind a dot if it has one.
    pub fn not_found(resource: &str, name: &str) -> Self {
        let (kind, group) = resource.split_once('.').map_or((resource, None), |(kind, group)| (kind, Some(group)));
        let details = json!({"name": name, "group": group, "kind": kind});
        Self { details: Some(details), ..Self::new(404, "NotFound", format!("{resource} \"{name}\" not found")) }
    }

    /// 404 for a path that means nothing.
    pub(crate) fn no_such_resource() -> Self {
        let message = "the server could not find the requested resource";
        Self { details: Some(json!({})), ..Self::new(404, "NotFound", message) }
    }

    /// 403; `denied` is what follows "is forbidden:".
    pub(crate) fn forbidden(resource: &str, group: &str, name: &str, denied: &str) -> Self {
        let qualified = if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") };
        let subject = match (resource, name) {
            ("", _) => "forbidden".to_owned(),
            (_, "") => format!("{qualified} is forbidden"),
            _ => format!("{qualified} \"{name}\" is forbidden"),
        };
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let details = json!({"name": some(name), "group": some(group), "kind": some(resource)});
        Self { details: Some(details), ..Self::new(403, "Forbidden", format!("{subject}: {denied}")) }
    }

    /// 405.
    pub(crate) fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self { details: Some(json!({})), ..Self::new(405, "MethodNotAllowed", message) }
    }

    /// 500 in Kubernetes' own words.
    pub(crate) fn internal(cause: &str) -> Self {
        let details = json!({"causes": [{"message": cause}]});
        Self { details: Some(details), ..Self::new(500, "InternalError", format!("Internal error occurred: {cause}")) }
    }

    /// 500 for an error that Kubernetes does not know.
    pub fn unknown(message: impl Into<String>) -> Self {
        Self::new(500, "", message)
    }

    /// 503.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(503, "ServiceUnavailable", message)
    }

    /// The answer to a request with these headers and this query.
    pub(crate) fn response(&self, request: &HeaderMap, query: &str) -> Response<Body> {
        let mut response = whole(self.text(request, query));
        *response.status_mut() = StatusCode::from_u16(self.code).expect("a status that HTTP knows");
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.code == 403 {
            headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        }
        if let Some(seconds) = self.details.as_ref().and_then(|details| details["retryAfterSeconds"].as_u64()) {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }

    fn text(&self, request: &HeaderMap, query: &str) -> String {
        let details = self.details.as_ref().map(|details| Details {
            name: details["name"].as_str(),
            group: details["group"].as_str(),
            kind: details["kind"].as_str(),
            causes: details.get("causes"),
            retry_after_seconds: details["retryAfterSeconds"].as_u64(),
        });
        let wire = Wire {
            kind: "Status",
            api_version: "v1",
            metadata: json!({}),
            status: "Failure",
            message: &self.message,
            reason: self.reason,
            details,
            code: self.code,
        };
        as_go_writes(&wire, Format::of(request, query))
    }
}

/// `503 no endpoints available`.
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.message)
    }
}

/// How an object is laid out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// On one line.
    Compact,
    /// Over many, for people.
    Indented,
    /// The same without a final line end: what is answered where nothing acceptable can be.
    Raw,
}

impl Format {
    /// What the API server takes a client for.
    pub(crate) fn of(request: &HeaderMap, query: &str) -> Self {
        let text = |name| request.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or_default();
        let accepted = ["*/*", "application/*", "application/json"];
        let accept = text(header::ACCEPT);
        if !accept.is_empty() && !accepted.iter().any(|kind| accept.contains(kind)) {
            return Self::Raw;
        }
        let asked = query.split('&').find_map(|pair| pair.strip_prefix("pretty="));
        let agent = text(header::USER_AGENT);
        let is_person = ["curl", "Wget", "Mozilla/5.0"].iter().any(|start| agent.starts_with(start));
        match asked {
            Some("true" | "1") => Self::Indented,
            Some(_) => Self::Compact,
            None if is_person => Self::Indented,
            None => Self::Compact,
        }
    }
}

/// JSON as Go's encoder writes it.
pub(crate) fn as_go_writes(value: &impl Serialize, format: Format) -> String {
    let text = match format {
        Format::Compact => serde_json::to_string(value).map(|text| text + "\n"),
        Format::Indented | Format::Raw => serde_json::to_string_pretty(value),
    };
    let text = text.expect("plain values have JSON");
    text.replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e")
}
