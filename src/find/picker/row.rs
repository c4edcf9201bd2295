//! One row: a Service port that can be opened, or a Service that cannot and why. Pure.

use std::sync::Arc;

use crate::find::history::HistoryEntry;
use crate::service::choose_port::{PortChoice, openable, port_likeness};
use crate::service::{PortRef, Readiness, Scheme, Service, ServicePort};
use crate::terminal::printable::printable_line;

/// What a row shows, in this order; the order of importance is another one (see [`mod@super::frame`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RowColumn {
    /// `namespace/name`.
    Service,
    /// `http:80`, or the reason why the Service cannot be opened.
    Port,
    /// `http`, `https`, or what else the port's name says.
    Scheme,
    /// `ClusterIP` and so on.
    Type,
    /// Ready and all endpoints: `2/3`.
    Ready,
    /// Time since the Service was made.
    Age,
}

impl RowColumn {
    /// All, from left to right.
    pub const ALL: [Self; 6] = [Self::Service, Self::Port, Self::Scheme, Self::Type, Self::Ready, Self::Age];

    /// What stands above it.
    pub fn title(self) -> &'static str {
        ["SERVICE", "PORT", "SCHEME", "TYPE", "READY", "AGE"][self as usize]
    }
}

/// What is opened when a row is chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PickedRow {
    /// A port that was read.
    Port(PickedPort),
    /// What was opened before, where Services cannot be read in a list.
    Remembered(HistoryEntry),
}

/// A Service port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PickedPort {
    /// The Service.
    pub service: Arc<Service>,
    /// Its port, and what is spoken there.
    pub choice: PortChoice,
}

/// A Service port, or a Service that cannot be opened.
#[derive(Debug, Clone)]
pub struct PickerRow {
    /// The Service's namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What of it, or why not.
    pub offer: Result<PickedRow, String>,
    /// How much it looks like something a person opens in a browser: 0 to [`LIKELY_WEB`] and more; 0 for every port but
    /// the first.
    pub likeness: u8,
    /// Place in the history, 0 being the latest.
    pub recent: Option<usize>,
    /// Whether it is in the namespace in which one looks when nothing is said.
    pub is_here: bool,
    /// Endpoints, once known.
    pub readiness: Option<Readiness>,
    cells: [String; 6],
}

/// The rows of one Service, the port most worth opening first. `recent` was opened last, the latest first; `now` is in seconds since the Unix epoch.
pub fn rows_of(service: &Arc<Service>, recent: &[HistoryEntry], now: i64) -> Vec<PickerRow> {
    let offers: Vec<Result<PortChoice, String>> = match openable(service) {
        Ok(choices) => choices.into_iter().map(Ok).collect(),
        Err(refused) => vec![Err(refused.to_string())],
    };
    let name = format!("{}/{}", service.namespace, service.name);
    let age = service.created.map(|created| age(now - created)).unwrap_or_default();
    let row = |(index, offer): (usize, Result<PortChoice, String>)| {
        let port = offer.as_ref().ok().map(|choice| &choice.port);
        let (port_cell, scheme) = match &offer {
            Ok(choice) => (port_text(&choice.port), choice.spoken().to_owned()),
            Err(reason) => (reason.clone(), String::new()),
        };
        let cells = [name.clone(), port_cell, scheme, service.kind.as_str().to_owned(), String::new(), age.clone()];
        PickerRow {
            likeness: port.filter(|_| index == 0).map_or(0, |port| likeness(&service.name, port)),
            recent: port.and_then(|port| recent.iter().position(|entry| was_opened(entry, service, port))),
            is_here: false,
            readiness: None,
            cells: cells.map(|cell| printable_line(&cell)),
            namespace: service.namespace.clone(),
            name: service.name.clone(),
            offer: offer.map(|choice| PickedRow::Port(PickedPort { service: Arc::clone(service), choice })),
        }
    };
    offers.into_iter().enumerate().map(row).collect()
}

/// The row of what was opened before, `recent` in the history, where nothing can be read of it.
pub fn remembered_row(entry: &HistoryEntry, recent: usize) -> PickerRow {
    let id = &entry.id;
    let scheme = id.scheme().map_or("http", Scheme::as_str);
    let port = id.port().map(ToString::to_string).unwrap_or_default();
    let name = format!("{}/{}", entry.namespace, id.name());
    let cells = [name.as_str(), &port, scheme, "", "", ""];
    PickerRow {
        namespace: entry.namespace.clone(),
        name: id.name().to_owned(),
        offer: Ok(PickedRow::Remembered(entry.clone())),
        likeness: 0,
        recent: Some(recent),
        is_here: false,
        readiness: None,
        cells: cells.map(printable_line),
    }
}

impl PickerRow {
    /// Takes note of how many endpoints are ready.
    pub fn set_readiness(&mut self, readiness: Readiness) {
        self.readiness = Some(readiness);
        let sign = if readiness.ready == 0 && self.offer.is_ok() { NOT_READY } else { "" };
        self.cells[RowColumn::Ready as usize] = format!("{}/{}{sign}", readiness.ready, readiness.total);
    }

    /// The port that it offers, as EndpointSlices name it.
    pub fn port(&self) -> Option<PortRef> {
        match &self.offer {
            Ok(PickedRow::Port(picked)) => Some(picked.choice.port.endpoint_port()),
            Ok(PickedRow::Remembered(_)) | Err(_) => None,
        }
    }

    /// The text of one column; empty where there is nothing to say.
    pub fn cell(&self, column: RowColumn) -> &str {
        &self.cells[column as usize]
    }

    /// Whether it is known that nobody would answer.
    pub fn lacks_endpoints(&self) -> bool {
        self.readiness.is_some_and(|readiness| readiness.ready == 0)
    }

    /// What the row is sorted by while nothing is typed: what cannot be opened last, then recently opened, the current namespace,
    /// likely web UIs that are ready, ready ones, likely web UIs, names.
    pub fn rank(&self) -> impl Ord + '_ {
        (
            self.offer.is_err(),
            self.recent.unwrap_or(usize::MAX),
            !self.is_here,
            self.lacks_endpoints(),
            std::cmp::Reverse(self.likeness),
            self.namespace.as_str(),
            self.name.as_str(),
        )
    }
}

/// After the count of endpoints where none is ready.
const NOT_READY: &str = " !";

/// Whether `entry` of the history is `port` of `service`; without a port it is the Service's only, unnamed one.
fn was_opened(entry: &HistoryEntry, service: &Service, port: &ServicePort) -> bool {
    let same_port = entry.id.port().map_or(service.ports.len() == 1, |wanted| wanted.means(port));
    same_port && entry.id.name() == service.name && entry.namespace == service.namespace
}

/// From this likeness on a row counts as a likely web UI.
pub const LIKELY_WEB: u8 = 2;

/// What a word of a name says of the Service: yes for programs and parts of programs whose purpose is a web page, no for
/// what stands beside a web UI and is not it.
fn is_web_ui(word: &str) -> Option<bool> {
    match word {
        "alertmanager" | "argocd" | "airflow" | "chronograf" | "console" | "dashboard" | "dashboards" | "dex"
        | "frontend" | "gitea" | "grafana" | "gui" | "harbor" | "hubble" | "jaeger" | "jenkins" | "jupyter"
        | "jupyterhub" | "kiali" | "kibana" | "mailhog" | "mailpit" | "minio" | "nexus" | "pgadmin" | "portal"
        | "prometheus" | "rabbitmq" | "sonarqube" | "superset" | "ui" | "web" | "zipkin" => Some(true),
        "agent" | "api" | "backend" | "controller" | "db" | "discovery" | "exporter" | "gossip" | "headless"
        | "metrics" | "node" | "operated" | "operator" | "postgresql" | "redis" | "repo" | "webhook" | "worker"
        | "nodes" | "hl" => Some(false),
        _ => None,
    }
}

/// 2 for a Service named like a web UI, 1 for a port that looks like one, 3 for both.
fn likeness(service: &str, port: &ServicePort) -> u8 {
    // One word that says no outweighs all others.
    let name = service.split('-').filter_map(is_web_ui).min() == Some(true);
    u8::from(name) * LIKELY_WEB + u8::from(port_likeness(port) > 0)
}

/// `http:80`, or `80` for an unnamed port.
pub fn port_text(port: &ServicePort) -> String {
    match &port.name {
        Some(name) => format!("{name}:{}", port.number),
        None => port.number.to_string(),
    }
}

/// A duration in seconds in its largest unit alone, as kubectl's `ShortHumanDuration` has it.
pub fn age(seconds: i64) -> String {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    const YEAR: i64 = 365 * DAY;
    match seconds.max(0) {
        seconds @ ..MINUTE => format!("{seconds}s"),
        seconds @ ..HOUR => format!("{}m", seconds / MINUTE),
        seconds @ ..DAY => format!("{}h", seconds / HOUR),
        seconds @ ..YEAR => format!("{}d", seconds / DAY),
        seconds => format!("{}y", seconds / YEAR),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::find::history::tests::entry;
    use crate::service::{Protocol, ServiceType};

    /// A Service `namespace/name` with `ports` as `name:number` or `number`, blank separated, and UDP where it ends in
    /// `/UDP`.
    pub(crate) fn service(name: &str, ports: &str) -> Arc<Service> {
        let (namespace, name) = name.split_once('/').unwrap();
        Arc::new(Service {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            kind: ServiceType::ClusterIp,
            cluster_ip: Some("10.0.0.1".to_owned()),
            external_name: None,
            selector: BTreeMap::from([("app".to_owned(), name.to_owned())]),
            ports: ports.split_whitespace().map(port).collect(),
            annotations: BTreeMap::new(),
            load_balancer: Vec::new(),
            session_affinity: false,
            created: Some(0),
        })
    }

    fn port(text: &str) -> ServicePort {
        let (text, protocol) = match text.strip_suffix("/UDP") {
            Some(text) => (text, Protocol::Udp),
            None => (text, Protocol::Tcp),
        };
        let (name, number) = text.split_once(':').map_or((None, text), |(name, number)| (Some(name), number));
        ServicePort {
            name: name.map(ToOwned::to_owned),
            number: number.parse().unwrap(),
            protocol,
            app_protocol: None,
            target_port: None,
            node_port: None,
        }
    }

    /// The only row of a Service.
    pub(crate) fn row(name: &str, ports: &str) -> PickerRow {
        let mut rows = rows_of(&service(name, ports), &[], 0);
        assert_eq!(rows.len(), 1);
        rows.remove(0)
    }

    fn recent(text: &str, port: &str) -> HistoryEntry {
        let (namespace, service) = text.split_once('/').unwrap();
        entry(namespace, &format!("{service}:{port}"), "/")
    }

    #[test]
    fn a_row_for_each_tcp_port() {
        let rows = rows_of(&service("a/x", "metrics:9090 dns:53/UDP http:80"), &[], 90);
        let ports: Vec<&str> = rows.iter().map(|row| row.cell(RowColumn::Port)).collect();
        assert_eq!(ports, ["http:80", "metrics:9090"]);
        assert_eq!(rows[0].cell(RowColumn::Service), "a/x");
        assert_eq!(rows[0].cell(RowColumn::Scheme), "http");
        assert_eq!(rows[0].cell(RowColumn::Type), "ClusterIP");
        assert_eq!(rows[0].cell(RowColumn::Age), "1m");
    }

    #[test]
    fn a_port_of_another_protocol_is_not_shown_as_http() {
        let shown = |ports: &str| row("a/x", ports).cell(RowColumn::Scheme).to_owned();
        let expect = [("tcp-redis:6379", "redis"), ("amqp:5672", "amqp"), ("https:443", "https"), ("6379", "http")];
        expect.iter().for_each(|(ports, scheme)| assert_eq!(shown(ports), *scheme, "{ports}"));
    }

    #[test]
    fn what_was_opened_before_is_a_row_without_its_service() {
        let row = remembered_row(&recent("a/grafana", "web"), 3);
        assert_eq!(RowColumn::ALL.map(|column| row.cell(column).to_owned()), ["a/grafana", "web", "http", "", "", ""]);
        assert_eq!((row.recent, row.port(), row.lacks_endpoints()), (Some(3), None, false));
    }

    #[test]
    fn what_cannot_be_opened_says_why() {
        let row = row("a/dns", "53/UDP");
        assert_eq!(row.offer.as_ref().unwrap_err(), "no TCP port");
        assert_eq!(row.cell(RowColumn::Port), "no TCP port");
    }

    #[test]
    fn the_order_is_recent_then_here_then_ready_then_web_then_name_then_not_openable() {
        let history = [recent("a/old", ""), recent("z/older", "http")];
        let services = [
            ("a/dns", "53/UDP", None),
            ("b/plain", "5432", Some(1)),
            ("a/plain", "5432", Some(0)),
            ("b/shop", "http:80", None),
            ("c/grafana", "service:80", Some(0)),
            ("c/dashboard", "http:80", Some(1)),
            ("z/older", "http:80", Some(0)),
            ("a/old", "5432", Some(0)),
        ];
        let mut rows: Vec<PickerRow> = Vec::new();
        for (name, ports, ready) in services {
            for mut row in rows_of(&service(name, ports), &history, 0) {
                if let Some(ready) = ready {
                    row.set_readiness(Readiness { ready, total: 1 });
                }
                rows.push(row);
            }
        }
        rows.sort_by(|a, b| a.rank().cmp(&b.rank()));
        let names: Vec<&str> = rows.iter().map(|row| row.cell(RowColumn::Service)).collect();
        let expect = ["a/old", "z/older", "c/dashboard", "b/shop", "b/plain", "c/grafana", "a/plain", "a/dns"];
        assert_eq!(names, expect);
        rows.iter_mut().for_each(|row| row.is_here = row.namespace == "b");
        rows.sort_by(|a, b| a.rank().cmp(&b.rank()));
        let names: Vec<&str> = rows.iter().map(|row| row.cell(RowColumn::Service)).collect();
        assert_eq!(names[..5], ["a/old", "z/older", "b/shop", "b/plain", "c/dashboard"]);
    }

    #[test]
    fn names_of_web_uis() {
        let check = |name: &str, expect: bool| {
            let port = port("http:80");
            assert_eq!(likeness(name, &port) >= LIKELY_WEB, expect, "{name}");
        };
        for name in ["grafana", "argocd-server", "kubernetes-dashboard", "my-ui", "web", "prometheus", "shop-frontend"]
        {
            check(name, true);
        }
        for name in ["prometheus-operated", "prometheus-node-exporter", "webapp", "minio-hl", "jaeger-agent", "redis"] {
            check(name, false);
        }
    }

    #[test]
    fn further_ports_and_other_ports_are_not_recent() {
        let rows = rows_of(&service("a/x", "http:80 metrics:9090"), &[recent("a/x", "metrics")], 0);
        assert_eq!(rows.iter().map(|row| row.recent).collect::<Vec<_>>(), [None, Some(0)]);
    }

    #[test]
    fn ages() {
        let check = |seconds: i64, expect: &str| assert_eq!(age(seconds), expect);
        check(-5, "0s");
        check(59, "59s");
        check(60, "1m");
        check(3_599, "59m");
        check(86_399, "23h");
        check(86_400 * 364, "364d");
        check(86_400 * 800, "2y");
    }

    #[test]
    fn nothing_a_terminal_would_obey() {
        let mut service = (*service("a/x", "")).clone();
        service.kind = ServiceType::ExternalName;
        service.external_name = Some("evil\u{1b}[2J.example".to_owned());
        let rows = rows_of(&Arc::new(service), &[], 0);
        assert!(!rows[0].cell(RowColumn::Port).contains('\u{1b}'));
    }
}
