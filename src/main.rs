//! `kubectl svcproxy`: arguments and environment in, one exit code out.

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use svcproxy::app::args::CommandLine;
use svcproxy::app::completion;
use svcproxy::app::flag_tips::meant_flag;
use svcproxy::app::local_https::CA_VARIABLES;
use svcproxy::app::plan::plan;
use svcproxy::app::run::run;
use svcproxy::cluster::ProcessEnvironment;
use svcproxy::error::{Error, Exit};
use svcproxy::find::history::state_folder;
use svcproxy::local_tls::trusting::TrustDesk;
use svcproxy::search_path::SearchPath;
use svcproxy::terminal::editor_front::EditorFront;
use svcproxy::terminal::output::{LogFormat, Output};
use svcproxy::terminal::terminal_facts::TerminalFacts;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;

pub(crate) fn main() -> ExitCode {
    explain_missing_threads();
    if let Some(words) = completion::asked(std::env::args_os()) {
        // Whatever happens: shells show what they get. No credential plugin may ask questions in the middle of a line.
        let answer = completion::answer(&words, environment(false), history_folder());
        let _ = std::io::stdout().write_all(answer.as_bytes());
        return ExitCode::SUCCESS;
    }
    let cli = match CommandLine::read(std::env::args_os()) {
        Ok(cli) => cli,
        Err(usage) => return explain_usage(usage),
    };
    let output = Output::new(variable("NO_COLOR").is_some(), cli.printing.log_format);
    start_logging(&cli, &output);
    let exit = run_to_end(cli, &output).unwrap_or_else(|error| {
        output.print_error(&error);
        error.exit()
    });
    ExitCode::from(output.finish(exit).code())
}

/// The runtime panics where the system gives it no thread, which a user can do something about.
fn explain_missing_threads() {
    let next = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let owned = info.payload().downcast_ref::<String>().map(String::as_str);
        let words = owned.or_else(|| info.payload().downcast_ref::<&str>().copied()).unwrap_or_default();
        if !(words.contains("spawn") && words.contains("thread")) {
            return next(info);
        }
        let error = Error::no_threads();
        Output::new(true, LogFormat::Text).print_error(&error);
        #[expect(clippy::exit, reason = "there is no way back from a panic in a release")]
        std::process::exit(error.exit().code().into());
    }));
}

/// Help and version are answers, anything else is wrong usage; clap's own exit codes say the same.
fn explain_usage(mut usage: clap::Error) -> ExitCode {
    if usage.kind() == ErrorKind::UnknownArgument {
        // To put `--` before it, which begins COMMAND here.
        usage.remove(ContextKind::Suggested);
        propose_flag(&mut usage);
    }
    if usage.use_stderr() {
        let _ = usage.print();
        return ExitCode::from(Exit::Usage.code());
    }
    let output = Output::new(variable("NO_COLOR").is_some(), LogFormat::Text);
    let _ = usage.print().inspect_err(|cause| output.note_unwritten(cause));
    ExitCode::from(output.finish(Exit::Ok).code())
}

fn propose_flag(usage: &mut clap::Error) {
    let text = |kind: ContextKind, usage: &clap::Error| match usage.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    let guess = text(ContextKind::SuggestedArg, usage);
    let typed = text(ContextKind::InvalidArg, usage).unwrap_or_default();
    match meant_flag(&typed, guess.as_deref()) {
        Some(meant) => usage.insert(ContextKind::SuggestedArg, ContextValue::String(meant.to_owned())),
        None => usage.remove(ContextKind::SuggestedArg),
    };
    // Otherwise that of clap's own guess.
    usage.insert(ContextKind::Usage, ContextValue::StyledStr(CommandLine::command().render_usage()));
}

fn install_completion(place: Option<&Path>, output: &Output) -> Result<Exit, Error> {
    if place == Some(Path::new("-")) {
        // Word for word, with the line ends of its system. Whoever closed stdout has seen enough.
        let _ = output.pages(&completion::script());
        return Ok(Exit::Ok);
    }
    let search_path = std::env::var_os("PATH");
    let file = completion::install(place, search_path.as_deref())?;
    output.print_notice(&format!("kubectl completes `kubectl svcproxy` now, by {}", file.display()));
    if file.parent().is_some_and(|folder| !completion::is_on_path(folder, search_path.as_deref())) {
        output.print_warning("that folder is not on your PATH, so kubectl does not find the script there");
    }
    Ok(Exit::Ok)
}

fn change_trust(cli: &CommandLine, output: &Output) -> Result<Exit, Error> {
    let (folder, home) = (history_folder(), std::env::home_dir());
    let (Some(folder), Some(home)) = (folder, home) else {
        return Err(Error::failed("there is no folder for a certificate authority").hint("set HOME"));
    };
    let search_path = environment(false).search_path;
    let desk = TrustDesk {
        folder: &folder,
        home: &home,
        search_path: &search_path,
        can_ask: facts().prompting().is_possible(),
        output,
    };
    match cli.printing.install_ca {
        Some(scope) => desk.install(scope)?,
        None => desk.remove()?,
    }
    Ok(Exit::Ok)
}

fn run_to_end(mut cli: CommandLine, output: &Output) -> Result<Exit, Error> {
    if let Some(place) = &cli.printing.install_completion {
        return install_completion(place.as_deref(), output);
    }
    if cli.printing.install_ca.is_some() || cli.printing.remove_ca {
        return change_trust(&cli, output);
    }
    // One thread carries all traffic: several wake each other, which costs a request more than it gains (`cargo bench --bench
    // traffic`), and each holds memory. What may take long has a thread of its own.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::failed(format!("cannot wait for connections: {error}")))?;
    let connect = cli.kubectl.clone();
    let environment = environment(std::io::stdin().is_terminal());
    if cfg!(windows) {
        // The system looks for `npm.exe` alone; it is `npm.cmd` that there is.
        find_command(&mut cli.command, &environment.search_path);
    }
    let plan = plan(cli, &facts())?;
    let exit = runtime.block_on(run(plan, connect, environment, history_folder(), output));
    // Whoever still waits (an opener in the foreground, a name server) must not hold the end.
    runtime.shutdown_timeout(Duration::ZERO);
    exit
}

/// One that is nowhere stays as it is: who starts it says so.
fn find_command(command: &mut [OsString], search_path: &SearchPath) {
    if let Some(program) = command.first_mut()
        && let Ok(found) = search_path.find(program)
    {
        *program = found.into_os_string();
    }
}

fn environment(terminal: bool) -> ProcessEnvironment {
    ProcessEnvironment::new(|name| std::env::var_os(name), std::env::home_dir(), terminal)
}

fn history_folder() -> Option<PathBuf> {
    state_folder(|name| std::env::var_os(name))
}

fn facts() -> TerminalFacts {
    TerminalFacts {
        stdin_is_terminal: std::io::stdin().is_terminal(),
        stdout_is_terminal: std::io::stdout().is_terminal(),
        stderr_is_terminal: std::io::stderr().is_terminal(),
        terminal_is_dumb: variable("TERM").is_some_and(|name| name == "dumb"),
        over_ssh: ["SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY"].iter().any(|name| variable(name).is_some()),
        // Only X11 and Wayland need to be told of a display; WSL opens windows on Windows without one.
        has_display: cfg!(any(windows, target_os = "macos"))
            || ["WSL_DISTRO_NAME", "DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| variable(name).is_some()),
        has_browser_variable: variable("BROWSER").is_some(),
        editor: EditorFront::of(|name| variable(name)?.into_string().ok()),
        ca_files: CA_VARIABLES.iter().filter_map(|&name| Some((name, variable(name)?.into()))).collect(),
    }
}

fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Logs of this program only: what libraries log may hold headers.
fn start_logging(cli: &CommandLine, output: &Output) {
    let level = match cli.printing.verbosity.iter().map(|&level| u32::from(level)).sum::<u32>() {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let filter = Targets::new().with_target("svcproxy", level);
    let (output, ansi) = (output.clone(), output.colour());
    let format = tracing_subscriber::fmt::layer().with_writer(move || output.clone()).with_target(false);
    let layer = match cli.printing.log_format {
        LogFormat::Text => format.with_ansi(ansi).boxed(),
        LogFormat::Json => format.json().with_ansi(false).boxed(),
    };
    let subscriber = tracing_subscriber::registry().with(layer.with_filter(filter));
    let _ = tracing::subscriber::set_global_default(subscriber);
}
