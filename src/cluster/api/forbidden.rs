//! Whom the API server takes us for, read off its refusals, and whether that can be.

use std::fmt;

/// Whom an API server takes a request for that shows no credentials (apiserver `pkg/authentication/user`).
const ANONYMOUS: &str = "system:anonymous";

/// A right that is missing, in RBAC's words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MissingRight {
    /// Who lacks it, as the API server knows them.
    pub user: String,
    /// The verb; empty for OPTIONS, which only `*` allows.
    pub verb: String,
    /// The resource, such as `services/proxy`.
    pub resource: String,
}

/// What requests say of who we are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PresentedIdentity {
    /// `Authorization`.
    pub(crate) header: bool,
    /// A client certificate, to a server that asks for it.
    pub(crate) certificate: bool,
    /// `Impersonate-User`.
    pub(crate) as_user: Option<String>,
}

/// What of it the API server did not see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialsNotSeen {
    /// `Authorization`.
    Header,
    /// The client certificate.
    Certificate,
    /// `Impersonate-User`.
    Impersonation {
        /// What was sent.
        as_user: String,
        /// Whom the API server took us for.
        seen: String,
    },
    /// Nothing, since there is nothing to show.
    NoneSent {
        /// What somebody without credentials may not do; `None` where the API server has no such users.
        missing: Option<MissingRight>,
        /// How that can be, and what to do.
        why: String,
    },
}

impl MissingRight {
    /// Reads `… is forbidden: User "U" cannot VERB resource "R" in API group …` (apiserver
    /// `pkg/endpoints/handlers/responsewriters/errors.go`).
    pub fn read(message: &str) -> Option<Self> {
        let (_, sentence) = message.split_once(" is forbidden: User \"")?;
        let (user, rest) = sentence.split_once("\" cannot ")?;
        let (verb, rest) = rest.split_once(" resource \"")?;
        let (resource, _) = rest.split_once('"')?;
        Some(Self { user: user.to_owned(), verb: verb.to_owned(), resource: resource.to_owned() })
    }

    /// Whether somebody lacks it who showed no credentials.
    pub(crate) fn is_of_nobody(&self) -> bool {
        self.user == ANONYMOUS
    }

    /// Whether it is the right to act as somebody else. Since Kubernetes 1.36 the verb may say in which way, and for what
    /// (apiserver `pkg/endpoints/filters/impersonation/mode.go`).
    pub fn is_impersonation(&self) -> bool {
        self.verb.starts_with("impersonate")
    }
}

impl PresentedIdentity {
    /// What the API server cannot have seen, if `missing` names somebody whom it would not take us for then.
    pub(crate) fn unseen(&self, missing: &MissingRight) -> Option<CredentialsNotSeen> {
        let user = &missing.user;
        if self.as_user.as_ref() == Some(user) {
            return None;
        }
        match &self.as_user {
            _ if missing.is_of_nobody() && self.header => Some(CredentialsNotSeen::Header),
            _ if missing.is_of_nobody() && self.certificate => Some(CredentialsNotSeen::Certificate),
            // Who may not impersonate is named themselves.
            Some(as_user) if !missing.is_impersonation() => {
                Some(CredentialsNotSeen::Impersonation { as_user: as_user.clone(), seen: user.clone() })
            }
            _ => None,
        }
    }
}

/// One sentence about it, without a final period.
impl fmt::Display for CredentialsNotSeen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header | Self::Certificate => {
                write!(f, "the API server did not see your credentials and took you for {ANONYMOUS}")
            }
            Self::Impersonation { as_user, seen } => {
                write!(f, "the API server did not see that you act as {as_user} and took you for {seen}")
            }
            Self::NoneSent { missing: None, .. } => {
                f.write_str("no credentials were sent, and the API server wants some")
            }
            Self::NoneSent { missing: Some(MissingRight { user, verb, resource }), .. } => {
                write!(f, "no credentials were sent, so you are {user}, who may not {verb} {resource}")
            }
        }
    }
}

impl CredentialsNotSeen {
    /// How that can be, and what to do.
    pub(crate) fn why(&self) -> &str {
        match self {
            Self::Header => {
                "something between here and it drops the Authorization header, or it takes no credentials of this kind"
            }
            Self::Certificate => {
                "something between here and it ends TLS, so that no client certificate arrives, or it takes none; use a \
                 token, or go to the API server itself"
            }
            Self::Impersonation { .. } => {
                "something between here and it drops the Impersonate-* headers; let them pass, or go to the API server itself"
            }
            Self::NoneSent { why, .. } => why,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(user: &str, verb: &str) -> MissingRight {
        MissingRight { user: user.to_owned(), verb: verb.to_owned(), resource: "services".to_owned() }
    }

    #[test]
    fn what_was_not_seen() {
        let check = |shown: (bool, bool, Option<&str>), (user, verb), expect: Option<CredentialsNotSeen>| {
            let (header, certificate, as_user) = shown;
            let shown = PresentedIdentity { header, certificate, as_user: as_user.map(str::to_owned) };
            assert_eq!(shown.unseen(&missing(user, verb)), expect, "{shown:?} {user} {verb}");
        };
        let not_as =
            |seen: &str| CredentialsNotSeen::Impersonation { as_user: "jane".to_owned(), seen: seen.to_owned() };
        let nobody = (ANONYMOUS, "get");
        check((true, false, None), nobody, Some(CredentialsNotSeen::Header));
        check((true, true, None), nobody, Some(CredentialsNotSeen::Header));
        check((false, true, None), nobody, Some(CredentialsNotSeen::Certificate));
        check((false, false, None), nobody, None);
        check((true, false, None), ("ann", "get"), None);
        check((true, false, Some("jane")), ("jane", "get"), None);
        check((true, false, Some("jane")), ("ann", "get"), Some(not_as("ann")));
        for verb in ["impersonate", "impersonate:user-info", "impersonate-on:user-info:get"] {
            check((true, false, Some("jane")), ("ann", verb), None);
        }
        check((true, false, Some("jane")), nobody, Some(CredentialsNotSeen::Header));
        check((true, false, Some("jane")), (ANONYMOUS, "impersonate"), Some(CredentialsNotSeen::Header));
        check((true, false, Some(ANONYMOUS)), nobody, None);
        check((false, false, Some("jane")), nobody, Some(not_as(ANONYMOUS)));
        check((false, false, Some("jane")), (ANONYMOUS, "impersonate"), None);
    }

    #[test]
    fn refusals_are_read() {
        let said = r#"services "web" is forbidden: User "ann" cannot get resource "services" in API group "" in the namespace "default""#;
        assert_eq!(MissingRight::read(said), Some(missing("ann", "get")));
        assert_eq!(MissingRight::read("not you"), None);
    }
}
