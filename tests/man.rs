//! `cargo run --example man` prints the manual page, made from the command's definition.
#![allow(clippy::unwrap_used, reason = "there is nobody to tell but the developer")]

use std::io::Write as _;

use clap::CommandFactory as _;
use svcproxy::app::args::CommandLine;

fn main() {
    std::io::stdout().write_all(&page()).unwrap();
}

/// kubectl-svcproxy(1).
pub(crate) fn page() -> Vec<u8> {
    let command = CommandLine::command().name("kubectl-svcproxy").bin_name("kubectl svcproxy");
    let mut page = Vec::new();
    clap_mangen::Man::new(command).manual("kubectl plugins").render(&mut page).unwrap();
    page
}
