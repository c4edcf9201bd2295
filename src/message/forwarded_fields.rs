//! Header fields with which a front tells whoever is behind it of the browser's side. Pure.

use http::HeaderName;

/// The browser speaks https with the local side: an extension of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BrowserByTls;

/// The host that the browser asked for.
pub(crate) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// The scheme that the browser speaks.
pub(crate) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
