//! The check itself, on sources made up for it.

use super::crate_tree::{CrateTree, Sources};
use super::import_graph::ImportGraph;
use super::lexer::{TokenKind, tokens_of};
use super::naming::{self, TypeNames};
use super::product::product_tokens;
use super::purity::PurityPromises;
use super::{floors, owners, purity};

fn sources(files: &[(&str, &str)]) -> Sources {
    files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}

fn read(files: &[(&str, &str)]) -> (CrateTree, ImportGraph) {
    let tree = CrateTree::of(&sources(files));
    let graph = ImportGraph::of(&tree);
    (tree, graph)
}

/// `from -> to` for each import, without `.rs`.
fn imports(files: &[(&str, &str)]) -> Vec<String> {
    let (tree, graph) = read(files);
    let name = |file: usize| tree.files[file].path.trim_end_matches(".rs").to_owned();
    graph.imports.iter().map(|import| format!("{} -> {}", name(import.from), name(import.to))).collect()
}

/// What the code of one file names in full.
fn names(text: &str) -> Vec<String> {
    let (_, graph) = read(&[("lib.rs", text)]);
    graph.names.into_iter().map(|named| named.name).collect()
}

fn product_words(source: &str) -> String {
    let tokens = product_tokens(&tokens_of(source));
    tokens.iter().map(|token| token.text.as_str()).collect::<Vec<_>>().join(" ")
}

#[test]
fn strings_and_comments_are_no_code() {
    let source = r####"a /* b /* c */ " d */ "e \" f" r#"g " h"# b"i" 'j' '\'' 'k br##"l"#"## // m
        r#type 1.5e3 0..n c"o" /// p"####;
    let of_kind = |kind: TokenKind| {
        let tokens = tokens_of(source).into_iter().filter(|token| token.kind == kind);
        tokens.map(|token| token.text).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(of_kind(TokenKind::Word), "a r#type n");
    assert_eq!(of_kind(TokenKind::Lifetime), "'k");
    assert_eq!(of_kind(TokenKind::Text), r####""e \" f" r#"g " h"# b"i" 'j' '\'' br##"l"#"## c"o""####);
    assert_eq!(of_kind(TokenKind::Number), "1.5e3 0");
}

#[test]
fn a_test_item_hides_nothing_but_itself() {
    for item in [
        "mod tests;",
        "mod tests { fn a() { } } ",
        "use a::{b, c};",
        "pub(crate) use a::{b, c};",
        "const A: B = C { d: 1 };",
        "pub(crate) const fn a() -> [u8; 2] { [1; 2] }",
        "impl<T: A<B>> C for D<T> where T: E { fn f() {} }",
        "static A: [B; 2] = [B { c: 1 }, B { c: 2 }];",
        "struct A;",
        "struct A(B, C);",
        "#[derive(A)] pub struct B { c: D }",
        "macro_rules! a { () => { b; }; }",
        "extern crate a;",
        "proptest! { fn a() {} }",
        "a! { b }",
    ] {
        assert_eq!(product_words(&format!("before #[cfg(test)] {item} after")), "before after", "{item}");
    }
}

#[test]
fn a_part_of_an_item_can_be_for_tests() {
    let tests = "#[cfg(test)]";
    assert_eq!(product_words(&format!("{{ a: b, {tests} c: D<E, F>, g: h }}")), "{ a : b , g : h }");
    assert_eq!(product_words(&format!("{{ A, {tests} B {{ c: D }}, E, {tests} F(G, H), I }}")), "{ A , E , I }");
    assert_eq!(product_words(&format!("{{ {tests} a => {{ b }} c => d, {tests} e => f(g, h) }}")), "{ c => d , }");
    assert_eq!(product_words(&format!("{{ {tests} a.b(c, d).e(); {tests} let f = {{ g }}; h }}")), "{ h }");
}

#[test]
fn only_what_needs_tests_is_cut() {
    for attribute in ["test", "tokio::test", "cfg(all(test, unix))", "cfg(all(unix, any(test)))", "tokio::test(a = 1)"]
    {
        assert_eq!(product_words(&format!("#[a] #[{attribute}] #[b] fn c() {{}} d")), "d", "{attribute}");
    }
    for attribute in
        ["cfg(unix)", "cfg(not(test))", "cfg(any(test, unix))", "cfg_attr(test, a)", "a = \"test\"", "a(test)"]
    {
        assert!(product_words(&format!("#[{attribute}] fn c() {{}}")).contains("fn c"), "{attribute}");
    }
    assert_eq!(product_words("#![cfg(test)] fn a() {}"), "");
}

#[test]
fn names_are_written_out() {
    let text =
        "use a::{b::{self, c as d}, e}; use f as g; fn h() { b::i(); d(); e::j::<k::L>(); g::m(); n!(o); x.e::<T>() }";
    let all = names(text);
    for name in ["a::b", "a::b::c", "a::e", "f", "a::b::i", "a::e::j", "k::L", "f::m", "n!"] {
        assert!(all.iter().any(|found| found == name), "{name} is not among {all:?}");
    }
    assert_eq!(names("use a::*; /// b::c\nfn d() {} // e::f\n const G: &str = \"h::i\";"), ["a::*"]);
    assert!(names("#[serde(with = \"a::b\")] struct C;").contains(&"a::b".to_owned()));
}

#[test]
fn imports_lead_to_who_defines() {
    let root = ("lib.rs", "mod a; mod b; mod c;");
    let a = ("a/mod.rs", "mod d; mod e; pub use d::{D, d}; pub(crate) use e::inner::E as Other; pub struct A;");
    let d = ("a/d.rs", "pub struct D; pub fn d() {}");
    let e = ("a/e.rs", "pub mod inner { pub struct E; use super::super::A; }");
    let with = |text: &str| imports(&[root, a, d, e, ("b.rs", text), ("c.rs", "pub struct C;")]);
    assert_eq!(with(""), ["a/e -> a/mod"], "a parent that hands on imports nothing");
    assert_eq!(with("use crate::a::D;"), ["a/e -> a/mod", "b -> a/d"]);
    assert_eq!(with("use crate::{a::{A, Other}, c::*};"), ["a/e -> a/mod", "b -> a/e", "b -> a/mod", "b -> c"]);
    assert_eq!(with("use super::a; fn b() { a::d() }"), ["a/e -> a/mod", "b -> a/d"]);
    assert_eq!(with("use super::a;"), ["a/e -> a/mod", "b -> a/mod"]);
    assert_eq!(with("fn b(a: crate::a::d::D) -> Option<super::c::C> {}"), ["a/e -> a/mod", "b -> a/d", "b -> c"]);
    assert_eq!(with("mod x { use super::super::c; }"), ["a/e -> a/mod", "b -> c"]);
    assert_eq!(with("use crate::a::Missing;"), ["a/e -> a/mod", "b -> a/mod"]);
    assert_eq!(with("fn b() { use crate::c::C; }"), ["a/e -> a/mod", "b -> c"]);
    assert_eq!(with("use crate::a::*; fn b() { D }"), ["a/e -> a/mod", "b -> a/d", "b -> a/mod"]);
    assert_eq!(with("/// [`crate::c::C`]\nfn b() { \"crate::c::C\" } // crate::c::C"), ["a/e -> a/mod"]);
    assert_eq!(with("#[cfg(test)] use crate::c::C; use crate::a::D;"), ["a/e -> a/mod", "b -> a/d"]);
}

#[test]
fn parent_and_child_can_be_a_knot() {
    let parent = ("a/mod.rs", "mod b; pub use b::B; pub struct A { b: B }");
    let files = [("lib.rs", "mod a;"), parent, ("a/b.rs", "use super::A; pub struct B;")];
    assert_eq!(imports(&files), ["a/b -> a/mod", "a/mod -> a/b"]);
}

#[test]
fn main_sees_the_library_under_its_name() {
    let files =
        [("lib.rs", "pub mod a;"), ("a.rs", "pub fn a() {}"), ("main.rs", "use svcproxy::a; fn main() { a::a() }")];
    assert_eq!(imports(&files), ["main -> a"]);
}

#[test]
fn files_for_tests_are_no_product() {
    let files = [
        ("lib.rs", "mod a; #[cfg(test)] mod tests; #[cfg(all(test, unix))] mod rig;"),
        ("a.rs", "pub struct A;"),
        ("tests/mod.rs", "mod cases; use crate::a::A;"),
        ("tests/cases.rs", "use super::super::a::A;"),
        ("rig.rs", ""),
        ("forgotten.rs", ""),
    ];
    let (tree, _) = read(&files);
    let product: Vec<&str> = tree.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(product, ["a.rs", "lib.rs"]);
    assert_eq!(tree.strays, ["forgotten.rs"]);
}

#[test]
fn folders_that_import_each_other_are_a_knot() {
    let files = [
        ("lib.rs", "mod a;"),
        ("a/mod.rs", "mod b; mod c;"),
        ("a/b/mod.rs", "mod x; use super::c::C; pub struct B;"),
        ("a/b/x.rs", "pub struct X;"),
        ("a/c/mod.rs", "mod y; pub struct C;"),
        ("a/c/y.rs", "use crate::a::b::x::X;"),
    ];
    let (tree, graph) = read(&files);
    assert!(floors::knots_of_files(&tree, &graph).is_empty());
    let [knot] = &floors::knots_of_folders(&tree, &graph)[..] else { panic!("not one knot") };
    assert!(knot.starts_with("folders in src/a/ are one knot, a/b/ a/c/:"), "{knot}");
    assert!(knot.contains("src/a/c/y.rs:1 -> src/a/b/x.rs (crate::a::b::x::X)"), "{knot}");
}

#[test]
fn a_knot_of_four_files_is_too_large() {
    let circle = |count: usize| {
        let of = |number: usize| {
            (format!("f{number}.rs"), format!("use crate::f{}::F; pub struct F;", (number + 1) % count))
        };
        let mut files: Sources = (0..count).map(of).collect();
        files.insert("lib.rs".to_owned(), (0..count).map(|number| format!("mod f{number};")).collect());
        let tree = CrateTree::of(&files);
        let graph = ImportGraph::of(&tree);
        floors::knots_of_files(&tree, &graph).len()
    };
    assert_eq!([circle(3), circle(4)], [0, 1]);
}

#[test]
fn every_file_has_one_row() {
    let misplaced = floors::rows_that_do_not_fit(&sources(&[("app/run.rs", ""), ("other.rs", "")]));
    assert!(misplaced.contains(&"src/other.rs is in 0 rows of the table of floors, not in one".to_owned()));
    assert!(misplaced.contains(&"nothing is at src/find/, which has a row".to_owned()));
    assert!(!misplaced.iter().any(|fault| fault.contains("app/")));
}

#[test]
fn pure_is_a_promise() {
    let broken = |header: &str, code: &str| {
        let text = format!("{header}\n{code}");
        let other = ("b.rs", "pub fn run() {} pub struct B;");
        let (tree, graph) = read(&[("lib.rs", "mod a; mod b;"), ("a/mod.rs", "mod c;"), ("a/c.rs", &text), other]);
        purity::broken_promises(&tree, &graph).len()
    };
    let clock = "use std::time::Instant as Clock; fn now() { Clock::now() }";
    assert_eq!(broken("//! Tells. Pure.", clock), 1);
    assert_eq!(broken("//! Tells.\n//! Pure: only what goes in.", "fn a() { std::env::var(\"A\") }"), 1);
    assert_eq!(broken("//! Tells. Pure.", "use tokio_util::sync; use std::{fs, net::{IpAddr, TcpStream}};"), 3);
    assert_eq!(broken("//! Tells. Pure.", "use crate::b::{self, B}; fn a() { b::run() }"), 1);
    assert_eq!(broken("//! Tells. Pure.", "use std::time::Instant; use std::net::IpAddr; use crate::b::B;"), 0);
    assert_eq!(broken("//! Purely told, not Pure.", clock), 0);
}

#[test]
fn a_function_promises_for_itself() {
    let other = "fn now() { std::time::Instant::now() }\n/// Adds.\n/// Pure.\n#[must_use]\npub fn pure() { now() }\npub fn run() {}";
    let pure = "//! Pure.\nuse crate::b::{pure, run};";
    let (tree, graph) = read(&[("lib.rs", "mod a; mod b;"), ("a.rs", pure), ("b.rs", other)]);
    let promises = [
        "src/a.rs:2 promises to be pure and names crate::b::run",
        "src/b.rs:5 promises to be pure and names crate::b::now",
    ];
    assert_eq!(purity::broken_promises(&tree, &graph), promises);
}

#[test]
fn a_folder_promises_for_its_files() {
    let (tree, _) = read(&[("lib.rs", "mod a;"), ("a/mod.rs", "//! Pure.\nmod c;"), ("a/c.rs", "")]);
    assert_eq!(PurityPromises::of(&tree).described(&tree), ["a/c.rs", "a/mod.rs"]);
}

#[test]
fn outside_things_have_owners() {
    let found = |path: &str, text: &str| {
        let (tree, graph) = read(&[("lib.rs", "mod cluster; mod other;"), (path, text)]);
        owners::trespasses(&tree, &graph).len()
    };
    assert_eq!(found("cluster/mod.rs", "use kube::config::Kubeconfig;"), 0);
    assert_eq!(found("other.rs", "use kube::config::Kubeconfig; fn a(b: kube::B) {}"), 1);
    assert_eq!(found("other.rs", "use kubernetes::Kubeconfig; // kube::B"), 0);
    assert_eq!(
        found("other.rs", "use std::{env, process}; fn a() { env::var_os(\"A\"); env::split_paths(b); println!() }"),
        2
    );
    assert_eq!(found("other.rs", "fn a() { #[cfg(test)] println!(); std::process::id() }"), 0);
}

#[test]
fn names_are_counted() {
    let text = "struct Pod; enum PodList {} trait ID {} type TLSStream = A; impl A for Pod { type Item = B; } fn f() { struct Pod; }";
    let (tree, _) = read(&[("lib.rs", text)]);
    let types = TypeNames::of(&tree);
    assert_eq!(types.count(), 5);
    assert_eq!(types.of_one_word(), ["Pod (src/lib.rs:1)", "ID (src/lib.rs:1)", "Pod (src/lib.rs:1)"]);
    assert_eq!(types.shared(), [("Pod", vec!["src/lib.rs:1", "src/lib.rs:1"])]);
    assert_eq!(types.faults().len(), 2);
}

#[test]
fn durations_are_named() {
    let text =
        "const PATIENCE: Duration = A; const B_TIMEOUT: std::time::Duration = B; impl C { const MAX_D: Duration = E; }
        const WAITS: [Duration; 2] = F; const SILENCE: u64 = G;";
    let (tree, _) = read(&[("lib.rs", text)]);
    let expected =
        ["src/lib.rs:1 PATIENCE does not say what it limits", "src/lib.rs:2 WAITS does not say what it limits"];
    assert_eq!(naming::durations_without_meaning(&tree), expected);
}

#[test]
fn long_functions_are_found() {
    let function =
        |lines: usize| format!("impl A {{\n/// Doc.\npub fn long(\n) {{\n{}// no\n\n}}\n}}", "a();\n".repeat(lines));
    let found = |lines: usize| naming::long_functions(&read(&[("lib.rs", &function(lines))]).0);
    assert!(found(42).is_empty());
    assert_eq!(found(43), ["src/lib.rs:3 long has 46 lines"]);
}

#[test]
fn file_names_stand_once() {
    let files =
        [("lib.rs", "mod a; mod b;"), ("a/mod.rs", "mod x;"), ("a/x.rs", ""), ("b/mod.rs", "mod x;"), ("b/x.rs", "")];
    assert_eq!(naming::file_names_that_stand_twice(&read(&files).0), ["x.rs stands 2 times: a/x.rs b/x.rs"]);
}

#[test]
fn the_map_names_modules_and_folders() {
    let files = [("lib.rs", "mod a; mod error;"), ("a/mod.rs", "mod inner;"), ("a/inner/mod.rs", ""), ("error.rs", "")];
    let missing = naming::missing_on_the_map(&read(&files).0, "`a/` is the `terror.rs`");
    assert_eq!(
        missing,
        [
            "src/ARCHITECTURE.md does not say what error.rs is for",
            "src/ARCHITECTURE.md does not say what inner/ is for"
        ]
    );
}
