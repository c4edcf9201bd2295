//! The reference says what the program says of itself, and the README stays short.

use std::collections::BTreeSet;
use std::process::Command;

const README: &str = include_str!("../../README.md");
const REFERENCE: &str = include_str!("../../docs/reference.md");
/// Lines that who meets it first reads.
const MAX_README_LINES: usize = 130;

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
fn every_flag_of_the_help_is_in_the_reference() {
    let help = help();
    for flag in flags(&help) {
        assert!(
            REFERENCE.contains(&format!("`{flag}")) || REFERENCE.contains(&format!("/`{flag}")),
            "docs/reference.md lacks {flag}"
        );
    }
}

#[test]
fn every_flag_of_the_flag_table_exists() {
    let help = help();
    let table = REFERENCE.split("## Flags").nth(1).unwrap().split("## Security").next().unwrap();
    // Accepted for kubectl's sake, and not shown.
    let hidden = ["--cache-dir", "--match-server-version", "--profile"];
    let known = flags(&help);
    for flag in flags(&table.replace('`', " ")) {
        assert!(known.contains(flag) || hidden.contains(&flag), "{flag} of docs/reference.md is not in --help");
    }
}

#[test]
fn the_readme_is_short_and_names_only_flags_that_exist() {
    assert!(README.lines().count() <= MAX_README_LINES, "{} lines", README.lines().count());
    let help = help();
    let known = flags(&help);
    let foreign = ["--locked", "--path", "--example", "--git"];
    for flag in flags(&README.replace('`', " ")) {
        assert!(known.contains(flag) || foreign.contains(&flag), "{flag} of README.md is not in --help");
    }
}

/// Every link of the README to another file leads to one, and to a heading that is there.
#[test]
fn links_of_the_readme_lead_somewhere() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    for link in README.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        let (file, heading) = link.split_once('#').unwrap_or((link, ""));
        let text = std::fs::read(root.join(file)).unwrap_or_else(|error| panic!("{link}: {error}"));
        let text = String::from_utf8_lossy(&text);
        let anchors = text.lines().filter(|line| line.starts_with('#')).map(anchor);
        assert!(heading.is_empty() || anchors.into_iter().any(|found| found == heading), "{link}");
    }
}

/// As GitHub makes it of a heading.
fn anchor(heading: &str) -> String {
    let title = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = title.chars().filter(|character| character.is_alphanumeric() || " -".contains(*character));
    kept.map(|character| if character == ' ' { '-' } else { character }).collect()
}
