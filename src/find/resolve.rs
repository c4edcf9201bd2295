//! What the user wants, by name, by picking or from the history → Targets.

use super::by_picking::{PickerSource, target_of};
use super::elsewhere::ServicesElsewhere;
use super::guess::guess;
use super::history::{History, HistoryEntry};
use super::picker::frame::PickerPlace;
use super::picker::state::{PickerLook, PickerState};
use super::picker::{PickedRow, ask_port, ask_port_by_number, pick, pick_by_number};
use super::query::{NamedService, ServiceQuery, WantedServices};
use super::scan::scopes_text;
use super::{FindOutcome, FoundTarget, ServiceFinder, choose_port_of, only_elsewhere, refusal, several_services};
use crate::cluster::{Cluster, EndpointsAhead, Scope};
use crate::error::Error;
use crate::service::choose_port::{NotOpenable, TargetWish};
use crate::service::{PortRef, Service, ServicePort, ServiceSpelling, Target};
use crate::terminal::output::Output;
use crate::terminal::signals::StopSignals;
use crate::terminal::terminal_facts::PromptWay;

/// All that choosing needs.
#[derive(Debug, Clone, Copy)]
pub struct TargetResolver<'a> {
    /// Where the Services are.
    pub cluster: &'a Cluster,
    /// What was asked for.
    pub query: &'a ServiceQuery,
    /// How the user can be asked.
    pub prompting: PromptWay,
    /// What was opened before.
    pub history: &'a History,
    /// Seconds since the Unix epoch.
    pub now: i64,
    /// Asked for endpoints beside Services; `None` where nobody will want them.
    pub endpoints: Option<&'a EndpointsAhead>,
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
            WantedServices::Last(wish) => self.named(&[self.last(wish).await?], signals).await,
        }
    }

    /// What will most likely be found, where one name was given or the last one is meant. Asks nobody.
    pub async fn guess(&self) -> Option<Target> {
        let (history, named) = match &self.query.wanted {
            WantedServices::Named(names) if names.len() == 1 => (self.history.glance().await, names[0].clone()),
            WantedServices::Last(wish) => {
                let history = self.history.glance().await;
                let latest = history.first()?.clone();
                (history, query_from_history(latest, wish))
            }
            _ => return None,
        };
        match self.finder().scope_of(&named) {
            Scope::Namespace(namespace) => guess(&named, &namespace, &history),
            Scope::All => None,
        }
    }

    fn finder(&self) -> ServiceFinder<'_> {
        let Self { cluster, history, endpoints, .. } = *self;
        ServiceFinder { cluster, search: &self.query.search, history, endpoints }
    }

    async fn named(&self, names: &[NamedService], signals: &mut StopSignals) -> Result<Vec<FoundTarget>, Error> {
        let mut all: Vec<(FoundTarget, Vec<&str>)> = Vec::new();
        for named in names {
            for found in self.one_name(named, signals).await? {
                match all.iter_mut().find(|(other, _)| other.target.opens_the_same_as(&found.target)) {
                    Some((_, texts)) => texts.push(&named.text),
                    None => all.push((found, vec![&named.text])),
                }
            }
        }
        let said = all.iter().filter_map(|(found, texts)| named_again(&found.target, texts));
        said.for_each(|line| self.output.print_notice(&line));
        Ok(all.into_iter().map(|(found, _)| found).collect())
    }

    async fn one_name(&self, named: &NamedService, signals: &mut StopSignals) -> Result<Vec<FoundTarget>, Error> {
        let finder = self.finder();
        let mut outcome = heeding(signals, finder.find(named)).await?;
        if let FindOutcome::Elsewhere(found) = &outcome
            && let [only] = &found.exact[..]
            && self.prompting.is_possible()
        {
            self.output.print_notice(&opening_elsewhere(found, only));
            outcome = heeding(signals, finder.open(only.clone(), named)).await?;
        }
        match outcome {
            FindOutcome::Found(found) => Ok(vec![*found]),
            FindOutcome::SeveralServices(_) if self.prompting.is_possible() => {
                self.pick(named.spelling.id.name(), finder.scope_of(named), &named.wish, signals).await
            }
            FindOutcome::SeveralServices(services) => Err(several_services(named, &services)),
            FindOutcome::Elsewhere(_) if self.prompting.is_possible() => {
                self.pick(named.spelling.id.name(), Scope::All, &named.wish, signals).await
            }
            FindOutcome::Elsewhere(found) => Err(only_elsewhere(named, &found)),
            FindOutcome::SeveralPorts(service, ports) => {
                Ok(vec![self.one_port(&service, ports, &named.wish, signals).await?])
            }
        }
    }

    async fn one_port(
        &self,
        service: &Service,
        ports: Vec<ServicePort>,
        wish: &TargetWish,
        signals: &mut StopSignals,
    ) -> Result<FoundTarget, Error> {
        let port = match self.prompting {
            PromptWay::Never => return Err(refusal(service, &NotOpenable::Ambiguous(ports))),
            PromptWay::Lines => ask_port_by_number(service, ports, self.output, signals).await?,
            PromptWay::Screen => ask_port(service, ports, self.output.colour()).await?,
        };
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
        let recent = self.recalled().await;
        let visited: Vec<String> = recent.iter().map(|entry| entry.namespace.clone()).collect();
        let place = PickerPlace {
            context: self.cluster.context().map(str::to_owned),
            server: self.cluster.server().to_owned(),
            scope: scopes_text(std::slice::from_ref(&scope)),
        };
        let picker = PickerState::new(typed, recent, self.now).at_home_in(self.cluster.namespace());
        let selector = self.query.search.selector.clone();
        let mut source = PickerSource { cluster: self.cluster.clone(), scope, selector, visited };
        let feed = source.feed();
        let picked = match self.prompting {
            PromptWay::Lines => pick_by_number(picker, place, feed, self.output, signals).await?,
            PromptWay::Screen | PromptWay::Never => {
                let look = |look| {
                    if look == PickerLook::Everywhere {
                        source.scope = Scope::All;
                    }
                    source.feed()
                };
                pick(picker, place, self.output.colour(), feed, look, signals).await?
            }
        };
        self.of_rows(picked, wish, signals).await
    }

    async fn of_rows(
        &self,
        picked: Vec<PickedRow>,
        wish: &TargetWish,
        signals: &mut StopSignals,
    ) -> Result<Vec<FoundTarget>, Error> {
        let mut found = Vec::new();
        for row in picked {
            found.push(match row {
                PickedRow::Port(port) => target_of(port, wish)?,
                PickedRow::Remembered(entry) => self.remembered(&query_from_history(entry, wish), signals).await?,
            });
        }
        Ok(found)
    }

    /// What was opened before and cannot be listed.
    async fn remembered(&self, named: &NamedService, signals: &mut StopSignals) -> Result<FoundTarget, Error> {
        match heeding(signals, self.finder().find(named)).await? {
            FindOutcome::Found(found) => Ok(*found),
            FindOutcome::SeveralPorts(service, ports) => self.one_port(&service, ports, &named.wish, signals).await,
            FindOutcome::SeveralServices(services) => Err(several_services(named, &services)),
            FindOutcome::Elsewhere(found) => Err(only_elsewhere(named, &found)),
        }
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

    async fn recalled(&self) -> Vec<HistoryEntry> {
        let recalled = self.history.recall().await;
        if let Some(warning) = recalled.warning {
            self.output.print_warning(&warning);
        }
        recalled.entries
    }

    async fn last(&self, wish: &TargetWish) -> Result<NamedService, Error> {
        let Some(entry) = self.recalled().await.into_iter().next() else {
            let context = self.cluster.context().map(|context| format!(" in context {context}")).unwrap_or_default();
            return Err(Error::failed(format!("nothing has been opened{context} yet"))
                .hint("choose a Service with kubectl svcproxy, or name one"));
        };
        Ok(query_from_history(entry, wish))
    }
}

/// What `question` leads to, unless the user does not want to wait.
async fn heeding<T>(signals: &mut StopSignals, question: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::select! {
        answer = question => answer,
        _ = signals.next() => Err(Error::cancelled()),
    }
}

/// Where `service` is, and why there.
fn opening_elsewhere(found: &ServicesElsewhere, service: &Service) -> String {
    let (name, own, namespace) = (&service.name, &found.own, &service.namespace);
    if found.is_own_closed {
        format!("you may not open {name} in {own}: opening it in {namespace}")
    } else {
        format!("{name} is not in {own}: opening it in {namespace}")
    }
}

/// What to say where one Target has several names, or one name twice.
fn named_again(target: &Target, texts: &[&str]) -> Option<String> {
    let (service, namespace) = (target.service(), &target.namespace);
    let port = target.port_text().map(|port| format!(":{port}")).unwrap_or_default();
    let texts = match texts {
        [_] => return None,
        texts => texts.join(", "),
    };
    Some(format!("{texts}: that is {namespace}/{service}{port} each time, and it is opened once"))
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
    use crate::find::picker::row::tests::service;
    use crate::service::Scheme;

    #[test]
    fn where_it_is_instead() {
        let service = (*service("monitoring/grafana", "80")).clone();
        let found = |is_closed| ServicesElsewhere::than("default", is_closed);
        let line = opening_elsewhere(&found(false), &service);
        assert_eq!(line, "grafana is not in default: opening it in monitoring");
        let line = opening_elsewhere(&found(true), &service);
        assert_eq!(line, "you may not open grafana in default: opening it in monitoring");
    }

    #[test]
    fn one_target_by_several_names() {
        let target = Target::unread("default", "nginx:http".parse().unwrap(), None);
        assert_eq!(named_again(&target, &["nginx:http"]), None);
        let said = "nginx:http, default/nginx:http: that is default/nginx:http each time, and it is opened once";
        assert_eq!(named_again(&target, &["nginx:http", "default/nginx:http"]).as_deref(), Some(said));
    }

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
