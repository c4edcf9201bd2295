//! kubeconfig files: found, read and merged as kubectl does (client-go `tools/clientcmd/loader.go`), except that an entry is
//! looked at only when it is used: what is odd in another harms nobody here.

use std::collections::HashMap;
use std::io;
use std::path::{MAIN_SEPARATOR, Path, PathBuf};
use std::sync::Arc;

use kube::config::{AuthInfo, Cluster as ClusterEntry, Context};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::entry_fields::{CLUSTER, CONFIG, CONTEXT, FieldKind, OddField, USER, fitted};
use super::inputs::{ConnectFlags, ProcessEnvironment};
use super::yaml_tree::first_document;
use crate::error::{Error, system_words};

/// The files that make up the kubeconfig.
#[derive(Debug, Clone)]
pub(crate) enum KubeconfigFiles {
    /// `--kubeconfig`: it must be there.
    Named(PathBuf),
    /// `KUBECONFIG` or the default: those that are there, and the first to name a thing wins.
    Listed(Vec<PathBuf>),
}

/// What the files say together.
#[derive(Default)]
pub(crate) struct Kubeconfig {
    /// Those that are there.
    pub(crate) files: Vec<PathBuf>,
    /// `current-context`; empty where there is none.
    pub(crate) current_context: String,
    pub(crate) contexts: EntryList,
    pub(crate) clusters: EntryList,
    pub(crate) users: EntryList,
}

/// The entries of one kind, by name and in their order.
#[derive(Default)]
pub(crate) struct EntryList {
    entries: Vec<NamedEntry>,
    places: HashMap<String, usize>,
}

/// An entry as it is written.
struct NamedEntry {
    name: String,
    content: Value,
    file: Arc<Path>,
}

/// What an entry is of.
#[derive(Clone, Copy)]
struct EntryKind {
    word: &'static str,
    fields: FieldKind,
}

const CONTEXTS: EntryKind = EntryKind { word: "context", fields: CONTEXT };
const CLUSTERS: EntryKind = EntryKind { word: "cluster", fields: CLUSTER };
const USERS: EntryKind = EntryKind { word: "user", fields: USER };

impl KubeconfigFiles {
    pub(crate) fn of(flags: &ConnectFlags, environment: &ProcessEnvironment) -> Self {
        match &flags.kubeconfig {
            Some(path) => Self::Named(path.clone()),
            None => Self::Listed(places(environment)),
        }
    }

    /// What they say together; nothing when none is there.
    ///
    /// # Errors
    /// When one cannot be read or understood.
    pub(crate) fn read(&self) -> Result<Kubeconfig, Error> {
        tracing::info!(files = ?self, "reads the kubeconfig");
        let mut merged = Kubeconfig::default();
        let paths = match self {
            Self::Named(path) => std::slice::from_ref(path),
            Self::Listed(paths) => paths,
        };
        for path in paths {
            let is_there = merged.add_file(path)?;
            if !is_there && matches!(self, Self::Named(_)) {
                return Err(Error::usage(format!("there is no kubeconfig {}", path.display())));
            }
        }
        Ok(merged)
    }
}

/// Where a kubeconfig is looked for when no flag names one.
pub(crate) fn places(environment: &ProcessEnvironment) -> Vec<PathBuf> {
    match &environment.kubeconfig {
        Some(list) => std::env::split_paths(list).filter(|path| !path.as_os_str().is_empty()).collect(),
        None => environment.home.iter().map(|home| home.join(".kube").join("config")).collect(),
    }
}

/// The user `name`; `None` also where that entry makes no sense.
pub(crate) fn user(config: &Kubeconfig, name: &str) -> Option<AuthInfo> {
    config.user(name).ok().flatten()
}

impl Kubeconfig {
    /// The context `name`.
    ///
    /// # Errors
    /// When its entry makes no sense; the same goes for clusters and users.
    pub(crate) fn context(&self, name: &str) -> Result<Option<Context>, Error> {
        Ok(self.contexts.typed(CONTEXTS, name)?.map(|(context, _)| context))
    }

    /// The cluster `name`.
    pub(crate) fn cluster(&self, name: &str) -> Result<Option<ClusterEntry>, Error> {
        let Some((mut cluster, folder)) = self.clusters.typed::<ClusterEntry>(CLUSTERS, name)? else { return Ok(None) };
        cluster.server.take_if(|server| server.is_empty());
        cluster.tls_server_name.take_if(|name| name.is_empty());
        resolve(&mut cluster.certificate_authority, folder);
        Ok(Some(cluster))
    }

    /// The user `name`.
    pub(crate) fn user(&self, name: &str) -> Result<Option<AuthInfo>, Error> {
        let Some((mut user, folder)) = self.users.typed::<AuthInfo>(USERS, name)? else { return Ok(None) };
        for file in [&mut user.client_certificate, &mut user.client_key, &mut user.token_file] {
            resolve(file, folder);
        }
        if let Some(exec) = &mut user.exec {
            // One without a separator is looked for in PATH.
            let is_path = exec.command.as_ref().is_some_and(|command| command.contains(MAIN_SEPARATOR));
            if is_path {
                resolve(&mut exec.command, folder);
            }
        }
        Ok(Some(user))
    }

    /// Whether it names nothing at all.
    pub(crate) fn is_empty(&self) -> bool {
        [&self.contexts, &self.clusters, &self.users].iter().all(|list| list.entries.is_empty())
    }

    /// Adds what `path` says and nobody said before; `false` when there is no such file.
    fn add_file(&mut self, path: &Path) -> Result<bool, Error> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => {
                let words = system_words(&error);
                return Err(Error::failed(format!("cannot read the kubeconfig {}: {words}", path.display())));
            }
        };
        self.files.push(path.to_owned());
        let text = decoded(&bytes).ok_or_else(|| unusable(path, " as text"))?;
        // Says where, never what: the lines around a mistake hold tokens and keys.
        let document = first_document(&text).map_err(|at| {
            unusable(path, &at.map(|at| format!(" at line {}, column {}", at.line(), at.column())).unwrap_or_default())
        })?;
        let odd = |odd: OddField| odd_field(path, "", &odd);
        let mut parts = fitted(document, CONFIG).map_err(odd)?.unwrap_or_default();
        check_kind(path, &parts)?;
        if self.current_context.is_empty() {
            parts["current-context"].as_str().unwrap_or_default().clone_into(&mut self.current_context);
        }
        let file: Arc<Path> = path.into();
        for (key, list) in
            [("clusters", &mut self.clusters), ("users", &mut self.users), ("contexts", &mut self.contexts)]
        {
            let entries = EntryList::of(parts.get_mut(key).map(Value::take), &file)?;
            list.append(entries);
        }
        Ok(true)
    }
}

impl EntryList {
    /// The names, in the order of files and in them.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.entries.iter().map(|entry| entry.name.as_str())
    }

    /// Those of one file.
    ///
    /// # Errors
    /// When two have one name: which of them is meant nobody knows (client-go `tools/clientcmd/api/v1/conversion.go`).
    fn of(list: Option<Value>, file: &Arc<Path>) -> Result<Self, Error> {
        let Some(Value::Array(items)) = list else { return Ok(Self::default()) };
        let mut entries = Self::default();
        for content in items {
            let Some(name) = name_of(&content) else { continue };
            let entry = NamedEntry { name, content, file: file.clone() };
            if let Some(entry) = entries.push(entry) {
                let (file, name) = (file.display(), entry.name);
                return Err(Error::usage(format!("the kubeconfig {file} has the name {name:?} twice"))
                    .hint("kubectl refuses it too: rename or remove one of the two"));
            }
        }
        Ok(entries)
    }

    fn append(&mut self, later: Self) {
        for entry in later.entries {
            self.push(entry);
        }
    }

    /// Gives the entry back if there is one of its name.
    fn push(&mut self, entry: NamedEntry) -> Option<NamedEntry> {
        if self.places.contains_key(&entry.name) {
            return Some(entry);
        }
        self.places.insert(entry.name.clone(), self.entries.len());
        self.entries.push(entry);
        None
    }

    /// What the entry `name` says, and the folder that its paths are relative to.
    fn typed<T: DeserializeOwned>(&self, kind: EntryKind, name: &str) -> Result<Option<(T, &Path)>, Error> {
        let Some(entry) = self.places.get(name).map(|&place| &self.entries[place]) else { return Ok(None) };
        let whose = format!(" of {} {name:?}", kind.word);
        let odd = |odd: OddField| odd_field(&entry.file, &whose, &odd);
        let mut content = entry.content.clone();
        if content[kind.word].is_null() {
            content[kind.word] = Value::Object(serde_json::Map::new());
        }
        let mut fields = fitted(content, kind.fields).map_err(odd)?.unwrap_or_default();
        let content = fields.get_mut(kind.word).map(Value::take).unwrap_or_default();
        // The fields' kinds are those of `T`.
        let typed = serde_json::from_value(content).map_err(|_| unusable(&entry.file, &whose))?;
        Ok(Some((typed, entry.file.parent().unwrap_or(Path::new("")))))
    }
}

/// What an entry is called; `None` where it can be called nothing. One that is null has an empty name, as for kubectl, and one
/// that is no text is found by what it looks like, and refused then.
fn name_of(entry: &Value) -> Option<String> {
    match entry.get("name").unwrap_or(&Value::Null) {
        _ if !entry.is_object() && !entry.is_null() => None,
        Value::Null => Some(String::new()),
        Value::String(name) => Some(name.clone()),
        scalar @ (Value::Bool(_) | Value::Number(_)) => Some(scalar.to_string()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

/// Text of UTF-8, or of UTF-16 where its mark says so.
fn decoded(bytes: &[u8]) -> Option<std::borrow::Cow<'_, str>> {
    let (encoding, mark) = encoding_rs::Encoding::for_bom(bytes).unwrap_or((encoding_rs::UTF_8, 0));
    encoding.decode_without_bom_handling_and_without_replacement(&bytes[mark..])
}

/// Other objects of Kubernetes are YAML files too (client-go `tools/clientcmd/api/latest/latest.go`).
fn check_kind(path: &Path, parts: &Value) -> Result<(), Error> {
    let said = |key: &str, default: &'static str| match parts[key].as_str() {
        None | Some("") => default.to_owned(),
        Some(text) => text.to_owned(),
    };
    match (said("kind", "Config"), said("apiVersion", "v1")) {
        (kind, version) if (kind.as_str(), version.as_str()) == ("Config", "v1") => Ok(()),
        (kind, version) => Err(Error::usage(format!(
            "{} holds {kind:?} of {version:?}, but a kubeconfig is \"Config\" of \"v1\"",
            path.display()
        ))
        .hint("take it out of KUBECONFIG, or give another --kubeconfig FILE")),
    }
}

/// A relative path is meant from the file's folder.
fn resolve(path: &mut Option<String>, folder: &Path) {
    if let Some(path) = path.as_mut().filter(|path| !path.is_empty()) {
        *path = folder.join(&*path).display().to_string();
    }
}

fn unusable(path: &Path, what: &str) -> Error {
    Error::usage(format!("the kubeconfig {} cannot be understood{what}", path.display()))
}

/// Never says what is there, which may be a secret.
fn odd_field(path: &Path, whose: &str, odd: &OddField) -> Error {
    let OddField { path: field, found, wanted, lacks_quotes } = odd;
    let place = if field.is_empty() { String::new() } else { format!(" as {field}") };
    let error = format!("the kubeconfig {} has {found}{place}{whose}, where {wanted} belongs", path.display());
    match lacks_quotes {
        true => Error::usage(error).hint("write it in quotes"),
        false => Error::usage(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn write(folder: &TempDir, name: &str, text: &str) -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn a_name_twice_in_one_file_is_nobodys() {
        let folder = tempfile::tempdir().unwrap();
        for (list, entry, value) in
            [("clusters", "cluster", "{}"), ("users", "user", "{}"), ("contexts", "context", "{cluster: a}")]
        {
            let one = format!("{{name: c, {entry}: {value}}}");
            let path = write(&folder, list, &format!("{list}: [{one}, {one}]"));
            let error = KubeconfigFiles::Named(path).read().map(|_| ()).unwrap_err().to_string();
            assert!(error.contains("has the name \"c\" twice"), "{error}");
        }
    }

    #[test]
    fn the_first_file_wins_and_missing_ones_are_skipped() {
        let folder = tempfile::tempdir().unwrap();
        let first =
            write(&folder, "first", "current-context: ''\ncontexts: [{name: a, context: {cluster: one, user: u}}]");
        let second = write(
            &folder,
            "second",
            "current-context: b\ncontexts: [{name: a, context: {cluster: two}}, {name: b, context: {cluster: three}}]",
        );
        let list = std::env::join_paths([PathBuf::new(), folder.path().join("none"), first, second]).unwrap();
        let environment = ProcessEnvironment { kubeconfig: Some(list), ..ProcessEnvironment::default() };
        let config = KubeconfigFiles::of(&ConnectFlags::default(), &environment).read().unwrap();
        assert_eq!(config.current_context, "b");
        assert_eq!(config.context("a").unwrap().unwrap().cluster, "one");
        assert_eq!(config.context("b").unwrap().unwrap().cluster, "three");
        assert_eq!(config.contexts.names().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(config.files, [folder.path().join("first"), folder.path().join("second")]);
    }

    #[test]
    fn the_home_folder_has_the_default() {
        let environment = ProcessEnvironment { home: Some("/home/u".into()), ..ProcessEnvironment::default() };
        assert_eq!(places(&environment), [PathBuf::from("/home/u/.kube/config")]);
    }

    #[test]
    fn paths_are_relative_to_their_file() {
        let folder = tempfile::tempdir().unwrap();
        // As for kubectl, only the system's own separator makes a path of a command.
        let login = format!(".{}login", std::path::MAIN_SEPARATOR);
        let text = "clusters: [{name: c, cluster: {certificate-authority: ca.crt}}]\n\
                    users: [{name: u, user: {tokenFile: sub/token, client-key: '', exec: {command: LOGIN}}}, {name: v, user: {exec: {command: aws}}}]";
        let file = write(&folder, "config", &text.replace("LOGIN", &login));
        let config = KubeconfigFiles::Named(file).read().unwrap();
        let ca = config.cluster("c").unwrap().unwrap().certificate_authority.unwrap();
        assert_eq!(PathBuf::from(ca), folder.path().join("ca.crt"));
        let user_entry = user(&config, "u").unwrap();
        assert_eq!(user_entry.client_key.as_deref(), Some(""));
        assert_eq!(PathBuf::from(user_entry.token_file.unwrap()), folder.path().join("sub/token"));
        assert_eq!(PathBuf::from(user_entry.exec.unwrap().command.unwrap()), folder.path().join(login));
        assert_eq!(user(&config, "v").unwrap().exec.unwrap().command.unwrap(), "aws");
    }

    fn refusal(text: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = write(&folder, "config", text);
        let config = KubeconfigFiles::Named(path.clone()).read();
        let used = config.and_then(|config| {
            config.context("k")?;
            config.cluster("k")?;
            config.user("k").map(|_| ())
        });
        let message = used.unwrap_err().to_string();
        assert!(!message.contains("hunter2") && !message.contains('\n'), "{message}");
        message.replace(&path.display().to_string(), "FILE")
    }

    #[test]
    fn a_broken_file_is_named_by_position_and_never_quoted() {
        let check = |text: &str, line: usize| {
            let message = refusal(text);
            let start = format!("the kubeconfig FILE cannot be understood at line {line}, column ");
            assert!(message.starts_with(&start), "{message}");
        };
        check("users:\n- name: u\n  user:\n    token: hunter2\n   bad: indent\n", 5);
        check("users: *hunter2\n", 1);
        check("\n{token: hunter2", 2);
    }

    #[test]
    fn what_is_odd_is_named_and_never_quoted() {
        let check = |text: &str, expect: &str| assert_eq!(refusal(text), format!("the kubeconfig FILE {expect}"));
        check("[hunter2]", "has a list, where a map belongs");
        check("hunter2", "has text, where a map belongs");
        check("clusters: hunter2", "has text as clusters, where a list belongs");
        check("current-context: {a: hunter2}", "has a map as current-context, where text belongs");
        let user = |user: &str, expect: &str| check(&format!("users:\n- {{name: k, user: {user}}}"), expect);
        user("hunter2", "has text as user of user \"k\", where a map belongs");
        user("{token: {a: hunter2}}", "has a map as user.token of user \"k\", where text belongs");
        user("{password: 12345}", "has a number as user.password of user \"k\", where text belongs");
        user("{exec: {args: [a, 5]}}", "has a number as user.exec.args[1] of user \"k\", where text belongs");
        check(
            "clusters: [{name: k, cluster: {insecure-skip-tls-verify: 'hunter2'}}]",
            "has text as cluster.insecure-skip-tls-verify of cluster \"k\", where true or false belongs",
        );
        check(
            "contexts: [{name: k, context: [hunter2]}]",
            "has a list as context of context \"k\", where a map belongs",
        );
    }

    #[test]
    fn what_is_odd_elsewhere_harms_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let fine = "current-context: k\ncontexts:\n- {name: k, context: {cluster: k, user: k, namespace: ~}}\nclusters:\n\
                    - {name: k, cluster: {server: s}}\nusers:\n- {name: k, user: {token: t}}\n";
        let check = |entry: &str| {
            for list in ["contexts", "clusters", "users"] {
                let text = fine.replace(&format!("{list}:\n"), &format!("{list}:\n- {entry}\n"));
                let config = KubeconfigFiles::Named(write(&folder, "config", &text)).read().unwrap();
                assert_eq!(config.context("k").unwrap().unwrap().user.as_deref(), Some("k"), "{text}");
                assert_eq!(config.cluster("k").unwrap().unwrap().server.as_deref(), Some("s"), "{text}");
                assert!(config.user("k").unwrap().unwrap().token.is_some(), "{text}");
            }
        };
        let every = |part: &str| format!("context: {part}, cluster: {part}, user: {part}");
        check("~");
        check("hello");
        check("5");
        check("[hello]");
        check("{}");
        check(&format!("{{{}}}", every("{}")));
        check(&format!("{{name: ~, {}}}", every("~")));
        check(&format!("{{name: [a], {}}}", every("hello")));
        check(&format!("{{name: 5, {}}}", every("[]")));
        check("{name: x, user: {auth-provider: {config: ~}}}");
        check("{name: x, user: {token: 5, exec: {args: 7, interactiveMode: Sometimes}}}");
        check("{name: x, cluster: {insecure-skip-tls-verify: maybe, certificate-authority-data: '!'}}");
        check(&format!(
            "{{name: x, context: {{extensions: [{{extension: {}{}}}]}}}}",
            "[".repeat(150),
            "]".repeat(150)
        ));
    }

    #[test]
    fn entries_without_a_name_or_content() {
        let folder = tempfile::tempdir().unwrap();
        let text = "contexts: [{context: {namespace: web}}, {name: bare}]\nclusters: [~]\nusers: [{name: 5, user: {token: t}}]";
        let config = KubeconfigFiles::Named(write(&folder, "config", text)).read().unwrap();
        assert_eq!(config.context("").unwrap().unwrap().namespace.as_deref(), Some("web"));
        assert_eq!(config.context("bare").unwrap().unwrap().cluster, "");
        assert_eq!(config.cluster("").unwrap().unwrap().server, None);
        let error = config.user("5").unwrap_err();
        assert!(error.message().ends_with("has a number as name of user \"5\", where text belongs"), "{error}");
        assert_eq!(error.hint_text(), Some("write it in quotes"));
        assert!(config.user("6").unwrap().is_none());
    }

    #[test]
    fn another_kind_of_object_is_none() {
        let check = |head: &str, expect: Option<&str>| {
            let folder = tempfile::tempdir().unwrap();
            let path = write(&folder, "pod.yaml", head);
            let good = write(&folder, "good", "kind: Config\napiVersion: v1\ncurrent-context: k");
            let read = KubeconfigFiles::Listed(vec![path.clone(), good]).read().map(|config| config.current_context);
            let read = read.map_err(|error| error.message().replace(&path.display().to_string(), "pod.yaml"));
            assert_eq!(read, expect.map_or(Ok("k".to_owned()), |expect| Err(expect.to_owned())), "{head}");
        };
        let is_not = |kind: &str, version: &str| {
            format!("pod.yaml holds {kind:?} of {version:?}, but a kubeconfig is \"Config\" of \"v1\"")
        };
        check("", None);
        check("kind: Config", None);
        check("apiVersion: v1", None);
        check("kind: ~\napiVersion: ''", None);
        check("kind: Pod\napiVersion: v1", Some(&is_not("Pod", "v1")));
        check("kind: config", Some(&is_not("config", "v1")));
        check("apiVersion: v2", Some(&is_not("Config", "v2")));
        check("apiVersion: apps/v1\nkind: Deployment", Some(&is_not("Deployment", "apps/v1")));
    }

    #[test]
    fn other_encodings() {
        let folder = tempfile::tempdir().unwrap();
        let text = "current-context: ä\r\n";
        let of = |units: Vec<[u8; 2]>| units.concat();
        let check = |bytes: &[u8], expect: Result<&str, &str>| {
            let path = folder.path().join("config");
            std::fs::write(&path, bytes).unwrap();
            let read = KubeconfigFiles::Named(path.clone()).read().map(|config| config.current_context);
            let read = read.map_err(|error| error.message().replace(&path.display().to_string(), "FILE"));
            assert_eq!(read, expect.map(str::to_owned).map_err(str::to_owned), "{bytes:?}");
        };
        let no_text = Err("the kubeconfig FILE cannot be understood as text");
        check(text.as_bytes(), Ok("ä"));
        check(format!("\u{feff}{text}").as_bytes(), Ok("ä"));
        let marked = format!("\u{feff}{text}");
        let little = of(marked.encode_utf16().map(u16::to_le_bytes).collect());
        let big = of(marked.encode_utf16().map(u16::to_be_bytes).collect());
        check(&little, Ok("ä"));
        check(&big, Ok("ä"));
        check(&big[..big.len() - 1], no_text);
        check(b"a: \xe9", no_text);
    }

    #[test]
    fn a_named_file_must_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("config");
        let error = KubeconfigFiles::Named(missing.clone()).read().map(|_| ()).unwrap_err();
        assert_eq!(error.to_string(), format!("there is no kubeconfig {}", missing.display()));
        let error = KubeconfigFiles::Named(folder.path().to_owned()).read().map(|_| ()).unwrap_err().to_string();
        assert!(error.starts_with("cannot read the kubeconfig "), "{error}");
    }
}
