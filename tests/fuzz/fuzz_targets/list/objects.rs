//! Objects as an API server may have them, and how it writes them: k8s.io/api `core/v1/generated.proto`,
//! `discovery/v1/generated.proto`; in JSON without what is empty, or with `null`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use serde_json::{Map, Value, json};
use svcproxy::service::choose_port::ANNOTATIONS;

use crate::protobuf::{entry, message, number, text};

type Texts<'a> = BTreeMap<&'a str, &'a str>;

#[derive(Arbitrary, Debug)]
pub(crate) struct FuzzedService<'a> {
    pub(crate) name: &'a str,
    namespace: &'a str,
    created: Option<i32>,
    labels: Texts<'a>,
    annotations: Texts<'a>,
    known_annotations: Vec<(u8, &'a str)>,
    ports: Vec<FuzzedPort<'a>>,
    selector: Texts<'a>,
    cluster_ip: &'a str,
    cluster_ips: Vec<&'a str>,
    kind: u8,
    is_sticky: bool,
    external_name: &'a str,
    ingress: Vec<(&'a str, &'a str)>,
    says_null: bool,
}

#[derive(Arbitrary, Debug)]
struct FuzzedPort<'a> {
    name: &'a str,
    protocol: u8,
    port: i32,
    target_port: FuzzedTargetPort<'a>,
    node_port: i32,
    app_protocol: Option<&'a str>,
}

#[derive(Arbitrary, Debug)]
enum FuzzedTargetPort<'a> {
    Number(i32),
    Text(&'a str),
}

#[derive(Arbitrary, Debug)]
pub(crate) struct FuzzedSlice<'a> {
    name: &'a str,
    namespace: &'a str,
    service: Option<&'a str>,
    labels: Texts<'a>,
    address_type: u8,
    endpoints: Vec<FuzzedEndpoint<'a>>,
    ports: Vec<FuzzedEndpointPort<'a>>,
    says_null: bool,
}

#[derive(Arbitrary, Debug)]
struct FuzzedEndpointPort<'a> {
    name: Option<&'a str>,
    protocol: Option<u8>,
    port: Option<i32>,
    app_protocol: Option<&'a str>,
}

#[derive(Arbitrary, Debug)]
struct FuzzedEndpoint<'a> {
    addresses: Vec<&'a str>,
    ready: Option<bool>,
    serving: Option<bool>,
    terminating: Option<bool>,
    hostname: Option<&'a str>,
    target: Option<(bool, &'a str)>,
    zone: Option<&'a str>,
}

const SERVICE_TYPES: [&str; 5] = ["ClusterIP", "NodePort", "LoadBalancer", "ExternalName", "Later"];
const PROTOCOLS: [&str; 4] = ["TCP", "UDP", "SCTP", ""];
const ADDRESS_TYPES: [&str; 4] = ["IPv4", "IPv6", "FQDN", "Later"];
const SERVICE_LABEL: &str = "kubernetes.io/service-name";

fn one_of<'a>(texts: &[&'a str], choice: u8) -> &'a str {
    texts[usize::from(choice) % texts.len()]
}

/// A JSON object whose fields are not there where they are empty, or `null` if it `says_null`.
struct JsonObject {
    fields: Map<String, Value>,
    says_null: bool,
}

impl JsonObject {
    fn new(says_null: bool) -> Self {
        Self { fields: Map::new(), says_null }
    }

    fn with(mut self, name: &str, value: Value) -> Self {
        self.fields.insert(name.to_owned(), value);
        self
    }

    /// With `omitempty`.
    fn with_text(self, name: &str, text: &str) -> Self {
        if text.is_empty() { self } else { self.with(name, json!(text)) }
    }

    fn with_number(self, name: &str, number: i32) -> Self {
        if number == 0 { self } else { self.with(name, json!(number)) }
    }

    /// A list or a map: Go's `nil` may be `null`.
    fn with_many(self, name: &str, many: Value) -> Self {
        let is_empty = many.as_array().is_some_and(Vec::is_empty) || many.as_object().is_some_and(Map::is_empty);
        match (is_empty, self.says_null) {
            (false, _) => self.with(name, many),
            (true, true) => self.with(name, Value::Null),
            (true, false) => self,
        }
    }

    fn with_optional(self, name: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(name, value.into()),
            None => self,
        }
    }

    fn done(self) -> Value {
        Value::Object(self.fields)
    }
}

fn entries(number: u8, texts: &Texts<'_>) -> Vec<u8> {
    texts.iter().flat_map(|(key, value)| entry(number, (key, value))).collect()
}

fn flag(field: u8, value: Option<bool>) -> Vec<u8> {
    value.map(|value| number(field, value.into())).unwrap_or_default()
}

fn optional_text(field: u8, value: Option<&str>) -> Vec<u8> {
    value.map(|value| text(field, value)).unwrap_or_default()
}

impl FuzzedService<'_> {
    fn all_annotations(&self) -> Texts<'_> {
        let known = self.known_annotations.iter().map(|(choice, value)| (one_of(&ANNOTATIONS, *choice), *value));
        self.annotations.iter().map(|(name, value)| (*name, *value)).chain(known).collect()
    }

    pub(crate) fn json(&self) -> Value {
        let object = || JsonObject::new(self.says_null);
        let created = self.created.map(|seconds| Timestamp::from_second(seconds.into()).unwrap().to_string());
        let metadata = object()
            .with("name", json!(self.name))
            .with_text("namespace", self.namespace)
            .with("creationTimestamp", json!(created))
            .with_many("labels", json!(self.labels))
            .with_many("annotations", json!(self.all_annotations()));
        let ports = self.ports.iter().map(|port| port.json(object())).collect::<Vec<_>>();
        let spec = object()
            .with_many("ports", json!(ports))
            .with_many("selector", json!(self.selector))
            .with_text("clusterIP", self.cluster_ip)
            .with_many("clusterIPs", json!(self.cluster_ips))
            .with("type", json!(one_of(&SERVICE_TYPES, self.kind)))
            .with("sessionAffinity", json!(self.affinity()))
            .with_text("externalName", self.external_name);
        let ingress =
            |(ip, hostname): &(&str, &str)| object().with_text("ip", ip).with_text("hostname", hostname).done();
        let ingress = self.ingress.iter().map(ingress).collect::<Vec<_>>();
        let balancer = object().with_many("ingress", json!(ingress)).done();
        let status = object().with("loadBalancer", balancer).done();
        json!({ "metadata": metadata.done(), "spec": spec.done(), "status": status })
    }

    pub(crate) fn protobuf(&self) -> Vec<u8> {
        let created = self.created.map(|seconds| message(8, &[number(1, seconds.into()), number(2, 0)].concat()));
        let metadata = [
            text(1, self.name),
            text(2, ""),
            text(3, self.namespace),
            number(7, 0),
            created.unwrap_or_default(),
            entries(11, &self.labels),
            entries(12, &self.all_annotations()),
        ];
        let spec = [
            self.ports.iter().flat_map(|port| message(1, &port.protobuf())).collect(),
            entries(2, &self.selector),
            text(3, self.cluster_ip),
            text(4, one_of(&SERVICE_TYPES, self.kind)),
            text(7, self.affinity()),
            text(10, self.external_name),
            number(13, 0),
            self.cluster_ips.iter().flat_map(|address| text(18, address)).collect(),
        ];
        let ingress = |(ip, hostname): &(&str, &str)| message(1, &[text(1, ip), text(2, hostname)].concat());
        let ingress: Vec<u8> = self.ingress.iter().flat_map(ingress).collect();
        [message(1, &metadata.concat()), message(2, &spec.concat()), message(3, &message(1, &ingress))].concat()
    }

    fn affinity(&self) -> &'static str {
        if self.is_sticky { "ClientIP" } else { "None" }
    }
}

impl FuzzedPort<'_> {
    fn json(&self, object: JsonObject) -> Value {
        let target = match self.target_port {
            FuzzedTargetPort::Number(number) => json!(number),
            FuzzedTargetPort::Text(text) => json!(text),
        };
        object
            .with_text("name", self.name)
            .with_text("protocol", one_of(&PROTOCOLS, self.protocol))
            .with("port", json!(self.port))
            .with("targetPort", target)
            .with_number("nodePort", self.node_port)
            .with_optional("appProtocol", self.app_protocol)
            .done()
    }

    fn protobuf(&self) -> Vec<u8> {
        let target = match self.target_port {
            FuzzedTargetPort::Number(value) => [number(1, 0), number(2, value.into()), text(3, "")],
            FuzzedTargetPort::Text(value) => [number(1, 1), number(2, 0), text(3, value)],
        };
        [
            text(1, self.name),
            text(2, one_of(&PROTOCOLS, self.protocol)),
            number(3, self.port.into()),
            message(4, &target.concat()),
            number(5, self.node_port.into()),
            optional_text(6, self.app_protocol),
        ]
        .concat()
    }
}

impl FuzzedSlice<'_> {
    fn all_labels(&self) -> Texts<'_> {
        let service = self.service.map(|service| (SERVICE_LABEL, service));
        self.labels.iter().map(|(name, value)| (*name, *value)).chain(service).collect()
    }

    pub(crate) fn json(&self) -> Value {
        let object = || JsonObject::new(self.says_null);
        let metadata = object()
            .with_text("name", self.name)
            .with_text("namespace", self.namespace)
            .with("creationTimestamp", Value::Null)
            .with_many("labels", json!(self.all_labels()));
        let endpoints: Vec<Value> = self.endpoints.iter().map(|endpoint| endpoint.json(object(), object())).collect();
        let ports: Vec<Value> = self.ports.iter().map(|port| port.json(object())).collect();
        // Neither list has `omitempty`.
        let endpoints = if endpoints.is_empty() { Value::Null } else { json!(endpoints) };
        object()
            .with("metadata", metadata.done())
            .with("addressType", json!(one_of(&ADDRESS_TYPES, self.address_type)))
            .with("endpoints", endpoints)
            .with_many("ports", json!(ports))
            .done()
    }

    pub(crate) fn protobuf(&self) -> Vec<u8> {
        let metadata = [text(1, self.name), text(2, ""), text(3, self.namespace), entries(11, &self.all_labels())];
        [
            message(1, &metadata.concat()),
            self.endpoints.iter().flat_map(|endpoint| message(2, &endpoint.protobuf())).collect(),
            self.ports.iter().flat_map(|port| message(3, &port.protobuf())).collect(),
            text(4, one_of(&ADDRESS_TYPES, self.address_type)),
        ]
        .concat()
    }
}

impl FuzzedEndpointPort<'_> {
    fn protocol(&self) -> Option<&'static str> {
        self.protocol.map(|protocol| one_of(&PROTOCOLS, protocol))
    }

    fn json(&self, object: JsonObject) -> Value {
        object
            .with_optional("name", self.name)
            .with_optional("protocol", self.protocol())
            .with_optional("port", self.port)
            .with_optional("appProtocol", self.app_protocol)
            .done()
    }

    fn protobuf(&self) -> Vec<u8> {
        [
            optional_text(1, self.name),
            optional_text(2, self.protocol()),
            self.port.map(|port| number(3, port.into())).unwrap_or_default(),
            optional_text(4, self.app_protocol),
        ]
        .concat()
    }
}

impl FuzzedEndpoint<'_> {
    fn json(&self, object: JsonObject, conditions: JsonObject) -> Value {
        let conditions = conditions
            .with_optional("ready", self.ready)
            .with_optional("serving", self.serving)
            .with_optional("terminating", self.terminating);
        let target = self.target.map(|(is_pod, name)| json!({ "kind": kind_of_target(is_pod), "name": name }));
        let addresses = if self.addresses.is_empty() { Value::Null } else { json!(self.addresses) };
        object
            .with("addresses", addresses)
            .with("conditions", conditions.done())
            .with_optional("hostname", self.hostname)
            .with_optional("targetRef", target)
            .with_optional("zone", self.zone)
            .done()
    }

    fn protobuf(&self) -> Vec<u8> {
        let conditions = [flag(1, self.ready), flag(2, self.serving), flag(3, self.terminating)];
        let target = self.target.map(|(is_pod, name)| {
            message(4, &[text(1, kind_of_target(is_pod)), text(2, "ns"), text(3, name), text(4, "")].concat())
        });
        [
            self.addresses.iter().flat_map(|address| text(1, address)).collect(),
            message(2, &conditions.concat()),
            optional_text(3, self.hostname),
            target.unwrap_or_default(),
            optional_text(7, self.zone),
        ]
        .concat()
    }
}

fn kind_of_target(is_pod: bool) -> &'static str {
    if is_pod { "Pod" } else { "Node" }
}
