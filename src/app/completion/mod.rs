//! kubectl's completion protocol for plugins.
//!
//! kubectl runs `kubectl_complete-svcproxy` with the words after `kubectl svcproxy`, the last of them being typed, and
//! reads a candidate a line, a tab before what is said about it, and last a colon and Cobra's directive (kubectl
//! `pkg/cmd/plugin/plugin_completion.go`). Whatever goes wrong, there are just no candidates: a message would end up in
//! the middle of the line being typed.

mod candidates;
mod lookup;
mod shim;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::builder::StyledStr;
use clap::{Command, CommandFactory, Parser, ValueHint};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate, complete};

use super::args::CommandLine;
use crate::cluster::ProcessEnvironment;
use crate::terminal::printable::printable_line;
use candidates::{ELSEWHERE, names};
use lookup::CandidateLookup;
use shim::{SHIM, WORD};

pub use shim::{install, is_on_path, script};

/// The words to complete, if that is what this program was started for: under the name that kubectl looks for, or by
/// the script. `arguments` include the program's own name.
pub fn asked(arguments: impl IntoIterator<Item = OsString>) -> Option<Vec<OsString>> {
    let mut arguments = arguments.into_iter();
    let program = arguments.next()?;
    if Path::new(&program).file_stem() == Some(OsStr::new(SHIM)) {
        return Some(arguments.collect());
    }
    (arguments.next()? == WORD).then(|| arguments.collect())
}

/// The answer to `words`, for stdout. Asks the cluster only for what is being typed, and for 2 seconds at most.
pub fn answer(words: &[OsString], environment: ProcessEnvironment, history_folder: Option<PathBuf>) -> String {
    let wants_files = Arc::new(AtomicBool::new(false));
    let Some((typed, before)) = words.split_last() else { return lines(&[], false) };
    if before.iter().any(|word| word == "--") {
        return lines(&[], true); // COMMAND and its arguments
    }
    let lookup = Arc::new(CandidateLookup::new(parsed(before), environment, history_folder));
    let mut command = with_completers(CommandLine::command(), &lookup, &wants_files);
    let mut found = candidates_for(&mut command, before, typed);
    // The engine offers a flag once only, and at a single dash that is the short one.
    if typed == "-" {
        found.extend(candidates_for(&mut command, before, OsStr::new("--")));
    }
    lines(&found, wants_files.load(Ordering::Relaxed))
}

/// What was typed before, as far as it can be read: a flag may still lack its value.
fn parsed(words: &[OsString]) -> CommandLine {
    let read = |count: usize| CommandLine::try_parse_from([&["svcproxy".into()], &words[..count]].concat()).ok();
    (0..=words.len()).rev().find_map(read).expect("no argument is required")
}

fn candidates_for(command: &mut Command, before: &[OsString], typed: &OsStr) -> Vec<CompletionCandidate> {
    let line = [&["svcproxy".into()], before, &[typed.to_owned()]].concat();
    let found = complete(command, line, before.len() + 1, None).unwrap_or_default();
    let is_flag = typed.as_encoded_bytes().starts_with(b"-");
    // Flags are offered to who begins one, as kubectl does.
    let found = found.into_iter().filter(|found| is_flag || !found.get_value().as_encoded_bytes().starts_with(b"-"));
    found.map(|candidate| value_alone(candidate, &typed.to_string_lossy())).collect()
}

/// After `--flag=` only the value is offered: kubectl's scripts for the shells put the flag in front of it.
fn value_alone(candidate: CompletionCandidate, typed: &str) -> CompletionCandidate {
    let flag = typed.split_once('=').map(|(flag, _)| format!("{flag}=")).filter(|flag| flag.starts_with('-'));
    match flag.and_then(|flag| candidate.get_value().to_str()?.strip_prefix(&flag)) {
        Some(value) => CompletionCandidate::new(value).help(candidate.get_help().cloned()),
        None => candidate,
    }
}

/// Tells each argument where its values come from.
fn with_completers(command: Command, lookup: &Arc<CandidateLookup>, wants_files: &Arc<AtomicBool>) -> Command {
    type ValueLookup = fn(&CandidateLookup, &str) -> Vec<CompletionCandidate>;
    let from_cluster: [(&str, ValueLookup); 7] = [
        ("services", CandidateLookup::services),
        ("svc_port", CandidateLookup::ports),
        ("namespace", CandidateLookup::namespaces),
        ("context", |lookup, typed| lookup.names(|names| names.contexts, typed)),
        ("cluster", |lookup, typed| lookup.names(|names| names.clusters, typed)),
        ("user", |lookup, typed| lookup.names(|names| names.users, typed)),
        // What is meant most often.
        ("address", |_, typed| names(["127.0.0.1", "::1", "0.0.0.0", "::"], typed)),
    ];
    command.mut_args(|arg| {
        if let Some((_, values)) = from_cluster.iter().find(|(id, _)| arg.get_id() == *id) {
            let (lookup, values) = (Arc::clone(lookup), *values);
            return arg.add(ArgValueCompleter::new(move |typed: &OsStr| {
                typed.to_str().map(|typed| values(&lookup, typed)).unwrap_or_default()
            }));
        }
        if arg.get_value_hint() == ValueHint::Unknown {
            return arg;
        }
        // A file or a program, which shells know better: `~`, quotes, marks. Nothing else has a hint here.
        let wants_files = Arc::clone(wants_files);
        arg.add(ArgValueCompleter::new(move |_: &OsStr| {
            wants_files.store(true, Ordering::Relaxed);
            Vec::new()
        }))
    })
}

/// The protocol: candidates, then Cobra's directive (`ShellCompDirective`), what the shell does besides offering them.
fn lines(candidates: &[CompletionCandidate], wants_files: bool) -> String {
    const NO_SPACE_AFTER: u8 = 2;
    const NO_FILES: u8 = 4;
    let last = StyledStr::from(ELSEWHERE);
    let is_last = |candidate: &&CompletionCandidate| candidate.get_tag() == Some(&last);
    let (last, first): (Vec<_>, Vec<_>) = candidates.iter().partition(is_last);
    let mut offered: Vec<(String, String)> = [first, last].into_iter().flat_map(in_order).collect();
    offered.retain(|(value, _)| !value.contains('\t') && printable_line(value) == *value);
    let goes_on = !offered.is_empty() && offered.iter().all(|(value, _)| value.ends_with(':'));
    let directive = if wants_files { 0 } else { NO_FILES } | if goes_on { NO_SPACE_AFTER } else { 0 };
    let line = |(value, help): &(String, String)| {
        if help.is_empty() { format!("{value}\n") } else { format!("{value}\t{}\n", printable_line(help)) }
    };
    offered.iter().map(line).chain([format!(":{directive}\n")]).collect()
}

fn in_order(candidates: Vec<&CompletionCandidate>) -> Vec<(String, String)> {
    let mut offered: Vec<(String, String)> = candidates.into_iter().map(value_and_help).collect();
    offered.sort();
    offered.dedup_by(|a, b| a.0 == b.0);
    offered
}

/// As they stand in a line: of the help only what fits there.
fn value_and_help(candidate: &CompletionCandidate) -> (String, String) {
    let help = candidate.get_help().map(ToString::to_string).unwrap_or_default();
    let help = help.lines().next().unwrap_or_default().replace('\t', " ");
    (candidate.get_value().to_string_lossy().into_owned(), help)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn os(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    /// The answer where there is no cluster to ask.
    fn answered(words: &[&str]) -> String {
        answer(&os(words), ProcessEnvironment::default(), None)
    }

    #[test]
    fn asked_by_name_or_by_word() {
        let check = |arguments: &[&str], expect: Option<&[&str]>| {
            assert_eq!(asked(os(arguments)), expect.map(os), "{arguments:?}");
        };
        check(&["/bin/kubectl_complete-svcproxy", "a", ""], Some(&["a", ""]));
        check(&["kubectl_complete-svcproxy.exe", ""], Some(&[""]));
        check(&["kubectl-svcproxy", "__complete", "a"], Some(&["a"]));
        check(&["kubectl-svcproxy", "a", "__complete"], None);
        check(&["kubectl-svcproxy"], None);
        check(&[], None);
    }

    #[test]
    fn flags_and_their_values_need_no_cluster() {
        assert!(answered(&["--li"]).starts_with("--list\tList Services"));
        let flags = answered(&["--list", "-"]);
        assert!(flags.contains("--namespace\tNamespace\n") && flags.contains("-n\tNamespace\n"), "{flags}");
        assert_eq!(answered(&["--origin", "s"]), "site\thttp://SERVICE--NAMESPACE--HASH.localhost:PORT/\n:4\n");
        assert!(answered(&["--via="]).starts_with("auto\t"));
        assert!(answered(&["--via=p"]).starts_with("port-forward\t"));
        assert_eq!(answered(&["-o", "na"]), "name\tservice/NAME\n:4\n");
    }

    #[test]
    fn files_are_the_shells_business() {
        assert_eq!(answered(&["--kubeconfig", ""]), ":0\n");
        assert_eq!(answered(&["x", "--", "cur"]), ":0\n");
        assert_eq!(answered(&["--unix-socket=/t"]), ":0\n");
    }

    #[test]
    fn silent_whatever_is_typed() {
        for words in [
            &[][..],
            &[""],
            &["graf"],
            &["--svc-port", ""],
            &["--nonsense", "--wait=soon", ""],
            &["-n"],
            &["--", "--", ""],
            &["a:b:c:d"],
        ] {
            let text = answered(words);
            assert!(text.ends_with(":4\n") || text.ends_with(":0\n"), "{words:?}: {text}");
        }
        assert_eq!(answered(&[""]), ":4\n");
    }

    #[test]
    fn one_line_a_candidate() {
        let candidate = |value: &str| CompletionCandidate::new(value);
        let found = vec![candidate("b").help(Some("x".into())), candidate("a"), candidate("a"), candidate("evil\n:0")];
        assert_eq!(lines(&found, false), "a\nb\tx\n:4\n");
        assert_eq!(lines(&[candidate("https:a:")], false), "https:a:\n:6\n");
        let elsewhere = |value: &str| candidate(value).tag(Some(ELSEWHERE.into()));
        let found = [elsewhere("a.x"), candidate("b"), elsewhere("a.b")];
        assert_eq!(lines(&found, false), "b\na.b\na.x\n:4\n");
    }
}
