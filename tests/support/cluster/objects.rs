//! Objects of the API, created directly: one request each, without a kubectl in between.

use std::net::Ipv4Addr;

use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use kube::client::Body;
use kube::config::AuthInfo;
use serde_json::{Value, json};

use super::{Cluster, NODE_NAME, User};
use crate::{Authority, eventually};

/// The Kubernetes API in plain JSON. Every method panics with the server's words when the server refuses.
#[derive(Clone)]
pub struct Api(kube::Client);

impl Api {
    pub(super) fn connect(server: &str, authority: &Authority, token: &str) -> Self {
        let mut config = kube::Config::new(server.parse().unwrap());
        config.root_cert = Some(vec![authority.der()]);
        config.default_retry = false; // an answer of 503 is an answer
        config.auth_info = AuthInfo { token: Some(token.to_owned().into()), ..AuthInfo::default() };
        Self(kube::Client::try_from(config).unwrap())
    }

    /// The body that `path` answers with 200, as text; else nothing.
    pub(crate) async fn text(&self, path: &str) -> Option<String> {
        let (status, body) = self.call(Method::GET, path, "", Vec::new()).await.ok()?;
        (status == StatusCode::OK).then_some(body)
    }

    /// An object or a list, or nothing if it does not exist.
    pub async fn get(&self, path: &str) -> Option<Value> {
        self.text(path).await.map(|body| serde_json::from_str(&body).unwrap())
    }

    /// Creates an object in the collection `path`.
    pub async fn create(&self, path: &str, object: &Value) -> Value {
        self.change(Method::POST, path, "application/json", object).await
    }

    /// Merges into the object, or the object's part, at `path` (RFC 7396).
    pub async fn patch(&self, path: &str, change: &Value) -> Value {
        self.change(Method::PATCH, path, "application/merge-patch+json", change).await
    }

    /// Deletes the object at `path` at once.
    pub async fn delete(&self, path: &str) {
        self.change(Method::DELETE, path, "application/json", &json!({"gracePeriodSeconds": 0})).await;
    }

    async fn change(&self, method: Method, path: &str, media: &str, object: &Value) -> Value {
        let (status, body) = self
            .call(method.clone(), path, media, object.to_string().into_bytes())
            .await
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        assert!(status.is_success(), "{method} {path}: {status} {body}");
        serde_json::from_str(&body).unwrap()
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        media: &str,
        body: Vec<u8>,
    ) -> Result<(StatusCode, String), kube::Error> {
        let mut request = Request::builder().method(method).uri(path);
        if !media.is_empty() {
            request = request.header("content-type", media);
        }
        let answer = self.0.send(request.body(Body::from(body)).unwrap()).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }
}

/// A Pod on the cluster's only Node: an object, and whoever listens on its address.
pub struct Pod<'a> {
    /// Its name.
    pub name: &'a str,
    /// From [`Cluster::pod_address`].
    pub ip: Ipv4Addr,
    /// What Services select it by.
    pub labels: Value,
    /// Container ports, which a Service may name as `targetPort`: `[{"name": "web", "containerPort": 8080}]`.
    pub ports: Value,
    /// Whether it counts as an endpoint.
    pub ready: bool,
}

/// A namespace of the cluster, and what tests do in it.
pub struct Namespace {
    cluster: &'static Cluster,
    name: String,
}

impl Namespace {
    pub(super) fn new(cluster: &'static Cluster, name: &str) -> Self {
        Self { cluster, name: name.to_owned() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Creates any object of the kinds in `collection`.
    pub async fn create(&self, object: Value) -> Value {
        let path = self.path(object["kind"].as_str().expect("an object has a kind"));
        self.cluster.api.create(&path, &object).await
    }

    /// The path of an object's collection, to add `/NAME` to.
    pub fn path(&self, kind: &str) -> String {
        let (group, plural) = collection(kind);
        format!("/{group}/namespaces/{}/{plural}", self.name)
    }

    /// The path below which the API server proxies to a Service, without a slash at its end.
    /// `id` is `NAME`, `NAME:PORT` or `SCHEME:NAME:PORT`.
    pub fn proxy_path(&self, id: &str) -> String {
        format!("/api/v1/namespaces/{}/services/{id}/proxy", self.name)
    }

    /// A Service with one ready Pod at `ip`, both found by the label `app: NAME`; returns when it has an endpoint.
    /// The Pod is called `NAME-0`. `ports` are those of the Service: `[{"name": "http", "port": 80, "targetPort": 8080}]`.
    pub async fn expose(&self, name: &str, ip: Ipv4Addr, ports: Value) {
        self.service(name, ports).await;
        let labels = json!({"app": name});
        self.pod(Pod { name: &format!("{name}-0"), ip, labels, ports: json!([]), ready: true }).await;
        self.until_endpoints(name, 1).await;
    }

    /// A Service that selects the Pods with the label `app: NAME`.
    pub async fn service(&self, name: &str, ports: Value) {
        self.create(json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": name},
            "spec": {"selector": {"app": name}, "ports": ports},
        }))
        .await;
    }

    /// Creates a Pod and writes its status as its kubelet would.
    pub async fn pod(&self, pod: Pod<'_>) {
        self.create(json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": pod.name, "labels": pod.labels},
            "spec": {
                "nodeName": NODE_NAME,
                "automountServiceAccountToken": false, "serviceAccountName": "default",
                "containers": [{"name": "app", "image": "app", "ports": pod.ports}],
            },
        }))
        .await;
        self.set_status(
            pod.name,
            json!({
                "phase": "Running",
                "podIP": pod.ip.to_string(),
                "podIPs": [{"ip": pod.ip.to_string()}],
                "conditions": ready_condition(pod.ready),
            }),
        )
        .await;
    }

    /// Makes a Pod an endpoint of its Services, or stops it from being one.
    pub async fn set_ready(&self, pod: &str, ready: bool) {
        self.set_status(pod, json!({"conditions": ready_condition(ready)})).await;
    }

    async fn set_status(&self, pod: &str, status: Value) {
        let path = format!("{}/{pod}/status", self.path("Pod"));
        self.cluster.api.patch(&path, &json!({"status": status})).await;
    }

    /// Deletes a Pod at once, as `kubectl delete --force` does.
    pub async fn delete_pod(&self, pod: &str) {
        self.cluster.api.delete(&format!("{}/{pod}", self.path("Pod"))).await;
    }

    /// Waits until a Service has exactly `count` ready endpoints, in both the old and the new kind of object: API servers
    /// before 1.37 proxy by Endpoints, later ones by EndpointSlices.
    pub async fn until_endpoints(&self, service: &str, count: usize) {
        let endpoints = format!("{}/{service}", self.path("Endpoints"));
        let slices = format!("{}?labelSelector=kubernetes.io/service-name={service}", self.path("EndpointSlice"));
        eventually(&format!("{count} endpoints of {service}"), async || {
            let old = ready_addresses(&self.cluster.api.get(&endpoints).await?);
            let new = ready_slice_endpoints(&self.cluster.api.get(&slices).await?);
            (old == count && new == count).then_some(())
        })
        .await;
    }

    /// Gives `user` rights in this namespace; `rules` are those of a Role:
    /// `[{"apiGroups": [""], "resources": ["services/proxy"], "resourceNames": ["nginx:http"], "verbs": ["get"]}]`.
    pub async fn grant(&self, user: &User, rules: Value) {
        let name = format!("of-{}", user.name());
        self.create(json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": name}, "rules": rules,
        }))
        .await;
        self.create(binding("RoleBinding", user, "Role", &name)).await;
    }

    /// Gives `user` the rights of a ClusterRole (`view`, `edit`, `admin`) in this namespace only.
    pub async fn bind(&self, user: &User, cluster_role: &str) {
        self.create(binding("RoleBinding", user, "ClusterRole", cluster_role)).await;
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
            "spec": {"user": user.name(), "resourceAttributes": {
                "namespace": self.name, "verb": "list", "resource": "services",
            }},
        });
        // API servers learn of a binding, and in their first seconds of what is in these roles, a little later.
        eventually("the rights to be known", async || {
            let answer = self.cluster.api.create("/apis/authorization.k8s.io/v1/subjectaccessreviews", &review).await;
            (answer["status"]["allowed"] == true).then_some(())
        })
        .await;
    }
}

fn collection(kind: &str) -> (&'static str, &'static str) {
    match kind {
        "Service" => ("api/v1", "services"),
        "Pod" => ("api/v1", "pods"),
        "Endpoints" => ("api/v1", "endpoints"),
        "ConfigMap" => ("api/v1", "configmaps"),
        "Secret" => ("api/v1", "secrets"),
        "ServiceAccount" => ("api/v1", "serviceaccounts"),
        "EndpointSlice" => ("apis/discovery.k8s.io/v1", "endpointslices"),
        "Ingress" => ("apis/networking.k8s.io/v1", "ingresses"),
        "Role" => ("apis/rbac.authorization.k8s.io/v1", "roles"),
        "RoleBinding" => ("apis/rbac.authorization.k8s.io/v1", "rolebindings"),
        _ => panic!("tests/support/cluster/objects.rs knows no collection of {kind}: add it there"),
    }
}

pub(super) fn binding(kind: &str, user: &User, role_kind: &str, role: &str) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind,
        "metadata": {"name": format!("{role}-{}", user.name())},
        "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": user.name()}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role_kind, "name": role},
    })
}

fn ready_condition(ready: bool) -> Value {
    json!([{"type": "Ready", "status": if ready { "True" } else { "False" }}])
}

fn ready_addresses(endpoints: &Value) -> usize {
    let subsets = endpoints["subsets"].as_array().map_or(&[][..], Vec::as_slice);
    subsets.iter().filter_map(|subset| subset["addresses"].as_array()).map(Vec::len).sum()
}

fn ready_slice_endpoints(slices: &Value) -> usize {
    let slices = slices["items"].as_array().map_or(&[][..], Vec::as_slice);
    let endpoints = slices.iter().filter_map(|slice| slice["endpoints"].as_array()).flatten();
    endpoints.filter(|endpoint| endpoint["conditions"]["ready"] != false).count()
}
