//! Everything that the check sees, for people.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::crate_tree::{CrateTree, Sources};
use super::floors::{self, imports_within, room_of};
use super::import_graph::{ImportGraph, WholeName};
use super::knots::knots;
use super::naming::{self, TypeNames};
use super::product::line_count;
use super::{owners, purity};

/// The report on `sources`, of which `map` is the map.
fn report(sources: &Sources, map: &str) -> String {
    let tree = CrateTree::of(sources);
    let graph = ImportGraph::of(&tree);
    let lines: usize = tree.files.iter().map(|file| line_count(&file.tokens)).sum();
    let mut report =
        format!("{} product files, {lines} product lines, {} imports\n", tree.files.len(), graph.imports.len());
    let mut add = |title: &str, found: &[String]| {
        let _ = write!(report, "\n## {title}: {}\n", found.len());
        found.iter().for_each(|line| report.extend(["  ", line, "\n"]));
    };
    add("knots of files", &every_knot(&tree, &graph));
    add("knots of folders", &floors::knots_of_folders(&tree, &graph));
    add("forbidden imports", &floors::forbidden_imports(&tree, &graph));
    add("rooms that import each other", &arrows(&tree, &graph));
    add("rows that do not fit", &floors::rows_that_do_not_fit(sources));
    add("files that no `mod` reaches", &tree.strays);
    add("names that belong to others", &owners::trespasses(&tree, &graph));
    add("drawers", &owners::drawers(&tree));
    add("promises to be pure", &purity::PurityPromises::of(&tree).described(&tree));
    add("broken promises to be pure", &purity::broken_promises(&tree, &graph));
    add_names(&tree, &mut add);
    add("missing on the map", &naming::missing_on_the_map(&tree, map));
    let unresolved = |name: &WholeName| format!("src/{}:{} {}", tree.files[name.file].path, name.line, name.name);
    add("paths that lead to no item", &graph.unresolved.iter().map(unresolved).collect::<Vec<_>>());
    report
}

fn add_names(tree: &CrateTree, add: &mut impl FnMut(&str, &[String])) {
    let types = TypeNames::of(tree);
    let percent =
        |part: usize| format!("{:.1} % of {} types", part as f64 * 100.0 / types.count().max(1) as f64, types.count());
    let (one_word, shared) = (types.of_one_word(), types.shared());
    add(&format!("types of one word, {}", percent(one_word.len())), &one_word);
    let sharing: usize = shared.iter().map(|(_, places)| places.len()).sum();
    let lines: Vec<String> = shared.iter().map(|(name, places)| format!("{name}: {}", places.join(" "))).collect();
    add(&format!("names that several types share, {}", percent(sharing)), &lines);
    add("durations that do not say what they limit", &naming::durations_without_meaning(tree));
    add("file names that stand twice", &naming::file_names_that_stand_twice(tree));
    add("functions that are too long", &naming::long_functions(tree));
}

/// Knots of any size, which is more than the check forbids.
fn every_knot(tree: &CrateTree, graph: &ImportGraph) -> Vec<String> {
    let all = knots(&graph.used_by_each(tree.files.len()));
    all.iter().map(|knot| format!("{} files:{}", knot.len(), imports_within(tree, graph, knot))).collect()
}

/// Who imports whom among the rows of the table.
fn arrows(tree: &CrateTree, graph: &ImportGraph) -> Vec<String> {
    let place = |file: usize| Some(room_of(&tree.files[file].path)?.place);
    let pairs = graph.imports.iter().filter_map(|import| Some((place(import.from)?, place(import.to)?)));
    let arrows: BTreeSet<(&str, &str)> = pairs.filter(|(from, to)| from != to).collect();
    arrows.into_iter().map(|(from, to)| format!("{from} -> {to}")).collect()
}

#[test]
fn is_printed() {
    println!("{}", report(&super::product_sources(), super::MAP));
}
