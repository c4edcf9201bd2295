//! `cargo run --example man` prints the manual page, made from the command's definition.
#![allow(clippy::unwrap_used, reason = "there is nobody to tell but the developer")]

use std::io::Write as _;

use clap::CommandFactory as _;
use svcproxy::app::args::CommandLine;

fn main() {
    std::io::stdout().write_all(&support::manual_page(CommandLine::command())).unwrap();
}
