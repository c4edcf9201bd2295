//! What a file declares, imports and names, found in its tokens without a full parser.

use super::lexer::{Token, TokenKind, end_of_bracket};
use super::product::line_count;

/// A file at a glance.
#[derive(Debug, Default)]
pub(crate) struct FileOutline {
    /// The file's own module first, then each `mod x { … }` in it.
    pub(crate) modules: Vec<ModuleOutline>,
    /// Its types.
    pub(crate) types: Vec<NamedItem>,
    /// Its constants.
    pub(crate) constants: Vec<ConstantItem>,
    /// Its functions, also those of an `impl`.
    pub(crate) functions: Vec<FunctionItem>,
}

/// One module of a file.
#[derive(Debug, Default)]
pub(crate) struct ModuleOutline {
    /// Its name below the file's module; nothing for that one itself.
    pub(crate) inline_path: Vec<String>,
    /// The modules that have a file of their own: `mod x;`.
    pub(crate) declares: Vec<String>,
    /// The names of the items that stand in it.
    pub(crate) defines: Vec<String>,
    /// Its `use` declarations, one for each name.
    pub(crate) imports: Vec<UseItem>,
    /// Whatever else its code names.
    pub(crate) names: Vec<NamedPath>,
}

/// One name that a `use` brings in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UseItem {
    /// What is imported, as it is written.
    pub(crate) path: Vec<String>,
    /// What it is called here; `*` for everything.
    pub(crate) name: String,
    /// Whether it is handed on: `pub use`, `pub(crate) use`.
    pub(crate) is_public: bool,
    /// Whether it stands in a function.
    pub(crate) is_local: bool,
    /// Where.
    pub(crate) line: usize,
}

/// `a::b::c` in code, or one word.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NamedPath {
    /// Its parts.
    pub(crate) segments: Vec<String>,
    /// Whether a `!` follows.
    pub(crate) is_macro: bool,
    /// Where.
    pub(crate) line: usize,
}

/// Something with a name.
#[derive(Debug)]
pub(crate) struct NamedItem {
    /// The name.
    pub(crate) name: String,
    /// Where.
    pub(crate) line: usize,
}

/// A `const` or `static`.
#[derive(Debug)]
pub(crate) struct ConstantItem {
    /// The name.
    pub(crate) name: String,
    /// The words of its type.
    pub(crate) type_words: Vec<String>,
    /// Where.
    pub(crate) line: usize,
}

/// A function.
#[derive(Debug)]
pub(crate) struct FunctionItem {
    /// The name.
    pub(crate) name: String,
    /// Where.
    pub(crate) line: usize,
    /// Where it ends.
    pub(crate) last_line: usize,
    /// Lines with code, the signature among them.
    pub(crate) length: usize,
}

/// The outline of a file with these tokens.
pub(crate) fn outline_of(tokens: &[Token]) -> FileOutline {
    let outline = FileOutline { modules: vec![ModuleOutline::default()], ..FileOutline::default() };
    let file = BracketFrame { place: CodePlace::Module, module: 0, function: None };
    let mut writer = OutlineWriter { tokens, at: 0, frames: vec![file], expected: None, outline };
    while writer.at < tokens.len() {
        writer.step();
    }
    writer.outline
}

/// What stands directly within a bracket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CodePlace {
    Module,
    /// Of an `impl` or a `trait`: a `type` there is no type of its own.
    Members,
    /// Of a function, a struct, an expression.
    Body,
}

/// An open bracket.
#[derive(Debug, Clone, Copy)]
struct BracketFrame {
    place: CodePlace,
    module: usize,
    /// The function that ends with it, and the index of its `fn`.
    function: Option<(usize, usize)>,
}

struct OutlineWriter<'a> {
    tokens: &'a [Token],
    at: usize,
    frames: Vec<BracketFrame>,
    /// The head of an item was read, and this is what its block will be, at that depth of brackets.
    expected: Option<(BracketFrame, usize)>,
    outline: FileOutline,
}

impl OutlineWriter<'_> {
    fn step(&mut self) {
        let token = &self.tokens[self.at];
        match token.text.as_str() {
            "#" if matches!(self.text(1), "[" | "!") => self.take_attribute(),
            "(" | "[" | "{" => self.open(),
            ")" | "]" | "}" => self.close(),
            ";" => self.end_head(),
            _ if token.is_word() => self.take_word(),
            _ => self.at += 1,
        }
    }

    /// The text of the token `ahead` of here.
    fn text(&self, ahead: usize) -> &str {
        self.tokens.get(self.at + ahead).map_or("", |token| token.text.as_str())
    }

    /// The text of the token `back` before here.
    fn text_before(&self, back: usize) -> &str {
        self.at.checked_sub(back).map_or("", |at| self.tokens[at].text.as_str())
    }

    fn frame(&self) -> BracketFrame {
        self.frames.last().copied().unwrap_or(BracketFrame { place: CodePlace::Module, module: 0, function: None })
    }

    fn module(&mut self) -> &mut ModuleOutline {
        let module = self.frame().module;
        &mut self.outline.modules[module]
    }

    fn open(&mut self) {
        let is_expected = self.text(0) == "{" && self.expected.is_some_and(|(_, depth)| depth == self.frames.len());
        let expected = if is_expected { self.expected.take() } else { None };
        let inner = BracketFrame { place: CodePlace::Body, function: None, ..self.frame() };
        self.frames.push(expected.map_or(inner, |(frame, _)| frame));
        self.at += 1;
    }

    fn close(&mut self) {
        if let Some(BracketFrame { function: Some((function, start)), .. }) = self.frames.pop() {
            let function = &mut self.outline.functions[function];
            function.last_line = self.tokens[self.at].line;
            function.length = line_count(&self.tokens[start..=self.at]);
        }
        self.at += 1;
    }

    fn end_head(&mut self) {
        if self.expected.is_some_and(|(_, depth)| depth == self.frames.len()) {
            self.expected = None;
        }
        self.at += 1;
    }

    /// Its paths count, also one that serde is given as a string.
    fn take_attribute(&mut self) {
        let end = end_of_bracket(self.tokens, self.at + if self.text(1) == "[" { 1 } else { 2 });
        while self.at < end {
            let token = &self.tokens[self.at];
            match token.kind {
                TokenKind::Word => self.take_path(),
                TokenKind::Text => {
                    let segments: Vec<String> = token.text.trim_matches('"').split("::").map(str::to_owned).collect();
                    if segments.len() > 1 && segments.iter().all(|segment| is_name(segment)) {
                        let line = token.line;
                        self.module().names.push(NamedPath { segments, is_macro: false, line });
                    }
                    self.at += 1;
                }
                _ => self.at += 1,
            }
        }
    }

    fn take_word(&mut self) {
        if self.expected.is_some() {
            return self.take_path();
        }
        let next_is_name = self.tokens.get(self.at + 1).is_some_and(Token::is_word);
        let place = self.frame().place;
        match self.text(0) {
            "use" if self.text(1) != "<" => self.take_use(),
            "mod" if next_is_name => self.take_mod(),
            "struct" | "enum" if next_is_name => self.take_type(CodePlace::Body),
            "trait" if next_is_name => self.take_type(CodePlace::Members),
            "type" if next_is_name && place != CodePlace::Members => self.take_alias(),
            "fn" if next_is_name => self.take_function(),
            "const" | "static" if next_is_name && self.text(2) == ":" => self.take_constant(),
            "macro_rules" if self.text(1) == "!" => self.take_macro(),
            "impl" => {
                self.expect(CodePlace::Members, None);
                self.at += 1;
            }
            _ => self.take_path(),
        }
    }

    fn expect(&mut self, place: CodePlace, function: Option<(usize, usize)>) {
        let module = self.frame().module;
        self.expected = Some((BracketFrame { place, module, function }, self.frames.len()));
    }

    /// Takes a keyword and the name behind it.
    fn take_named(&mut self) -> NamedItem {
        let token = &self.tokens[self.at + 1];
        let item = NamedItem { name: token.text.clone(), line: token.line };
        if self.frame().place == CodePlace::Module {
            self.module().defines.push(item.name.clone());
        }
        self.at += 2;
        item
    }

    fn take_mod(&mut self) {
        let name = self.text(1).to_owned();
        self.at += 2;
        if self.text(0) == ";" {
            return self.module().declares.push(name);
        }
        let mut inline_path = self.module().inline_path.clone();
        inline_path.push(name);
        let module = self.outline.modules.len();
        self.outline.modules.push(ModuleOutline { inline_path, ..ModuleOutline::default() });
        self.expected = Some((BracketFrame { place: CodePlace::Module, module, function: None }, self.frames.len()));
    }

    fn take_type(&mut self, place: CodePlace) {
        let item = self.take_named();
        self.outline.types.push(item);
        self.expect(place, None);
    }

    fn take_alias(&mut self) {
        let item = self.take_named();
        self.outline.types.push(item);
    }

    fn take_function(&mut self) {
        let start = self.at;
        let NamedItem { name, line } = self.take_named();
        self.expect(CodePlace::Body, Some((self.outline.functions.len(), start)));
        self.outline.functions.push(FunctionItem { name, line, last_line: line, length: 1 });
    }

    fn take_constant(&mut self) {
        let NamedItem { name, line } = self.take_named();
        let behind = self.tokens[self.at..].iter().take_while(|token| !token.is("=") && !token.is(";"));
        let type_words = behind.filter(|token| token.is_word()).map(|token| token.text.clone()).collect();
        self.outline.constants.push(ConstantItem { name, type_words, line });
    }

    fn take_macro(&mut self) {
        self.at += 1;
        self.take_named();
        self.expect(CodePlace::Body, None);
    }

    fn take_use(&mut self) {
        let is_public = self.text_before(1) == "pub" || self.text_before(1) == ")";
        let is_local = self.frame().place == CodePlace::Body;
        let line = self.tokens[self.at].line;
        self.at += 1;
        let mut leaves = Vec::new();
        self.take_use_tree(&mut Vec::new(), &mut leaves);
        let imports = leaves.into_iter().map(|(path, name)| UseItem { path, name, is_public, is_local, line });
        self.module().imports.extend(imports);
    }

    /// Reads one tree of a `use` up to its `,`, `}` or `;`.
    fn take_use_tree(&mut self, path: &mut Vec<String>, leaves: &mut Vec<(Vec<String>, String)>) {
        let depth = path.len();
        while !matches!(self.text(0), "," | "}" | ";" | "") {
            match self.text(0) {
                "{" => self.take_use_list(path, leaves),
                "*" => leaves.push((path.clone(), "*".to_owned())),
                "::" => {}
                "as" => {
                    self.at += 1;
                    let name = self.text(0).to_owned();
                    leaves.pop();
                    leaves.push((path.clone(), name));
                }
                word => {
                    if word != "self" || path.is_empty() {
                        path.push(word.to_owned());
                    }
                    if self.text(1) != "::" {
                        leaves.push((path.clone(), path.last().cloned().unwrap_or_default()));
                    }
                }
            }
            self.at += 1;
        }
        path.truncate(depth);
    }

    /// Reads `{ … }` up to its last brace.
    fn take_use_list(&mut self, path: &mut Vec<String>, leaves: &mut Vec<(Vec<String>, String)>) {
        while !matches!(self.text(0), "}" | ";" | "") {
            self.at += 1;
            self.take_use_tree(path, leaves);
        }
    }

    /// Takes a path, or passes over a word that cannot begin one.
    fn take_path(&mut self) {
        let line = self.tokens[self.at].line;
        let is_member = self.text_before(1) == "." && self.text_before(2) != ".";
        let goes_on = self.text_before(1) == "::" && (self.text_before(2) == ">" || is_name(self.text_before(2)));
        let mut segments = vec![self.text(0).to_owned()];
        self.at += 1;
        while self.text(0) == "::" && is_name(self.text(1)) {
            segments.push(self.text(1).to_owned());
            self.at += 2;
        }
        let head = &segments[0];
        let is_label = segments.len() == 1 && self.text(0) == ":" && head.starts_with(char::is_lowercase);
        if is_member || goes_on || is_label || KEYWORDS.contains(&head.as_str()) {
            return;
        }
        let is_macro = self.text(0) == "!" && matches!(self.text(1), "(" | "[" | "{");
        self.module().names.push(NamedPath { segments, is_macro, line });
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_alphabetic() || first == '_')
        && text.chars().all(|character| character.is_alphanumeric() || character == '_')
}

/// What no path begins with; `Self` leads nowhere else.
const KEYWORDS: &[&str] = &[
    "Self", "as", "async", "await", "break", "const", "continue", "dyn", "else", "enum", "extern", "false", "fn",
    "for", "if", "impl", "in", "let", "loop", "match", "mod", "move", "mut", "pub", "ref", "return", "static",
    "struct", "trait", "true", "type", "union", "unsafe", "use", "where", "while", "yield", "_",
];
