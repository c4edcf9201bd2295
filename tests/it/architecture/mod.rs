//! The rules of `src/ARCHITECTURE.md`, held for every line of the program.
//!
//! `cargo test --test it architecture::report -- --nocapture` prints all that is found, also what is allowed.

mod crate_tree;
mod floors;
mod import_graph;
mod knots;
mod lexer;
mod naming;
mod outline;
mod owners;
mod product;
mod purity;
mod report;

mod examples;
mod planted;

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use crate_tree::{CrateTree, Sources};
use import_graph::ImportGraph;
use naming::TypeNames;

const MAP: &str = include_str!("../../../src/ARCHITECTURE.md");

/// Whatever breaks a rule of imports in `sources`: each names a file and the reason.
fn broken_import_rules(sources: &Sources) -> Vec<String> {
    let tree = CrateTree::of(sources);
    let graph = ImportGraph::of(&tree);
    let strays = tree.strays.iter().map(|path| format!("no `mod` reaches src/{path}"));
    [
        floors::rows_that_do_not_fit(sources),
        strays.collect(),
        floors::forbidden_imports(&tree, &graph),
        floors::knots_of_folders(&tree, &graph),
        floors::knots_of_files(&tree, &graph),
        owners::trespasses(&tree, &graph),
        purity::broken_promises(&tree, &graph),
    ]
    .concat()
}

/// All Rust files in `folder`.
pub(crate) fn sources_in(folder: &Path) -> Sources {
    let mut sources = Sources::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(folder).unwrap().to_str().unwrap().replace('\\', "/");
            sources.insert(name, fs::read_to_string(path).unwrap());
        }
    }
    sources
}

fn product_sources() -> Sources {
    sources_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
}

/// The program and its imports, read once for all rules.
static PRODUCT: LazyLock<(CrateTree, ImportGraph)> = LazyLock::new(|| {
    let tree = CrateTree::of(&product_sources());
    let graph = ImportGraph::of(&tree);
    (tree, graph)
});

#[track_caller]
fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn every_file_is_on_one_floor() {
    assert_none(&floors::rows_that_do_not_fit(&product_sources()));
    assert_none(&PRODUCT.0.strays);
}

#[test]
fn imports_lead_downward() {
    let (tree, graph) = &*PRODUCT;
    assert_none(&floors::forbidden_imports(tree, graph));
}

#[test]
fn no_imports_are_knotted() {
    let (tree, graph) = &*PRODUCT;
    assert_none(&floors::knots_of_folders(tree, graph));
    assert_none(&floors::knots_of_files(tree, graph));
}

#[test]
fn each_outside_thing_has_one_owner() {
    let (tree, graph) = &*PRODUCT;
    assert_none(&owners::trespasses(tree, graph));
}

#[test]
fn what_is_called_pure_is_pure() {
    let (tree, graph) = &*PRODUCT;
    assert_none(&purity::broken_promises(tree, graph));
}

#[test]
fn no_module_is_a_drawer_for_everything() {
    assert_none(&owners::drawers(&PRODUCT.0));
}

#[test]
fn types_have_names_of_their_own() {
    assert_none(&TypeNames::of(&PRODUCT.0).faults());
}

#[test]
fn every_duration_says_what_it_limits() {
    assert_none(&naming::durations_without_meaning(&PRODUCT.0));
}

#[test]
fn no_file_name_stands_twice() {
    assert_none(&naming::file_names_that_stand_twice(&PRODUCT.0));
}

#[test]
fn no_function_is_long() {
    assert_none(&naming::long_functions(&PRODUCT.0));
}

#[test]
fn the_map_has_every_module() {
    assert_none(&naming::missing_on_the_map(&PRODUCT.0, MAP));
}
