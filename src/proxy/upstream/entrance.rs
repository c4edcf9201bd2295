//! Where the Pods of a Target are spoken to, and in what. Pure.

use std::fmt;

use crate::service::Scheme;

/// One way into a Pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PodEntrance {
    /// The Target's port, in this scheme.
    OwnPort(Scheme),
    /// Another port of the Service, which speaks https.
    HttpsPort,
    /// The Target's port in plain HTTP, as a gateway speaks behind which TLS has ended.
    BehindHttps,
}

impl PodEntrance {
    /// Those that an app may mean that wants https, the likeliest first.
    pub(super) const WITH_HTTPS: [Self; 3] = [Self::OwnPort(Scheme::Https), Self::HttpsPort, Self::BehindHttps];

    /// What is spoken to the Pod.
    pub(super) fn scheme(self) -> Scheme {
        match self {
            Self::OwnPort(scheme) => scheme,
            Self::HttpsPort => Scheme::Https,
            Self::BehindHttps => Scheme::Http,
        }
    }

    /// What the app takes the browser to speak, and writes into its URLs.
    pub(super) fn shown_scheme(self) -> Scheme {
        match self {
            Self::OwnPort(scheme) => scheme,
            Self::HttpsPort | Self::BehindHttps => Scheme::Https,
        }
    }
}

/// For the log.
impl fmt::Display for PodEntrance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OwnPort(scheme) => scheme.fmt(f),
            Self::HttpsPort => f.write_str("https at another port"),
            Self::BehindHttps => f.write_str("http as if behind https"),
        }
    }
}
