//! What every source of credentials gives.

use std::time::{Duration, SystemTime};

use http::HeaderValue;

use crate::cluster::client::client_identity::ClientIdentity;
use crate::error::Error;

/// Credentials as their source gave them.
#[derive(Clone, Default)]
pub(crate) struct IssuedCredentials {
    /// `Authorization`.
    pub(crate) authorization: Option<HeaderValue>,
    /// The client certificate.
    pub(crate) identity: Option<ClientIdentity>,
    /// From then on they are worth nothing.
    pub(crate) expires: Option<SystemTime>,
    /// From then on the source may have other ones.
    pub(crate) renew: Option<SystemTime>,
}

/// `Authorization: Bearer`.
///
/// # Errors
/// When the token holds what no header can.
pub(crate) fn bearer(token: &str) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.trim()))
        .map_err(|_| Error::usage("the token holds characters that no token can have"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// When to renew what is valid until `expires`: a tenth of the time before, at most a minute. Never, if that is over already:
/// then one of the two clocks is wrong.
pub(crate) fn in_time(expires: SystemTime) -> Option<SystemTime> {
    let left = expires.duration_since(SystemTime::now()).ok().filter(|left| !left.is_zero())?;
    Some(expires - (left / 10).min(Duration::from_secs(60)))
}
