//! The built program against the fake API server: one fast binary. How to write such a test: [`harness`].
#![allow(clippy::unwrap_used, reason = "a test fails with a panic")]

#[path = "../rig/mod.rs"]
mod rig;
#[path = "../fake/mod.rs"]
mod fake;
mod harness;

mod attacks;
mod browser;
mod cases;
mod cli;
mod completion;
mod credentials;
mod errors;
mod forwarding;
mod golden;
mod journey;
mod list;
mod pick;
mod shutdown;
mod websocket;
