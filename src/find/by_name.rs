//! From the name that was typed to a Target.

use futures_util::TryStreamExt;

use super::find_messages::{no_pods, no_such_service, refusal, unlisted};
use super::match_name::{NameMatch, match_name};
use super::query::{NamedService, ServiceSearch};
use crate::cluster::{ApiError, Cluster, Scope};
use crate::error::Error;
use crate::service::choose_port::{NotOpenable, PortChoice, TargetWish, choose};
use crate::service::{Service, ServiceId, ServicePort, Target, port_at_site};

/// Something to open, and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundTarget {
    /// What to open.
    pub target: Target,
    /// The Service and why that port and scheme; `None` where the user may not read it.
    pub read: Option<(Service, PortChoice)>,
}

/// What a name led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FindOutcome {
    /// One Target.
    Found(Box<FoundTarget>),
    /// Several Services are meant alike.
    SeveralServices(Vec<Service>),
    /// One Service, and nothing speaks for any one of its ports.
    SeveralPorts(Box<Service>, Vec<ServicePort>),
}

/// Finds what `named` means.
///
/// An exact name in one namespace needs one GET, and where that is forbidden nothing but `services/proxy`: then port
/// and scheme are what was typed. Only a name that is not exact needs a list.
///
/// # Errors
/// When there is no such Service, it cannot be opened, or the API server cannot be asked.
pub async fn find(cluster: &Cluster, search: &ServiceSearch, named: &NamedService) -> Result<FindOutcome, Error> {
    let scope = scope_of(cluster, search, named);
    if let Scope::Namespace(namespace) = &scope {
        match cluster.service(namespace, named.spelling.id.name()).await {
            Ok(Some(service)) => return open(cluster, service, named).await,
            Ok(None) => {}
            Err(ApiError::Forbidden { .. }) => {
                let target = Target::unread(namespace, typed_id(named)?, named.wish.path.clone());
                return Ok(FindOutcome::Found(Box::new(FoundTarget { target, read: None })));
            }
            Err(error) => return Err(error.into()),
        }
    }
    by_part_of_name(cluster, search, &scope, named).await
}

/// Where `named` is looked for.
pub(super) fn scope_of(cluster: &Cluster, search: &ServiceSearch, named: &NamedService) -> Scope {
    match &named.spelling.namespace {
        Some(namespace) => Scope::Namespace(namespace.clone()),
        None if search.all_namespaces => Scope::All,
        None => Scope::Namespace(cluster.namespace().to_owned()),
    }
}

async fn by_part_of_name(
    cluster: &Cluster,
    search: &ServiceSearch,
    scope: &Scope,
    named: &NamedService,
) -> Result<FindOutcome, Error> {
    let services = match cluster.services(scope, search.selector.as_deref()).try_concat().await {
        Ok(services) => services,
        Err(ApiError::Forbidden { .. }) if *scope != Scope::All => Vec::new(),
        Err(error) => return Err(unlisted(error, search.selector.as_deref())),
    };
    match match_name(&services, named.spelling.id.name()) {
        NameMatch::One(service) => open(cluster, service.clone(), named).await,
        NameMatch::Several(several) => Ok(FindOutcome::SeveralServices(several.into_iter().cloned().collect())),
        NameMatch::Nothing(near) => {
            let is_place_typed = search.namespace.is_some() || named.spelling.namespace.is_some();
            Err(no_such_service(named, scope, is_place_typed, &near))
        }
    }
}

/// Chooses port and scheme of `service` for `named`.
async fn open(cluster: &Cluster, service: Service, named: &NamedService) -> Result<FindOutcome, Error> {
    let spelled = (named.spelling.id.name() == service.name).then(|| typed_id(named)).transpose()?;
    let wish = wish_at_site(cluster.server(), &service, named);
    let outcome = match choose_port_of(&service, &wish, spelled.as_ref()) {
        Ok(found) => FindOutcome::Found(Box::new(found)),
        Err(NotOpenable::Ambiguous(ports)) => FindOutcome::SeveralPorts(Box::new(service.clone()), ports),
        Err(refused) => return Err(refusal(&service, &refused)),
    };
    if service.selector.is_empty() {
        has_pods(cluster, &service).await?;
    }
    Ok(outcome)
}

/// What was wished, and the port of the site whose URL was typed.
fn wish_at_site(server: &str, service: &Service, named: &NamedService) -> TargetWish {
    let wish = named.wish.clone();
    match named.spelling.site.as_ref().and_then(|label| port_at_site(server, service, label)) {
        Some((port, scheme)) if wish.port.is_none() && wish.scheme.is_none() => {
            TargetWish { port: Some(port), scheme: Some(scheme), ..wish }
        }
        _ => wish,
    }
}

/// Chooses port and scheme of `service`.
///
/// # Errors
/// When it cannot be opened, or several of its ports are equally likely.
pub fn choose_port_of(
    service: &Service,
    wish: &TargetWish,
    spelled: Option<&ServiceId>,
) -> Result<FoundTarget, NotOpenable> {
    let choice = choose(service, wish)?;
    let target = Target::new(service, &choice, spelled);
    Ok(FoundTarget { target, read: Some((service.clone(), choice)) })
}

/// The ID that spelling and flags make together.
fn typed_id(named: &NamedService) -> Result<ServiceId, Error> {
    ServiceId::from_parts(named.wish.scheme, named.spelling.id.name(), named.wish.port.clone())
        .map_err(|error| Error::usage(format!("SERVICE \"{}\" {error}", named.text)))
}

/// A Service without a selector works only if somebody wrote endpoints for it that are Pods
/// (kubernetes/kubernetes#57265). Where the endpoints cannot be seen, it may.
async fn has_pods(cluster: &Cluster, service: &Service) -> Result<(), Error> {
    let Ok(slices) = cluster.endpoints(&service.namespace, &service.name).await else { return Ok(()) };
    let has_pod = slices.iter().flat_map(|slice| &slice.endpoints).any(|endpoint| endpoint.pod.is_some());
    if has_pod { Ok(()) } else { Err(no_pods(service)) }
}
