//! What is compiled into the program: each item for tests is cut out by itself, and what follows it stays.

use super::lexer::{Token, end_of_bracket};

/// The tokens of a file without its `#[cfg(test)]` and `#[test]` items, wherever they stand.
pub(crate) fn product_tokens(tokens: &[Token]) -> Vec<Token> {
    let mut product = Vec::new();
    let mut at = 0;
    if is_inner_attribute(tokens) && is_for_tests(&tokens[2..]) {
        return product;
    }
    while at < tokens.len() {
        let (behind, is_test) = attributes_at(tokens, at);
        let end = if is_test { end_of_item(tokens, behind) } else { behind.max(at + 1) };
        if !is_test {
            product.extend_from_slice(&tokens[at..end]);
        }
        at = end;
    }
    product
}

/// On how many lines `tokens` stand.
pub(crate) fn line_count(tokens: &[Token]) -> usize {
    let mut lines: Vec<usize> = tokens.iter().flat_map(Token::lines).collect();
    lines.sort_unstable();
    lines.dedup();
    lines.len()
}

fn is_inner_attribute(tokens: &[Token]) -> bool {
    tokens.len() > 3 && tokens[0].is("#") && tokens[1].is("!") && tokens[2].is("[")
}

/// The index behind all attributes that stand at `at`, and whether one of them says that the item is for tests.
fn attributes_at(tokens: &[Token], at: usize) -> (usize, bool) {
    let (mut behind, mut is_test) = (at, false);
    while tokens.get(behind).is_some_and(|token| token.is("#")) && tokens.get(behind + 1).is_some_and(|t| t.is("[")) {
        is_test |= is_for_tests(&tokens[behind + 1..]);
        behind = end_of_bracket(tokens, behind + 1);
    }
    (behind, is_test)
}

/// Whether the attribute that begins with the `[` at the head of `tokens` is `test`, `x::test` or a `cfg` that needs it.
fn is_for_tests(tokens: &[Token]) -> bool {
    let inside = &tokens[1..end_of_bracket(tokens, 0).max(2) - 1];
    match inside {
        [name, opening, predicate @ .., _] if name.is("cfg") && opening.is("(") => needs_test(predicate),
        _ => {
            let path: Vec<&Token> = inside.iter().take_while(|token| !token.opens()).collect();
            path.last().is_some_and(|last| last.is("test")) && path.iter().all(|part| part.is_word() || part.is("::"))
        }
    }
}

/// Whether a `cfg` predicate holds in tests only.
fn needs_test(predicate: &[Token]) -> bool {
    match predicate {
        [name] => name.is("test"),
        [all, opening, inside @ .., _] if all.is("all") && opening.is("(") => {
            members(inside).into_iter().any(needs_test)
        }
        [any, opening, inside @ .., _] if any.is("any") && opening.is("(") => {
            members(inside).into_iter().all(needs_test)
        }
        _ => false,
    }
}

/// What stands between the commas of a list.
fn members(list: &[Token]) -> Vec<&[Token]> {
    let mut depth = 0;
    let is_comma = |token: &Token| {
        depth += i32::from(token.opens()) - i32::from(token.closes());
        depth == 0 && token.is(",")
    };
    list.split(is_comma).filter(|member| !member.is_empty()).collect()
}

/// How an item ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ItemEnd {
    /// At a `;`, whatever blocks stand before it: `use`, `const`, `let` …
    Semicolon,
    /// At the end of its block, or at a `;` where it has none: `fn`, `mod`, `impl` …
    Block,
    /// At a `,` or at the end of what it is in: a field, a variant, an arm, a statement.
    Member,
}

fn end_of_item(tokens: &[Token], start: usize) -> usize {
    let ending = ending_of(&tokens[start..]);
    let is_field = tokens[start..].iter().take(6).any(|token| token.is(":"));
    let (mut depth, mut angles, mut at) = (0_usize, 0_i32, start);
    while let Some(token) = tokens.get(at) {
        let next = tokens.get(at + 1).map_or("", |next| next.text.as_str());
        match token.text.as_str() {
            "<" if is_field => angles += 1,
            ">" if is_field => angles -= 1,
            ";" if depth == 0 => return at + 1,
            "," if depth == 0 && angles <= 0 && ending == ItemEnd::Member => return at + 1,
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" if depth == 0 => return at,
            ")" | "]" => depth -= 1,
            "}" => {
                depth -= 1;
                match ending {
                    ItemEnd::Block if depth == 0 => return at + 1,
                    ItemEnd::Member if depth == 0 && matches!(next, "," | ";") => return at + 2,
                    ItemEnd::Member if depth == 0 && !matches!(next, "." | "?" | "else") => return at + 1,
                    _ => {}
                }
            }
            _ => {}
        }
        at += 1;
    }
    at
}

fn ending_of(item: &[Token]) -> ItemEnd {
    let word = |at: usize| item.get(at).map_or("", |token| token.text.as_str());
    let mut at = usize::from(word(0) == "pub");
    if at == 1 && word(1) == "(" {
        at = end_of_bracket(item, 1);
    }
    match (word(at), word(at + 1)) {
        ("const", "fn" | "async" | "unsafe" | "extern") => ItemEnd::Block,
        ("use" | "const" | "static" | "let" | "type", _) | ("extern", "crate") => ItemEnd::Semicolon,
        ("fn" | "mod" | "impl" | "trait" | "struct" | "enum" | "async" | "unsafe" | "extern", _) => ItemEnd::Block,
        ("macro_rules", "!") => ItemEnd::Block,
        _ => ItemEnd::Member,
    }
}
