//! The COMMAND after `--`: started when everything is ready, told of signals, its exit code is ours.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::process::ExitStatus;

use tokio::process::{Child, Command};

use super::signals::{StopSignal, StopSignals};
use crate::error::{Error, Exit, system_words};
use crate::search_path::{NoProgram, SearchPath};

/// Exit code for a COMMAND that does not exist, as shells have it.
const NOT_FOUND: u8 = 127;
/// Exit code for a COMMAND that cannot be run, as shells have it.
const NOT_EXECUTABLE: u8 = 126;

/// Looks up the program of `command`, before anything is done for its sake.
///
/// # Errors
/// When there is none, with the exit code of shells for that.
pub fn check(command: &[OsString], search_path: &SearchPath) -> Result<(), Error> {
    let Some(program) = command.first() else { return Ok(()) };
    match search_path.find(program) {
        Err(NoProgram::NotFound) if !Path::new(program).exists() => {
            Err(cannot_run(program, &io::ErrorKind::NotFound.into()))
        }
        _ => Ok(()),
    }
}

/// Runs `command` to its end, with `variables` more. `terminal` says that Ctrl-C reaches the child by itself.
///
/// # Errors
/// When it cannot be started, with the exit code of shells for that.
pub async fn run(
    command: &[OsString],
    variables: &[(String, String)],
    terminal: bool,
    signals: &mut StopSignals,
) -> Result<Exit, Error> {
    let Some((program, arguments)) = command.split_first() else {
        return Ok(Exit::Ok);
    };
    let mut child = Command::new(program)
        .args(arguments)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .spawn()
        .map_err(|error| cannot_run(program, &error))?;
    loop {
        tokio::select! {
            status = child.wait() => return Ok(status.map_or(Exit::Failed, |status| Exit::Command(code(status)))),
            signal = signals.next() => pass_on(signal, &child, terminal),
        }
    }
}

fn cannot_run(program: &OsStr, error: &io::Error) -> Error {
    let (cause, exit) = match error.kind() {
        io::ErrorKind::NotFound => ("no such program".to_owned(), NOT_FOUND),
        io::ErrorKind::PermissionDenied => ("it is not executable".to_owned(), NOT_EXECUTABLE),
        _ => (system_words(error), NOT_EXECUTABLE),
    };
    Error::failed(format!("cannot run {}: {cause}", program.display())).exit_with(Exit::Command(exit))
}

#[cfg(unix)]
fn pass_on(signal: StopSignal, child: &Child, terminal: bool) {
    use rustix::process::{Pid, Signal as UnixSignal, kill_process};
    let signal = match signal {
        // The terminal has sent it to the whole foreground group already; twice often means "at once".
        StopSignal::Interrupt if terminal => return,
        StopSignal::Interrupt => UnixSignal::INT,
        StopSignal::Terminate => UnixSignal::TERM,
        StopSignal::HangUp => UnixSignal::HUP,
    };
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// Windows sends console events to every process of the console by itself.
#[cfg(windows)]
fn pass_on(_signal: StopSignal, _child: &Child, _terminal: bool) {}

/// Of a process that a signal ended 128 and the signal's number, as shells have it.
fn code(status: ExitStatus) -> u8 {
    let code = status.code();
    #[cfg(unix)]
    let code = code.or_else(|| std::os::unix::process::ExitStatusExt::signal(&status).map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}
