//! The README says what the program says of itself.

use std::collections::BTreeSet;
use std::process::Command;

const README: &str = include_str!("../../README.md");

fn help() -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_kubectl-svcproxy")).arg("--help").output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// `--long` flags in a text.
fn flags(text: &str) -> BTreeSet<&str> {
    let is_of_flag = |character: char| character.is_ascii_lowercase() || character == '-';
    let word = |start: usize| {
        let rest = &text[start..];
        &rest[..rest.find(|character| !is_of_flag(character)).unwrap_or(rest.len())]
    };
    text.match_indices(" --")
        .map(|(at, _)| word(at + 1))
        .filter(|flag| flag.trim_start_matches('-').len() == flag.len() - 2 && flag.len() > 2)
        .collect()
}

#[test]
fn every_flag_of_the_help_is_in_the_readme() {
    let help = help();
    for flag in flags(&help) {
        assert!(
            README.contains(&format!("`{flag}")) || README.contains(&format!("/`{flag}")),
            "README.md lacks {flag}"
        );
    }
}

#[test]
fn every_flag_of_the_flag_table_exists() {
    let help = help();
    let table = README.split("## Flags").nth(1).unwrap().split("## Security").next().unwrap();
    // Accepted for kubectl's sake, and not shown.
    let hidden = ["--cache-dir", "--match-server-version", "--profile"];
    let known = flags(&help);
    for flag in flags(&table.replace('`', " ")) {
        assert!(known.contains(flag) || hidden.contains(&flag), "{flag} of README.md is not in --help");
    }
}
