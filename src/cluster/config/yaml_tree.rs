//! YAML as kubectl reads it (`sigs.k8s.io/yaml`): the first document, in which the last of two equal keys counts. Pure.

use serde_json::Value;
use serde_saphyr::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{Location, Options};

/// A kubeconfig of 20 MB and 20,000 contexts has some 600,000 nodes.
const MAX_NODES: usize = 20_000_000;

/// Go takes 10,000; each level costs stack here.
const MAX_DEPTH: usize = 200;

/// What the first document holds that holds anything; where `text` cannot be read, the place is told if it is known.
///
/// What comes after that document is not even looked at.
pub(crate) fn first_document(text: &str) -> Result<Value, Option<Location>> {
    serde_saphyr::from_str_with_options(text, options()).or_else(|error| {
        let mut bytes = text.as_bytes();
        let first = serde_saphyr::read_with_options(&mut bytes, options()).next();
        match first {
            None => Ok(Value::Null),
            Some(Ok(document)) => Ok(document),
            Some(Err(_)) => Err(error.location()),
        }
    })
}

/// What stays of the reader's own limits is the one on aliases that multiply.
fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 2 * MAX_NODES,
            max_nodes: MAX_NODES,
            max_total_scalar_bytes: usize::MAX,
            max_aliases: MAX_NODES,
            max_anchors: MAX_NODES,
            enforce_alias_anchor_ratio: false,
            max_merge_keys: MAX_NODES,
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
        },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        with_snippet: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn as_kubectl_reads_it() {
        let check = |text: &str, expect: Value| assert_eq!(first_document(text).ok(), Some(expect), "{text:?}");
        check("", Value::Null);
        check("# nothing\n", Value::Null);
        check("a: 1\na: 2", json!({"a": 2}));
        check("a: {b: 1}\na: {c: 2}", json!({"a": {"c": 2}}));
        check("5: a\ntrue: b", json!({"5": "a", "true": "b"}));
        check("a: yes\nb: 'yes'", json!({"a": true, "b": "yes"}));
        check("a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}", json!({"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}}));
        check("a: 1\n---\na: 2", json!({"a": 1}));
        check("a: 1\n---\n{", json!({"a": 1}));
        check("a: !foo b\nc: !!binary aGVsbG8=", json!({"a": "b", "c": "hello"}));
        check("a: .nan\nb: ~", json!({"a": ".nan", "b": null}));
    }

    #[test]
    fn large_and_deep() {
        let aliases = format!("a: &x hello\nb: [{}]", vec!["*x"; 3000].join(", "));
        assert_eq!(first_document(&aliases).unwrap()["b"][2999], "hello");
        for (open, close) in [("[", "]"), ("{a: ", "}")] {
            let nested = |depth| format!("a: {}1{}", open.repeat(depth), close.repeat(depth));
            assert!(first_document(&nested(MAX_DEPTH - 1)).is_ok(), "{open}");
            assert!(first_document(&nested(100_000)).is_err(), "{open}");
        }
        let entries: String = (0..60_000).map(|number| format!("- {{name: n{number}, context: {{a: b}}}}\n")).collect();
        assert_eq!(first_document(&entries).unwrap().as_array().map(Vec::len), Some(60_000));
    }

    #[test]
    fn aliases_that_multiply() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let before = vec![format!("*a{}", level - 1); 10].join(", ");
            text += &format!("a{level}: &a{level} [{before}]\n");
        }
        assert!(first_document(&text).is_err());
    }

    #[test]
    fn the_place_of_a_mistake() {
        let place = first_document("a: b\nc: {").unwrap_err().map(|location| location.line());
        assert_eq!(place, Some(2));
    }
}
