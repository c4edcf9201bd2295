//! The cluster side against servers in the same process.

mod certificates;
mod server;
mod requests;
