//! What there is of a name outside the namespace in which it was looked for.

use std::collections::BTreeMap;

use futures_util::TryStreamExt;

use super::history::History;
use super::query::ServiceSearch;
use super::scan::{ServiceScan, scan_services};
use super::unlisted;
use crate::cluster::{ApiError, Cluster, Scope};
use crate::error::Error;
use crate::service::Service;
use crate::service::choose_port::openable;
use crate::suggest::near_names;

/// Parts of names that are kept to be proposed.
const MAX_PARTS: usize = 3;

/// What was found of a name elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServicesElsewhere {
    /// The namespace in which it was looked for.
    pub own: String,
    /// Whether the user may not know what there is.
    pub is_own_closed: bool,
    /// Services with exactly this name, by namespace.
    pub exact: Vec<Service>,
    /// The first Services with it in their names, as `NAME.NAMESPACE`.
    pub parts: Vec<String>,
    /// Names that are spelled nearly so, and a namespace of each.
    pub(super) near: BTreeMap<String, String>,
    /// Where was looked, where the user may not look everywhere; the own namespace first.
    pub only_in: Option<Vec<Scope>>,
}

impl ServicesElsewhere {
    /// Nothing so far, besides `own`.
    pub(super) fn than(own: &str, is_own_closed: bool) -> Self {
        Self { own: own.to_owned(), is_own_closed, ..Self::default() }
    }

    /// Looks for `name` in all namespaces by one list, or in those of the history where that may not be listed.
    ///
    /// # Errors
    /// When the API server cannot be asked.
    pub(super) async fn look(
        mut self,
        cluster: &Cluster,
        search: &ServiceSearch,
        history: &History,
        name: &str,
    ) -> Result<Self, Error> {
        let selector = search.selector.as_deref();
        let visited = history.namespaces().await;
        let scan = match scan_services(cluster, Scope::All, selector, &visited).await {
            Ok(scan) => scan,
            Err(ApiError::Forbidden { .. }) => {
                self.looked_in(Vec::new());
                return Ok(self);
            }
            Err(error) => return Err(unlisted(error, selector)),
        };
        let ServiceScan { scopes, narrowed, mut portions } = scan;
        while let Some(portion) = portions.try_next().await? {
            self.take_in(name, portion);
        }
        if narrowed.is_some() {
            self.looked_in(scopes);
        }
        Ok(self.openable_first())
    }

    fn looked_in(&mut self, mut scopes: Vec<Scope>) {
        let own = Scope::Namespace(self.own.clone());
        if !self.is_own_closed && !scopes.contains(&own) {
            scopes.insert(0, own);
        }
        self.only_in = Some(scopes);
    }

    fn take_in(&mut self, name: &str, portion: Vec<Service>) {
        for service in portion.into_iter().filter(|service| service.namespace != self.own) {
            if service.name == name {
                self.exact.push(service);
                continue;
            }
            if service.name.contains(name) && self.parts.len() < MAX_PARTS {
                self.parts.push(format!("{}.{}", service.name, service.namespace));
            }
            self.near.entry(service.name).or_insert(service.namespace);
        }
        let nearest: Vec<String> = self.nearest(name).into_iter().map(str::to_owned).collect();
        self.near.retain(|near, _| nearest.contains(near));
    }

    fn nearest(&self, name: &str) -> Vec<&str> {
        near_names(self.near.keys().map(String::as_str), name)
    }

    /// Names that only stand for another one are passed over where there is that one.
    fn openable_first(mut self) -> Self {
        if self.exact.iter().any(|service| openable(service).is_ok()) {
            self.exact.retain(|service| openable(service).is_ok());
        }
        self
    }

    /// What may have been meant by `name`, as `NAME.NAMESPACE`.
    pub(super) fn proposals(&self, name: &str) -> Vec<String> {
        let near: Vec<String> = self.nearest(name).iter().map(|near| format!("{near}.{}", self.near[*near])).collect();
        if near.is_empty() { self.parts.clone() } else { near }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::find::picker::row::tests::service;

    /// `names` are `NAMESPACE/NAME`, one portion.
    fn found(names: &str, name: &str) -> ServicesElsewhere {
        let mut found = ServicesElsewhere::than("default", false);
        found.take_in(name, names.split_whitespace().map(|name| (*service(name, "80")).clone()).collect());
        found
    }

    #[test]
    fn exact_names_parts_and_near_ones() {
        let check = |names: &str, name: &str, exact: &str, parts: &str, proposals: &str| {
            let found = found(names, name);
            let namespaces: Vec<&str> = found.exact.iter().map(|service| service.namespace.as_str()).collect();
            let all = [namespaces.join(" "), found.parts.join(" "), found.proposals(name).join(" ")];
            assert_eq!(all, [exact, parts, proposals], "{name} in {names}");
        };
        check("default/grafana a/db", "grafana", "", "", "");
        check("a/grafana b/grafana b/db", "grafana", "a b", "", "");
        check(
            "a/grafana b/grafana-operator",
            "graf",
            "",
            "grafana.a grafana-operator.b",
            "grafana.a grafana-operator.b",
        );
        check("a/my-web a/db", "web", "", "my-web.a", "my-web.a");
        check("a/x-web b/x-web c/x-web d/x-web", "web", "", "x-web.a x-web.b x-web.c", "x-web.a x-web.b x-web.c");
        check("b/grafana a/db", "grafna", "", "", "grafana.b");
    }

    #[test]
    fn the_nearest_of_all_portions_stay() {
        let mut found = found("a/grafan b/db", "grafna");
        found.take_in("grafna", vec![(*service("c/grafana", "80")).clone()]);
        assert_eq!(found.proposals("grafna"), ["grafan.a", "grafana.c"]);
        assert_eq!(found.near.len(), 2);
    }

    #[test]
    fn a_name_for_another_one_is_passed_over() {
        let mut found = found("a/grafana b/grafana", "grafana");
        found.exact[0].ports.clear();
        assert_eq!(found.clone().openable_first().exact.len(), 1);
        found.exact[1].ports.clear();
        assert_eq!(found.openable_first().exact.len(), 2, "the reason is told when one is chosen");
    }

    #[test]
    fn where_was_looked() {
        let scope = |name: &str| Scope::Namespace(name.to_owned());
        let check = |is_own_closed: bool, scopes: Vec<Scope>, expect: &[Scope]| {
            let mut found = ServicesElsewhere::than("default", is_own_closed);
            found.looked_in(scopes);
            assert_eq!(found.only_in.as_deref(), Some(expect));
        };
        check(false, vec![], &[scope("default")]);
        check(false, vec![scope("a")], &[scope("default"), scope("a")]);
        check(false, vec![scope("default"), scope("a")], &[scope("default"), scope("a")]);
        check(true, vec![scope("a")], &[scope("a")]);
    }
}
