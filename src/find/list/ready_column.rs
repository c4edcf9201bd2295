//! The READY column, which is worth a right and a request, but not a failure.

use crate::cluster::{ApiError, Cluster, ReadinessInOrder, Scope, ServiceReadiness};
use crate::find::scan::scopes_text;
use crate::service::Service;
use crate::terminal::output::Output;

/// Finds out how many endpoints are ready while Services arrive.
pub(super) struct ReadyColumn {
    scopes: Vec<ScopeReadiness>,
}

/// What is read of one scope, as long as it can be read.
type ScopeReadiness = (Scope, Option<ReadinessInOrder>);

impl ReadyColumn {
    /// For Services of `scope`.
    pub(super) fn of_scope(cluster: &Cluster, scope: &Scope) -> Self {
        Self { scopes: vec![readiness(cluster, scope)] }
    }

    /// The same for Services of `scopes`, in the order of a sweep.
    pub(super) fn narrowed_to(self, cluster: &Cluster, scopes: &[Scope]) -> Self {
        if self.scopes.iter().map(|(scope, _)| scope).eq(scopes) {
            return self;
        }
        Self { scopes: scopes.iter().map(|scope| readiness(cluster, scope)).collect() }
    }

    /// Adds to `services` what is known of each; `output` is told where nothing can be known, once.
    pub(super) async fn fill_in(
        &mut self,
        services: Vec<Service>,
        output: &Output,
    ) -> Vec<(Service, Option<ServiceReadiness>)> {
        let mut filled = Vec::with_capacity(services.len());
        for service in services {
            let readiness = self.of(&service, output).await;
            filled.push((service, readiness));
        }
        filled
    }

    async fn of(&mut self, service: &Service, output: &Output) -> Option<ServiceReadiness> {
        let several = self.scopes.len() > 1;
        let (scope, reading) = self.scopes.iter_mut().find(|(scope, _)| scope.covers(&service.namespace))?;
        match reading.as_mut()?.get(&service.namespace, &service.name).await {
            Ok(readiness) => readiness,
            Err(error) => {
                let place =
                    if several { format!(" in {}", scopes_text(std::slice::from_ref(scope))) } else { String::new() };
                output.print_hint(&format!("READY is not known{place}: {}", why(&error)));
                *reading = None;
                None
            }
        }
    }
}

fn readiness(cluster: &Cluster, scope: &Scope) -> ScopeReadiness {
    (scope.clone(), Some(cluster.readiness_in_order(scope)))
}

fn why(error: &ApiError) -> String {
    match error {
        ApiError::Forbidden { .. } => "you may not list endpointslices".to_owned(),
        error => error.to_string(),
    }
}
