//! The library behind `kubectl svcproxy`, for its own tests, fuzzers and benchmarks: no promise of stability.
#![doc = include_str!("ARCHITECTURE.md")]

pub mod app;
pub mod find;
pub mod proxy;
pub mod local_tls;
pub mod cluster;
pub mod terminal;
pub mod service;
pub mod message;
pub mod error;
pub mod suggest;
pub mod lock;
pub mod search_path;
