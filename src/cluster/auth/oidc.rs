//! The `oidc` auth-provider: the token that kubectl put into the kubeconfig is used, and renewed by kubectl.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kube::config::AuthProviderConfig;
use serde::Deserialize;

use super::issued::{IssuedCredentials, bearer, in_time};
use super::kubectl_renewal::KubectlRenewal;
use crate::cluster::config::kubeconfig;
use crate::error::Error;

/// An OpenID Connect token in a kubeconfig.
pub(crate) struct OidcToken {
    user: String,
    renewal: KubectlRenewal,
}

/// What stands in the kubeconfig.
struct StoredTokens {
    id_token: String,
    can_be_renewed: bool,
}

impl OidcToken {
    /// The token of the user called `user`.
    ///
    /// # Errors
    /// When the provider is one of those that left Kubernetes.
    pub(crate) fn new(provider: &AuthProviderConfig, user: &str, renewal: KubectlRenewal) -> Result<Self, Error> {
        if provider.name != "oidc" {
            return Err(Error::usage(format!("user {user:?} logs in with auth-provider {:?}", provider.name))
                .hint("Kubernetes has dropped it for credential plugins (`exec`), such as kubelogin or gke-gcloud-auth-plugin"));
        }
        Ok(Self { user: user.to_owned(), renewal })
    }

    /// Reads the token, again each time, since kubectl writes a new one into the file. One that is over kubectl renews first.
    ///
    /// # Errors
    /// When there is none that is still good.
    pub(crate) async fn obtain(&self) -> Result<IssuedCredentials, Error> {
        let stored = self.read()?;
        if let Some(issued) = stored.issued()? {
            return Ok(issued);
        }
        if !stored.can_be_renewed {
            let log_in = "log in again: the kubeconfig has no refresh-token by which kubectl could renew it";
            return Err(self.expired().hint(log_in));
        }
        let words = self.renewal.renew(&self.user).await?;
        self.read()?
            .issued()?
            .ok_or_else(|| self.expired().hint(format!("kubectl did not renew it ({words}): log in again")))
    }

    fn read(&self) -> Result<StoredTokens, Error> {
        let config = self.renewal.files.read()?;
        let provider = kubeconfig::user(&config, &self.user).and_then(|user| user.auth_provider);
        let get = |key| provider.as_ref().and_then(|provider| provider.config.get(key).cloned()).unwrap_or_default();
        Ok(StoredTokens { id_token: get("id-token"), can_be_renewed: !get("refresh-token").is_empty() })
    }

    fn expired(&self) -> Error {
        Error::failed(format!("the OpenID Connect token of user {:?} has expired", self.user))
    }
}

impl StoredTokens {
    /// The token, unless it is over.
    fn issued(&self) -> Result<Option<IssuedCredentials>, Error> {
        let expires = expiry(&self.id_token);
        if self.id_token.is_empty() || expires.is_some_and(|at| at <= SystemTime::now()) {
            return Ok(None);
        }
        let authorization = Some(bearer(&self.id_token)?);
        Ok(Some(IssuedCredentials { authorization, identity: None, expires, renew: expires.and_then(in_time) }))
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
