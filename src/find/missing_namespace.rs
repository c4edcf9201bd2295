//! Whether the namespace that was looked in is one at all, as far as the user may know.

use crate::cluster::Cluster;
use crate::error::Error;
use crate::suggest::near_names;

/// What to say instead, if there surely is no such `namespace`. `known` are namespaces where the user has been.
pub async fn missing_namespace(cluster: &Cluster, namespace: &str, known: &[String]) -> Option<Error> {
    let is_there = cluster.has_namespace(namespace).await;
    if matches!(is_there, Ok(true)) {
        return None;
    }
    let all = cluster.namespaces().await;
    let is_missing = match (&is_there, &all) {
        (Ok(false), _) => true,
        (_, Ok(all)) => !all.iter().any(|name| name == namespace),
        _ => false,
    };
    is_missing.then(|| no_such_namespace(namespace, all.as_deref().ok(), known))
}

/// `all` are the namespaces that there are, if the user may list them. Pure.
fn no_such_namespace(namespace: &str, all: Option<&[String]>, known: &[String]) -> Error {
    let error = Error::failed(format!("there is no namespace \"{namespace}\""));
    let near = near_names(all.unwrap_or(known).iter().map(String::as_str).filter(|name| *name != namespace), namespace);
    match (&near[..], all) {
        ([], Some(_)) => error.hint("kubectl get namespaces shows what there is"),
        ([], None) => error,
        (near, _) => error.hint(format!("did you mean {}?", near.join(", "))),
    }
}

/// What to say where the user has no way into `namespace`: that it is none, or `error`. `is_place_typed` is whether the
/// user said where to look.
pub async fn closed_namespace(
    cluster: &Cluster,
    namespace: &str,
    is_place_typed: bool,
    known: &[String],
    error: Error,
) -> Error {
    if let Some(missing) = missing_namespace(cluster, namespace, known).await {
        return missing;
    }
    match error.hint_text() {
        Some(hint) if !is_place_typed => {
            let hint = format!("if it is in another namespace, name that with -n; or {hint}");
            error.hint(hint)
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_as_far_as_they_are_known() {
        let names = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let check = |all: Option<&str>, known: &str, expect: Option<&str>| {
            let error = no_such_namespace("monitorng", all.map(names).as_deref(), &names(known));
            assert_eq!(error.message(), "there is no namespace \"monitorng\"");
            assert_eq!(error.hint_text(), expect, "{all:?} {known}");
        };
        check(Some("default monitoring"), "", Some("did you mean monitoring?"));
        check(Some("default"), "monitoring", Some("kubectl get namespaces shows what there is"));
        check(None, "monitorng monitoring shop", Some("did you mean monitoring?"));
        check(None, "shop", None);
    }
}
