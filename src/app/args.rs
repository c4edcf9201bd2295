//! What may be typed. No I/O, and no defaults that need a cluster.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, CommandFactory, FromArgMatches, Parser, ValueHint};
use http::uri::Authority;

use super::typed_words::as_clap_takes_them;
use crate::cluster::{ConnectFlags, parse_duration};
use crate::local_tls::trusting::TrustScope;
use crate::proxy::local::guard::policy::host;
use crate::proxy::local::{GuardPolicy, Origin};
use crate::proxy::upstream::limitation::Via;
use crate::service::{PortRef, Scheme, parse_port};
use crate::terminal::output::{LogFormat, OutputFormat};

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "kubectl-svcproxy",
    bin_name = "kubectl svcproxy",
    version,
    about = "Open a Service in the browser through the API server",
    long_about = "Find a Service, serve it on this machine through the API server with your own credentials, and open \
                  it in the browser.",
    before_help = EXAMPLES,
    after_help = "All flags, kubectl's own among them: kubectl svcproxy --help",
    after_long_help = "kubectl's flags go after `svcproxy`.",
    max_term_width = 110,
    disable_help_subcommand = true,
    args_override_self = true // as kubectl does: the last one counts
)]
pub struct CommandLine {
    /// Services to open: nginx, nginx:http, https:nginx:443, nginx.default, a URL; a part of a name does. `-` is the
    /// one opened last
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,

    /// Run COMMAND with SVCPROXY_URL set once everything is ready, and end with its exit code
    #[arg(last = true, value_name = "COMMAND", value_hint = ValueHint::CommandWithArguments)]
    pub command: Vec<OsString>,

    /// What to open.
    #[command(flatten)]
    pub choosing: ChoosingFlags,

    /// Where and how to serve it.
    #[command(flatten)]
    pub serving: ServingFlags,

    /// Who may use it.
    #[command(flatten)]
    pub guarding: GuardPolicy,

    /// What is printed.
    #[command(flatten)]
    pub printing: PrintingFlags,

    /// kubectl's own.
    #[command(flatten)]
    pub kubectl: ConnectFlags,
}

impl CommandLine {
    /// Reads `words`, of which the first is the program's name, as kubectl would.
    ///
    /// # Errors
    /// Wrong usage; help and version too.
    pub fn read(words: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let mut command = with_short_help(Self::command());
        let mut words = words.into_iter();
        let program = words.next();
        let words = as_clap_takes_them(words, &command);
        let found = command.try_get_matches_from_mut(program.into_iter().chain(words))?;
        Self::from_arg_matches(&found).map_err(|error| error.format(&mut command))
    }
}

const EXAMPLES: &str = "Examples:
  kubectl svcproxy                          choose a Service
  kubectl svcproxy grafana -n monitoring    open it in the browser
  kubectl svcproxy nginx:8080 https:dash:   these two, on one local port
  kubectl svcproxy --list -A                what could be opened
  kubectl svcproxy api -- ./smoke-test      run a command with SVCPROXY_URL set";

/// Flags that few look for: in `--help` only.
const IN_LONG_HELP: [&str; 16] = [
    "verify_tls",
    "host_header",
    "unix_socket",
    "address",
    "sticky",
    "allow_other_users",
    "log_format",
    "install_completion",
    "install_ca",
    "remove_ca",
    "tls",
    "builtin",
    "version",
    "origin",
    "idle_timeout",
    "path",
];
/// Flags of kubectl's that stand in `-h` all the same.
const KUBECTL_IN_SHORT_HELP: [&str; 2] = ["namespace", "context"];

/// `-h` on one screen: kubectl's own flags, and what few look for, are in `--help`.
fn with_short_help(command: clap::Command) -> clap::Command {
    command.mut_args(|arg| {
        let id = arg.get_id().as_str();
        let is_kubectls = arg.get_help_heading() == Some("kubectl's flags") && !KUBECTL_IN_SHORT_HELP.contains(&id);
        let is_left_out = is_kubectls || IN_LONG_HELP.contains(&id);
        if is_left_out { arg.hide_short_help(true) } else { arg }
    })
}

/// Flags that say what to open.
#[derive(Debug, Args)]
#[command(next_help_heading = "What to open")]
pub struct ChoosingFlags {
    /// Choose interactively; SERVICE is then the first filter text
    #[arg(long)]
    pub pick: bool,

    /// List Services with their ports, readiness and computed proxy URLs, and exit
    #[arg(long, conflicts_with = "pick")]
    pub list: bool,

    /// List what `kubectl cluster-info` shows, and exit
    #[arg(long, conflicts_with = "pick")]
    pub builtin: bool,

    /// Look in all namespaces
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,

    /// Only Services with these labels
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    pub selector: Option<String>,

    /// Service port to open, instead of the one that looks most like a web UI
    #[arg(long, value_name = "NAME|NUMBER", value_parser = port_ref)]
    pub svc_port: Option<PortRef>,

    /// What the Pods speak on that port, instead of what port and annotations say
    #[arg(long, value_enum)]
    pub scheme: Option<Scheme>,

    /// Path (and query) below the Service's / to open first
    #[arg(long, value_name = "/PATH/")]
    pub path: Option<String>,
}

/// Flags that say where and how it is served.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Serving")]
pub struct ServingFlags {
    /// Local port; 0 is any free one. Without: 8001, or if that is taken one that stays the same for this Service
    #[arg(short = 'p', long, value_name = "PORT", value_parser = local_port)]
    pub port: Option<u16>,

    /// Local addresses to listen on. Without: localhost, which is 127.0.0.1 and ::1
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',', value_parser = local_address)]
    pub address: Vec<LocalAddress>,

    /// Listen on this Unix socket instead
    #[arg(long, value_name = "PATH", conflicts_with_all = ["port", "address"], value_hint = ValueHint::FilePath)]
    pub unix_socket: Option<PathBuf>,

    /// How a Service is presented: under a name of its own at /, at http://localhost:PORT/, or only below its proxy
    /// path as `kubectl proxy` does
    #[arg(long, value_enum, default_value_t = Origin::Site)]
    pub origin: Origin,

    /// How requests reach the Pods
    #[arg(long, value_enum, default_value_t = Via::Auto)]
    pub via: Via,

    /// Keep to one Pod for the whole run, by port-forward
    #[arg(long)]
    pub sticky: bool,

    /// Serve by https too, on the same port; the default where --install-ca was run
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
          conflicts_with = "unix_socket")]
    pub tls: Option<bool>,

    /// With port-forward to https: check the Pods' certificate
    #[arg(long)]
    pub verify_tls: bool,

    /// The Host that the app sees, instead of the local one
    #[arg(long, value_name = "HOST[:PORT]", value_parser = host)]
    pub host_header: Option<Authority>,

    /// Do not open a browser
    #[arg(long)]
    pub no_browser: bool,

    /// Open with CMD; the URL takes the place of %s, or comes last
    #[arg(long, value_name = "CMD", conflicts_with = "no_browser", value_hint = ValueHint::CommandString,
          value_parser = browser_command)]
    pub browser: Option<String>,

    /// Wait until the Service has a ready endpoint, at most DURATION
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = "5m",
          value_parser = parse_duration)]
    pub wait: Option<Duration>,

    /// End after this long without a request; 0 is never
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub idle_timeout: Option<Duration>,
}

/// Flags about output.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct PrintingFlags {
    /// Serving: text, json or url. With --list: wide, json, yaml or name
    #[arg(short = 'o', long, value_enum, value_name = "FORMAT")]
    pub output: Option<OutputFormat>,

    /// Print what would be opened, why, and the right it needs; open nothing
    #[arg(long)]
    pub dry_run: bool,

    /// Write the script by which kubectl completes this command at Tab into FOLDER, or beside this program; with - print
    /// it
    #[arg(long, value_name = "FOLDER", num_args = 0..=1, require_equals = true)]
    pub install_completion: Option<Option<PathBuf>>,

    /// Make a certificate authority for this machine's names alone, and have your browsers trust it
    #[arg(long, value_name = "WHO", num_args = 0..=1, require_equals = true, value_enum)]
    pub install_ca: Option<Option<TrustScope>>,

    /// Undo --install-ca
    #[arg(long)]
    pub remove_ca: bool,

    /// Print a line for each request
    #[arg(long)]
    pub log_requests: bool,

    /// Log more (-v, -vv, -v 3)
    #[arg(short = 'v', long = "v", value_name = "LEVEL", num_args = 0..=1, require_equals = true,
          default_missing_value = "1", action = ArgAction::Append)]
    pub verbosity: Vec<u8>,

    /// What log lines look like
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// One of `--address`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocalAddress {
    /// Both loopback addresses, as far as the machine has them.
    Localhost,
    /// This one.
    Ip(IpAddr),
}

fn port_ref(text: &str) -> Result<PortRef, &'static str> {
    parse_port(text).map_err(|_| "neither a port name nor a number from 1 to 65535")
}

fn local_port(text: &str) -> Result<u16, &'static str> {
    text.parse().map_err(|_| "not a number from 0 to 65535")
}

fn local_address(text: &str) -> Result<LocalAddress, &'static str> {
    if text.eq_ignore_ascii_case("localhost") {
        return Ok(LocalAddress::Localhost);
    }
    text.parse().map(LocalAddress::Ip).map_err(|_| "neither an IP address nor localhost")
}

fn browser_command(text: &str) -> Result<String, &'static str> {
    if text.trim().is_empty() { Err("it names no program; --no-browser opens none") } else { Ok(text.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn verbosity_in_every_spelling() {
        let level = |args: &[&str]| -> u32 {
            let words = ["svcproxy"].iter().chain(args).map(OsString::from);
            let parsed = CommandLine::read(words).unwrap();
            parsed.printing.verbosity.iter().map(|&level| u32::from(level)).sum()
        };
        assert_eq!(level(&[]), 0);
        assert_eq!(level(&["-v"]), 1);
        assert_eq!(level(&["-vv"]), 2);
        assert_eq!(level(&["-v=6"]), 6);
        assert_eq!(level(&["-v6"]), 6);
        assert_eq!(level(&["-v", "6", "nginx"]), 6);
        assert_eq!(level(&["--v=2", "nginx"]), 2);
        assert_eq!(level(&["-v", "nginx"]), 1);
    }

    #[test]
    fn said_twice() {
        let cli = CommandLine::try_parse_from(
            "svcproxy web -n a -n b --as-group x --as-group y --pick --pick -p 1 --port=2".split(' '),
        )
        .unwrap();
        assert_eq!(cli.kubectl.namespace.as_deref(), Some("b"));
        assert_eq!(cli.kubectl.as_group, ["x", "y"]);
        assert_eq!((cli.choosing.pick, cli.serving.port), (true, Some(2)));
    }

    #[test]
    fn a_browser_has_a_name() {
        let read = |browser: &str| CommandLine::read(["svcproxy", "--browser", browser].map(OsString::from));
        let error = read(" ").unwrap_err().to_string();
        assert!(error.contains("it names no program; --no-browser opens none"), "{error}");
        assert_eq!(read("").unwrap().serving.browser, None);
    }

    #[test]
    fn a_command_keeps_its_own_flags() {
        let cli = CommandLine::try_parse_from(["svcproxy", "nginx", "--wait", "--", "curl", "-v", "--", "x"]).unwrap();
        assert_eq!(cli.services, ["nginx"]);
        assert_eq!(cli.command, ["curl", "-v", "--", "x"]);
        assert_eq!(cli.serving.wait, Some(Duration::from_secs(300)));
    }
}
