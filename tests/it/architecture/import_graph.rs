//! Which product file uses which, and what of other crates each one names.

use std::collections::BTreeMap;

use super::crate_tree::{CrateTree, PathTarget};
use super::outline::{ModuleOutline, UseItem};

/// One file uses something that another one defines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileImport {
    /// The number of the file that uses it.
    pub(crate) from: usize,
    /// The number of the file that defines it.
    pub(crate) to: usize,
    /// The first line that names it.
    pub(crate) line: usize,
    /// Its whole name.
    pub(crate) name: String,
}

/// A file names something, written out in full: `crate::a::B`, `tokio::time::sleep`, `println!`.
#[derive(Debug)]
pub(crate) struct WholeName {
    /// The number of the file.
    pub(crate) file: usize,
    /// Where.
    pub(crate) line: usize,
    /// The name, without what a `use` calls it.
    pub(crate) name: String,
    /// The number of the file that defines it, if it is an item of this crate.
    pub(crate) defined_in: Option<usize>,
}

/// Who uses whom.
#[derive(Debug, Default)]
pub(crate) struct ImportGraph {
    /// The first import for each pair of files, in order.
    pub(crate) imports: Vec<FileImport>,
    /// Everything that is named.
    pub(crate) names: Vec<WholeName>,
    /// Paths into this crate that lead to no item that was found: macros may have made it.
    pub(crate) unresolved: Vec<WholeName>,
}

impl ImportGraph {
    /// The graph of `tree`.
    pub(crate) fn of(tree: &CrateTree) -> Self {
        let mut writer = GraphWriter { tree, first: BTreeMap::new(), graph: Self::default() };
        for (module, file, outline) in tree.modules() {
            for import in &outline.imports {
                writer.add_use(module, file, outline, import);
            }
            for path in &outline.names {
                let is_single = path.segments.len() == 1;
                match path.is_macro && is_single {
                    true => writer.remember(file, path.line, format!("{}!", path.segments[0]), None),
                    false => writer.add_name(module, file, path.line, &path.segments),
                }
            }
        }
        let GraphWriter { first, mut graph, .. } = writer;
        graph.imports = first.into_values().collect();
        graph
    }

    /// The files that each of `count` files uses.
    pub(crate) fn used_by_each(&self, count: usize) -> Vec<Vec<usize>> {
        let mut used = vec![Vec::new(); count];
        for import in &self.imports {
            used[import.from].push(import.to);
        }
        used
    }
}

struct GraphWriter<'a> {
    tree: &'a CrateTree,
    first: BTreeMap<(usize, usize), FileImport>,
    graph: ImportGraph,
}

impl GraphWriter<'_> {
    fn add_use(&mut self, module: usize, file: usize, outline: &ModuleOutline, import: &UseItem) {
        match self.tree.resolve(module, &import.path) {
            PathTarget::Item(to, name) => {
                // Handing on what a child defines is no use of it; using it is, and then the code names it.
                if !(import.is_public && self.is_below(to, file)) {
                    self.add_import(file, to, import.line, &name);
                }
                self.remember(file, import.line, name.join("::"), Some(to));
            }
            PathTarget::Module(to, name) => {
                // What is used of a folder shows where it is named.
                let is_passage = self.tree.files[to].is_folder_face() && import.name != "*" && is_used(outline, import);
                let is_handed_on = import.is_public && self.is_below(to, file);
                if !is_passage && !is_handed_on {
                    self.add_import(file, to, import.line, &name);
                }
            }
            PathTarget::Outside(name) => {
                let everything = if import.name == "*" { "::*" } else { "" };
                self.remember(file, import.line, name.join("::") + everything, None);
            }
            PathTarget::Unknown(to, name) => self.add_unknown(file, to, import.line, &name),
        }
    }

    /// A path in code, or one word.
    fn add_name(&mut self, module: usize, file: usize, line: usize, segments: &[String]) {
        let is_path = segments.len() > 1;
        match self.tree.resolve(module, segments) {
            PathTarget::Item(to, name) => {
                self.add_import(file, to, line, &name);
                self.remember(file, line, name.join("::"), Some(to));
            }
            PathTarget::Outside(name) if is_path || name.len() > 1 => self.remember(file, line, name.join("::"), None),
            PathTarget::Unknown(to, name) if is_path => self.add_unknown(file, to, line, &name),
            _ => {}
        }
    }

    fn add_unknown(&mut self, file: usize, to: usize, line: usize, name: &[String]) {
        self.graph.unresolved.push(WholeName { file, line, name: name.join("::"), defined_in: None });
        self.remember(file, line, name.join("::"), None);
        self.add_import(file, to, line, name);
    }

    fn add_import(&mut self, from: usize, to: usize, line: usize, name: &[String]) {
        if from != to {
            let import = || FileImport { from, to, line, name: name.join("::") };
            let first = self.first.entry((from, to)).or_insert_with(import);
            if line < first.line {
                *first = import();
            }
        }
    }

    fn remember(&mut self, file: usize, line: usize, name: String, defined_in: Option<usize>) {
        self.graph.names.push(WholeName { file, line, name, defined_in });
    }

    /// Whether `file` lies in the folder of which `face` is the face.
    fn is_below(&self, file: usize, face: usize) -> bool {
        self.tree.files[face].folder_face().is_some_and(|folder| self.tree.files[file].path.starts_with(folder))
    }
}

/// Whether the code of a module names what `import` brings in, or says where something in it is.
fn is_used(outline: &ModuleOutline, import: &UseItem) -> bool {
    outline.names.iter().any(|path| path.segments.len() > 1 && path.segments[0] == import.name)
}
