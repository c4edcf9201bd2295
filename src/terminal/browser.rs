//! Opening a URL in a browser: best effort, never fatal, and only ever our own URL.

use std::path::Path;
use std::process::{Command, Stdio};

use super::terminal_facts::TerminalFacts;
use crate::error::system_words;

/// How the URL gets to the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BrowserOpening {
    /// With the program that the user named.
    With(String),
    /// With whatever `BROWSER` or the desktop names.
    Default,
    /// Not at all; the URL is printed, as it is in every case.
    Not(NoBrowserReason),
}

/// Why no browser is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoBrowserReason {
    /// `--no-browser`, or an output meant for a program, or a COMMAND that uses the URL.
    Asked,
    /// Nobody is at a terminal.
    NoTerminal,
    /// The terminal is on another machine than the user's browser.
    Ssh,
    /// There is no display to open a window on.
    NoDisplay,
}

/// Decides: `unwanted` is `--no-browser`, `-o json`, `-o url`, `-- COMMAND` or `--unix-socket`, `command` is `--browser`.
/// Pure.
pub fn opening(unwanted: bool, command: Option<String>, facts: &TerminalFacts) -> BrowserOpening {
    let not = |condition: bool, why: NoBrowserReason| condition.then_some(BrowserOpening::Not(why));
    command
        .map(BrowserOpening::With)
        .or_else(|| not(unwanted, NoBrowserReason::Asked))
        .or_else(|| not(!facts.stdout_is_terminal || !facts.stderr_is_terminal, NoBrowserReason::NoTerminal))
        .or_else(|| facts.has_browser_variable.then_some(BrowserOpening::Default))
        .or_else(|| not(facts.over_ssh, NoBrowserReason::Ssh))
        .or_else(|| not(!facts.has_display, NoBrowserReason::NoDisplay))
        .unwrap_or(BrowserOpening::Default)
}

/// Opens `url` and gives the reason if that did not work. Blocks for as long as the opener does: a text browser stays
/// in the foreground.
pub fn open(opening: &BrowserOpening, url: &str) -> Result<(), String> {
    match opening {
        BrowserOpening::Not(_) => Ok(()),
        BrowserOpening::Default => webbrowser::open(url).map_err(|error| error.to_string()),
        BrowserOpening::With(command) => run(command, url),
    }
}

/// Runs `command`, its words split as a shell splits them, with `url` for `%s` or at the end. No shell runs.
fn run(command: &str, url: &str) -> Result<(), String> {
    let mut words = arguments(split(command)?, url).into_iter();
    let program = words.next().ok_or("--browser names no program")?;
    let mut started = Command::new(&program);
    started.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = started.status().map_err(|error| format!("{program}: {}", plain(&error)))?;
    if status.success() { Ok(()) } else { Err(format!("{program} ended with {status}")) }
}

/// The words of `command`: quotes hold blanks together. A file that is there is one word as it is.
fn split(command: &str) -> Result<Vec<String>, String> {
    if Path::new(command).is_file() {
        return Ok(vec![command.to_owned()]);
    }
    // On Windows a backslash is part of a path.
    let command = if cfg!(windows) { command.replace('\\', r"\\") } else { command.to_owned() };
    shell_words::split(&command).map_err(|_| format!("--browser {command}: a quote is not closed"))
}

fn arguments(mut words: Vec<String>, url: &str) -> Vec<String> {
    let has_place = words.iter().any(|word| word.contains("%s"));
    words.iter_mut().for_each(|word| *word = word.replace("%s", url));
    words.extend((!has_place).then(|| url.to_owned()));
    words
}

fn plain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such program".to_owned(),
        std::io::ErrorKind::PermissionDenied => "is not executable".to_owned(),
        _ => system_words(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decides() {
        let at_desk = TerminalFacts {
            stdout_is_terminal: true,
            stderr_is_terminal: true,
            has_display: true,
            ..TerminalFacts::default()
        };
        let check = |unwanted: bool, facts: TerminalFacts, expect: BrowserOpening| {
            assert_eq!(opening(unwanted, None, &facts), expect, "{unwanted} {facts:?}");
        };
        let not = BrowserOpening::Not;
        check(false, at_desk.clone(), BrowserOpening::Default);
        check(true, at_desk.clone(), not(NoBrowserReason::Asked));
        for piped in [
            TerminalFacts { stdout_is_terminal: false, ..at_desk.clone() },
            TerminalFacts { stderr_is_terminal: false, ..at_desk.clone() },
        ] {
            check(false, piped, not(NoBrowserReason::NoTerminal));
        }
        check(false, TerminalFacts { over_ssh: true, ..at_desk.clone() }, not(NoBrowserReason::Ssh));
        check(false, TerminalFacts { has_display: false, ..at_desk.clone() }, not(NoBrowserReason::NoDisplay));
        let named = TerminalFacts { over_ssh: true, has_browser_variable: true, ..at_desk };
        check(false, named, BrowserOpening::Default);
        let firefox = opening(true, Some("firefox".to_owned()), &TerminalFacts::default());
        assert_eq!(firefox, BrowserOpening::With("firefox".to_owned()));
    }

    #[test]
    fn the_url_is_one_argument() {
        let url = "http://127.0.0.1:8001/a b;c";
        let check = |command: &str, expect: &[&str]| {
            assert_eq!(arguments(split(command).unwrap(), url), expect, "{command}");
        };
        check("firefox --new-window", &["firefox", "--new-window", url]);
        check("open -u %s -x", &["open", "-u", url, "-x"]);
        check("\"/Applications/My Browser\" -x", &["/Applications/My Browser", "-x", url]);
        check("open -a 'My Browser' --app=%s", &["open", "-a", "My Browser", &format!("--app={url}")]);
        assert_eq!(split("\"open"), Err("--browser \"open: a quote is not closed".to_owned()));
    }

    #[test]
    fn a_file_that_is_there_is_one_word() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("my browser's");
        std::fs::write(&file, "").unwrap();
        let file = file.display().to_string();
        assert_eq!(split(&file), Ok(vec![file.clone()]));
    }

    #[test]
    fn a_failing_opener_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("browser").display().to_string();
        let error = open(&BrowserOpening::With(missing.clone()), "http://127.0.0.1/").unwrap_err();
        assert_eq!(error, format!("{missing}: no such program"));
        let failing = if cfg!(windows) { "cmd /c exit 1" } else { "false" };
        let error = open(&BrowserOpening::With(failing.to_owned()), "http://127.0.0.1/").unwrap_err();
        let program = failing.split(' ').next().unwrap_or_default();
        assert!(error.starts_with(&format!("{program} ended with")), "{error}");
    }
}
