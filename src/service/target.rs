//! One thing to open, and the proxy paths under which it is served.

use super::choose_port::{PortChoice, https_ports};
use super::site_label::is_label_of;
use super::{PortRef, Scheme, Service, ServiceId, ServicePort, site_label};

/// One thing to open: a Service of the run's context, one of its ports and the scheme its Pods speak there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The Service's namespace.
    pub namespace: String,
    /// The literal ID that the API server, and so RBAC's `resourceNames`, sees.
    pub id: ServiceId,
    /// The Service port; `None` where the Service could not be read and the user's own ID is used as it is.
    pub port: Option<TargetPort>,
    /// What the Pods speak.
    pub scheme: Scheme,
    /// Where the browser is sent first: a path below the Service's `/`, with its query; starts with `/`.
    pub path: String,
}

/// The Service port of a [`Target`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetPort {
    /// Its name.
    pub name: Option<String>,
    /// Its number.
    pub number: u16,
    /// What `targetPort` says; `None` means the same number.
    pub target_port: Option<PortRef>,
    /// Whether the Service has other ports too.
    pub has_siblings: bool,
}

impl Target {
    /// The Target that `choice` makes of `service`.
    ///
    /// The port stands in the ID as the user spelled it, since a role may name just that spelling; otherwise by name,
    /// and for an unnamed port by number only if there are several.
    pub fn new(service: &Service, choice: &PortChoice, spelled: Option<&ServiceId>) -> Self {
        let port = TargetPort::new(&choice.port, service);
        let id = match spelled {
            Some(id) if port.is_meant_by(id, choice.scheme, service) => id.clone(),
            _ => port.id(&service.name, choice.scheme),
        };
        Self {
            namespace: service.namespace.clone(),
            id,
            port: Some(port),
            scheme: choice.scheme,
            path: choice.path.clone(),
        }
    }

    /// A Target from nothing but what the user typed, for those who may not read the Service.
    pub fn unread(namespace: &str, id: ServiceId, path: Option<String>) -> Self {
        let scheme = id.scheme().unwrap_or(Scheme::Http);
        Self { namespace: namespace.to_owned(), id, port: None, scheme, path: path.unwrap_or_else(|| "/".to_owned()) }
    }

    /// The same with Pods that speak `scheme`.
    #[must_use]
    pub fn with_scheme(&self, scheme: Scheme) -> Self {
        let named = self.port.as_ref().and_then(|port| port.name.clone()).map(PortRef::Name);
        let port = self.id.port().cloned().or(named);
        let id = ServiceId::new((scheme == Scheme::Https).then_some(scheme), self.service(), port);
        Self { id, scheme, ..self.clone() }
    }

    /// The port of `service` that speaks https beside this one, the likeliest; `None` where there is none.
    #[must_use]
    pub fn https_port(&self, service: &Service) -> Option<Self> {
        let own = self.port.as_ref()?;
        let port = service.ports.iter().find(|port| port.number == own.number && port.name == own.name)?;
        let choice = https_ports(service, port).into_iter().next()?;
        Some(Self { path: self.path.clone(), ..Self::new(service, &choice, None) })
    }

    /// The Service's name.
    pub fn service(&self) -> &str {
        self.id.name()
    }

    /// The port as one types it: its name, or else its number; none where none is known.
    pub fn port_text(&self) -> Option<String> {
        match &self.port {
            Some(port) => Some(port.name.clone().unwrap_or_else(|| port.number.to_string())),
            None => self.id.port().map(ToString::to_string),
        }
    }

    /// The port as people read it: `http (80)`, or whichever of the two there is; none where none is known.
    pub fn shown_port(&self) -> Option<String> {
        match &self.port {
            Some(TargetPort { name: Some(name), number, .. }) => Some(format!("{name} ({number})")),
            _ => self.port_text(),
        }
    }

    /// `/api/v1/namespaces/NS/services/ID/proxy/`, without the path that `server` in the kubeconfig may have.
    pub fn proxy_path(&self) -> String {
        proxy_path(&self.namespace, &self.id)
    }

    /// Every spelling of the proxy path that means this Target as long as nothing else is open, its own first.
    pub fn proxy_paths(&self) -> Vec<String> {
        served_paths(std::slice::from_ref(self)).swap_remove(0)
    }

    /// The proxy path that does not depend on how the port was spelled, where the Service could be read.
    pub fn canonical_path(&self) -> String {
        let id = self.port.as_ref().map(|port| port.id(self.service(), self.scheme));
        proxy_path(&self.namespace, id.as_ref().unwrap_or(&self.id))
    }

    /// Whether both lead to one page, however port and scheme were spelled.
    pub fn opens_the_same_as(&self, other: &Self) -> bool {
        self.canonical_path() == other.canonical_path() && self.path == other.path
    }

    /// Every ID that means exactly this Target to the API server, or would if it looked at the port's name; or else
    /// those that can only mean it as long as no other open one claims them.
    fn ids(&self, is_exact: bool) -> Vec<ServiceId> {
        let schemes: &[Option<Scheme>] = match self.scheme {
            _ if !is_exact => &[None],
            Scheme::Http => &[None, Some(Scheme::Http)],
            Scheme::Https => &[Some(Scheme::Https)],
        };
        let mut ports: Vec<Option<PortRef>> = vec![None];
        match &self.port {
            Some(port) => {
                ports.push(Some(PortRef::Number(port.number)));
                ports.extend(port.name.clone().map(|name| Some(PortRef::Name(name))));
            }
            None => ports.extend(self.id.port().cloned().map(Some)),
        }
        let with_scheme =
            |scheme: &Option<Scheme>, port: &Option<PortRef>| ServiceId::new(*scheme, self.service(), port.clone());
        schemes.iter().flat_map(|scheme| ports.iter().map(move |port| with_scheme(scheme, port))).collect()
    }
}

impl TargetPort {
    fn new(port: &ServicePort, service: &Service) -> Self {
        let ServicePort { name, number, target_port, .. } = port.clone();
        Self { name, number, target_port, has_siblings: service.ports.len() > 1 }
    }

    fn id(&self, service: &str, scheme: Scheme) -> ServiceId {
        let port = match &self.name {
            Some(name) => Some(PortRef::Name(name.clone())),
            None if self.has_siblings => Some(PortRef::Number(self.number)),
            None => None,
        };
        ServiceId::new((scheme == Scheme::Https).then_some(scheme), service, port)
    }

    /// Whether the API server resolves `id` to this very port and scheme. A number that two ports share goes to the
    /// first of them (kubernetes `pkg/registry/core/service/storage/storage.go`), so then only the name will do.
    fn is_meant_by(&self, id: &ServiceId, scheme: Scheme, service: &Service) -> bool {
        let same_port = match id.port() {
            Some(PortRef::Name(name)) => self.name.as_ref() == Some(name),
            Some(PortRef::Number(number)) => {
                let first = service.ports.iter().find(|port| port.number == *number);
                *number == self.number && first.is_some_and(|port| port.name == self.name)
            }
            None => self.name.is_none() && !self.has_siblings,
        };
        same_port && id.scheme().unwrap_or(Scheme::Http) == scheme
    }
}

/// The proxy path of a Service ID, ending in `/`: without it the API server answers 301, and only to GET and HEAD.
pub fn proxy_path(namespace: &str, id: &ServiceId) -> String {
    format!("/api/v1/namespaces/{namespace}/services/{id}/proxy/")
}

/// The port and scheme of `service` whose site has this label, at the API server `server`.
pub fn port_at_site(server: &str, service: &Service, label: &str) -> Option<(PortRef, Scheme)> {
    let candidates = service.ports.iter().flat_map(|port| [Scheme::Http, Scheme::Https].map(|scheme| (port, scheme)));
    let is_meant = |port: &ServicePort, scheme: Scheme| {
        let port = TargetPort::new(port, service);
        let path = proxy_path(&service.namespace, &port.id(&service.name, scheme));
        is_label_of(&site_label(server, &path, &service.name, &service.namespace), label)
    };
    let (port, scheme) = candidates.into_iter().find(|(port, scheme)| is_meant(port, *scheme))?;
    Some((port.name.clone().map_or(PortRef::Number(port.number), PortRef::Name), scheme))
}

/// For each of `targets` the proxy paths under which it is served: its own first, then every other spelling that
/// means it. No path stands twice; an exact spelling goes before a lenient one, an earlier Target before a later.
pub fn served_paths(targets: &[Target]) -> Vec<Vec<String>> {
    let mut taken = std::collections::BTreeSet::new();
    let mut served: Vec<Vec<String>> = vec![Vec::new(); targets.len()];
    let mut claim = |index: usize, id: &ServiceId, namespace: &str| {
        let path = proxy_path(namespace, id);
        if taken.insert(path.clone()) {
            served[index].push(path);
        }
    };
    for (index, target) in targets.iter().enumerate() {
        claim(index, &target.id, &target.namespace);
    }
    for is_exact in [true, false] {
        for (index, target) in targets.iter().enumerate() {
            for id in target.ids(is_exact) {
                claim(index, &id, &target.namespace);
            }
        }
    }
    served
}
