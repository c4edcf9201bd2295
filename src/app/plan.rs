//! Flags and what is known of the terminal → what this run will do. Pure.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use super::args::{ChoosingFlags, CommandLine, LocalAddress, ServingFlags};
use crate::error::Error;
use crate::find::list::ListPlan;
use crate::find::query::{NamedService, ServiceQuery, ServiceSearch, WantedServices};
use crate::proxy::local::{GuardPolicy, ListenOn};
use crate::proxy::upstream::limitation::Via;
use crate::service::choose_port::TargetWish;
use crate::service::{ServiceIdError, ServiceSpelling, SpellingError, is_site_label, rooted};
use crate::terminal::browser::{self, BrowserOpening};
use crate::terminal::editor_front::EditorFront;
use crate::terminal::output::{LogFormat, OutputFormat};
use crate::terminal::terminal_facts::{PromptWay, TerminalFacts};

/// Where `kubectl proxy` listens, and so what documents show.
pub(crate) const DEFAULT_PORT: u16 = 8001;

/// What this run will do.
#[derive(Debug)]
pub enum Plan {
    /// Open Services.
    Open(Box<OpenPlan>),
    /// List Services.
    List(ListPlan),
}

/// Opening Services.
#[derive(Debug)]
pub struct OpenPlan {
    /// Which ones, and where to look for them.
    pub query: ServiceQuery,
    /// How they are served.
    pub serving: ServingFlags,
    /// Where to listen.
    pub listen: ListenOn,
    /// Who may use it.
    pub guard: GuardPolicy,
    /// The editor through which the user's browser comes.
    pub editor: Option<EditorFront>,
    /// How the URL gets to the user.
    pub opening: BrowserOpening,
    /// What to run once ready.
    pub command: Vec<OsString>,
    /// The form of the ready line.
    pub format: OutputFormat,
    /// Only say what would be done.
    pub dry_run: bool,
    /// A line for each request, in this form.
    pub log_requests: Option<LogFormat>,
    /// How a prompt can be shown.
    pub prompting: PromptWay,
    /// Whether what is served is said to a person at a terminal, whose last line says what is going on.
    pub for_person: bool,
    /// Whether single keys can be typed.
    pub keys: bool,
    /// Files that the environment has programs trust, by variable.
    pub ca_files: Vec<(&'static str, PathBuf)>,
}

impl OpenPlan {
    /// Whether somebody will want to know the endpoints as soon as the Service is read.
    pub fn wants_endpoints(&self) -> bool {
        self.for_person || self.dry_run || self.serving.via == Via::PortForward
    }
}

/// Decides what to do.
///
/// # Errors
/// When what was typed makes no sense, alone or together.
pub fn plan(cli: CommandLine, facts: &TerminalFacts) -> Result<Plan, Error> {
    let search = ServiceSearch {
        all_namespaces: cli.choosing.all_namespaces,
        namespace: cli.kubectl.namespace.clone().filter(|namespace| !namespace.is_empty()),
        selector: cli.choosing.selector.clone(),
    };
    if cli.choosing.list || cli.choosing.builtin {
        return list(&cli, search, facts).map(Plan::List);
    }
    let CommandLine { services, command, choosing, serving, guarding, printing, .. } = cli;
    let format = ready_format(printing.output)?;
    let wanted = wanted(&choosing, services, facts)?;
    if !command.is_empty() && printing.dry_run {
        return Err(Error::usage("--dry-run opens nothing, so there is nothing for COMMAND to use"));
    }
    if !command.is_empty() && serving.unix_socket.is_some() {
        return Err(Error::usage("COMMAND gets a URL, and a --unix-socket has none"));
    }
    check_hosts(&guarding)?;
    let for_programs = format != OutputFormat::Text || !command.is_empty();
    let no_browser = serving.no_browser || serving.unix_socket.is_some() || for_programs;
    let logs_for_programs = printing.log_format != LogFormat::Text;
    // Only where a person reads: a script has asked for a format, COMMAND has the terminal for itself, and what stdout is piped to
    // (`cat`, `tee`) may write to the same terminal.
    let is_read = facts.stdout_is_terminal && facts.stderr_is_terminal && !facts.terminal_is_dumb;
    let for_person = is_read && !for_programs && !logs_for_programs;
    Ok(Plan::Open(Box::new(OpenPlan {
        query: ServiceQuery { wanted, search },
        listen: match &serving.unix_socket {
            Some(path) => ListenOn::UnixSocket(path.clone()),
            None => ListenOn::Tcp { addresses: addresses(&serving.address), port: serving.port },
        },
        guard: guarding,
        editor: facts.editor.clone(),
        opening: browser::opening(no_browser, serving.browser.clone(), facts),
        serving,
        command,
        format,
        dry_run: printing.dry_run,
        log_requests: printing.log_requests.then_some(printing.log_format),
        prompting: facts.prompting(),
        for_person,
        keys: for_person && facts.stdin_is_terminal,
        ca_files: facts.ca_files.clone(),
    })))
}

/// The name of a site is its Service's: under it another one would get its cookies.
fn check_hosts(guard: &GuardPolicy) -> Result<(), Error> {
    let label = |host: &str| host.split(':').next().and_then(|name| name.strip_suffix(".localhost")).map(str::to_owned);
    let is_site = |host: &&String| label(&host.to_ascii_lowercase()).is_some_and(|label| is_site_label(&label));
    match guard.allow_hosts.iter().find(is_site) {
        None => Ok(()),
        Some(host) => {
            Err(Error::usage(format!("--allow-host {host} is the site of one Service, and no name for another"))
                .hint(format!("open that Service: kubectl svcproxy http://{host}/")))
        }
    }
}

fn list(cli: &CommandLine, search: ServiceSearch, facts: &TerminalFacts) -> Result<ListPlan, Error> {
    let format = cli.printing.output.unwrap_or_default();
    if format == OutputFormat::Url {
        return Err(Error::usage("--list knows -o wide, json, yaml and name, not -o url"));
    }
    let (search, filter) = match &cli.services[..] {
        [] => (search, None),
        [one] => filtered(search, one)?,
        _ => return Err(Error::usage("--list takes one SERVICE at most, as a filter")),
    };
    if !cli.command.is_empty() {
        return Err(Error::usage("--list opens nothing, so there is nothing for COMMAND to use"));
    }
    let port = cli.serving.port.filter(|&port| port != 0).unwrap_or(DEFAULT_PORT);
    let for_person = facts.stdout_is_terminal && format == OutputFormat::Text;
    Ok(ListPlan { search, builtin: cli.choosing.builtin, format, filter, port, for_person })
}

/// What SERVICE says of where to look, and the part of names to look for. What cannot be a name is looked for as it is.
fn filtered(search: ServiceSearch, text: &str) -> Result<(ServiceSearch, Option<String>), Error> {
    match ServiceSpelling::parse(text) {
        Ok(ServiceSpelling { id, namespace: Some(namespace), .. }) => {
            let search = ServiceSearch { all_namespaces: false, namespace: Some(namespace), ..search };
            Ok((search, Some(id.name().to_owned())))
        }
        Ok(ServiceSpelling { id, .. }) => Ok((search, Some(id.name().to_owned()))),
        Err(SpellingError::Id(ServiceIdError::Name(_))) if !text.contains(['/', ':']) => {
            Ok((search, Some(text.to_owned())))
        }
        Err(error) => Err(misspelled(text, &error)),
    }
}

fn ready_format(flag: Option<OutputFormat>) -> Result<OutputFormat, Error> {
    match flag.unwrap_or_default() {
        format @ (OutputFormat::Text | OutputFormat::Json | OutputFormat::Url) => Ok(format),
        _ => Err(Error::usage("-o wide, yaml and name are for --list").hint("use -o text, json or url")),
    }
}

fn wanted(choosing: &ChoosingFlags, services: Vec<String>, facts: &TerminalFacts) -> Result<WantedServices, Error> {
    if choosing.pick || services.is_empty() {
        if facts.prompting().is_possible() {
            return Ok(WantedServices::Pick { typed: services.join(" "), wish: flagged(choosing) });
        }
        let message =
            if choosing.pick { "--pick needs a terminal" } else { "no SERVICE given, and no terminal to choose on" };
        return Err(Error::usage(message)
            .hint("name it: kubectl svcproxy SERVICE [-n NAMESPACE]; kubectl svcproxy --list shows them"));
    }
    if services == ["-"] {
        return Ok(WantedServices::Last(flagged(choosing)));
    }
    if services.iter().any(|text| text == "-") {
        return Err(Error::usage("- opens what was opened last, and stands alone")
            .hint("several Services are opened by name, or marked with Tab: kubectl svcproxy --pick"));
    }
    if let Some(error) = services.windows(2).find_map(|words| pair_of_ports(&words[0], &words[1])) {
        return Err(error);
    }
    services.into_iter().map(|text| named(text, choosing)).collect::<Result<_, _>>().map(WantedServices::Named)
}

/// `nginx 8080:80`, as `kubectl port-forward` takes it, local port first.
fn pair_of_ports(service: &str, word: &str) -> Option<Error> {
    let (local, port) = word.split_once(':')?;
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if port.is_empty() || !is_number(local) || !is_number(port) {
        return None;
    }
    let local = if local.is_empty() { "0" } else { local };
    let error = Error::usage(format!("SERVICE \"{word}\" is a local port and a Service's, and no name"));
    Some(error.hint(format!("that is spelled {service}:{port} -p {local}")))
}

/// What flags alone say of port, scheme and path.
fn flagged(choosing: &ChoosingFlags) -> TargetWish {
    TargetWish { port: choosing.svc_port.clone(), scheme: choosing.scheme, path: choosing.path.as_deref().map(rooted) }
}

fn named(text: String, choosing: &ChoosingFlags) -> Result<NamedService, Error> {
    let spelling = ServiceSpelling::parse(&text).map_err(|error| misspelled(&text, &error))?;
    let port = once("--svc-port", choosing.svc_port.clone(), spelling.id.port().cloned(), &text)?;
    let scheme = once("--scheme", choosing.scheme, spelling.id.scheme(), &text)?;
    let path = choosing.path.as_deref().map(rooted).or_else(|| spelling.path.clone());
    Ok(NamedService { text, spelling, wish: TargetWish { port, scheme, path } })
}

fn misspelled(text: &str, error: &SpellingError) -> Error {
    let usage = Error::usage(format!("SERVICE \"{text}\" {error}"));
    let (SpellingError::Kind(kind), Some((_, name))) = (error, text.split_once('/')) else { return usage };
    let name = name.split([':', '/']).next().unwrap_or_default();
    match kind.split('.').next() {
        Some("ing" | "ingress" | "ingresses" | "httproute" | "httproutes") => {
            usage.hint(format!("kubectl describe {kind} {name} names the Services that it leads to"))
        }
        Some("po" | "pod" | "pods") => usage.hint(format!(
            "name the Service in front of it, as kubectl svcproxy --list shows them; a Pod itself is reached by kubectl port-forward {kind}/{name}"
        )),
        _ => usage.hint("name the Service in front of it; kubectl svcproxy --list shows them"),
    }
}

/// A flag and the spelling may say the same, not different things.
fn once<T: PartialEq + std::fmt::Display>(
    flag: &str,
    flagged: Option<T>,
    spelled: Option<T>,
    text: &str,
) -> Result<Option<T>, Error> {
    match (flagged, spelled) {
        (Some(flagged), Some(spelled)) if flagged != spelled => {
            Err(Error::usage(format!("{flag} {flagged} contradicts \"{text}\"")))
        }
        (flagged, spelled) => Ok(flagged.or(spelled)),
    }
}

fn addresses(flags: &[LocalAddress]) -> Vec<IpAddr> {
    if flags.iter().all(|flag| *flag == LocalAddress::Localhost) {
        return Vec::new();
    }
    let of_flag = |flag: &LocalAddress| match flag {
        LocalAddress::Localhost => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
        LocalAddress::Ip(address) => vec![*address],
    };
    flags.iter().flat_map(of_flag).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::PortRef;
    use clap::Parser;

    const AT_DESK: TerminalFacts = TerminalFacts {
        stdin_is_terminal: true,
        stdout_is_terminal: true,
        stderr_is_terminal: true,
        terminal_is_dumb: false,
        over_ssh: false,
        has_display: true,
        has_browser_variable: false,
        editor: None,
        ca_files: Vec::new(),
    };

    fn planned(line: &str, facts: &TerminalFacts) -> Result<Plan, Error> {
        plan(CommandLine::try_parse_from(line.split_whitespace()).unwrap(), facts)
    }

    fn open(line: &str) -> OpenPlan {
        match planned(line, &AT_DESK) {
            Ok(Plan::Open(open)) => *open,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn refused(line: &str, facts: &TerminalFacts) -> String {
        planned(line, facts).unwrap_err().message().to_owned()
    }

    #[test]
    fn no_service_means_pick_on_a_terminal_only() {
        let pick = |typed: &str, wish: TargetWish| WantedServices::Pick { typed: typed.to_owned(), wish };
        assert_eq!(open("svcproxy").query.wanted, pick("", TargetWish::default()));
        assert_eq!(open("svcproxy --pick graf").query.wanted, pick("graf", TargetWish::default()));
        let path = TargetWish { path: Some("/ui".to_owned()), ..TargetWish::default() };
        assert_eq!(open("svcproxy --path ui").query.wanted, pick("", path));
        let piped = TerminalFacts { stdin_is_terminal: false, ..AT_DESK };
        assert!(refused("svcproxy", &piped).contains("no SERVICE"));
        assert!(refused("svcproxy --pick x", &piped).contains("--pick needs a terminal"));
    }

    #[test]
    fn flags_and_spelling_make_one_wish() {
        let WantedServices::Named(named) = open("svcproxy nginx:http b --path ui/").query.wanted else {
            panic!("not named")
        };
        assert_eq!(named[0].wish.port, Some(PortRef::Name("http".to_owned())));
        assert_eq!(named[1].wish.path.as_deref(), Some("/ui/"));
        assert!(refused("svcproxy nginx:http --svc-port 80", &AT_DESK).contains("--svc-port 80 contradicts"));
        assert!(refused("svcproxy https:nginx: --scheme http", &AT_DESK).contains("--scheme http contradicts"));
        assert_eq!(open("svcproxy -").query.wanted, WantedServices::Last(TargetWish::default()));
    }

    #[test]
    fn formats_belong_to_what_prints_them() {
        assert!(matches!(planned("svcproxy --list -o wide", &AT_DESK), Ok(Plan::List(_))));
        assert!(refused("svcproxy --list -o url", &AT_DESK).contains("-o url"));
        assert!(refused("svcproxy nginx -o wide", &AT_DESK).contains("--list"));
    }

    #[test]
    fn a_program_that_reads_the_output_gets_no_browser() {
        assert_eq!(open("svcproxy nginx").opening, BrowserOpening::Default);
        for line in ["svcproxy nginx -o json", "svcproxy nginx -o url", "svcproxy nginx -- true"] {
            assert_eq!(open(line).opening, BrowserOpening::Not(browser::NoBrowserReason::Asked), "{line}");
        }
        assert_eq!(open("svcproxy nginx -o url --browser x").opening, BrowserOpening::With("x".to_owned()));
    }

    #[test]
    fn a_status_line_for_people_only() {
        for line in ["svcproxy nginx", "svcproxy nginx --log-requests", "svcproxy nginx -v"] {
            assert!(open(line).for_person, "{line}");
        }
        let formats = ["svcproxy nginx -o json", "svcproxy nginx -o url", "svcproxy nginx --log-format json"];
        for line in formats.iter().chain(&["svcproxy nginx -- true"]) {
            assert!(!open(line).for_person, "{line}");
        }
        let piped = TerminalFacts { stderr_is_terminal: false, ..AT_DESK };
        let tee = TerminalFacts { stdout_is_terminal: false, ..AT_DESK };
        let dumb = TerminalFacts { terminal_is_dumb: true, ..AT_DESK };
        for facts in [piped, tee, dumb] {
            let Ok(Plan::Open(open)) = planned("svcproxy nginx", &facts) else { panic!("it opens") };
            assert!(!open.for_person, "{facts:?}");
        }
    }

    #[test]
    fn what_makes_no_sense_together() {
        assert!(refused("svcproxy nginx --dry-run -- true", &AT_DESK).contains("--dry-run"));
        assert!(refused("svcproxy nginx --unix-socket /s -- true", &AT_DESK).contains("--unix-socket"));
        assert!(refused("svcproxy --list -- true", &AT_DESK).contains("--list"));
        assert!(refused("svcproxy pod/nginx", &AT_DESK).contains("only a Service"));
        assert!(refused("svcproxy - nginx", &AT_DESK).contains("stands alone"));
        let error = planned("svcproxy deploy/grafana", &AT_DESK).unwrap_err();
        assert!(error.hint_text().unwrap().contains("in front of it"));
        let error = planned("svcproxy ingress/grafana", &AT_DESK).unwrap_err();
        assert_eq!(error.hint_text(), Some("kubectl describe ingress grafana names the Services that it leads to"));
    }

    #[test]
    fn words_of_port_forward() {
        let check = |line: &str, expect: &str| {
            let error = planned(line, &AT_DESK).unwrap_err();
            assert_eq!(error.hint_text(), Some(expect), "{line}");
        };
        check("svcproxy nginx 8080:80", "that is spelled nginx:80 -p 8080");
        check("svcproxy svc/nginx :80", "that is spelled svc/nginx:80 -p 0");
        assert!(matches!(planned("svcproxy nginx 8080:http", &AT_DESK), Ok(Plan::Open(_))));
    }

    #[test]
    fn a_list_takes_every_spelling() {
        let check = |line: &str, place: Option<&str>, filter: &str| {
            let Ok(Plan::List(list)) = planned(line, &AT_DESK) else { panic!("{line} lists") };
            assert_eq!((list.search.namespace.as_deref(), list.filter.as_deref()), (place, Some(filter)), "{line}");
            assert_eq!(list.search.all_namespaces, line.contains("-A") && place.is_none(), "{line}");
        };
        check("svcproxy --list nginx", None, "nginx");
        check("svcproxy --list svc/nginx", None, "nginx");
        check("svcproxy --list nginx.default", Some("default"), "nginx");
        check("svcproxy --list nginx.default -n b -A", Some("default"), "nginx");
        check("svcproxy --list -A https:nginx:443", None, "nginx");
        check("svcproxy --list default/nginx:http", Some("default"), "nginx");
        check("svcproxy --list https://nginx.default.svc/", Some("default"), "nginx");
        check("svcproxy --list Nginx-", None, "Nginx-");
        assert!(refused("svcproxy --list pod/nginx", &AT_DESK).contains("only a Service"));
    }
}
