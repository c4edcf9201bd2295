//! The built program against the fake API server: one fast binary. How to write such a test: [`harness`].
#![allow(clippy::needless_pass_by_value, reason = "a test hands over what it has just written down")]
#![allow(clippy::result_large_err, reason = "an answer instead of a value costs a test nothing")]
#![allow(dead_code, reason = "modules that several test programs share offer more than each of them needs")]
#![allow(unused_imports, reason = "modules that several test programs share offer more than each of them needs")]
#![allow(clippy::unwrap_used, reason = "a test fails with a panic")]

#[path = "../rig/mod.rs"]
mod rig;
#[path = "../fake/mod.rs"]
mod fake;
mod harness;

mod architecture;
mod attempts;
mod attacks;
mod browser;
mod cases;
mod cli;
mod completion;
mod credentials;
mod errors;
mod forwarding;
mod golden;
mod history;
mod journey;
mod list;
mod pick;
mod readme;
mod shutdown;
mod status_line;
mod transports;
mod websocket;
