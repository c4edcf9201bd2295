//! All Services of a scope, or as many as the user may see of it.

use futures_util::stream::{self, BoxStream, StreamExt};

use crate::cluster::{ApiError, Cluster, Scope};
use crate::service::Service;

/// Services as the API server hands them out.
pub type ServicePortions = BoxStream<'static, Result<Vec<Service>, ApiError>>;

/// Services that arrive portion by portion.
pub struct ServiceScan {
    /// Where they come from.
    pub scopes: Vec<Scope>,
    /// Why that is less than was asked for: one sentence.
    pub narrowed: Option<String>,
    /// The portions.
    pub portions: ServicePortions,
}

/// Begins to list the Services of `scope` that `selector` selects. Where all namespaces may not be listed, the
/// context's namespace and `others` (where the user has been before) are instead, those of them that may be.
///
/// # Errors
/// When the API server cannot be asked, or refuses everywhere: then what it said of the scope that was asked for.
pub async fn scan_services(
    cluster: &Cluster,
    scope: Scope,
    selector: Option<&str>,
    others: &[String],
) -> Result<ServiceScan, ApiError> {
    let refusal = match begin(cluster, &scope, selector).await {
        Ok(portions) => return Ok(ServiceScan { scopes: vec![scope], narrowed: None, portions }),
        Err(refusal @ ApiError::Forbidden { .. }) if scope == Scope::All => refusal,
        Err(error) => return Err(error),
    };
    let mut allowed = Vec::new();
    let mut portions = stream::empty().boxed();
    for namespace in fallbacks(cluster.namespace(), others) {
        match begin(cluster, &Scope::Namespace(namespace.to_owned()), selector).await {
            Ok(more) => {
                allowed.push(namespace);
                portions = portions.chain(more).boxed();
            }
            Err(ApiError::Forbidden { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    if allowed.is_empty() {
        return Err(refusal);
    }
    let scopes = allowed.iter().map(|namespace| Scope::Namespace((*namespace).to_owned())).collect();
    let place = place(&allowed);
    let why = format!("you may not list Services in all namespaces; these are from {place} (-n NAMESPACE for another)");
    Ok(ServiceScan { scopes, narrowed: Some(why), portions })
}

/// The first portion tells whether the user may have the others.
async fn begin(cluster: &Cluster, scope: &Scope, selector: Option<&str>) -> Result<ServicePortions, ApiError> {
    let mut portions = cluster.services(scope, selector).boxed();
    match portions.next().await {
        Some(first) => Ok(stream::iter([Ok(first?)]).chain(portions).boxed()),
        None => Ok(portions),
    }
}

/// Each namespace once, the context's first.
fn fallbacks<'a>(own: &'a str, others: &'a [String]) -> Vec<&'a str> {
    let mut namespaces = vec![own];
    for other in others {
        if !namespaces.contains(&other.as_str()) {
            namespaces.push(other);
        }
    }
    namespaces
}

/// Pure.
fn place(namespaces: &[&str]) -> String {
    match namespaces {
        [one] => format!("namespace {one}"),
        several => format!("namespaces {}", several.join(", ")),
    }
}

/// Scopes as people read them: `all namespaces`, `namespace default`, `namespaces a, b`. Pure.
pub fn scopes_text(scopes: &[Scope]) -> String {
    let namespaces: Option<Vec<&str>> = scopes.iter().map(Scope::namespace).collect();
    namespaces.map_or_else(|| super::picker::frame::ALL_NAMESPACES.to_owned(), |namespaces| place(&namespaces))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contexts_namespace_goes_first_and_none_twice() {
        let others = ["b", "a", "b", "own"].map(str::to_owned);
        assert_eq!(fallbacks("own", &others), ["own", "b", "a"]);
    }

    #[test]
    fn scopes_for_people() {
        let one = |name: &str| Scope::Namespace(name.to_owned());
        assert_eq!(scopes_text(&[Scope::All]), "all namespaces");
        assert_eq!(scopes_text(&[one("a")]), "namespace a");
        assert_eq!(scopes_text(&[one("a"), one("b")]), "namespaces a, b");
    }
}
