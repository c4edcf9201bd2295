//! The objects of the cluster, and what controllers make of them: EndpointSlices of Services and their Pods.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde_json::{Value, json};

/// Kinds that are kept: API version, kind, plural.
const KINDS: [(&str, &str, &str); 6] = [
    ("v1", "Namespace", "namespaces"),
    ("v1", "Service", "services"),
    ("v1", "Pod", "pods"),
    ("discovery.k8s.io/v1", "EndpointSlice", "endpointslices"),
    ("networking.k8s.io/v1", "Ingress", "ingresses"),
    ("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes"),
];

/// API version, kind and plural of what is kept as `plural` in `group`.
pub(crate) fn kind_of(group: &str, plural: &str) -> Option<(&'static str, &'static str)> {
    let in_group = |version: &str| version.split_once('/').map_or("", |(group, _)| group) == group;
    let found = KINDS.iter().find(|(version, _, other)| *other == plural && in_group(version));
    found.map(|(version, kind, _)| (*version, *kind))
}

/// Namespace (empty for what has none) and name.
type Key = (String, String);

/// One change, as watchers hear of it.
#[derive(Clone)]
pub(crate) struct Event {
    pub(crate) version: u64,
    pub(crate) plural: &'static str,
    /// `ADDED`, `MODIFIED` or `DELETED`.
    pub(crate) kind: &'static str,
    pub(crate) object: Value,
}

/// Why a Service has nowhere to connect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Nobody keeps endpoints of that name.
    Endpoints,
    /// No Pod is behind it.
    Pods,
    /// No Pod is ready on that port.
    Ready,
}

/// All objects and the changes so far.
#[derive(Default)]
pub(crate) struct World {
    objects: BTreeMap<&'static str, BTreeMap<Key, Value>>,
    version: u64,
    events: Vec<Event>,
}

impl World {
    /// The resource version of the latest change.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// The changes after `version`.
    pub(crate) fn events_after(&self, version: u64) -> &[Event] {
        let seen = self.events.partition_point(|event| event.version <= version);
        &self.events[seen..]
    }

    /// Creates or replaces an object of one of the kinds; the endpoints follow.
    pub(crate) fn put(&mut self, object: Value) {
        self.store(object);
        self.follow();
    }

    /// Creates or replaces many; the endpoints follow once.
    pub(crate) fn put_all(&mut self, objects: impl IntoIterator<Item = Value>) {
        objects.into_iter().for_each(|object| self.store(object));
        self.follow();
    }

    /// Changes an object that is there; the endpoints follow.
    pub(crate) fn change(
        &mut self,
        plural: &'static str,
        namespace: &str,
        name: &str,
        change: impl FnOnce(&mut Value),
    ) {
        let mut object = self.get(plural, namespace, name).cloned().unwrap_or_else(|| panic!("no {plural} {name}"));
        change(&mut object);
        self.put(object);
    }

    /// Deletes an object that is there; the endpoints follow.
    pub(crate) fn delete(&mut self, plural: &'static str, namespace: &str, name: &str) {
        self.remove(plural, &(namespace.to_owned(), name.to_owned()));
        self.follow();
    }

    /// One object.
    pub(crate) fn get(&self, plural: &str, namespace: &str, name: &str) -> Option<&Value> {
        self.objects.get(plural)?.get(&(namespace.to_owned(), name.to_owned()))
    }

    /// All objects of a kind, or those of one namespace, in the order of namespace and name.
    pub(crate) fn list(&self, plural: &str, namespace: &str) -> Vec<&Value> {
        let all = self.objects.get(plural).into_iter().flatten();
        let wanted = all.filter(|((of, _), _)| namespace.is_empty() || of == namespace);
        let mut wanted: Vec<(&Key, &Value)> = wanted.collect();
        // As etcd orders its keys.
        wanted.sort_by_key(|((namespace, name), _)| format!("{namespace}/{name}"));
        wanted.into_iter().map(|(_, object)| object).collect()
    }

    /// Where a Pod listens for one of a Service's ports, by the port's name. Ready endpoints only, the first of them:
    /// which one the real server takes is random.
    pub(crate) fn endpoint(&self, namespace: &str, service: &str, port: &str) -> Result<SocketAddr, Missing> {
        let slices = self.list("endpointslices", namespace);
        let of_service = |slice: &&&Value| slice["metadata"]["labels"][SERVICE_LABEL] == service;
        let slice = slices.iter().find(of_service).ok_or(Missing::Endpoints)?;
        if slice["endpoints"].as_array().is_none_or(Vec::is_empty) {
            return Err(Missing::Pods);
        }
        ready_endpoint(slice, port).ok_or(Missing::Ready)
    }

    fn store(&mut self, mut object: Value) {
        let kind = object["kind"].as_str().unwrap_or_default();
        let known = KINDS.iter().find(|(_, other, _)| *other == kind);
        let (version, _, plural) = known.unwrap_or_else(|| panic!("tests/support/fake/world.rs keeps no {kind}"));
        self.version += 1;
        object["apiVersion"] = (*version).into();
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        object["metadata"]["uid"] = format!("00000000-0000-4000-8000-{:012}", self.version).into();
        if object["metadata"]["creationTimestamp"].is_null() {
            object["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z".into();
        }
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
        let key = (text("namespace"), text("name"));
        let before = self.objects.entry(plural).or_default().insert(key, object.clone());
        let kind = if before.is_some() { "MODIFIED" } else { "ADDED" };
        self.events.push(Event { version: self.version, plural, kind, object });
    }

    fn remove(&mut self, plural: &'static str, key: &Key) {
        let Some(mut object) = self.objects.entry(plural).or_default().remove(key) else { return };
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.events.push(Event { version: self.version, plural, kind: "DELETED", object });
    }

    /// What the endpoint slice controller does.
    fn follow(&mut self) {
        let services = self.list("services", "");
        let wanted: Vec<Value> = services.iter().filter_map(|service| self.slice_of(service)).collect();
        let names: Vec<Key> = wanted.iter().map(key_of).collect();
        let gone: Vec<Key> = self.list("endpointslices", "").into_iter().map(key_of).collect();
        for key in gone.iter().filter(|key| !names.contains(key)) {
            self.remove("endpointslices", key);
        }
        for slice in wanted {
            let (namespace, name) = key_of(&slice);
            let is_known = self.get("endpointslices", &namespace, &name).is_some_and(|known| same(known, &slice));
            if !is_known {
                self.store(slice);
            }
        }
    }

    /// `None` for a Service without a selector, whose endpoints nobody makes.
    fn slice_of(&self, service: &Value) -> Option<Value> {
        let selector = service["spec"]["selector"].as_object()?;
        let (namespace, name) = key_of(service);
        let selects = |pod: &&&Value| selector.iter().all(|(label, value)| pod["metadata"]["labels"][label] == *value);
        let pods = self.list("pods", &namespace);
        let pods: Vec<&Value> = pods.iter().filter(selects).copied().collect();
        let ports = service["spec"]["ports"].as_array().map_or(&[][..], Vec::as_slice);
        let ports: Vec<Value> = ports.iter().filter_map(|port| target_of(port, pods.first().copied())).collect();
        Some(json!({
            "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"namespace": namespace, "name": format!("{name}-slice"), "labels": {SERVICE_LABEL: name}},
            "endpoints": pods.iter().map(|pod| endpoint_of(pod)).collect::<Vec<_>>(),
            "ports": ports,
        }))
    }
}

const SERVICE_LABEL: &str = "kubernetes.io/service-name";

fn key_of(object: &Value) -> Key {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    (text("namespace"), text("name"))
}

fn same(known: &Value, wanted: &Value) -> bool {
    known["endpoints"] == wanted["endpoints"] && known["ports"] == wanted["ports"]
}

fn endpoint_of(pod: &Value) -> Value {
    let (namespace, name) = key_of(pod);
    let ready = pod["status"]["ready"] != false;
    json!({
        "addresses": [pod["status"]["podIP"]],
        "conditions": {"ready": ready, "serving": ready, "terminating": false},
        "targetRef": {"kind": "Pod", "namespace": namespace, "name": name},
    })
}

/// A port of the slice; a named `targetPort` is looked up in the Pod.
fn target_of(port: &Value, pod: Option<&Value>) -> Option<Value> {
    let target = if port["targetPort"].is_null() { &port["port"] } else { &port["targetPort"] };
    let number = match target.as_str() {
        None => target.clone(),
        Some(name) => {
            let containers = pod?["spec"]["containers"].as_array()?;
            let mut ports = containers.iter().filter_map(|container| container["ports"].as_array()).flatten();
            ports.find(|port| port["name"] == name)?["containerPort"].clone()
        }
    };
    let name = port["name"].as_str().unwrap_or_default();
    Some(json!({"name": name, "port": number, "protocol": port["protocol"].as_str().unwrap_or("TCP")}))
}

fn ready_endpoint(slice: &Value, port: &str) -> Option<SocketAddr> {
    let ports = slice["ports"].as_array()?;
    let port = ports.iter().find(|other| other["name"] == port)?["port"].as_u64()?;
    let endpoints = slice["endpoints"].as_array()?;
    let ready = endpoints.iter().find(|endpoint| endpoint["conditions"]["ready"] == true)?;
    let address = ready["addresses"][0].as_str()?.parse().ok()?;
    Some(SocketAddr::new(address, u16::try_from(port).ok()?))
}
