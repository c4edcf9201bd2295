//! The Targets opened last, per context, in a file of the state folder. No secrets: paths are kept without query.
//!
//! Nothing here is ever fatal: what goes wrong is one line for the user, and the run goes on without a history.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::error::system_words;
use crate::service::{ServiceId, Target};

/// Kept per cluster: as many as one finds again by looking.
const LIMIT_PER_CLUSTER: usize = 30;
/// Kept altogether.
const LIMIT: usize = 500;
/// A file larger than this (bytes) is not ours: the limits above make less than a fifth of it.
const LARGEST_FILE: u64 = 1 << 20;
/// How long another program may hold the lock, which takes it a millisecond.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);
/// Between two tries to get the lock.
const LOCK_RETRY_INTERVAL: Duration = Duration::from_millis(5);
/// The format, for programs to come.
const VERSION: u32 = 1;

/// Which cluster: contexts of the same name in two kubeconfigs are two.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterName {
    /// Context of the kubeconfig; none in a Pod.
    pub context: Option<String>,
    /// URL of the API server, without user name and password.
    pub server: String,
}

impl ClusterName {
    /// The name of the cluster at `server`; credentials in that URL are left out.
    pub fn new(context: Option<&str>, server: &str) -> Self {
        Self { context: context.map(ToOwned::to_owned), server: without_userinfo(server) }
    }
}

/// A Target that was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryEntry {
    /// Namespace of the Service.
    pub namespace: String,
    /// Its literal ID.
    pub id: ServiceId,
    /// The path opened first, without query.
    pub path: String,
}

impl From<&Target> for HistoryEntry {
    fn from(target: &Target) -> Self {
        let end = target.path.find(['?', '#']).unwrap_or(target.path.len());
        Self { namespace: target.namespace.clone(), id: target.id.clone(), path: target.path[..end].to_owned() }
    }
}

/// The history of one user.
#[derive(Debug, Clone)]
pub struct History {
    folder: PathBuf,
}

/// The history of one cluster, or none where there is no folder for it.
#[derive(Debug, Clone)]
pub struct ClusterHistory {
    history: Option<History>,
    cluster: ClusterName,
}

impl ClusterHistory {
    /// The part of `history` that is about `cluster`.
    pub fn new(history: Option<History>, cluster: ClusterName) -> Self {
        Self { history, cluster }
    }

    /// What was opened.
    pub fn recall(&self) -> RecalledHistory {
        self.history.as_ref().map(|history| history.recall(&self.cluster)).unwrap_or_default()
    }

    /// Puts `entries` before all others, the first of them first. Returns one sentence if something was wrong.
    pub fn remember(&self, entries: &[HistoryEntry]) -> Option<String> {
        self.history.as_ref().and_then(|history| history.remember(&self.cluster, entries))
    }
}

/// What is known, and what to tell the user about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecalledHistory {
    /// The latest first.
    pub entries: Vec<HistoryEntry>,
    /// One sentence, if something was wrong.
    pub warning: Option<String>,
}

impl RecalledHistory {
    /// The namespaces of the entries, the latest first, each once.
    pub fn namespaces(&self) -> Vec<String> {
        let mut namespaces: Vec<String> = Vec::new();
        for entry in &self.entries {
            if !namespaces.contains(&entry.namespace) {
                namespaces.push(entry.namespace.clone());
            }
        }
        namespaces
    }
}

impl History {
    /// The history in `folder`, which is made when something is remembered.
    pub fn in_folder(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// What was opened of `cluster`, for those who can say nothing: whatever is wrong stays as it is.
    pub fn glance(&self, cluster: &ClusterName) -> RecalledHistory {
        self.read().map(|document| document.recalled(cluster, None)).unwrap_or_default()
    }

    /// What was opened of `cluster`.
    pub fn recall(&self, cluster: &ClusterName) -> RecalledHistory {
        let (document, warning) = match self.read() {
            Ok(document) => (document, None),
            Err(UnreadableHistory::Io(error)) => (HistoryDocument::default(), Some(self.complaint("read", &error))),
            // Read again under the lock: somebody else may have set it aside by now.
            Err(UnreadableHistory::Foreign(_)) => match self.locked(History::read_or_set_aside) {
                Ok(read) => read,
                Err(error) => (HistoryDocument::default(), Some(self.complaint("lock", &error))),
            },
        };
        document.recalled(cluster, warning)
    }

    /// Puts `entries` before all others, the first of them first. Returns one sentence if something was wrong.
    pub fn remember(&self, cluster: &ClusterName, entries: &[HistoryEntry]) -> Option<String> {
        let result = self.locked(|history| {
            let (mut document, warning) = history.read_or_set_aside();
            document.put_first(cluster, entries);
            history.write(&document).map(|()| warning)
        });
        match result.and_then(|written| written) {
            Ok(warning) => warning,
            Err(error) => Some(self.complaint("write", &error)),
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.join("history.json")
    }

    fn complaint(&self, verb: &str, error: &io::Error) -> String {
        format!("cannot {verb} the history, {}: {}", self.file().display(), system_words(error))
    }

    fn read(&self) -> Result<HistoryDocument, UnreadableHistory> {
        let file = match File::open(self.file()) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HistoryDocument::default()),
            Err(error) => return Err(UnreadableHistory::Io(error)),
        };
        let mut text = Vec::new();
        match file.take(LARGEST_FILE + 1).read_to_end(&mut text) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => return foreign("it is a folder"),
            Err(error) => return Err(UnreadableHistory::Io(error)),
        }
        if text.len() as u64 > LARGEST_FILE {
            return foreign("it is too large");
        }
        HistoryDocument::parse(&text)
    }

    /// Reads under the lock; what cannot be understood is moved away, with a sentence about it.
    fn read_or_set_aside(&self) -> (HistoryDocument, Option<String>) {
        match self.read() {
            Ok(document) => (document, None),
            Err(UnreadableHistory::Io(error)) => (HistoryDocument::default(), Some(self.complaint("read", &error))),
            Err(UnreadableHistory::Foreign(reason)) => {
                let warning = match self.set_aside() {
                    Ok(aside) => format!("the history was not usable ({reason}) and is now {}", aside.display()),
                    Err(error) => self.complaint("set aside", &error),
                };
                (HistoryDocument::default(), Some(warning))
            }
        }
    }

    fn set_aside(&self) -> io::Result<PathBuf> {
        let free = |number: u32| self.folder.join(format!("history.json.unusable-{number}"));
        let aside = (1..).map(free).find(|path| fs::symlink_metadata(path).is_err()).unwrap_or_else(|| free(0));
        fs::rename(self.file(), &aside)?;
        Ok(aside)
    }

    /// Replaces the file as a whole, so that readers see the old or the new one.
    fn write(&self, document: &HistoryDocument) -> io::Result<()> {
        // Where the file is a link, as dotfile managers make them, the link stays.
        let target = fs::canonicalize(self.file()).unwrap_or_else(|_| self.file());
        let new = target.with_extension(format!("json.{}", std::process::id()));
        let mut text = serde_json::to_vec_pretty(document)?;
        text.push(b'\n');
        let written = private_file(&new).and_then(|mut file| file.write_all(&text));
        let renamed = written.and_then(|()| fs::rename(&new, &target));
        if renamed.is_err() {
            let _ = fs::remove_file(&new);
        }
        renamed
    }

    /// Runs `action` while no other program writes.
    fn locked<T>(&self, action: impl FnOnce(&Self) -> T) -> io::Result<T> {
        make_private_folder(&self.folder)?;
        let lock = File::options().create(true).append(true).open(self.folder.join("history.lock"))?;
        let deadline = Instant::now() + LOCK_TIMEOUT;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => std::thread::sleep(LOCK_RETRY_INTERVAL),
                Err(TryLockError::WouldBlock) => {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "another program holds its lock"));
                }
                // Some network file systems have no locks; losing an entry there is better than having none.
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => break,
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Ok(action(self))
    }
}

/// The folder for state of this program: `kubectl-svcproxy` in `XDG_STATE_HOME`, or else in `~/.local/state` (XDG Base
/// Directory Specification), on Windows in `LOCALAPPDATA`. `variable` reads the environment.
pub fn state_folder(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let absolute = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_STATE_HOME").or_else(|| {
        if cfg!(windows) { absolute("LOCALAPPDATA") } else { absolute("HOME").map(|home| home.join(".local/state")) }
    });
    base.map(|base| base.join("kubectl-svcproxy"))
}

enum UnreadableHistory {
    Io(io::Error),
    /// Not written by this program, or broken; why.
    Foreign(String),
}

fn foreign<T>(reason: &str) -> Result<T, UnreadableHistory> {
    Err(UnreadableHistory::Foreign(reason.to_owned()))
}

/// The file.
#[derive(Debug, Serialize, Deserialize)]
struct HistoryDocument {
    version: u32,
    /// The latest first.
    targets: Vec<StoredTarget>,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredTarget {
    #[serde(flatten)]
    cluster: ClusterName,
    namespace: String,
    #[serde(with = "as_text")]
    id: ServiceId,
    path: String,
}

impl Default for HistoryDocument {
    fn default() -> Self {
        Self { version: VERSION, targets: Vec::new() }
    }
}

impl HistoryDocument {
    fn parse(text: &[u8]) -> Result<Self, UnreadableHistory> {
        let document: Self = serde_json::from_slice(text).map_err(|error| {
            let place = format!("line {}, column {}", error.line(), error.column());
            UnreadableHistory::Foreign(format!("not understood at {place}"))
        })?;
        if document.version == VERSION {
            Ok(document)
        } else {
            foreign(&format!("it is of version {}", document.version))
        }
    }

    fn recalled(self, cluster: &ClusterName, warning: Option<String>) -> RecalledHistory {
        let of_cluster = self.targets.into_iter().filter(|stored| stored.cluster == *cluster);
        RecalledHistory { entries: of_cluster.map(StoredTarget::entry).collect(), warning }
    }

    fn put_first(&mut self, cluster: &ClusterName, entries: &[HistoryEntry]) {
        let is_new = |stored: &StoredTarget| {
            let same = |entry: &HistoryEntry| entry.namespace == stored.namespace && entry.id == stored.id;
            stored.cluster == *cluster && entries.iter().any(same)
        };
        self.targets.retain(|stored| !is_new(stored));
        self.targets.splice(0..0, entries.iter().map(|entry| StoredTarget::new(cluster, entry)));
        let mut of_cluster = 0;
        self.targets.retain(|stored| {
            of_cluster += usize::from(stored.cluster == *cluster);
            stored.cluster != *cluster || of_cluster <= LIMIT_PER_CLUSTER
        });
        self.targets.truncate(LIMIT);
    }
}

impl StoredTarget {
    fn new(cluster: &ClusterName, entry: &HistoryEntry) -> Self {
        let HistoryEntry { namespace, id, path } = entry.clone();
        Self { cluster: cluster.clone(), namespace, id, path }
    }

    fn entry(self) -> HistoryEntry {
        HistoryEntry { namespace: self.namespace, id: self.id, path: self.path }
    }
}

/// A [`ServiceId`] in its own spelling, checked when read.
mod as_text {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use crate::service::ServiceId;

    pub(super) fn serialize<S: Serializer>(id: &ServiceId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ServiceId, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// `user:password@` cut from a URL.
fn without_userinfo(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..authority_end].rfind('@') {
        Some(at) => format!("{scheme}://{}", &rest[at + 1..]),
        None => url.to_owned(),
    }
}

fn private_file(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.create(true).write(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn make_private_folder(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::Scheme;

    fn cluster(context: &str) -> ClusterName {
        ClusterName::new(Some(context), "https://10.0.0.1:6443")
    }

    fn entry(namespace: &str, id: &str) -> HistoryEntry {
        HistoryEntry { namespace: namespace.to_owned(), id: id.parse().unwrap(), path: "/".to_owned() }
    }

    fn names(recalled: &RecalledHistory) -> Vec<String> {
        recalled.entries.iter().map(|entry| format!("{}/{}", entry.namespace, entry.id)).collect()
    }

    fn scratch() -> (tempfile::TempDir, History) {
        let folder = tempfile::tempdir().unwrap();
        let history = History::in_folder(folder.path().join("state/kubectl-svcproxy"));
        (folder, history)
    }

    #[test]
    fn the_latest_is_first_and_stands_once() {
        let (_folder, history) = scratch();
        assert_eq!(history.recall(&cluster("a")), RecalledHistory::default());
        for id in ["one", "https:two:web", "one"] {
            assert_eq!(history.remember(&cluster("a"), &[entry("ns", id)]), None);
        }
        history.remember(&cluster("b"), &[entry("x", "other"), entry("y", "more")]);
        assert_eq!(names(&history.recall(&cluster("a"))), ["ns/one", "ns/https:two:web"]);
        let other = history.recall(&cluster("b"));
        assert_eq!(names(&other), ["x/other", "y/more"]);
        assert_eq!(other.namespaces(), ["x", "y"]);
    }

    #[test]
    fn one_context_name_for_two_clusters_is_two_histories() {
        let (_folder, history) = scratch();
        history.remember(&ClusterName::new(Some("dev"), "https://a"), &[entry("ns", "one")]);
        assert_eq!(history.recall(&ClusterName::new(Some("dev"), "https://b")).entries, []);
    }

    #[test]
    fn it_does_not_grow_for_ever() {
        let (_folder, history) = scratch();
        let many: Vec<HistoryEntry> = (0..100).map(|number| entry("ns", &format!("s{number}"))).collect();
        history.remember(&cluster("b"), &[entry("ns", "kept")]);
        history.remember(&cluster("a"), &many);
        assert_eq!(history.recall(&cluster("a")).entries, many[..LIMIT_PER_CLUSTER]);
        assert_eq!(history.recall(&cluster("b")).entries.len(), 1);
    }

    #[test]
    fn no_secrets() {
        let id = ServiceId::from_parts(Some(Scheme::Https), "nginx", None).unwrap();
        let target = Target::unread("default", id, Some("/login/x?token=secret#secret".to_owned()));
        assert_eq!(HistoryEntry::from(&target).path, "/login/x");
        let check = |server: &str, expect: &str| assert_eq!(ClusterName::new(None, server).server, expect);
        check("https://me:secret@host:6443/k8s", "https://host:6443/k8s");
        check("https://host/a@b", "https://host/a@b");
        check("https://host", "https://host");
    }

    #[cfg(unix)]
    #[test]
    fn for_this_user_only() {
        use std::os::unix::fs::PermissionsExt;
        let (_folder, history) = scratch();
        history.remember(&cluster("a"), &[entry("ns", "one")]);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&history.folder), mode(&history.file())), (0o700, 0o600));
    }

    /// What `text` leads to: a warning and a file set aside, or neither.
    fn check_foreign(text: &str, reason: &str) {
        let (_folder, history) = scratch();
        fs::create_dir_all(&history.folder).unwrap();
        fs::write(history.file(), text).unwrap();
        assert_eq!(history.glance(&cluster("a")), RecalledHistory::default());
        let warning = history.recall(&cluster("a")).warning.unwrap();
        assert!(warning.contains(reason) && warning.contains("unusable-1"), "{warning}");
        assert_eq!(fs::read_to_string(history.folder.join("history.json.unusable-1")).unwrap(), text);
        assert_eq!(history.recall(&cluster("a")), RecalledHistory::default(), "said once");
        fs::write(history.file(), text).unwrap();
        assert!(history.remember(&cluster("a"), &[entry("ns", "one")]).unwrap().contains("unusable-2"));
        assert_eq!(names(&history.recall(&cluster("a"))), ["ns/one"]);
    }

    #[test]
    fn a_foreign_file_is_set_aside() {
        check_foreign("", "line 1");
        check_foreign("{\"version\":1,\"targets\":[", "line 1");
        check_foreign("[1,2]", "not understood");
        check_foreign("{\"version\":2,\"targets\":[]}", "version 2");
        let hostile = "{\"version\":1,\"targets\":[{\"context\":null,\"server\":\"s\",\"namespace\":\"n\",\
                       \"id\":\"../../x\",\"path\":\"/\"}]}";
        check_foreign(hostile, "not understood");
        check_foreign(&" ".repeat(usize::try_from(LARGEST_FILE).unwrap() + 1), "too large");
    }

    #[test]
    fn a_folder_in_its_place_is_set_aside_too() {
        let (_folder, history) = scratch();
        fs::create_dir_all(history.file()).unwrap();
        assert!(history.remember(&cluster("a"), &[entry("ns", "one")]).unwrap().contains("folder"));
        assert_eq!(names(&history.recall(&cluster("a"))), ["ns/one"]);
    }

    #[test]
    fn no_place_to_write_is_one_sentence() {
        let (folder, _) = scratch();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let history = History::in_folder(file.join("state"));
        let warning = history.remember(&cluster("a"), &[entry("ns", "one")]).unwrap();
        assert!(warning.starts_with("cannot write the history"), "{warning}");
    }

    #[test]
    fn a_lock_that_is_never_given_back_ends_in_one_sentence() {
        let (_folder, history) = scratch();
        history.remember(&cluster("a"), &[entry("ns", "one")]);
        let lock = File::open(history.folder.join("history.lock")).unwrap();
        lock.lock().unwrap();
        let warning = history.remember(&cluster("a"), &[entry("ns", "two")]).unwrap();
        assert!(warning.contains("lock"), "{warning}");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link() {
        let (folder, history) = scratch();
        let real = folder.path().join("dotfiles.json");
        fs::create_dir_all(&history.folder).unwrap();
        fs::write(&real, "{\"version\":1,\"targets\":[]}").unwrap();
        std::os::unix::fs::symlink(&real, history.file()).unwrap();
        assert_eq!(history.remember(&cluster("a"), &[entry("ns", "one")]), None);
        assert!(fs::symlink_metadata(history.file()).unwrap().is_symlink());
        assert!(fs::read_to_string(&real).unwrap().contains("one"));
    }

    #[test]
    fn many_writers_lose_nothing() {
        let (_folder, history) = scratch();
        let writers = 8;
        std::thread::scope(|scope| {
            for writer in 0..writers {
                let history = &history;
                scope.spawn(move || {
                    for number in 0..10 {
                        let context = cluster(&format!("c{writer}"));
                        assert_eq!(history.remember(&context, &[entry("ns", &format!("s{number}"))]), None);
                    }
                });
            }
        });
        for writer in 0..writers {
            assert_eq!(history.recall(&cluster(&format!("c{writer}"))).entries.len(), 10);
        }
        let left: Vec<_> = fs::read_dir(&history.folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 2, "{left:?}");
    }

    #[test]
    fn where_it_is() {
        let check = |variables: &[(&str, &str)], expect: Option<&str>| {
            let variable = |name: &str| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| OsString::from(value))
            };
            assert_eq!(state_folder(variable), expect.map(PathBuf::from), "{variables:?}");
        };
        if cfg!(unix) {
            check(&[("HOME", "/home/a")], Some("/home/a/.local/state/kubectl-svcproxy"));
            check(&[("HOME", "/home/a"), ("XDG_STATE_HOME", "/s")], Some("/s/kubectl-svcproxy"));
            check(
                &[("HOME", "/home/a"), ("XDG_STATE_HOME", "relative")],
                Some("/home/a/.local/state/kubectl-svcproxy"),
            );
        }
        check(&[], None);
    }
}
