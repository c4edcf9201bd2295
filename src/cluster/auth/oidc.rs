//! The `oidc` auth-provider, read only: the token that kubectl put into the kubeconfig is used, never renewed. A refresh token
//! may be good for one use, and kubectl would be logged out if we took it and did not write the next one back.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kube::config::AuthProviderConfig;
use serde::Deserialize;

use super::issued::{IssuedCredentials, bearer, in_time};
use crate::cluster::config::kubeconfig::{self, KubeconfigFiles};
use crate::error::Error;

/// An OpenID Connect token in a kubeconfig.
pub(crate) struct OidcToken {
    user: String,
    files: KubeconfigFiles,
}

impl OidcToken {
    /// The token of the user called `user`, found in `files`.
    ///
    /// # Errors
    /// When the provider is one of those that left Kubernetes.
    pub(crate) fn new(provider: &AuthProviderConfig, user: &str, files: KubeconfigFiles) -> Result<Self, Error> {
        if provider.name != "oidc" {
            return Err(Error::usage(format!("user {user:?} logs in with auth-provider {:?}", provider.name))
                .hint("Kubernetes has dropped it for credential plugins (`exec`), such as kubelogin or gke-gcloud-auth-plugin"));
        }
        Ok(Self { user: user.to_owned(), files })
    }

    /// Reads the token, again each time, since kubectl writes a new one into the file.
    pub(crate) fn obtain(&self) -> Result<IssuedCredentials, Error> {
        let config = self.files.read()?;
        let provider = kubeconfig::user(&config, &self.user).and_then(|user| user.auth_provider);
        let token = provider.and_then(|provider| provider.config.get("id-token").cloned()).unwrap_or_default();
        let expires = expiry(&token);
        if token.is_empty() || expires.is_some_and(|at| at <= SystemTime::now()) {
            return Err(Error::failed(format!("the OpenID Connect token of user {:?} has expired", self.user))
                .hint("let kubectl renew it (`kubectl auth whoami`), or log in again"));
        }
        let renew = expires.and_then(in_time);
        Ok(IssuedCredentials { authorization: Some(bearer(&token)?), identity: None, expires, renew })
    }
}

/// `exp` of a JSON Web Token (RFC 7519 section 4.1.4), which nobody needs a key to read.
fn expiry(token: &str) -> Option<SystemTime> {
    #[derive(Deserialize)]
    struct TokenClaims {
        exp: Option<f64>,
    }
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: TokenClaims = serde_json::from_slice(&claims).ok()?;
    let seconds = Duration::try_from_secs_f64(claims.exp?).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_a_token_ends() {
        let token = |claims: &str| format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims));
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(expiry(&token(r#"{"exp":1800000000,"sub":"x"}"#)), Some(at(1_800_000_000)));
        assert_eq!(expiry(&token(r#"{"sub":"x"}"#)), None);
        assert_eq!(expiry("opaque"), None);
    }
}
