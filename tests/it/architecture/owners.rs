//! One owner for each outside thing.

use std::collections::BTreeMap;

use super::crate_tree::CrateTree;
use super::floors::is_in;
use super::import_graph::{ImportGraph, WholeName};

/// Names that only some files may name.
struct Ownership {
    says: &'static str,
    owners: &'static [&'static str],
    /// Names in full, with everything below them; a `*` at the end stands for any ending.
    names: &'static [&'static str],
}

const OWNERSHIPS: [Ownership; 8] = [
    Ownership { says: "only `cluster` knows kube", owners: &["cluster/"], names: &["kube", "k8s_openapi"] },
    Ownership {
        says: "only `port_forward` knows tungstenite",
        owners: &["proxy/upstream/port_forward/"],
        names: &["tungstenite", "tokio_tungstenite"],
    },
    Ownership { says: "only `browser` opens one", owners: &["terminal/browser.rs"], names: &["webbrowser"] },
    Ownership { says: "only `picker` draws", owners: &["find/picker/"], names: &["crossterm", "nucleo_matcher"] },
    Ownership { says: "only `find` asks", owners: &["find/"], names: &["dialoguer"] },
    Ownership {
        says: "only `printer` prints",
        owners: &["terminal/printer.rs", "main.rs"],
        names: &["println!", "eprintln!", "print!", "eprint!", "dbg!", "std::io::stdout"],
    },
    Ownership {
        says: "only `main` reads arguments and the environment, and ends the process",
        owners: &["main.rs"],
        names: &["std::env::var*", "std::env::args*", "std::env::home_dir", "std::process::exit"],
    },
    Ownership { says: "only `main` starts a run", owners: &["main.rs", "app/run.rs"], names: &["crate::app::run"] },
];

/// Whether `name` is one of `patterns`, or something below one.
pub(crate) fn is_among(name: &str, patterns: &[&str]) -> bool {
    patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name.strip_prefix(pattern).is_some_and(|rest| rest.is_empty() || rest.starts_with("::")),
    })
}

/// Whoever names what is not theirs: a line for each file and rule.
pub(crate) fn trespasses(tree: &CrateTree, graph: &ImportGraph) -> Vec<String> {
    let mut first: BTreeMap<(usize, usize), &WholeName> = BTreeMap::new();
    for (rule, Ownership { owners, names, .. }) in OWNERSHIPS.iter().enumerate() {
        let is_owner = |file: usize| owners.iter().any(|place| is_in(&tree.files[file].path, place));
        for named in graph.names.iter().filter(|named| is_among(&named.name, names) && !is_owner(named.file)) {
            first.entry((named.file, rule)).or_insert(named);
        }
    }
    let say = |((file, rule), named): ((usize, usize), &WholeName)| {
        format!("src/{}:{} names {}: {}", tree.files[file].path, named.line, named.name, OWNERSHIPS[rule].says)
    };
    first.into_iter().map(say).collect()
}

/// No file is a drawer for everything.
pub(crate) fn drawers(tree: &CrateTree) -> Vec<String> {
    const DRAWERS: [&str; 6] = ["utils", "helpers", "common", "manager", "types", "misc"];
    let is_drawer = |path: &str| path.split('/').any(|part| DRAWERS.contains(&part.trim_end_matches(".rs")));
    let drawers = tree.files.iter().filter(|file| is_drawer(&file.path));
    drawers.map(|file| format!("src/{} is named after nothing in it", file.path)).collect()
}
