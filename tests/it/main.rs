//! The built program against the fake API server: one fast binary.
#![allow(clippy::unwrap_used, reason = "a test fails with a panic")]

#[path = "../rig/mod.rs"]
mod rig;
#[path = "../fake/mod.rs"]
mod fake;
mod harness;

mod attacks;
mod cases;
mod errors;
mod forwarding;
mod golden;
mod journey;
