//! The cluster side against servers in the same process. Tests named after the traps that kube and hyper set.

mod certificates;
mod server;
mod requests;
mod pooling;
mod plugin;
mod credentials;
mod trust;
mod odd_keys;
mod proxies;
mod settings;
mod lists;
