//! A request in, the app's answer out: `local` is what clients connect to, `upstream` is the way to the Pods.

pub mod page;
pub mod upstream;
pub mod local;
