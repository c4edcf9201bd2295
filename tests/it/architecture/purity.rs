//! "Pure" at the beginning of a sentence in a file's header, or in what is said of a function, is a promise: what comes
//! out depends on what goes in alone. In a `mod.rs` it holds for the whole folder.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::crate_tree::{CrateTree, ProductFile};
use super::floors::is_in;
use super::import_graph::{ImportGraph, WholeName};
use super::outline::FunctionItem;
use super::owners::is_among;

/// What pure code names nothing of: a runtime, a cluster, a connection, the system, a clock, a log, chance.
const IMPURE: &[&str] = &[
    "tokio*",
    "hyper",
    "hyper_util",
    "rustls",
    "socket2",
    "rustix",
    "kube",
    "k8s_openapi",
    "std::env",
    "std::fs",
    "std::io::stdin",
    "std::io::stdout",
    "std::io::stderr",
    "std::net::Tcp*",
    "std::net::Udp*",
    "std::os",
    "std::process",
    "std::thread",
    "std::time::Instant::now",
    "std::time::SystemTime::now",
    "jiff::Timestamp::now",
    "jiff::Zoned::now",
    "tracing",
    "rand",
    "getrandom",
];

/// Who promises it.
pub(crate) struct PurityPromises {
    /// The numbers of files that promise it, or whose folder does.
    files: Vec<usize>,
    /// Functions elsewhere: file, name, lines.
    functions: Vec<(usize, String, RangeInclusive<usize>)>,
}

impl PurityPromises {
    /// Of all files and functions.
    pub(crate) fn of(tree: &CrateTree) -> Self {
        let promising: Vec<&ProductFile> =
            tree.files.iter().filter(|file| begins_with_pure(&header_of(file))).collect();
        let is_promised = |path: &str| {
            let places = promising.iter().map(|file| match file.folder_face() {
                Some(folder) if !folder.is_empty() => folder,
                _ => &file.path,
            });
            places.into_iter().any(|place| is_in(path, place))
        };
        let files = (0..tree.files.len()).filter(|file| is_promised(&tree.files[*file].path)).collect();
        let functions = tree.files.iter().enumerate().flat_map(pure_functions).collect();
        Self { files, functions }
    }

    /// The promises, for people.
    pub(crate) fn described(&self, tree: &CrateTree) -> Vec<String> {
        let path = |file: &usize| tree.files[*file].path.clone();
        let functions = self.functions.iter().map(|(file, name, _)| format!("{} fn {name}", path(file)));
        self.files.iter().map(path).chain(functions).collect()
    }

    /// Whether it is promised for this line.
    fn hold_for(&self, file: usize, line: usize) -> bool {
        let is_within = |(of, _, lines): &(usize, String, RangeInclusive<usize>)| *of == file && lines.contains(&line);
        self.files.contains(&file) || self.functions.iter().any(is_within)
    }

    /// Whether `name` is a function that promises nothing. Types and constants may be named anywhere: a value that pure
    /// code is given is what goes in.
    fn are_missing_for(&self, file: usize, name: &str) -> bool {
        let is_function = !name.contains(char::is_uppercase);
        let is_named = |function: &str| name.rsplit("::").next() == Some(function);
        let promises = |(of, function, _): &(usize, String, RangeInclusive<usize>)| *of == file && is_named(function);
        is_function && !self.files.contains(&file) && !self.functions.iter().any(promises)
    }
}

/// Whether a sentence begins with the word.
fn begins_with_pure(text: &str) -> bool {
    let is_pure = |sentence: &str| {
        let rest = sentence.trim_start().strip_prefix("Pure");
        rest.is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
    };
    text.split(['.', '!', '?']).any(is_pure)
}

fn header_of(file: &ProductFile) -> String {
    file.text.lines().map_while(|line| line.strip_prefix("//!")).collect()
}

fn pure_functions((number, file): (usize, &ProductFile)) -> Vec<(usize, String, RangeInclusive<usize>)> {
    let lines: Vec<&str> = file.text.lines().map(str::trim).collect();
    let doc_of = |function: &FunctionItem| -> String {
        let above = lines[..function.line - 1]
            .iter()
            .rev()
            .take_while(|line| line.starts_with("///") || line.starts_with("#["));
        let from_below: Vec<&str> = above.filter_map(|line| line.strip_prefix("///")).collect();
        from_below.into_iter().rev().collect()
    };
    let pure = file.outline.functions.iter().filter(|function| begins_with_pure(&doc_of(function)));
    pure.map(|function| (number, function.name.clone(), function.line..=function.last_line)).collect()
}

/// Pure code that names something impure, or a function that does not promise to be pure.
pub(crate) fn broken_promises(tree: &CrateTree, graph: &ImportGraph) -> Vec<String> {
    let promises = PurityPromises::of(tree);
    let mut first: BTreeMap<(usize, &str), &WholeName> = BTreeMap::new();
    for named in graph.names.iter().filter(|named| promises.hold_for(named.file, named.line)) {
        let is_of_impure = named.defined_in.is_some_and(|file| promises.are_missing_for(file, &named.name));
        if is_among(&named.name, IMPURE) || is_of_impure {
            first.entry((named.file, &named.name)).or_insert(named);
        }
    }
    let say = |WholeName { file, line, name, .. }: &WholeName| {
        format!("src/{}:{line} promises to be pure and names {name}", tree.files[*file].path)
    };
    first.into_values().map(say).collect()
}
