//! Helpers that no test uses are found. Within the crate `support` the compiler finds them, but what is `pub` there it takes
//! for used; so each such name must stand in a file outside of it.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_helper_is_used() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let own = tests.join("support");
    let (helpers, users): (Vec<_>, Vec<_>) = sources(&tests).into_iter().partition(|(file, _)| file.starts_with(&own));
    let used: HashSet<&str> = users.iter().flat_map(|(_, text)| words(text)).collect();
    let unused: Vec<_> = helpers
        .iter()
        .flat_map(|(file, text)| text.lines().filter_map(public_name).map(move |name| (file, name)))
        .filter(|(_, name)| !used.contains(name))
        .map(|(file, name)| format!("{}: {name}", file.strip_prefix(&tests).unwrap_or(file).display()))
        .collect();
    assert!(unused.is_empty(), "nobody outside of tests/support names\n{}", unused.join("\n"));
}

/// Every Rust file below `folder`, and what is in it.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
    found
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_alphanumeric() && letter != '_')
}

/// Of a line that makes a function, a constant, a module or a field public. Types come along with their functions.
fn public_name(line: &str) -> Option<&str> {
    let mut words = words(line.trim_start().strip_prefix("pub ")?);
    match words.find(|word| !["async", "const", "fn", "mod", "static"].contains(word))? {
        "enum" | "struct" | "trait" | "type" | "use" => None,
        name => Some(name),
    }
}
