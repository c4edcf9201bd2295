//! The built program against the fake API server: one fast binary. How to write such a test: [`harness`].
#![allow(clippy::unwrap_used, reason = "a test fails with a panic")]

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
mod faults;
mod forwarding;
mod exchanges;
mod golden;
mod history;
mod http2_attacks;
mod https;
mod journey;
mod kills;
mod list;
mod odd_answers;
mod one_pod;
mod pick;
mod printing;
mod readme;
mod scarcity;
mod shutdown;
mod status_line;
mod support;
mod transports;
mod websocket;
