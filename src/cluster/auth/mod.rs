//! Who the user is to the API server: how to log in, and the credentials that are good now.

pub(crate) mod login;
pub(crate) mod issued;
pub(crate) mod exec_plugin;
pub(crate) mod plugin_policy;
pub(crate) mod kubectl_renewal;
pub(crate) mod oidc;
pub(crate) mod credentials;
