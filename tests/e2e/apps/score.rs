//! How many apps work, here and through `kubectl proxy`, as a table in Markdown.

use std::fmt::Write as _;
use std::sync::Mutex;

use crate::browser::Outcome;

/// An app's row.
struct Score {
    app: &'static str,
    svcproxy: Outcome,
    kubectl_proxy: Outcome,
}

static SCORES: Mutex<Vec<Score>> = Mutex::new(Vec::new());

/// Notes how an app did.
pub(super) fn note(app: &'static str, svcproxy: Outcome, kubectl_proxy: Outcome) {
    SCORES.lock().unwrap().push(Score { app, svcproxy, kubectl_proxy });
}

/// Prints the table, if any app was tried.
pub(crate) fn print() {
    let mut scores = SCORES.lock().unwrap();
    scores.sort_by_key(|score| score.app);
    if !scores.is_empty() {
        println!("\n{}", table(&scores));
    }
}

fn table(scores: &[Score]) -> String {
    let mut table =
        String::from("| app | `kubectl svcproxy` | `kubectl proxy` | what was seen through `kubectl proxy` |\n");
    table.push_str("| --- | --- | --- | --- |\n");
    for Score { app, svcproxy, kubectl_proxy } in scores {
        let seen = kubectl_proxy.as_ref().err().map(|error| cell(error)).unwrap_or_default();
        writeln!(table, "| {app} | {} | {} | {seen} |", verdict(svcproxy), verdict(kubectl_proxy))
            .expect("a String takes everything");
    }
    let passing = |of: fn(&Score) -> &Outcome| scores.iter().filter(|score| of(score).is_ok()).count();
    let (all, ours, theirs) = (scores.len(), passing(|score| &score.svcproxy), passing(|score| &score.kubectl_proxy));
    writeln!(table, "| **apps that work** | **{ours} of {all}** | **{theirs} of {all}** | |")
        .expect("a String takes everything");
    table
}

fn verdict(outcome: &Outcome) -> &'static str {
    if outcome.is_ok() { "works" } else { "fails" }
}

/// The first trouble as one cell of a table.
fn cell(troubles: &str) -> String {
    let first = troubles.split(['\n', ';']).next().unwrap_or_default();
    first.replace('|', " ").chars().take(160).collect()
}
