//! Placeholder until its tests land.
#![allow(missing_docs, reason = "no public API")]
fn main() {}
