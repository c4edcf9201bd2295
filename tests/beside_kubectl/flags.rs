//! The flags of `kubectl options`, by kubectl's own word.

use std::path::Path;
use std::process::Command;

use crate::place::Programs;

/// Each flag that kubectl takes with every command is taken here too, with the value that kubectl shows.
pub(crate) fn every_option_is_taken(programs: &Programs) {
    let options = options(&programs.kubectl);
    assert!(options.len() > 25, "kubectl options lists {options:?}");
    for option in &options {
        let told = Command::new(&programs.own).args([option, "--version"]).env_clear().output().unwrap();
        assert!(told.status.success(), "{option}: {}", String::from_utf8_lossy(&told.stderr));
    }
}

/// Each as `--name=value`, and as `-n` where it has a letter.
fn options(kubectl: &Path) -> Vec<String> {
    let told = Command::new(kubectl).arg("options").env_clear().env("HOME", "/nowhere").output().unwrap();
    let text = String::from_utf8(told.stdout).unwrap();
    let lines = text.lines().map(str::trim).filter(|line| line.starts_with('-') && line.ends_with(':'));
    lines.flat_map(spellings).collect()
}

/// Of `-s, --server='':`.
fn spellings(line: &str) -> Vec<String> {
    let (letter, long) = line.split_once(", ").map_or((None, line), |(letter, long)| (Some(letter), long));
    let (name, value) = long.trim_end_matches(':').split_once('=').unwrap_or((long, ""));
    let value = value.trim_matches('\'').trim_matches(['[', ']']);
    let letter = letter.map(|letter| format!("{letter}={value}"));
    letter.into_iter().chain([format!("{name}={value}")]).collect()
}
