//! What flags, environment and kubeconfig say: read, merged and checked. Connects to nothing.

pub(crate) mod inputs;
pub(crate) mod kubeconfig;
pub(crate) mod entry_fields;
pub(crate) mod yaml_tree;
pub(crate) mod kuberc;
pub(crate) mod service_account;
pub(crate) mod server_url;
pub(crate) mod environment_proxy;
pub(crate) mod impersonation;
pub(crate) mod pem_source;
