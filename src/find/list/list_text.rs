//! A list in its formats. Pure: pages of Services in, text out, so that nothing but the page at hand is kept.

use std::fmt::Write as _;

use serde::Serialize;

use crate::cluster::ServiceReadiness;
use crate::find::picker::row::{age, port_text};
use crate::service::Target;
use crate::service::choose_port::{PortChoice, TargetWish, choose, openable};
use crate::service::direct_urls;
use crate::service::{Readiness, Service, ServicePort, ServiceType};
use crate::terminal::output::OutputFormat;
use crate::terminal::printable::{json_line, printable, printable_line};

/// A list while it is being printed.
pub(super) struct PrintedList {
    about: ListContext,
    columns: Vec<ListColumn>,
    /// Only ever wider: a table that is printed while it is read cannot go back.
    widths: Vec<usize>,
    is_first: bool,
}

/// What the lines of a list have in common.
#[derive(Debug, Clone)]
pub(super) struct ListContext {
    /// The form.
    pub(super) format: OutputFormat,
    /// Context of the kubeconfig.
    pub(super) context: Option<String>,
    /// URL of the API server.
    pub(super) server: String,
    /// Whether the Services may be of several namespaces.
    pub(super) several_namespaces: bool,
    /// Where `kubectl svcproxy` would serve them: `http://127.0.0.1:8001`.
    pub(super) local: String,
    /// Seconds since the Unix epoch.
    pub(super) now: i64,
    /// Columns of the terminal that it is for: what is longer is cut, and the port that a name alone opens is marked. `None` for
    /// programs.
    pub(super) columns: Option<usize>,
}

/// After the port that SERVICE without a port opens.
const MARK: &str = " *";

/// A column of the table: its title, when it is there, and what it says of a line.
type ListColumn = (&'static str, ColumnUse, fn(&ListLine<'_>) -> String);

/// When a column is there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ColumnUse {
    Always,
    /// In front of a person only where the first page has something to say in it.
    WhereUsed,
    InWide,
    OfSeveralNamespaces,
}

/// What a line of the table is about.
struct ListLine<'a> {
    service: &'a Service,
    /// The port that it offers, if there is one.
    choice: Option<&'a PortChoice>,
    ready: Option<Readiness>,
    /// Whether it is the port that is marked.
    is_marked: bool,
    /// Where to open it, or why nobody can.
    url: String,
    now: i64,
}

/// The columns in their order: the longest is the last, and the one to be cut.
const COLUMNS: [ListColumn; 10] = [
    ("NAMESPACE", ColumnUse::OfSeveralNamespaces, |line| line.service.namespace.clone()),
    ("NAME", ColumnUse::Always, |line| line.service.name.clone()),
    ("PORT", ColumnUse::Always, |line| {
        let mark = if line.is_marked { MARK } else { "" };
        or_dash(line.choice.map(|choice| port_text(&choice.port) + mark))
    }),
    ("SCHEME", ColumnUse::Always, |line| or_dash(line.choice.map(|choice| choice.spoken().to_owned()))),
    ("TYPE", ColumnUse::InWide, |line| line.service.kind.as_str().to_owned()),
    ("CLUSTER-IP", ColumnUse::InWide, |line| or_dash(line.service.cluster_ip.clone())),
    ("READY", ColumnUse::Always, |line| or_dash(line.ready.map(|ready| format!("{}/{}", ready.ready, ready.total)))),
    ("AGE", ColumnUse::InWide, |line| or_dash(line.service.created.map(|created| age(line.now - created)))),
    ("WITHOUT PROXY", ColumnUse::WhereUsed, |line| {
        let places = line.choice.map(|choice| also_at(line.service, choice));
        or_dash(places.filter(|places| !places.is_empty()).map(|places| places.join(", ")))
    }),
    ("PROXY URL", ColumnUse::Always, |line| line.url.clone()),
];

/// A Service, and how many of its endpoints are ready, where that is known.
type ListedService = (Service, Option<ServiceReadiness>);

impl PrintedList {
    /// Begins a list.
    pub(super) fn new(about: ListContext) -> Self {
        let is_shown = |(_, shown, _): &ListColumn| match shown {
            ColumnUse::Always | ColumnUse::WhereUsed => true,
            ColumnUse::InWide => about.format == OutputFormat::Wide,
            ColumnUse::OfSeveralNamespaces => about.several_namespaces,
        };
        let columns: Vec<ListColumn> = COLUMNS.into_iter().filter(is_shown).collect();
        Self { widths: vec![0; columns.len()], about, columns, is_first: true }
    }

    /// The text of a page of Services, each with its readiness, `None` where that is not known. May be empty, and need
    /// not end a line.
    pub(super) fn page(&mut self, services: &[ListedService]) -> String {
        let mut text = String::new();
        if services.is_empty() {
            return text;
        }
        match self.about.format {
            OutputFormat::Json => self.json(services, &mut text),
            OutputFormat::Yaml => self.yaml(services, &mut text),
            OutputFormat::Name => services.iter().for_each(|(service, _)| self.name(service, &mut text)),
            _ => self.table(services, &mut text),
        }
        self.is_first = false;
        text
    }

    /// What follows the last page.
    pub(super) fn end(self) -> String {
        match self.about.format {
            OutputFormat::Json if self.is_first => self.head() + "]}\n",
            OutputFormat::Json => "\n]}\n".to_owned(),
            OutputFormat::Yaml if self.is_first => self.head() + " []\n",
            _ => String::new(),
        }
    }

    fn table(&mut self, services: &[ListedService], text: &mut String) {
        let mut lines: Vec<Vec<String>> = services.iter().flat_map(|listed| self.lines(listed)).collect();
        if self.is_first {
            self.leave_out_unused(&mut lines);
            lines.insert(0, self.columns.iter().map(|(title, ..)| (*title).to_owned()).collect());
        }
        for line in &lines {
            for (width, cell) in self.widths.iter_mut().zip(line) {
                *width = (*width).max(cell.chars().count());
            }
        }
        for line in &lines {
            let start = text.len();
            for (cell, &width) in line.iter().zip(&self.widths) {
                let _ = write!(text, "{cell:width$}   ");
            }
            text.truncate(start + text[start..].trim_end().len());
            if let Some(columns) = self.about.columns.filter(|columns| text[start..].chars().count() > *columns) {
                let kept: String = text[start..].chars().take(columns.saturating_sub(1)).collect();
                text.replace_range(start.., &(kept + "…"));
            }
            text.push('\n');
        }
    }

    /// Whoever reads on, as programs do, gets every column.
    fn leave_out_unused(&mut self, lines: &mut [Vec<String>]) {
        if self.about.columns.is_none() {
            return;
        }
        let is_used = |index: usize| lines.iter().any(|line| line[index] != DASH);
        let may_go = |(index, column): (usize, &ListColumn)| column.1 == ColumnUse::WhereUsed && !is_used(index);
        let Some(unused) = self.columns.iter().enumerate().position(may_go) else { return };
        self.columns.remove(unused);
        self.widths.remove(unused);
        lines.iter_mut().for_each(|line| drop(line.remove(unused)));
    }

    /// A line for each port of a Service that can be opened, or one that says why none can.
    fn lines(&self, (service, known): &ListedService) -> Vec<Vec<String>> {
        let marked = self.about.columns.and_then(|_| choose(service, &TargetWish::default()).ok());
        let line = |choice: Option<&PortChoice>, url| {
            let ready = ready_behind(service, known.as_ref(), choice);
            let is_taken = choice.zip(marked.as_ref()).is_some_and(|(choice, marked)| choice.port == marked.port);
            let is_marked = is_taken && service.ports.len() > 1;
            let line = ListLine { service, choice, ready, is_marked, url, now: self.about.now };
            self.columns.iter().map(|(_, _, cell)| printable_line(&cell(&line))).collect()
        };
        match openable(service) {
            Ok(choices) => choices.iter().map(|choice| line(Some(choice), self.url(service, choice))).collect(),
            Err(refused) => vec![line(None, format!("({refused})"))],
        }
    }

    fn url(&self, service: &Service, choice: &PortChoice) -> String {
        format!("{}{}", self.about.local, Target::new(service, choice, None).proxy_path())
    }

    /// A line that `kubectl svcproxy` takes as SERVICE.
    fn name(&self, service: &Service, text: &mut String) {
        let namespace = if self.about.several_namespaces { format!(".{}", service.namespace) } else { String::new() };
        let _ = writeln!(text, "{}", printable_line(&format!("service/{}{namespace}", service.name)));
    }

    fn json(&self, services: &[ListedService], text: &mut String) {
        let mut before = if self.is_first { self.head() + "\n" } else { ",\n".to_owned() };
        for listed in services {
            text.push_str(&before);
            text.push_str(&json_line(&self.item(listed)));
            ",\n".clone_into(&mut before);
        }
    }

    fn yaml(&self, services: &[ListedService], text: &mut String) {
        if self.is_first {
            text.push_str(&(self.head() + "\n"));
        }
        for listed in services {
            let item = self.item(listed);
            let yaml = serde_saphyr::to_string(&[&item]).expect("an item has text and numbers only");
            // Where YAML would show what is not to be shown, JSON is YAML too.
            let is_safe = printable(&yaml) == yaml;
            text.push_str(&if is_safe { yaml } else { format!("- {}\n", json_line(&item)) });
        }
    }

    /// What stands before the Services: context and server in JSON, which is YAML too.
    fn head(&self) -> String {
        let text = |value: Option<&str>| json_line(&value);
        let (context, server) = (text(self.about.context.as_deref()), text(Some(&self.about.server)));
        if self.about.format == OutputFormat::Json {
            return format!("{{\"context\":{context},\"server\":{server},\"services\":[");
        }
        format!("context: {context}\nserver: {server}\nservices:")
    }

    fn item(&self, (service, known): &ListedService) -> PrintedService {
        let offers = openable(service);
        let reason = offers.as_ref().err().map(ToString::to_string);
        let choices = offers.unwrap_or_default();
        let open = |choice: &PortChoice| PrintedPort {
            scheme: Some(choice.scheme.as_str()),
            proxy_url: Some(self.url(service, choice)),
            without_proxy: direct_urls(service, choice),
            ..PrintedPort::new(&choice.port)
        };
        let ready = ready_behind(service, known.as_ref(), choices.first());
        let created = service.created.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
        let closed = service.ports.iter().filter(|port| !choices.iter().any(|choice| choice.port == **port));
        PrintedService {
            namespace: service.namespace.clone(),
            name: service.name.clone(),
            kind: service.kind.as_str(),
            cluster_ip: service.cluster_ip.clone(),
            created: created.map(|at| at.to_string()),
            ready: ready.map(|ready| ready.ready),
            endpoints: ready.map(|ready| ready.total),
            not_openable: reason,
            ports: choices.iter().map(open).chain(closed.map(PrintedPort::new)).collect(),
        }
    }
}

/// How many endpoints are ready behind the port that `choice` opens, or behind any. A name for another host has none that
/// could be ready.
fn ready_behind(service: &Service, known: Option<&ServiceReadiness>, choice: Option<&PortChoice>) -> Option<Readiness> {
    let known = known.filter(|_| service.kind != ServiceType::ExternalName)?;
    Some(known.behind(choice.map(|choice| choice.port.endpoint_port()).as_ref()))
}

/// What is not known, or not there.
const DASH: &str = "-";

fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| DASH.to_owned())
}

/// Where a port can be reached without a proxy, for people.
fn also_at(service: &Service, choice: &PortChoice) -> Vec<String> {
    let node_port = choice.port.node_port.map(|port| format!("port {port} of every node"));
    direct_urls(service, choice).into_iter().chain(node_port).collect()
}

/// A Service in JSON and YAML.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PrintedService {
    namespace: String,
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(rename = "clusterIP", skip_serializing_if = "Option::is_none")]
    cluster_ip: Option<String>,
    /// RFC 3339, as Kubernetes has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    /// Ready endpoints behind the first of `ports`; absent where the user may not know.
    #[serde(skip_serializing_if = "Option::is_none")]
    ready: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoints: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_openable: Option<String>,
    /// The one that would be opened first.
    ports: Vec<PrintedPort>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PrintedPort {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    port: u16,
    protocol: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    scheme: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node_port: Option<u16>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    without_proxy: Vec<String>,
}

impl PrintedPort {
    /// A port that cannot be opened.
    fn new(port: &ServicePort) -> Self {
        Self {
            name: port.name.clone(),
            port: port.number,
            protocol: port.protocol.as_str(),
            scheme: None,
            proxy_url: None,
            node_port: port.node_port,
            without_proxy: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{AddressType, Endpoint, EndpointPort, EndpointSlice};
    use crate::find::picker::row::tests::service;
    use crate::service::Protocol;

    fn about(format: OutputFormat) -> ListContext {
        ListContext {
            format,
            context: Some("dev".to_owned()),
            server: "https://10.0.0.1:6443".to_owned(),
            several_namespaces: true,
            local: "http://127.0.0.1:8001".to_owned(),
            now: 3_600,
            columns: None,
        }
    }

    fn services() -> Vec<Service> {
        let mut services: Vec<Service> = [
            ("a/grafana", "service:80"),
            ("a/shop", "http:8080 metrics:9090"),
            ("kube-system/kube-dns", "dns:53/UDP"),
            ("b/edge", "https:443"),
        ]
        .map(|(name, ports)| (*service(name, ports)).clone())
        .to_vec();
        services[3].kind = ServiceType::LoadBalancer;
        services[3].load_balancer = vec!["203.0.113.7".to_owned(), "2001:db8::7".to_owned()];
        services[3].ports[0].node_port = Some(30_443);
        services
    }

    fn one_of_two() -> ServiceReadiness {
        let endpoint = |ready| Endpoint { addresses: vec![], ready, serving: true, terminating: false, pod: None };
        let port = EndpointPort { name: "service".to_owned(), number: None, protocol: Protocol::Tcp };
        let mut known = ServiceReadiness::default();
        known.add(&EndpointSlice {
            namespace: "a".to_owned(),
            service: "grafana".to_owned(),
            addresses: AddressType::Ipv4,
            ports: vec![port],
            endpoints: [true, false].map(endpoint).to_vec(),
        });
        known
    }

    fn printed(about: ListContext, pages: &[&[Service]]) -> String {
        let known = |service: &Service| (service.name == "grafana").then(one_of_two);
        let entry = |service: &Service| (service.clone(), known(service));
        let mut listing = PrintedList::new(about);
        let mut text: String =
            pages.iter().map(|page| listing.page(&page.iter().map(entry).collect::<Vec<_>>())).collect();
        text += &listing.end();
        text
    }

    #[test]
    fn a_table() {
        let expect = "\
NAMESPACE     NAME       PORT           SCHEME   READY   WITHOUT PROXY                                                            PROXY URL
a             grafana    service:80     http     1/2     -                                                                        http://127.0.0.1:8001/api/v1/namespaces/a/services/grafana:service/proxy/
a             shop       http:8080      http     -       -                                                                        http://127.0.0.1:8001/api/v1/namespaces/a/services/shop:http/proxy/
a             shop       metrics:9090   http     -       -                                                                        http://127.0.0.1:8001/api/v1/namespaces/a/services/shop:metrics/proxy/
kube-system   kube-dns   -              -        -       -                                                                        (no TCP port)
b             edge       https:443      https    -       https://203.0.113.7/, https://[2001:db8::7]/, port 30443 of every node   http://127.0.0.1:8001/api/v1/namespaces/b/services/https:edge:https/proxy/
";
        assert_eq!(printed(about(OutputFormat::Text), &[&services()]), expect);
    }

    #[test]
    fn a_table_for_a_person() {
        let expect = "\
NAMESPACE     NAME       PORT           SCHEME   READY   PROXY URL
a             grafana    service:80     http     1/2     http://127.0.0.1:8001/api/v1/namespaces/a/servi…
a             shop       http:8080 *    http     -       http://127.0.0.1:8001/api/v1/namespaces/a/servi…
a             shop       metrics:9090   http     -       http://127.0.0.1:8001/api/v1/namespaces/a/servi…
kube-system   kube-dns   -              -        -       (no TCP port)
";
        let about = ListContext { columns: Some(105), ..about(OutputFormat::Text) };
        assert_eq!(printed(about, &[&services()[..3]]), expect);
    }

    #[test]
    fn one_namespace_needs_no_column() {
        let about = ListContext { several_namespaces: false, ..about(OutputFormat::Wide) };
        let text = printed(about, &[&services()[..1]]);
        let titles: Vec<&str> =
            text.lines().next().unwrap().split("   ").map(str::trim).filter(|title| !title.is_empty()).collect();
        assert_eq!(
            titles,
            ["NAME", "PORT", "SCHEME", "TYPE", "CLUSTER-IP", "READY", "AGE", "WITHOUT PROXY", "PROXY URL"]
        );
        assert!(text.contains("10.0.0.1") && text.contains("1h"), "{text}");
    }

    #[test]
    fn what_is_reachable_without_a_proxy_has_a_column_where_there_is_something() {
        let services = services();
        let titles = |columns: Option<usize>, services: &[Service]| {
            let about = ListContext { columns, ..about(OutputFormat::Text) };
            printed(about, &[services]).lines().next().unwrap().to_owned()
        };
        assert!(titles(None, &services[..3]).contains("WITHOUT PROXY"));
        assert!(titles(Some(300), &services).contains("WITHOUT PROXY"));
        assert!(!titles(Some(300), &services[..3]).contains("WITHOUT PROXY"));
    }

    #[test]
    fn pages_make_one_list() {
        let services = services();
        for format in [OutputFormat::Json, OutputFormat::Yaml, OutputFormat::Name] {
            let whole = printed(about(format), &[&services]);
            assert_eq!(printed(about(format), &[&services[..1], &[], &services[1..]]), whole, "{format:?}");
        }
        let table = printed(about(OutputFormat::Text), &[&services[..1], &services[1..]]);
        assert_eq!(table.lines().count(), 6);
        assert_eq!(table.matches("NAMESPACE").count(), 1);
    }

    #[test]
    fn json_that_programs_can_read() {
        let document: serde_json::Value =
            serde_json::from_str(&printed(about(OutputFormat::Json), &[&services()])).unwrap();
        assert_eq!((&document["context"], &document["server"]), (&"dev".into(), &"https://10.0.0.1:6443".into()));
        let grafana = &document["services"][0];
        assert_eq!((&grafana["ready"], &grafana["endpoints"]), (&1.into(), &2.into()));
        assert_eq!(grafana["created"], "1970-01-01T00:00:00Z");
        let url = "http://127.0.0.1:8001/api/v1/namespaces/a/services/grafana:service/proxy/";
        assert_eq!(grafana["ports"][0]["proxyUrl"], url);
        let dns = &document["services"][2];
        assert_eq!(dns["notOpenable"], "no TCP port");
        assert_eq!(dns["ports"][0], serde_json::json!({"name": "dns", "port": 53, "protocol": "UDP"}));
        let edge = &document["services"][3]["ports"][0];
        assert_eq!(edge["withoutProxy"][1], "https://[2001:db8::7]/");
        assert_eq!(edge["nodePort"], 30_443);
    }

    #[test]
    fn yaml_is_the_same_as_json() {
        let text = printed(about(OutputFormat::Yaml), &[&services()[..2]]);
        assert!(
            text.starts_with("context: \"dev\"\nserver: \"https://10.0.0.1:6443\"\nservices:\n- namespace: a\n"),
            "{text}"
        );
        assert_eq!(text.matches("\n- namespace: ").count(), 2, "{text}");
    }

    #[test]
    fn names_can_be_typed_again() {
        assert!(printed(about(OutputFormat::Name), &[&services()]).starts_with("service/grafana.a\nservice/shop.a\n"));
        let about = ListContext { several_namespaces: false, ..about(OutputFormat::Name) };
        assert!(printed(about, &[&services()]).starts_with("service/grafana\n"));
    }

    #[test]
    fn an_empty_list() {
        assert_eq!(printed(about(OutputFormat::Text), &[]), "");
        assert_eq!(printed(about(OutputFormat::Name), &[]), "");
        let json: serde_json::Value = serde_json::from_str(&printed(about(OutputFormat::Json), &[])).unwrap();
        assert_eq!(json["services"], serde_json::json!([]));
        assert!(printed(about(OutputFormat::Yaml), &[]).ends_with("services: []\n"));
    }

    #[test]
    fn nothing_a_terminal_would_obey() {
        let mut service = services().remove(0);
        service.ports[0].name = Some("a\u{1b}[31m".to_owned());
        assert!(!printed(about(OutputFormat::Text), &[&[service]]).contains('\u{1b}'));
    }
}
