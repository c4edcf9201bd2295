//! What the user wants, by name, by picking or from the history → Targets.

use tokio::sync::mpsc;

use super::by_name::scope_of;
use super::by_picking::{feed, target_of};
use super::history::{History, HistoryEntry};
use super::picker::frame::PickerPlace;
use super::picker::state::PickerState;
use super::picker::{ask_port, pick};
use super::query::{NamedService, ServiceQuery, WantedServices};
use super::scan::scopes_text;
use super::{FindOutcome, FoundTarget, choose_port_of, find, refusal, several_services};
use crate::cluster::{Cluster, Scope};
use crate::error::Error;
use crate::service::choose_port::{NotOpenable, TargetWish};
use crate::service::{PortRef, Service, ServicePort, ServiceSpelling};
use crate::terminal::output::Output;
use crate::terminal::signals::StopSignals;

/// Pages that may wait while the screen is being drawn.
const MAX_WAITING_ARRIVALS: usize = 4;

/// All that choosing needs.
#[derive(Debug, Clone, Copy)]
pub struct TargetResolver<'a> {
    /// Where the Services are.
    pub cluster: &'a Cluster,
    /// What was asked for.
    pub query: &'a ServiceQuery,
    /// Whether the user can be asked.
    pub can_prompt: bool,
    /// What was opened before.
    pub history: &'a History,
    /// Seconds since the Unix epoch.
    pub now: i64,
    /// For warnings, and whether there is colour.
    pub output: &'a Output,
}

impl TargetResolver<'_> {
    /// The Targets to open, at least one and none twice.
    ///
    /// # Errors
    /// When nothing fits, the user leaves or interrupts (exit code 130), or the API server cannot be asked.
    pub async fn targets(&self, signals: &mut StopSignals) -> Result<Vec<FoundTarget>, Error> {
        match &self.query.wanted {
            WantedServices::Named(names) => self.named(names, signals).await,
            WantedServices::Pick { typed, wish } => self.pick(typed, self.picking_scope(), wish, signals).await,
            WantedServices::Last(wish) => self.named(&[self.last(wish)?], signals).await,
        }
    }

    async fn named(&self, names: &[NamedService], signals: &mut StopSignals) -> Result<Vec<FoundTarget>, Error> {
        let mut all: Vec<FoundTarget> = Vec::new();
        for named in names {
            for found in self.one_name(named, signals).await? {
                if all.iter().all(|other| other.target != found.target) {
                    all.push(found);
                }
            }
        }
        Ok(all)
    }

    async fn one_name(&self, named: &NamedService, signals: &mut StopSignals) -> Result<Vec<FoundTarget>, Error> {
        let outcome = tokio::select! {
            outcome = find(self.cluster, &self.query.search, named) => outcome?,
            _ = signals.next() => return Err(Error::cancelled()),
        };
        match outcome {
            FindOutcome::Found(found) => Ok(vec![*found]),
            FindOutcome::SeveralServices(_) if self.can_prompt => {
                let scope = scope_of(self.cluster, &self.query.search, named);
                self.pick(named.spelling.id.name(), scope, &named.wish, signals).await
            }
            FindOutcome::SeveralServices(services) => Err(several_services(named, &services)),
            FindOutcome::SeveralPorts(service, ports) => Ok(vec![self.one_port(&service, ports, &named.wish).await?]),
        }
    }

    async fn one_port(
        &self,
        service: &Service,
        ports: Vec<ServicePort>,
        wish: &TargetWish,
    ) -> Result<FoundTarget, Error> {
        if !self.can_prompt {
            return Err(refusal(service, &NotOpenable::Ambiguous(ports)));
        }
        let port = ask_port(service, ports, self.output.colour()).await?;
        let port = port.name.map_or(PortRef::Number(port.number), PortRef::Name);
        let wish = TargetWish { port: Some(port), ..wish.clone() };
        choose_port_of(service, &wish, None).map_err(|refused| refusal(service, &refused))
    }

    /// Lets the user pick, with `typed` as the first filter text.
    async fn pick(
        &self,
        typed: &str,
        scope: Scope,
        wish: &TargetWish,
        signals: &mut StopSignals,
    ) -> Result<Vec<FoundTarget>, Error> {
        let recent = self.recalled();
        let visited: Vec<String> = recent.iter().map(|entry| entry.namespace.clone()).collect();
        let place = PickerPlace {
            context: self.cluster.context().map(str::to_owned),
            server: self.cluster.server().to_owned(),
            scope: scopes_text(std::slice::from_ref(&scope)),
        };
        let picker = PickerState::new(typed, recent, self.now);
        let (sender, arrivals) = mpsc::channel(MAX_WAITING_ARRIVALS);
        let selector = self.query.search.selector.clone();
        let feeder = tokio::spawn(feed(self.cluster.clone(), scope, selector, visited, sender));
        let picked = pick(picker, place, self.output.colour(), arrivals, signals).await;
        feeder.abort();
        picked?.into_iter().map(|picked| target_of(picked, wish)).collect()
    }

    /// Everything, unless a namespace was typed: who picks may not know where it is.
    fn picking_scope(&self) -> Scope {
        let search = &self.query.search;
        if search.all_namespaces || search.namespace.is_none() {
            Scope::All
        } else {
            Scope::Namespace(self.cluster.namespace().to_owned())
        }
    }

    fn recalled(&self) -> Vec<HistoryEntry> {
        let recalled = self.history.recall();
        if let Some(warning) = recalled.warning {
            self.output.print_warning(&warning);
        }
        recalled.entries
    }

    fn last(&self, wish: &TargetWish) -> Result<NamedService, Error> {
        let Some(entry) = self.recalled().into_iter().next() else {
            let context = self.cluster.context().map(|context| format!(" in context {context}")).unwrap_or_default();
            return Err(Error::failed(format!("nothing has been opened{context} yet"))
                .hint("choose a Service with kubectl svcproxy, or name one"));
        };
        Ok(query_from_history(entry, wish))
    }
}

/// The name that means `entry`; flags go before what was opened then.
fn query_from_history(entry: HistoryEntry, wish: &TargetWish) -> NamedService {
    let wish = TargetWish {
        port: wish.port.clone().or_else(|| entry.id.port().cloned()),
        scheme: wish.scheme.or(entry.id.scheme()),
        path: wish.path.clone().or(Some(entry.path)),
    };
    let text = format!("{}.{}", entry.id.name(), entry.namespace);
    let spelling = ServiceSpelling::new(entry.id, Some(entry.namespace), None);
    NamedService { text, spelling, wish }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::find::history::tests::entry;
    use crate::service::Scheme;

    #[test]
    fn the_last_one_is_opened_as_it_was_unless_flags_say_otherwise() {
        let entry = entry("monitoring", "https:grafana:web", "/d/x");
        let named = query_from_history(entry.clone(), &TargetWish::default());
        assert_eq!(named.text, "grafana.monitoring");
        assert_eq!(named.spelling.namespace.as_deref(), Some("monitoring"));
        let expect = TargetWish {
            port: Some(PortRef::Name("web".to_owned())),
            scheme: Some(Scheme::Https),
            path: Some("/d/x".to_owned()),
        };
        assert_eq!(named.wish, expect);
        let flags =
            TargetWish { port: Some(PortRef::Number(80)), scheme: Some(Scheme::Http), path: Some("/".to_owned()) };
        assert_eq!(query_from_history(entry, &flags).wish, flags);
    }
}
