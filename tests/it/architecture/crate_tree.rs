//! The files of a crate, its tree of modules, and what a path in one of them leads to.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::slice;

use super::lexer::{Token, tokens_of};
use super::outline::{FileOutline, ModuleOutline, outline_of};
use super::product::product_tokens;

/// Path below `src` → text.
pub(crate) type Sources = BTreeMap<String, String>;

/// The name by which `main.rs` calls the library.
const LIBRARY: &str = "svcproxy";

/// How many `use` declarations a name may pass through before it counts as a circle.
const MAX_DETOURS: usize = 16;

/// A file that is compiled into the program.
pub(crate) struct ProductFile {
    /// Its path below `src`.
    pub(crate) path: String,
    /// All of its text.
    pub(crate) text: String,
    /// Its tokens without those of tests.
    pub(crate) tokens: Vec<Token>,
    /// What is in it.
    pub(crate) outline: FileOutline,
}

impl ProductFile {
    fn read(path: &str, text: &str, tokens: &[Token]) -> Self {
        let tokens = product_tokens(tokens);
        Self { path: path.to_owned(), text: text.to_owned(), outline: outline_of(&tokens), tokens }
    }

    /// Whether it is the face of a folder.
    pub(crate) fn is_folder_face(&self) -> bool {
        self.folder_face().is_some()
    }

    /// The folder, with its last `/`, of which it is the `mod.rs`; of `src` it is `lib.rs` or `main.rs`.
    pub(crate) fn folder_face(&self) -> Option<&str> {
        match self.path.as_str() {
            "lib.rs" | "main.rs" => Some(""),
            path => path.strip_suffix("mod.rs"),
        }
    }
}

/// A module, of a file or within one.
struct ModuleNode {
    path: Vec<String>,
    file: usize,
    within: usize,
}

/// The product files of a crate and their modules.
pub(crate) struct CrateTree {
    /// The files, by path.
    pub(crate) files: Vec<ProductFile>,
    /// Files that no `mod` reaches, not even one for tests.
    pub(crate) strays: Vec<String>,
    modules: Vec<ModuleNode>,
    by_path: HashMap<Vec<String>, usize>,
}

/// What a path leads to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PathTarget {
    /// An item: the file that defines it, and its whole name.
    Item(usize, Vec<String>),
    /// A module: its file and its whole name.
    Module(usize, Vec<String>),
    /// Another crate's.
    Outside(Vec<String>),
    /// Nothing that was found; the file of the last module on the way.
    Unknown(usize, Vec<String>),
}

impl CrateTree {
    /// The tree of what is reached from `lib.rs` and `main.rs`.
    pub(crate) fn of(sources: &Sources) -> Self {
        let tokens: BTreeMap<&str, Vec<Token>> =
            sources.iter().map(|(path, text)| (path.as_str(), tokens_of(text))).collect();
        let with_tests: BTreeMap<&str, FileOutline> =
            tokens.iter().map(|(path, tokens)| (*path, outline_of(tokens))).collect();
        let all: BTreeMap<&str, &FileOutline> = with_tests.iter().map(|(path, outline)| (*path, outline)).collect();
        let read: Vec<ProductFile> =
            sources.iter().map(|(path, text)| ProductFile::read(path, text, &tokens[path.as_str()])).collect();
        let product = read.iter().map(|file| (file.path.as_str(), &file.outline)).collect();

        let found = reach(&product);
        let reached: BTreeSet<&str> = found.iter().map(|module| module.file.as_str()).collect();
        let reached_by_tests: BTreeSet<String> = reach(&all).into_iter().map(|module| module.file).collect();
        let strays = sources.keys().filter(|path| !reached_by_tests.contains(*path)).cloned().collect();
        let files = read.into_iter().filter(|file| reached.contains(file.path.as_str())).collect();
        Self::assemble(files, found, strays)
    }

    fn assemble(files: Vec<ProductFile>, found: Vec<ReachedModule>, strays: Vec<String>) -> Self {
        let index: HashMap<&str, usize> =
            files.iter().enumerate().map(|(index, file)| (file.path.as_str(), index)).collect();
        let modules: Vec<ModuleNode> = found
            .into_iter()
            .map(|module| ModuleNode { path: module.path, file: index[module.file.as_str()], within: module.within })
            .collect();
        let by_path = modules.iter().enumerate().map(|(index, module)| (module.path.clone(), index)).collect();
        Self { files, strays, modules, by_path }
    }

    /// Each module: its number, its file, and what is in it.
    pub(crate) fn modules(&self) -> impl Iterator<Item = (usize, usize, &ModuleOutline)> {
        self.modules.iter().enumerate().map(|(number, module)| (number, module.file, self.outline(number)))
    }

    fn outline(&self, module: usize) -> &ModuleOutline {
        let ModuleNode { file, within, .. } = self.modules[module];
        &self.files[file].outline.modules[within]
    }

    /// What `segments` lead to in the code of `module`.
    pub(crate) fn resolve(&self, module: usize, segments: &[String]) -> PathTarget {
        self.resolve_after(module, segments, 0)
    }

    fn resolve_after(&self, module: usize, segments: &[String], detours: usize) -> PathTarget {
        let path = &self.modules[module].path;
        let Some((head, rest)) = segments.split_first() else { return self.module_target(module) };
        match head.as_str() {
            "crate" => self.walk(self.by_path[&path[..1]], rest, detours),
            LIBRARY if path[0] == "main" => self.walk(self.by_path[&["crate".to_owned()][..]], rest, detours),
            "self" => self.walk(module, rest, detours),
            "super" => {
                let parent = &path[..path.len().max(2) - 1];
                // `super::super::x`: the second one is seen from the parent.
                match rest.first().is_some_and(|next| next == "super") {
                    true => self.resolve_after(self.by_path[parent], rest, detours),
                    false => self.walk(self.by_path[parent], rest, detours),
                }
            }
            _ => {
                let found = self.look_up(module, head, rest, Sight::Own, detours);
                found.unwrap_or_else(|| PathTarget::Outside(segments.to_vec()))
            }
        }
    }

    /// Follows `segments` down from `module`, seen from elsewhere.
    fn walk(&self, module: usize, segments: &[String], detours: usize) -> PathTarget {
        let Some((head, rest)) = segments.split_first() else { return self.module_target(module) };
        let found = self.look_up(module, head, rest, Sight::FromElsewhere, detours);
        found.unwrap_or_else(|| {
            let node = &self.modules[module];
            PathTarget::Unknown(node.file, node.path.iter().chain(segments).cloned().collect())
        })
    }

    fn look_up(&self, module: usize, name: &str, rest: &[String], sight: Sight, detours: usize) -> Option<PathTarget> {
        if detours > MAX_DETOURS {
            return None;
        }
        let (node, outline) = (&self.modules[module], self.outline(module));
        let whole: Vec<String> = node.path.iter().cloned().chain([name.to_owned()]).collect();
        let child = self.by_path.get(&whole).copied();
        if let (Some(child), false) = (child, rest.is_empty()) {
            return Some(self.walk(child, rest, detours));
        }
        if outline.defines.iter().any(|item| item == name) {
            return Some(PathTarget::Item(node.file, whole.into_iter().chain(rest.iter().cloned()).collect()));
        }
        let sees = |is_local: bool| sight == Sight::Own || !is_local;
        for import in outline.imports.iter().filter(|import| import.name == name && sees(import.is_local)) {
            let path: Vec<String> = import.path.iter().chain(rest).cloned().collect();
            // `use x::{self}` or `use other_crate`, which lead to themselves.
            if import.path.len() > 1 || import.path[0] != name {
                return Some(self.resolve_after(module, &path, detours + 1));
            }
        }
        child.map(|child| self.module_target(child)).or_else(|| self.look_through_globs(module, name, rest, detours))
    }

    fn look_through_globs(&self, module: usize, name: &str, rest: &[String], detours: usize) -> Option<PathTarget> {
        let globs = self.outline(module).imports.iter().filter(|import| import.name == "*");
        globs.into_iter().find_map(|import| match self.resolve_after(module, &import.path, detours + 1) {
            PathTarget::Module(_, path) => {
                self.look_up(self.by_path[&path], name, rest, Sight::FromElsewhere, detours + 1)
            }
            _ => None,
        })
    }

    fn module_target(&self, module: usize) -> PathTarget {
        PathTarget::Module(self.modules[module].file, self.modules[module].path.clone())
    }
}

/// Whose code looks for a name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sight {
    /// The module's own, which also sees what its functions import.
    Own,
    FromElsewhere,
}

/// A module that a `mod` leads to: its path, its file, and its place among that file's modules.
struct ReachedModule {
    path: Vec<String>,
    file: String,
    within: usize,
}

/// All modules below `lib.rs` and `main.rs`, given the outline of each file.
fn reach(files: &BTreeMap<&str, &FileOutline>) -> Vec<ReachedModule> {
    let mut reached = Vec::new();
    let mut waiting =
        vec![("lib.rs".to_owned(), vec!["crate".to_owned()]), ("main.rs".to_owned(), vec!["main".to_owned()])];
    while let Some((file, path)) = waiting.pop() {
        let Some(outline) = files.get(file.as_str()) else { continue };
        for (within, module) in outline.modules.iter().enumerate() {
            let module_path = [&path[..], &module.inline_path[..]].concat();
            for child in &module.declares {
                let folder = [&[children_folder(&file)], &module.inline_path[..]].concat().join("/");
                let child_path = [&module_path[..], slice::from_ref(child)].concat();
                let files_of_child = [format!("{folder}/{child}.rs"), format!("{folder}/{child}/mod.rs")];
                waiting
                    .extend(files_of_child.map(|file| (file.trim_start_matches('/').to_owned(), child_path.clone())));
            }
            reached.push(ReachedModule { path: module_path, file: file.clone(), within });
        }
    }
    reached
}

/// Where the files of the modules lie that `file` declares.
fn children_folder(file: &str) -> String {
    let (folder, name) = file.rsplit_once('/').unwrap_or(("", file));
    match name {
        "lib.rs" | "main.rs" | "mod.rs" => folder.to_owned(),
        _ => file.trim_end_matches(".rs").to_owned(),
    }
}
