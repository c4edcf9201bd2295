//! What the user asks for: which Services, and where to look for them. Pure.

use crate::service::ServiceSpelling;
use crate::service::choose_port::TargetWish;

/// Which Services to open, and where to look for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceQuery {
    /// Which ones.
    pub wanted: WantedServices,
    /// Where to look for them.
    pub search: ServiceSearch,
}

/// Which Services to open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WantedServices {
    /// These, at least one.
    Named(Vec<NamedService>),
    /// Whatever the user picks.
    Pick {
        /// The first filter text.
        typed: String,
        /// What flags say.
        wish: TargetWish,
    },
    /// The one opened last, with what flags say.
    Last(TargetWish),
}

/// One SERVICE of the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedService {
    /// As typed.
    pub text: String,
    /// Taken apart.
    pub spelling: ServiceSpelling,
    /// Flags and spelling together.
    pub wish: TargetWish,
}

/// Where Services are looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceSearch {
    /// All namespaces.
    pub all_namespaces: bool,
    /// The namespace that was typed.
    pub namespace: Option<String>,
    /// Label selector.
    pub selector: Option<String>,
}
