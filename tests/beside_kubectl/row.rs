//! A row: what both programs are given.
//!
//! ```text
//! user {token: a} | flags --token b | env HTTPS_PROXY={A} | file token c\n | differs no-basic-auth
//! ```
//!
//! `cluster`, `user` and `context` are what the kubeconfig says of the only one of each; `config` is the whole file instead, and
//! `none` is no kubeconfig. `clusters`, `users` and `contexts` are one more of each, and `more` is what else the kubeconfig says.
//! `flags` and `env` have several words; `file` makes one in the home folder. Of
//! `since-1.37` older ones know nothing. Words in braces are filled in by `place`.

/// One row.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    /// Table and text: the test's name.
    pub(crate) name: String,
    pub(crate) cluster: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) context: Option<String>,
    pub(crate) more_cluster: Option<String>,
    pub(crate) more_user: Option<String>,
    pub(crate) more_context: Option<String>,
    pub(crate) more: Option<String>,
    pub(crate) config: Option<String>,
    pub(crate) without_kubeconfig: bool,
    pub(crate) flags: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) files: Vec<(String, String)>,
    /// An entry of `differences.txt`.
    pub(crate) differs: Option<String>,
    /// Whether kubectl has it since 1.37 only.
    pub(crate) since_1_37: bool,
}

/// The rows of a table; empty lines and those that begin with `#` are for people.
pub(crate) fn read(table: &str, text: &str) -> Vec<Row> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| row(table, line)).collect()
}

/// One row.
pub(crate) fn row(table: &str, line: &str) -> Row {
    let mut row = Row { name: format!("{table}: {line}"), ..Row::default() };
    for part in line.split(" | ") {
        let (what, rest) = part.split_once(' ').unwrap_or((part, ""));
        let rest = rest.replace("\\n", "\n");
        match what {
            "usual" => {}
            "none" => row.without_kubeconfig = true,
            "cluster" => row.cluster = Some(rest),
            "user" => row.user = Some(rest),
            "context" => row.context = Some(rest),
            "clusters" => row.more_cluster = Some(rest),
            "users" => row.more_user = Some(rest),
            "contexts" => row.more_context = Some(rest),
            "more" => row.more = Some(rest),
            "config" => row.config = Some(rest),
            "flags" => row.flags.extend(words(&rest)),
            "env" => row.env.extend(words(&rest).iter().map(|word| pair(word, '='))),
            "file" => row.files.push(pair(&rest, ' ')),
            "differs" => row.differs = Some(rest),
            "since-1.37" => row.since_1_37 = true,
            other => panic!("{table}: what is {other:?} in {line:?}?"),
        }
    }
    row
}

/// Split at blanks; `''` is an empty word.
fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(|word| word.replace("''", "")).collect()
}

fn pair(text: &str, at: char) -> (String, String) {
    let (name, value) = text.split_once(at).unwrap_or((text, ""));
    (name.to_owned(), value.to_owned())
}

/// Panics if an entry is of no row, or a row has one that is not there.
pub(crate) fn every_difference_is_used(differences: &str, rows: &[Row]) {
    let named: Vec<&str> = entries(differences).collect();
    for name in &named {
        assert!(rows.iter().any(|row| row.differs.as_deref() == Some(name)), "no row has the difference {name}");
    }
    for row in rows {
        let Some(name) = &row.differs else { continue };
        assert!(named.contains(&name.as_str()), "differences.txt does not say why {name}: {}", row.name);
    }
}

fn entries(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once(": ").map(|(name, _)| name))
}
