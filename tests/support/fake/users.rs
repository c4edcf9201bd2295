//! Who may log in to the API server, and what they may do.

use std::collections::HashMap;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::request_info::RequestInfo;
use super::status::Status;

/// Somebody who made a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub name: String,
    pub(crate) groups: Vec<String>,
}

impl Identity {
    fn anonymous() -> Self {
        Self { name: "system:anonymous".to_owned(), groups: vec!["system:unauthenticated".to_owned()] }
    }

    fn named(name: &str) -> Self {
        Self { name: name.to_owned(), groups: vec!["system:authenticated".to_owned()] }
    }
}

/// A rule of a Role. Empty lists of names and no namespace mean all of them; `*` is any verb or resource.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The API's: `get`, `create` and so on.
    pub verbs: &'static [&'static str],
    /// Plural, with `/` and the subresource.
    pub resources: &'static [&'static str],
    /// Literal: `nginx:http` allows no `nginx`.
    pub names: &'static [&'static str],
    /// Where it holds.
    pub namespace: Option<&'static str>,
}

impl Rule {
    /// Everything.
    pub const ALL: Self = Self { verbs: &["*"], resources: &["*"], names: &[], namespace: None };

    fn allows(&self, action: &Action<'_>) -> bool {
        let matches = |list: &[&str], what: &str| list.contains(&"*") || list.contains(&what);
        matches(self.verbs, action.verb)
            && matches(self.resources, &action.full_resource())
            && (self.names.is_empty() || self.names.contains(&action.name))
            && self.namespace.is_none_or(|namespace| namespace == action.namespace)
    }
}

/// What somebody wants to do.
pub(crate) struct Action<'a> {
    pub(crate) verb: &'a str,
    pub(crate) group: &'a str,
    pub(crate) resource: &'a str,
    pub(crate) subresource: &'a str,
    pub namespace: &'a str,
    pub name: &'a str,
}

impl<'a> Action<'a> {
    /// What a request wants.
    pub(crate) fn of(info: &'a RequestInfo) -> Self {
        Self {
            verb: info.verb,
            group: &info.group,
            resource: &info.resource,
            subresource: &info.subresource,
            namespace: &info.namespace,
            name: &info.name,
        }
    }

    fn full_resource(&self) -> String {
        match self.subresource {
            "" => self.resource.to_owned(),
            subresource => format!("{}/{subresource}", self.resource),
        }
    }

    /// The refusal, in the words of apiserver `pkg/endpoints/handlers/responsewriters/errors.go`.
    fn denied(&self, user: &Identity) -> Status {
        let place = match self.namespace {
            "" => "at the cluster scope".to_owned(),
            namespace => format!("in the namespace \"{namespace}\""),
        };
        let sentence = format!(
            "User \"{}\" cannot {} resource \"{}\" in API group \"{}\" {place}",
            user.name,
            self.verb,
            self.full_resource(),
            self.group
        );
        let escaped = sentence.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        Status::forbidden(self.resource, self.group, self.name, &escaped)
    }
}

/// Everybody.
#[derive(Default)]
pub(crate) struct Users {
    rules: HashMap<String, Vec<Rule>>,
    tokens: HashMap<String, String>,
    /// Names by client certificate in DER.
    certificates: HashMap<Vec<u8>, String>,
}

impl Users {
    /// Adds a user, or rights for one.
    pub(crate) fn grant(&mut self, name: &str, rules: &[Rule]) {
        self.rules.entry(name.to_owned()).or_default().extend_from_slice(rules);
    }

    /// Lets a user in with a bearer token.
    pub(crate) fn add_token(&mut self, token: &str, name: &str) {
        self.tokens.insert(token.to_owned(), name.to_owned());
    }

    /// From now on the token is good for nothing.
    pub(crate) fn revoke_token(&mut self, token: &str) {
        self.tokens.remove(token);
    }

    /// Lets a user in with a client certificate.
    pub(crate) fn add_certificate(&mut self, der: Vec<u8>, name: &str) {
        self.certificates.insert(der, name.to_owned());
    }

    /// Says who sends a request, and takes from its headers what has served its purpose.
    pub(crate) fn authenticate(&self, certificate: Option<&[u8]>, headers: &mut HeaderMap) -> Result<Identity, Status> {
        let identity = match (certificate.and_then(|der| self.certificates.get(der)), bearer(headers)) {
            (Some(name), _) => Identity::named(name),
            (None, None) => Identity::anonymous(),
            (None, Some(token)) => Identity::named(self.tokens.get(token).ok_or_else(Status::unauthorized)?),
        };
        headers.remove(header::AUTHORIZATION);
        remove_prefixed(headers, "x-remote-extra-");
        for name in ["x-remote-user", "x-remote-uid", "x-remote-group"] {
            headers.remove(name);
        }
        self.impersonate(identity, headers)
    }

    fn impersonate(&self, user: Identity, headers: &mut HeaderMap) -> Result<Identity, Status> {
        let values = |name: &str| -> Vec<String> {
            let all = headers.get_all(name).iter();
            all.map(|value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
        };
        let (name, groups) = (values("impersonate-user").into_iter().next(), values("impersonate-group"));
        let extras = headers.keys().any(|name| name.as_str().starts_with("impersonate-extra-"));
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            if !groups.is_empty() || extras || headers.contains_key("impersonate-uid") {
                return Err(Status::bad_request(format!("requested {groups:?} without impersonating a user")));
            }
            return Ok(user);
        };
        self.may_impersonate(&user, "users", &name)?;
        groups.iter().try_for_each(|group| self.may_impersonate(&user, "groups", group))?;
        remove_prefixed(headers, "impersonate-");
        let mut identity = Identity::named(&name);
        identity.groups.extend(groups);
        Ok(identity)
    }

    fn may_impersonate(&self, user: &Identity, resource: &str, name: &str) -> Result<(), Status> {
        let (group, subresource, namespace) = ("", "", "");
        self.authorize(user, &Action { verb: "impersonate", group, resource, subresource, namespace, name })
    }

    /// Refuses what no rule allows.
    pub(crate) fn authorize(&self, user: &Identity, action: &Action<'_>) -> Result<(), Status> {
        if self.may(user, action) { Ok(()) } else { Err(action.denied(user)) }
    }

    /// Whether a rule allows it: one of the user's, or of a group's (`group:NAME`).
    pub(crate) fn may(&self, user: &Identity, action: &Action<'_>) -> bool {
        let subjects = user.groups.iter().map(|group| format!("group:{group}")).chain([user.name.clone()]);
        subjects.filter_map(|subject| self.rules.get(&subject)).flatten().any(|rule| rule.allows(action))
    }
}

/// The token of a request; other schemes, such as Basic, are nobody's.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

fn remove_prefixed(headers: &mut HeaderMap, prefix: &str) {
    let names: Vec<HeaderName> = headers.keys().filter(|name| name.as_str().starts_with(prefix)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}
