//! What the fields of a kubeconfig hold (client-go `tools/clientcmd/api/v1/types.go`), and how an entry is made to fit: null
//! counts as absent, as in Go, and fields that nobody knows are left out. Pure.

use serde_json::{Map, Value};

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FieldKind {
    /// Text; null is none.
    Text,
    /// Text; none is empty.
    Name,
    /// One of these; empty text is none.
    OneOf(&'static [&'static str]),
    /// True or false.
    Flag,
    /// A list of text.
    Texts,
    /// A list of such.
    List(&'static FieldKind),
    /// A map of such, under any keys.
    MapOf(&'static FieldKind),
    /// A map with these keys.
    Map(&'static [(&'static str, FieldKind)]),
    /// Whatever is there.
    Anything,
}

use FieldKind::{Anything, Flag, List, Map as Fields, MapOf, Name, OneOf, Text, Texts};

/// A kubeconfig, as far as all of it must fit for any of it to be used.
pub(crate) const CONFIG: FieldKind = Fields(&[
    ("apiVersion", Name),
    ("kind", Name),
    ("current-context", Name),
    ("clusters", List(&Anything)),
    ("users", List(&Anything)),
    ("contexts", List(&Anything)),
]);

/// An entry of `contexts`.
pub(crate) const CONTEXT: FieldKind =
    Fields(&[("name", Name), ("context", Fields(&[("cluster", Name), ("user", Text), ("namespace", Text)]))]);

/// An entry of `clusters`.
pub(crate) const CLUSTER: FieldKind = Fields(&[
    ("name", Name),
    (
        "cluster",
        Fields(&[
            ("server", Text),
            ("tls-server-name", Text),
            ("insecure-skip-tls-verify", Flag),
            ("certificate-authority", Text),
            ("certificate-authority-data", Text),
            ("proxy-url", Text),
            ("disable-compression", Flag),
            ("extensions", List(&Fields(&[("name", Name), ("extension", Anything)]))),
        ]),
    ),
]);

/// An entry of `users`.
pub(crate) const USER: FieldKind = Fields(&[
    ("name", Name),
    (
        "user",
        Fields(&[
            ("client-certificate", Text),
            ("client-certificate-data", Text),
            ("client-key", Text),
            ("client-key-data", Text),
            ("token", Text),
            ("tokenFile", Text),
            ("as", Text),
            ("as-uid", Text),
            ("as-groups", Texts),
            ("as-user-extra", MapOf(&Texts)),
            ("username", Text),
            ("password", Text),
            ("auth-provider", Fields(&[("name", Name), ("config", MapOf(&Name))])),
            ("exec", EXEC),
        ]),
    ),
]);

const EXEC: FieldKind = Fields(&[
    ("command", Text),
    ("args", Texts),
    ("env", List(&Fields(&[("name", Name), ("value", Name)]))),
    ("apiVersion", Text),
    ("installHint", Text),
    ("provideClusterInfo", Flag),
    ("interactiveMode", OneOf(&["Never", "IfAvailable", "Always"])),
]);

/// What does not fit. It never says what is there, which may be a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OddField {
    /// Where: keys with periods in between, and places in lists; empty for the whole.
    pub(crate) path: String,
    /// What is there.
    pub(crate) found: &'static str,
    /// What belongs there.
    pub(crate) wanted: String,
    /// Whether it would fit in quotes.
    pub(crate) lacks_quotes: bool,
}

/// `value` as `kind` says; `None` where it counts as absent.
///
/// # Errors
/// The first thing that is something else.
pub(crate) fn fitted(value: Value, kind: FieldKind) -> Result<Option<Value>, OddField> {
    match (kind, value) {
        (Anything, value) => Ok(Some(value)),
        (Name, Value::Null) => Ok(Some(Value::String(String::new()))),
        (_, Value::Null) => Ok(None),
        (Text | Name, value @ Value::String(_)) | (Flag, value @ Value::Bool(_)) => Ok(Some(value)),
        (OneOf(_), Value::String(text)) if text.is_empty() => Ok(None),
        (OneOf(words), Value::String(text)) if words.contains(&text.as_str()) => Ok(Some(Value::String(text))),
        (Texts, Value::Array(items)) => fitted_items(items, Name).map(Some),
        (List(of), Value::Array(items)) => fitted_items(items, *of).map(Some),
        (MapOf(of), Value::Object(map)) => {
            let fields = map.into_iter().map(|(key, value)| fitted_field(key, value, *of));
            fields.filter_map(Result::transpose).collect::<Result<_, _>>().map(Value::Object).map(Some)
        }
        (Fields(fields), Value::Object(mut map)) => {
            let known = fields
                .iter()
                .map(|&(key, kind)| fitted_field(key.to_owned(), map.remove(key).unwrap_or(Value::Null), kind));
            known.filter_map(Result::transpose).collect::<Result<_, _>>().map(Value::Object).map(Some)
        }
        (kind, value) => Err(OddField::new(&value, kind)),
    }
}

fn fitted_field(key: String, value: Value, kind: FieldKind) -> Result<Option<(String, Value)>, OddField> {
    match fitted(value, kind) {
        Ok(value) => Ok(value.map(|value| (key, value))),
        Err(odd) => Err(odd.below(&key)),
    }
}

fn fitted_items(items: Vec<Value>, of: FieldKind) -> Result<Value, OddField> {
    let empty = || Value::Object(Map::new());
    let fitted_item = |(place, item): (usize, Value)| match fitted(item, of) {
        Ok(item) => Ok(item.unwrap_or_else(empty)),
        Err(odd) => Err(odd.below(&format!("[{place}]"))),
    };
    items.into_iter().enumerate().map(fitted_item).collect()
}

impl OddField {
    fn new(value: &Value, kind: FieldKind) -> Self {
        let found = match value {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::String(_) if matches!(kind, OneOf(_)) => "another word",
            Value::String(_) => "text",
            Value::Array(_) => "a list",
            Value::Object(_) => "a map",
        };
        let wanted = match kind {
            Text | Name => "text".to_owned(),
            OneOf(words) => words.join(" or "),
            Flag => "true or false".to_owned(),
            Texts | List(_) => "a list".to_owned(),
            MapOf(_) | Fields(_) => "a map".to_owned(),
            Anything => "anything".to_owned(),
        };
        let lacks_quotes = matches!((kind, value), (Text | Name, Value::Bool(_) | Value::Number(_)));
        Self { path: String::new(), found, wanted, lacks_quotes }
    }

    fn below(self, key: &str) -> Self {
        let separator = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        Self { path: format!("{key}{separator}{}", self.path), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_fits() {
        let check = |kind: FieldKind, value: Value, expect: Value| {
            assert_eq!(fitted(value.clone(), kind), Ok(Some(expect)), "{value}");
        };
        check(CONTEXT, json!({}), json!({"name": ""}));
        check(CONTEXT, json!({"name": null, "context": null}), json!({"name": ""}));
        check(CONTEXT, json!({"context": {"user": null}}), json!({"name": "", "context": {"cluster": ""}}));
        check(CONTEXT, json!({"name": "a", "other": [1]}), json!({"name": "a"}));
        let config = json!({"apiVersion": "", "kind": "", "current-context": "", "clusters": [1, null]});
        check(CONFIG, json!({"clusters": [1, null], "extensions": 5}), config);
        let user = |user: Value, expect: Value| {
            check(USER, json!({"name": "u", "user": user}), json!({"name": "u", "user": expect}));
        };
        user(json!({"auth-provider": {"config": null}}), json!({"auth-provider": {"name": ""}}));
        user(
            json!({"auth-provider": {"name": "oidc", "config": {"a": null}}}),
            json!({"auth-provider": {"name": "oidc", "config": {"a": ""}}}),
        );
        user(json!({"exec": {"args": ["a", null], "env": null}}), json!({"exec": {"args": ["a", ""]}}));
        user(
            json!({"exec": {"env": [null, {"name": "a", "value": null, "b": 1}]}}),
            json!({"exec": {"env": [{}, {"name": "a", "value": ""}]}}),
        );
        user(json!({"exec": {"interactiveMode": ""}}), json!({"exec": {}}));
        user(
            json!({"as-groups": [null], "as-user-extra": {"a": null}}),
            json!({"as-groups": [""], "as-user-extra": {}}),
        );
        let extension = json!({"name": "c", "cluster": {"extensions": [{"name": "e", "extension": {"a": null}}]}});
        check(CLUSTER, extension.clone(), extension);
    }

    #[test]
    fn what_is_odd() {
        let check = |kind: FieldKind, value: Value, path: &str, found: &str, wanted: &str, lacks_quotes: bool| {
            let odd = fitted(value.clone(), kind).unwrap_err();
            let shown = (odd.path.as_str(), odd.found, odd.wanted.as_str(), odd.lacks_quotes);
            assert_eq!(shown, (path, found, wanted, lacks_quotes), "{value}");
        };
        check(CONFIG, json!([]), "", "a list", "a map", false);
        check(CONFIG, json!({"clusters": "a"}), "clusters", "text", "a list", false);
        check(CONFIG, json!({"current-context": 5}), "current-context", "a number", "text", true);
        check(USER, json!({"user": "a"}), "user", "text", "a map", false);
        check(USER, json!({"user": {"token": true}}), "user.token", "true or false", "text", true);
        check(USER, json!({"user": {"exec": {"args": ["a", 5]}}}), "user.exec.args[1]", "a number", "text", true);
        check(
            USER,
            json!({"user": {"exec": {"env": [{"name": []}]}}}),
            "user.exec.env[0].name",
            "a list",
            "text",
            false,
        );
        check(
            CLUSTER,
            json!({"cluster": {"disable-compression": "true"}}),
            "cluster.disable-compression",
            "text",
            "true or false",
            false,
        );
        let sometimes = json!({"user": {"exec": {"interactiveMode": "Sometimes"}}});
        check(USER, sometimes, "user.exec.interactiveMode", "another word", "Never or IfAvailable or Always", false);
    }
}
