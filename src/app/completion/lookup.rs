//! What the cluster, the kubeconfig and the history know. Everything that fails is simply not offered.

use std::path::PathBuf;
use std::time::Duration;

use clap_complete::engine::CompletionCandidate;
use futures_util::{Stream, StreamExt, pin_mut};
use tokio::runtime::Builder;
use tokio::time::{Instant, timeout_at};

use super::candidates::{TypedService, names, port_candidates};
use crate::app::args::CommandLine;
use crate::cluster::{ApiError, Cluster, KubeconfigNames, ProcessEnvironment, Scope};
use crate::find::history::History;
use crate::find::scan::scan_services;
use crate::service::{Service, ServiceSpelling};

/// How long somebody who pressed Tab is kept waiting at most.
const COMPLETION_TIMEOUT: Duration = Duration::from_secs(2);
/// How long of that for what lies in other namespaces, once that of the own one is there.
const ELSEWHERE_WAIT: Duration = Duration::from_millis(500);

/// Where candidates come from, with what was typed before the word in question.
pub(super) struct CandidateLookup {
    deadline: Instant,
    typed: CommandLine,
    environment: ProcessEnvironment,
    /// The folder where it is.
    history: Option<PathBuf>,
}

impl CandidateLookup {
    pub(super) fn new(typed: CommandLine, environment: ProcessEnvironment, history: Option<PathBuf>) -> Self {
        Self { deadline: Instant::now() + COMPLETION_TIMEOUT, typed, environment, history }
    }

    /// SERVICE: names, or ports after a colon.
    pub(super) fn services(&self, typed: &str) -> Vec<CompletionCandidate> {
        let Some(word) = TypedService::read(typed) else { return Vec::new() };
        let mut found = self.ask(async |cluster| {
            if word.port.is_some() {
                let namespace = word.whole_namespace().unwrap_or_else(|| cluster.namespace());
                return cluster.service(namespace, word.name).await.ok()?.map(|service| word.ports(&service));
            }
            let everywhere = self.typed.choosing.all_namespaces;
            let services = self.list(cluster, everywhere || word.namespace.is_some()).await;
            let mut found = word.services(&services, everywhere);
            let is_place_typed = everywhere || word.namespace.is_some() || self.has_namespace_flag();
            // Who has typed nothing yet is not shown the whole cluster, unless there is nothing else to show.
            if !is_place_typed && (found.is_empty() || !word.name.is_empty()) {
                let all = self.list_elsewhere(cluster).await;
                found.extend(word.services_elsewhere(cluster.namespace(), &services, all));
            }
            Some(found)
        });
        found.retain(|found| self.typed.services.iter().all(|typed| found.get_value() != typed.as_str()));
        found
    }

    /// `--svc-port`: of the first SERVICE that was typed.
    pub(super) fn ports(&self, typed: &str) -> Vec<CompletionCandidate> {
        let Some(spelling) = self.typed.services.first().and_then(|text| ServiceSpelling::parse(text).ok()) else {
            return Vec::new();
        };
        self.ask(async |cluster| {
            let namespace = spelling.namespace.as_deref().unwrap_or_else(|| cluster.namespace());
            let service = cluster.service(namespace, spelling.id.name()).await.ok()??;
            Some(port_candidates(&service, typed))
        })
    }

    /// `--namespace`: those of the cluster, or where they may not be listed those known otherwise.
    pub(super) fn namespaces(&self, typed: &str) -> Vec<CompletionCandidate> {
        self.ask(async |cluster| {
            if let Ok(all) = cluster.namespaces().await {
                return Some(names(&all, typed));
            }
            let mut known = History::new(self.history.clone(), cluster).namespaces().await;
            known.push(cluster.namespace().to_owned());
            Some(names(known, typed))
        })
    }

    /// `--context`, `--cluster`, `--user`: what `which` takes of the names in the kubeconfig.
    pub(super) fn names(&self, which: fn(KubeconfigNames) -> Vec<String>, typed: &str) -> Vec<CompletionCandidate> {
        let all = KubeconfigNames::read(&self.typed.kubectl, &self.environment).map(which).unwrap_or_default();
        names(&all, typed)
    }

    fn has_namespace_flag(&self) -> bool {
        self.typed.kubectl.namespace.as_ref().is_some_and(|namespace| !namespace.is_empty())
    }

    async fn list(&self, cluster: &Cluster, everywhere: bool) -> Vec<Service> {
        let scope = if everywhere { Scope::All } else { Scope::Namespace(cluster.namespace().to_owned()) };
        in_time(cluster.services(&scope, self.typed.choosing.selector.as_deref()), self.deadline).await
    }

    /// Of all namespaces, or where they may not be listed of those where something was opened.
    async fn list_elsewhere(&self, cluster: &Cluster) -> Vec<Service> {
        let deadline = self.deadline.min(Instant::now() + ELSEWHERE_WAIT);
        let visited = History::new(self.history.clone(), cluster).namespaces().await;
        let scan = scan_services(cluster, Scope::All, self.typed.choosing.selector.as_deref(), &visited);
        match timeout_at(deadline, scan).await {
            Ok(Ok(scan)) => in_time(scan.portions, deadline).await,
            _ => Vec::new(),
        }
    }

    /// What the cluster answers to `question` in time.
    fn ask<T: Default>(&self, question: impl AsyncFnOnce(&Cluster) -> Option<T>) -> T {
        let Ok(runtime) = Builder::new_current_thread().enable_all().build() else { return T::default() };
        let answer = async { question(&Cluster::load(&self.typed.kubectl, &self.environment).await.ok()?).await };
        let answer = runtime.block_on(async { timeout_at(self.deadline, answer).await.ok().flatten() });
        // Whatever still waits (a name server, a home folder) must not hold the end.
        runtime.shutdown_background();
        answer.unwrap_or_default()
    }
}

/// The pages that arrive in time; the shell could not show all of a very long list anyway.
async fn in_time(pages: impl Stream<Item = Result<Vec<Service>, ApiError>>, deadline: Instant) -> Vec<Service> {
    pin_mut!(pages);
    let mut services = Vec::new();
    while let Ok(Some(Ok(page))) = timeout_at(deadline, pages.next()).await {
        services.extend(page);
    }
    services
}
