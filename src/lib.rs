//! The library behind `kubectl svcproxy`, for its own tests, fuzzers and benchmarks: no promise of stability.
#![doc = include_str!("ARCHITECTURE.md")]

pub mod cli;
pub mod plan;
pub mod run;
pub mod service;
pub mod target;
pub mod find;
pub mod cluster;
pub mod announce;
pub mod request_line;
pub mod status_line;
pub mod serving;
pub mod command;
pub mod asker;
pub mod page;
pub mod watch;
pub mod upstream;
pub mod html_links;
mod link_fields;
pub mod local;
pub mod picker;
pub mod list;
pub mod history;
pub mod browser;
pub mod output;
pub mod completion;
pub mod shutdown;
pub mod error;
