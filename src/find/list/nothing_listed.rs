//! What is said where no Service is left to list. Pure.

use crate::cluster::Scope;
use crate::find::scan::scopes_text;
use crate::service::Service;
use crate::suggest::near_names;

/// What was asked for, and the names most like it so far.
#[derive(Debug)]
pub(super) struct EmptyList<'a> {
    filter: Option<&'a str>,
    selector: Option<&'a str>,
    is_place_typed: bool,
    near: Vec<String>,
}

impl<'a> EmptyList<'a> {
    /// `filter` is a part of names, `selector` one of labels; `is_place_typed` is whether the user said where to look.
    pub(super) fn new(filter: Option<&'a str>, selector: Option<&'a str>, is_place_typed: bool) -> Self {
        Self { filter, selector, is_place_typed, near: Vec::new() }
    }

    /// Whether `service` is to be listed.
    pub(super) fn is_wanted(&self, service: &Service) -> bool {
        self.filter.is_none_or(|part| service.name.contains(part))
    }

    /// Takes note of names like the one that was typed: of the few nearest, however long the list is.
    pub(super) fn look_at(&mut self, page: &[Service]) {
        let Some(filter) = self.filter else { return };
        let known = self.near.iter().map(String::as_str);
        let names = known.chain(page.iter().map(|service| service.name.as_str()));
        self.near = near_names(names, filter).into_iter().map(str::to_owned).collect();
    }

    /// What was not found, where, and what may help.
    pub(super) fn sentence(&self, scopes: &[Scope]) -> String {
        let place = scopes_text(scopes);
        let labels = self.selector.map(|selector| format!(" with labels {selector}")).unwrap_or_default();
        let what = match (self.filter, scopes) {
            (Some(filter), [Scope::All]) => format!("No Service{labels} of any namespace has \"{filter}\" in its name"),
            (Some(filter), _) => format!("No Service{labels} in {place} has \"{filter}\" in its name"),
            (None, _) => format!("No Services{labels} found in {place}"),
        };
        what + &self.way_out(scopes)
    }

    fn way_out(&self, scopes: &[Scope]) -> String {
        match (&self.near[..], scopes) {
            ([], [Scope::Namespace(_)]) if !self.is_place_typed => "; -A lists all namespaces.".to_owned(),
            ([], _) => ".".to_owned(),
            (near, _) => format!("; did you mean {}?", near.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::find::picker::row::tests::service;

    fn sentence(names: &[&str], nothing: EmptyList<'_>, scopes: &[Scope]) -> String {
        let mut nothing = nothing;
        for name in names {
            nothing.look_at(&[(*service(&format!("a/{name}"), "80")).clone()]);
        }
        nothing.sentence(scopes)
    }

    #[test]
    fn names_what_was_asked_for_and_where() {
        let here = [Scope::Namespace("default".to_owned())];
        let none = EmptyList::new;
        let check = |names: &[&str], nothing, scopes: &[Scope], expect: &str| {
            assert_eq!(sentence(names, nothing, scopes), expect);
        };
        let plain = "No Services found in namespace default";
        check(&[], none(None, None, false), &here, &format!("{plain}; -A lists all namespaces."));
        check(&[], none(None, None, true), &here, &format!("{plain}."));
        check(&[], none(None, None, false), &[Scope::All], "No Services found in all namespaces.");
        check(&[], none(None, Some("a=b"), true), &here, "No Services with labels a=b found in namespace default.");
        let named = "No Service in namespace default has \"grafna\" in its name";
        check(&["db"], none(Some("grafna"), None, true), &here, &format!("{named}."));
        let near = format!("{named}; did you mean grafana, graphana?");
        check(&["graphana", "db", "grafana"], none(Some("grafna"), None, false), &here, &near);
    }
}
