//! From the name that was typed to a Target.

use futures_util::TryStreamExt;

use super::elsewhere::ServicesElsewhere;
use super::find_messages::{meant_otherwise, no_pods, no_such_service, refusal, unlisted};
use super::history::History;
use super::match_name::{NameMatch, match_name};
use super::missing_namespace::missing_namespace;
use super::query::{NamedService, ServiceSearch};
use crate::cluster::{AccessRule, ApiError, Cluster, EndpointsAhead, Scope};
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
    /// Nothing where it was looked for, and at least one Service of that name, or with that part in it, elsewhere.
    Elsewhere(Box<ServicesElsewhere>),
}

/// Where Services are looked for, and how far.
#[derive(Debug, Clone, Copy)]
pub struct ServiceFinder<'a> {
    /// Where they are.
    pub cluster: &'a Cluster,
    /// What was said of where to look.
    pub search: &'a ServiceSearch,
    /// Where something was opened before: it is looked there if not everywhere.
    pub history: &'a History,
    /// Asked for the endpoints of what is found by one GET, side by side with that; `None` where nobody will want them.
    pub endpoints: Option<&'a EndpointsAhead>,
}

impl ServiceFinder<'_> {
    /// Finds what `named` means.
    ///
    /// An exact name in one namespace needs one GET, and where that is forbidden nothing but `services/proxy`: then port
    /// and scheme are what was typed. Only a name that is not exact needs a list, and one that is not in the namespace a
    /// list of all.
    ///
    /// # Errors
    /// When there is no such Service, it cannot be opened, or the API server cannot be asked.
    pub async fn find(&self, named: &NamedService) -> Result<FindOutcome, Error> {
        let scope = self.scope_of(named);
        if let Scope::Namespace(namespace) = &scope {
            self.endpoints.inspect(|ahead| ahead.ask(self.cluster, namespace, named.spelling.id.name()));
            match self.cluster.service(namespace, named.spelling.id.name()).await {
                Ok(Some(service)) => return self.open(service, named).await,
                Ok(None) => {}
                Err(ApiError::Forbidden { .. }) => return self.unread(namespace, named).await,
                Err(error) => return Err(error.into()),
            }
        }
        self.by_part_of_name(&scope, named).await
    }

    /// Where `named` is looked for.
    pub(super) fn scope_of(&self, named: &NamedService) -> Scope {
        match &named.spelling.namespace {
            Some(namespace) => Scope::Namespace(namespace.clone()),
            None if self.search.all_namespaces => Scope::All,
            None => Scope::Namespace(self.cluster.namespace().to_owned()),
        }
    }

    /// Whether the user said where to look.
    fn is_place_typed(&self, named: &NamedService) -> bool {
        self.search.namespace.is_some() || named.spelling.namespace.is_some()
    }

    async fn by_part_of_name(&self, scope: &Scope, named: &NamedService) -> Result<FindOutcome, Error> {
        let selector = self.search.selector.as_deref();
        let services = match self.cluster.services(scope, selector).try_concat().await {
            Ok(services) => services,
            Err(ApiError::Forbidden { .. }) if *scope != Scope::All => Vec::new(),
            Err(error) => return Err(unlisted(error, selector)),
        };
        match match_name(&services, named.spelling.id.name()) {
            NameMatch::One(service) => self.open(service.clone(), named).await,
            NameMatch::Several(several) => Ok(FindOutcome::SeveralServices(several.into_iter().cloned().collect())),
            NameMatch::Nothing(near) => self.not_there(scope, named, &near, services.is_empty()).await,
        }
    }

    /// Nothing in `scope` is called so: then elsewhere, unless the user said where to look. Where nothing at all is, there
    /// may be no such namespace.
    async fn not_there(
        &self,
        scope: &Scope,
        named: &NamedService,
        near: &[&str],
        is_empty_place: bool,
    ) -> Result<FindOutcome, Error> {
        let Scope::Namespace(own) = scope else { return Err(no_such_service(named, scope, None, near)) };
        let name = named.spelling.id.name();
        let mut elsewhere = None;
        if !self.is_place_typed(named) {
            let found = self.elsewhere(own, false, name).await?;
            if !found.exact.is_empty() || (!found.parts.is_empty() && meant_otherwise(named).is_none()) {
                return Ok(FindOutcome::Elsewhere(Box::new(found)));
            }
            elsewhere = Some(found);
        }
        if is_empty_place
            && let Some(missing) = missing_namespace(self.cluster, own, &self.history.namespaces().await).await
        {
            return Err(missing);
        }
        Err(no_such_service(named, scope, elsewhere.as_ref(), near))
    }

    async fn elsewhere(&self, own: &str, is_own_closed: bool, name: &str) -> Result<ServicesElsewhere, Error> {
        ServicesElsewhere::than(own, is_own_closed).look(self.cluster, self.search, self.history, name).await
    }

    /// A Service that the user may not read: as typed, unless the user has no way into `namespace` and has been where
    /// there is one.
    async fn unread(&self, namespace: &str, named: &NamedService) -> Result<FindOutcome, Error> {
        let id = typed_id(named)?;
        if !self.is_place_typed(named)
            && self.history.namespaces().await.iter().any(|visited| visited != namespace)
            && !self.may_open(namespace, &id).await
        {
            let found = self.elsewhere(namespace, true, named.spelling.id.name()).await;
            if let Some(found) = found.ok().filter(|found| !found.exact.is_empty()) {
                return Ok(FindOutcome::Elsewhere(Box::new(found)));
            }
        }
        let target = Target::unread(namespace, id, named.wish.path.clone());
        Ok(FindOutcome::Found(Box::new(FoundTarget { target, read: None })))
    }

    /// Whether some transport may lead there, as far as the API server says.
    async fn may_open(&self, namespace: &str, id: &ServiceId) -> bool {
        let proxy = AccessRule::new("get", "services/proxy", Some(namespace)).named(Some(&id.to_string()));
        let [get, create] = ["get", "create"].map(|verb| AccessRule::new(verb, "pods/portforward", Some(namespace)));
        for rule in [proxy, create, get] {
            if self.cluster.allows(&rule).await.unwrap_or(true) {
                return true;
            }
        }
        false
    }

    /// Chooses port and scheme of `service` for `named`.
    pub(super) async fn open(&self, service: Service, named: &NamedService) -> Result<FindOutcome, Error> {
        let spelled = (named.spelling.id.name() == service.name).then(|| typed_id(named)).transpose()?;
        let wish = wish_at_site(self.cluster.server(), &service, named);
        let outcome = match choose_port_of(&service, &wish, spelled.as_ref()) {
            Ok(found) => FindOutcome::Found(Box::new(found)),
            Err(NotOpenable::Ambiguous(ports)) => FindOutcome::SeveralPorts(Box::new(service.clone()), ports),
            Err(refused) => return Err(refusal(&service, &refused)),
        };
        if service.selector.is_empty() {
            self.has_pods(&service).await?;
        }
        Ok(outcome)
    }

    /// A Service without a selector works only if somebody wrote endpoints for it that are Pods
    /// (kubernetes/kubernetes#57265). Where the endpoints cannot be seen, it may.
    async fn has_pods(&self, service: &Service) -> Result<(), Error> {
        let (namespace, name) = (&service.namespace, &service.name);
        let asked = self.endpoints.map(|ahead| ahead.answer(namespace, name));
        let slices = match futures_util::future::OptionFuture::from(asked).await.flatten() {
            Some(answer) => answer,
            None => self.cluster.endpoints(namespace, name).await,
        };
        let Ok(slices) = slices else { return Ok(()) };
        let has_pod = slices.iter().flat_map(|slice| &slice.endpoints).any(|endpoint| endpoint.pod.is_some());
        if has_pod { Ok(()) } else { Err(no_pods(service)) }
    }
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
