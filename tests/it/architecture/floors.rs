//! The floors: one table for every file, and the knots that no table can allow.

use std::collections::{BTreeMap, BTreeSet};

use super::crate_tree::{CrateTree, Sources};
use super::import_graph::{FileImport, ImportGraph};
use super::knots::knots;

/// Some files, and whom they may import besides each other and the floors below.
pub(crate) struct Room {
    /// A folder, ending in `/`, or a file.
    pub(crate) place: &'static str,
    /// How far up it is.
    pub(crate) floor: u8,
    /// Folders and files of the same floor that it may import.
    pub(crate) beside: &'static [&'static str],
    /// Folders and files of the floors below that it knows nothing of.
    pub(crate) never: &'static [&'static str],
}

/// Every file of `src` is in exactly one row.
pub(crate) const FLOORS: &[Room] = &[
    Room { place: "main.rs", floor: 4, beside: &["app/"], never: &[] },
    Room { place: "lib.rs", floor: 4, beside: &[], never: &[] },
    Room { place: "app/", floor: 4, beside: &[], never: &[] },
    Room { place: "find/", floor: 3, beside: &[], never: &[] },
    Room { place: "local_tls/", floor: 3, beside: &[], never: &["cluster/", "service/", "message/"] },
    Room { place: "proxy/mod.rs", floor: 3, beside: &[], never: &[] },
    Room { place: "proxy/page.rs", floor: 3, beside: &[], never: &["cluster/", "service/"] },
    Room {
        place: "proxy/local/",
        floor: 3,
        beside: &["proxy/mod.rs", "proxy/page.rs", "proxy/upstream/mod.rs"],
        never: &["cluster/", "service/"],
    },
    Room { place: "proxy/upstream/", floor: 3, beside: &["proxy/mod.rs", "proxy/page.rs"], never: &[] },
    Room { place: "cluster/", floor: 2, beside: &[], never: &[] },
    Room { place: "terminal/", floor: 2, beside: &[], never: &[] },
    Room { place: "service/", floor: 1, beside: &["message/"], never: &[] },
    Room { place: "message/", floor: 1, beside: &[], never: &[] },
    Room { place: "error.rs", floor: 0, beside: &[], never: &[] },
    Room { place: "suggest.rs", floor: 0, beside: &[], never: &[] },
    Room { place: "lock.rs", floor: 0, beside: &[], never: &[] },
    Room { place: "search_path.rs", floor: 0, beside: &[], never: &[] },
];

/// How many files may import each other in a circle.
const MAX_FILES_IN_KNOT: usize = 3;

/// Whether `path` is `place`, or lies in it.
pub(crate) fn is_in(path: &str, place: &str) -> bool {
    path == place || (place.ends_with('/') && path.starts_with(place))
}

/// The row of a file, if it is in any.
pub(crate) fn room_of(path: &str) -> Option<&'static Room> {
    FLOORS.iter().find(|room| is_in(path, room.place))
}

/// Files in no row or in two, and rows without a file.
pub(crate) fn rows_that_do_not_fit(sources: &Sources) -> Vec<String> {
    let rows_of = |path: &str| FLOORS.iter().filter(|room| is_in(path, room.place)).count();
    let files = sources.keys().map(|path| (path, rows_of(path))).filter(|(_, rows)| *rows != 1);
    let misplaced =
        files.map(|(path, rows)| format!("src/{path} is in {rows} rows of the table of floors, not in one"));
    let is_empty = |room: &&Room| !sources.keys().any(|path| is_in(path, room.place));
    let empty = FLOORS.iter().filter(is_empty);
    misplaced.chain(empty.map(|room| format!("nothing is at src/{}, which has a row", room.place))).collect()
}

/// Imports of a floor above, of a neighbour who is not named in the row, or of what the row forbids.
pub(crate) fn forbidden_imports(tree: &CrateTree, graph: &ImportGraph) -> Vec<String> {
    graph.imports.iter().filter_map(|import| why_forbidden(tree, import)).collect()
}

fn why_forbidden(tree: &CrateTree, import: &FileImport) -> Option<String> {
    let (from, to) = (&tree.files[import.from].path, &tree.files[import.to].path);
    let (room, other) = (room_of(from)?, room_of(to)?);
    let is_listed = |places: &[&str]| places.iter().any(|place| is_in(to, place));
    let why = if room.place == other.place {
        return None;
    } else if is_listed(room.never) {
        "which its row forbids".to_owned()
    } else if other.floor > room.floor {
        format!("floor {} from floor {}: upward", other.floor, room.floor)
    } else if other.floor == room.floor && !is_listed(room.beside) {
        format!("both on floor {}, and its row does not name it", room.floor)
    } else {
        return None;
    };
    Some(format!("src/{from}:{} imports {} of src/{to}, {why}", import.line, import.name))
}

/// Knots of more files than a reader can hold at once.
pub(crate) fn knots_of_files(tree: &CrateTree, graph: &ImportGraph) -> Vec<String> {
    let all = knots(&graph.used_by_each(tree.files.len()));
    let large = all.into_iter().filter(|knot| knot.len() > MAX_FILES_IN_KNOT);
    large.map(|knot| format!("{} files are one knot:{}", knot.len(), imports_within(tree, graph, &knot))).collect()
}

/// Each import among some files, a line each.
pub(crate) fn imports_within(tree: &CrateTree, graph: &ImportGraph, knot: &[usize]) -> String {
    let imports = graph.imports.iter().filter(|import| knot.contains(&import.from) && knot.contains(&import.to));
    imports.map(|import| format!("\n    {}", described(tree, import))).collect()
}

/// Who imports what of whom.
pub(crate) fn described(tree: &CrateTree, import: &FileImport) -> String {
    let path = |file: usize| &tree.files[file].path;
    format!("src/{}:{} -> src/{} ({})", path(import.from), import.line, path(import.to), import.name)
}

/// Knots of folders that lie in the same folder, with the first import for each arrow.
pub(crate) fn knots_of_folders(tree: &CrateTree, graph: &ImportGraph) -> Vec<String> {
    let parents: BTreeSet<&str> = tree.files.iter().flat_map(|file| folders_above(&file.path)).collect();
    parents.into_iter().flat_map(|parent| knots_of_siblings(tree, graph, parent)).collect()
}

/// Every folder, with its last `/`, in which `path` lies; `src` is the empty one.
pub(crate) fn folders_above(path: &str) -> impl Iterator<Item = &str> {
    std::iter::once("").chain(path.match_indices('/').map(|(at, _)| &path[..=at]))
}

/// The folder directly within `parent` in which `path` lies.
fn child_folder<'a>(parent: &str, path: &'a str) -> Option<&'a str> {
    let below = path.strip_prefix(parent)?;
    Some(&path[..parent.len() + below.find('/')? + 1])
}

fn knots_of_siblings(tree: &CrateTree, graph: &ImportGraph, parent: &str) -> Vec<String> {
    let mut arrows: BTreeMap<(&str, &str), &FileImport> = BTreeMap::new();
    for import in &graph.imports {
        let ends = [import.from, import.to].map(|file| child_folder(parent, &tree.files[file].path));
        if let [Some(from), Some(to)] = ends
            && from != to
        {
            arrows.entry((from, to)).or_insert(import);
        }
    }
    let folders: Vec<&str> =
        arrows.keys().flat_map(|(from, to)| [*from, *to]).collect::<BTreeSet<_>>().into_iter().collect();
    let targets = |from: &str| {
        let of_this = arrows.keys().filter(|arrow| arrow.0 == from);
        of_this.filter_map(|arrow| folders.binary_search(&arrow.1).ok()).collect()
    };
    let leads_to: Vec<Vec<usize>> = folders.iter().map(|folder| targets(folder)).collect();
    let say = |knot: Vec<usize>| {
        let names: Vec<&str> = knot.iter().map(|folder| folders[*folder]).collect();
        let within = arrows.iter().filter(|((from, to), _)| names.contains(from) && names.contains(to));
        let lines: String = within.map(|(_, import)| format!("\n    {}", described(tree, import))).collect();
        format!("folders in src/{parent} are one knot, {}:{lines}", names.join(" "))
    };
    knots(&leads_to).into_iter().map(say).collect()
}
