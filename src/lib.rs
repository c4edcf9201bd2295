//! The library behind `kubectl svcproxy`, for its own tests, fuzzers and benchmarks: no promise of stability.

pub mod error;
pub mod service;
pub mod target;
pub mod upstream;
