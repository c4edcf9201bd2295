//! The import rules of `src/ARCHITECTURE.md`, and its list of modules.

use std::fs;
use std::path::{Path, PathBuf};

/// Files (or folders) that must not name something, unless they are excepted.
struct Rule {
    says: &'static str,
    holds_for: &'static [&'static str],
    but_not_for: &'static [&'static str],
    never_named: &'static [&'static str],
}

/// Everything.
const ALL: &[&str] = &[""];

const RULES: [Rule; 9] = [
    Rule {
        says: "pure modules know no runtime, cluster, environment or clock",
        holds_for: &[
            "service.rs",
            "target/",
            "plan.rs",
            "error.rs",
            "announce.rs",
            "request_line.rs",
            "status_line/text.rs",
            "link_fields.rs",
            "find/name.rs",
            "local/guard.rs",
            "local/hosts.rs",
            "local/path.rs",
            "local/cookies.rs",
            "upstream/choose.rs",
            "upstream/handshakes.rs",
            "upstream/cuts.rs",
            "upstream/web_socket.rs",
            "upstream/port_forward/channels.rs",
            "upstream/port_forward/framing.rs",
            "upstream/port_forward/spdy.rs",
            "upstream/unprefix/",
            "picker/row.rs",
            "picker/narrow.rs",
            "picker/state.rs",
            "picker/frame.rs",
        ],
        but_not_for: &[],
        never_named: &["tokio::", "kube::", "std::env", "std::fs", "Instant::now", "SystemTime::now"],
    },
    Rule {
        says: "only `cluster` names kube",
        holds_for: ALL,
        but_not_for: &["cluster/"],
        never_named: &["kube::", "k8s_openapi::"],
    },
    Rule {
        says: "only `upstream::port_forward` names tungstenite",
        holds_for: ALL,
        but_not_for: &["upstream/port_forward/"],
        never_named: &["tungstenite::"],
    },
    Rule {
        says: "`local` knows no Kubernetes and no transport",
        holds_for: &["local/"],
        but_not_for: &[],
        never_named: &["crate::cluster", "crate::target", "crate::service", "service_proxy", "port_forward"],
    },
    Rule {
        says: "only `browser` opens one",
        holds_for: ALL,
        but_not_for: &["browser.rs"],
        never_named: &["webbrowser::"],
    },
    Rule {
        says: "only `picker` draws",
        holds_for: ALL,
        but_not_for: &["picker/"],
        never_named: &["crossterm::", "nucleo_matcher::"],
    },
    Rule {
        says: "only `picker` and `find` ask",
        holds_for: ALL,
        but_not_for: &["picker/", "find/"],
        never_named: &["dialoguer::"],
    },
    Rule {
        says: "only `output` prints",
        holds_for: ALL,
        but_not_for: &["output.rs", "main.rs"],
        never_named: &["println!", "eprintln!", "print!(", "stdout()", "dbg!"],
    },
    Rule {
        says: "only `main` reads arguments and the environment, and only it names `run`",
        holds_for: ALL,
        but_not_for: &["main.rs"],
        never_named: &["env::var", "env::args", "process::exit", "crate::run::", "run::run("],
    },
];

#[test]
fn modules_name_only_what_they_may() {
    let mut broken = Vec::new();
    for file in sources() {
        let (name, text) = (name_of(&file), product_code(&file));
        let matches = |list: &[&str]| list.iter().any(|start| name.starts_with(start));
        for rule in RULES.iter().filter(|rule| matches(rule.holds_for) && !matches(rule.but_not_for)) {
            let named = rule.never_named.iter().filter(|word| text.contains(**word));
            broken.extend(named.map(|word| format!("src/{name} names {word}: {}", rule.says)));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn no_module_is_a_drawer_for_everything() {
    for file in sources() {
        let stem = file.file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(!["utils", "helpers", "common", "manager", "types", "misc"].contains(&stem.as_str()), "{stem}");
    }
}

#[test]
fn the_map_has_every_module() {
    let map = include_str!("../../src/ARCHITECTURE.md");
    let library = include_str!("../../src/lib.rs");
    for module in library.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')) {
        let is_there = map.contains(&format!("`{module}.rs`")) || map.contains(&format!("`{module}/`"));
        assert!(is_there, "src/ARCHITECTURE.md does not say what {module} is for");
    }
}

fn source_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn name_of(file: &Path) -> String {
    file.strip_prefix(source_folder()).unwrap().to_str().unwrap().replace('\\', "/")
}

/// What is compiled into the program: files of tests and what follows `#[cfg(test)]` do as they like.
fn product_code(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let product = text.split("#[cfg(test)]").next().unwrap_or_default();
    product.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![source_folder()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let is_test = path.file_stem().is_some_and(|stem| stem == "tests");
            match path.is_dir() {
                _ if is_test => {}
                true => folders.push(path),
                false if path.extension().is_some_and(|extension| extension == "rs") => found.push(path),
                false => {}
            }
        }
    }
    found
}
