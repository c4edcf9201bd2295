//! Who we are to the API server: one source, its current `Authorization` ready to use.

use std::sync::Arc;

use arc_swap::ArcSwap;
use http::HeaderValue;

use super::tls::Identity;
use crate::error::Error;

/// What a request is sent with.
#[derive(Clone, Default)]
pub(crate) struct Credential {
    /// `Authorization`; `None` for anonymous and certificate logins.
    pub(crate) authorization: Option<HeaderValue>,
    /// The client certificate for new connections.
    pub(crate) identity: Option<Identity>,
    /// Counts renewals.
    pub(crate) generation: u64,
}

/// The one source of credentials.
pub(crate) struct Credentials {
    current: ArcSwap<Credential>,
}

impl Credentials {
    /// The same for ever.
    pub(crate) fn fixed(authorization: Option<HeaderValue>, identity: Option<Identity>) -> Self {
        Self { current: ArcSwap::from_pointee(Credential { authorization, identity, generation: 0 }) }
    }

    /// What to send with now.
    pub(crate) async fn current(&self) -> Result<Arc<Credential>, Error> {
        Ok(self.current.load_full())
    }
}
