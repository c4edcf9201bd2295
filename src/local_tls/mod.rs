//! https on this machine: a certificate authority of the user's own that can do no harm, who trusts it, and the certificates
//! of the sites.

pub mod authority;
pub mod site_certificates;
pub mod trust_steps;
pub mod trusting;

pub use authority::LocalAuthority;
pub use site_certificates::SiteCertificates;
