//! What things are called, and how long functions are.

use std::collections::{BTreeMap, BTreeSet};

use super::crate_tree::CrateTree;
use super::floors::folders_above;
use super::outline::ConstantItem;

/// Of a hundred types, fewer than this many are called by one word.
const MAX_ONE_WORD_PERCENT: usize = 35;
/// Of a hundred types, fewer than this many share their name with another one.
const MAX_SHARED_NAME_PERCENT: usize = 5;
/// Lines of a function, with its signature, without blank ones and comments.
const MAX_FUNCTION_LINES: usize = 45;

/// What the name of a `Duration` ends in, so that it says what it limits:
/// `_TIMEOUT` ends something, `_LIMIT` bounds it; `_INTERVAL` and `_PERIOD` lie between two times; `_DELAY`, `_WAIT` and
/// `_PAUSE` pass before something begins; `_AGE` is how old something gets, `_GRACE` what it still gets at its end.
const DURATION_ENDINGS: &[&str] =
    &["_TIMEOUT", "_LIMIT", "_INTERVAL", "_PERIOD", "_DELAY", "_WAIT", "_PAUSE", "_AGE", "_GRACE"];
/// Or what it begins with.
const DURATION_BEGINNINGS: &[&str] = &["MAX_", "MIN_"];

/// The types of a crate: where each name stands.
pub(crate) struct TypeNames {
    /// Each type's name and `path:line`.
    all: Vec<(String, String)>,
}

impl TypeNames {
    /// Of every struct, enum, trait and alias.
    pub(crate) fn of(tree: &CrateTree) -> Self {
        let of_file = |file: &super::crate_tree::ProductFile| {
            let path = file.path.clone();
            let item = move |item: &super::outline::NamedItem| (item.name.clone(), format!("src/{path}:{}", item.line));
            file.outline.types.iter().map(item).collect::<Vec<_>>()
        };
        Self { all: tree.files.iter().flat_map(of_file).collect() }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.all.len()
    }

    /// Those of one word, with their places.
    pub(crate) fn of_one_word(&self) -> Vec<String> {
        let of_one = self.all.iter().filter(|(name, _)| words_in(name) == 1);
        of_one.map(|(name, place)| format!("{name} ({place})")).collect()
    }

    /// Each name that several types have, with its places.
    pub(crate) fn shared(&self) -> Vec<(&str, Vec<&str>)> {
        let mut places: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, place) in &self.all {
            places.entry(name).or_default().push(place);
        }
        places.into_iter().filter(|(_, places)| places.len() > 1).collect()
    }

    /// Whether too many are of one word, or share their name.
    pub(crate) fn faults(&self) -> Vec<String> {
        let one_word = self.of_one_word();
        let shared: Vec<String> =
            self.shared().iter().map(|(name, places)| format!("{name}: {}", places.join(" "))).collect();
        let sharing: usize = self.shared().iter().map(|(_, places)| places.len()).sum();
        let too_many = |part: usize, limit: usize| part * 100 >= limit * self.count().max(1);
        let mut faults = Vec::new();
        if too_many(one_word.len(), MAX_ONE_WORD_PERCENT) {
            faults.push(format!(
                "{} of {} types are called by one word:\n    {}",
                one_word.len(),
                self.count(),
                one_word.join("\n    ")
            ));
        }
        if too_many(sharing, MAX_SHARED_NAME_PERCENT) {
            faults.push(format!(
                "{sharing} of {} types share their name:\n    {}",
                self.count(),
                shared.join("\n    ")
            ));
        }
        faults
    }
}

/// How many words a name has: `Pod` 1, `PodList` 2, `TLSStream` 2, `ID` 1.
fn words_in(name: &str) -> usize {
    let letters: Vec<char> = name.chars().collect();
    let begins = |at: usize| {
        let follows_small = !letters[at - 1].is_uppercase();
        let precedes_small = letters.get(at + 1).is_some_and(|next| next.is_lowercase());
        letters[at].is_uppercase() && (follows_small || precedes_small)
    };
    1 + (1..letters.len()).filter(|at| begins(*at)).count()
}

/// Every `const` that is a `Duration` and does not say what it limits.
pub(crate) fn durations_without_meaning(tree: &CrateTree) -> Vec<String> {
    let mut found = Vec::new();
    for file in &tree.files {
        for ConstantItem { name, line, .. } in file.outline.constants.iter().filter(|constant| is_vague(constant)) {
            found.push(format!("src/{}:{line} {name} does not say what it limits", file.path));
        }
    }
    found
}

fn is_vague(constant: &ConstantItem) -> bool {
    let is_duration = constant.type_words.iter().any(|word| word == "Duration" || word == "SignedDuration");
    let ends_well = DURATION_ENDINGS.iter().any(|ending| constant.name.ends_with(ending));
    let begins_well = DURATION_BEGINNINGS.iter().any(|beginning| constant.name.starts_with(beginning));
    is_duration && !ends_well && !begins_well
}

/// File names that stand twice.
pub(crate) fn file_names_that_stand_twice(tree: &CrateTree) -> Vec<String> {
    let mut paths: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for path in tree.files.iter().map(|file| file.path.as_str()) {
        paths.entry(path.rsplit('/').next().unwrap_or(path)).or_default().push(path);
    }
    paths.remove("mod.rs");
    let twice = paths.into_iter().filter(|(_, paths)| paths.len() > 1);
    twice.map(|(name, paths)| format!("{name} stands {} times: {}", paths.len(), paths.join(" "))).collect()
}

/// Functions with too many lines.
pub(crate) fn long_functions(tree: &CrateTree) -> Vec<String> {
    let all = tree.files.iter().flat_map(|file| file.outline.functions.iter().map(move |function| (file, function)));
    let long = all.filter(|(_, function)| function.length > MAX_FUNCTION_LINES);
    long.map(|(file, function)| {
        format!("src/{}:{} {} has {} lines", file.path, function.line, function.name, function.length)
    })
    .collect()
}

/// Modules of `lib.rs` and folders of which `map` does not say what they are for.
pub(crate) fn missing_on_the_map(tree: &CrateTree, map: &str) -> Vec<String> {
    let library = tree.modules().find(|(_, file, _)| tree.files[*file].path == "lib.rs");
    let declared = library.iter().flat_map(|(_, _, outline)| &outline.declares);
    let is_folder = |name: &str| tree.files.iter().any(|file| file.path.starts_with(&format!("{name}/")));
    let modules = declared.map(|name| if is_folder(name) { format!("{name}/") } else { format!("{name}.rs") });
    let folders = tree.files.iter().flat_map(|file| folders_above(&file.path)).filter(|folder| !folder.is_empty());
    let folder_names =
        folders.filter_map(|folder| Some(format!("{}/", folder.trim_end_matches('/').rsplit('/').next()?)));
    let all: BTreeSet<String> = modules.chain(folder_names).collect();
    let missing = all.into_iter().filter(|name| !names_place(map, name));
    missing.map(|name| format!("src/ARCHITECTURE.md does not say what {name} is for")).collect()
}

/// Whether `map` has `name`, and not only as the end of a longer one.
fn names_place(map: &str, name: &str) -> bool {
    let is_of_name = |character: char| character.is_alphanumeric() || character == '_';
    map.match_indices(name).any(|(at, _)| !map[..at].ends_with(is_of_name))
}
