//! The Targets opened last, per cluster, in a file of the state folder. No secrets: paths are kept without query.
//!
//! Nothing here is ever fatal: what goes wrong is one line for the user, and the run goes on without a history. Of two
//! programs that write in the same millisecond one may lose what the other wrote. A home folder that hangs holds nobody up,
//! and where others could have laid links for root, nothing is read or written.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::cluster::Cluster;
use crate::error::system_words;
use crate::service::{ServiceId, Target};
use crate::terminal::private_file::write_atomically;

/// Kept per cluster: as many as one finds again by looking.
const LIMIT_PER_CLUSTER: usize = 30;
/// Kept altogether.
const LIMIT: usize = 500;
/// How long the file may take, to be read or to be written.
const FILE_TIMEOUT: Duration = Duration::from_secs(1);
/// The format, for programs to come.
const VERSION: u32 = 1;

/// Which cluster: contexts of the same name in two kubeconfigs are two.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct ClusterName {
    /// Context of the kubeconfig; none in a Pod.
    context: Option<String>,
    /// URL of the API server.
    server: String,
}

/// A Target that was opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    #[serde(flatten)]
    cluster: ClusterName,
    /// Namespace of the Service.
    pub namespace: String,
    /// Its literal ID.
    #[serde(with = "as_text")]
    pub id: ServiceId,
    /// The path opened first, without query.
    pub path: String,
}

/// What is known, and what to tell the user about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecalledHistory {
    /// The latest first.
    pub entries: Vec<HistoryEntry>,
    /// One sentence, if something was wrong.
    pub warning: Option<String>,
}

/// The file.
#[derive(Serialize, Deserialize)]
struct HistoryDocument {
    version: u32,
    /// The latest first.
    targets: Vec<HistoryEntry>,
}

/// The history of one user, as far as it is about one cluster.
#[derive(Debug, Clone)]
pub struct History {
    /// None where there is no folder for it.
    file: Option<PathBuf>,
    cluster: ClusterName,
    stuck: Arc<StuckFile>,
}

/// Whether the file took longer than [`FILE_TIMEOUT`].
#[derive(Debug, Default)]
struct StuckFile {
    is_stuck: AtomicBool,
    is_told: AtomicBool,
}

impl History {
    /// The history of `cluster` in `folder`, which is made when something is remembered.
    pub fn new(folder: Option<PathBuf>, cluster: &Cluster) -> Self {
        let context = cluster.context().map(str::to_owned);
        Self::at(folder, ClusterName { context, server: cluster.server().to_owned() })
    }

    fn at(folder: Option<PathBuf>, cluster: ClusterName) -> Self {
        Self { file: folder.map(|folder| folder.join("history.json")), cluster, stuck: Arc::default() }
    }

    /// What was opened, for those who can say nothing: whatever is wrong stays as it is.
    pub async fn glance(&self) -> Vec<HistoryEntry> {
        let all = self.in_time(|file| if is_own(file) { read(file).unwrap_or_default() } else { Vec::new() });
        self.entries_of(all.await.unwrap_or_default())
    }

    /// Where something was opened, the latest first, at a glance.
    pub async fn namespaces(&self) -> Vec<String> {
        let mut namespaces: Vec<String> = Vec::new();
        for entry in self.glance().await {
            if !namespaces.contains(&entry.namespace) {
                namespaces.push(entry.namespace);
            }
        }
        namespaces
    }

    /// What was opened. A file that is not understood is set aside.
    pub async fn recall(&self) -> RecalledHistory {
        let read = self.in_time(|file| if is_own(file) { read_or_set_aside(file) } else { Default::default() });
        let (all, warning) = read.await.unwrap_or_else(|| (Vec::new(), self.stuck_file()));
        RecalledHistory { entries: self.entries_of(all), warning }
    }

    /// Puts `targets` before all others, the first of them first. Returns one sentence if something was wrong.
    pub async fn remember(&self, targets: &[Target]) -> Option<String> {
        let (history, targets) = (self.clone(), targets.to_vec());
        self.in_time(move |file| history.remember_in(file, &targets)).await.unwrap_or_else(|| self.stuck_file())
    }

    fn remember_in(&self, file: &Path, targets: &[Target]) -> Option<String> {
        if !is_own(file) {
            return None;
        }
        let (mut all, warning) = read_or_set_aside(file);
        self.put_first(targets, &mut all);
        match write(file, all) {
            Ok(()) => warning,
            Err(error) => Some(complaint("write", file, &error)),
        }
    }

    /// What `work` makes of the file; `None` where that takes too long, now or before. Nothing breaks it off: whatever hangs
    /// stays behind until the end of the process.
    async fn in_time<T: Default + Send + 'static>(&self, work: impl FnOnce(&Path) -> T + Send + 'static) -> Option<T> {
        let Some(file) = self.file.clone() else { return Some(T::default()) };
        if self.stuck.is_stuck.load(Ordering::Relaxed) {
            return None;
        }
        let done = timeout(FILE_TIMEOUT, spawn_blocking(move || work(&file))).await;
        let done = done.ok().and_then(Result::ok);
        self.stuck.is_stuck.store(done.is_none(), Ordering::Relaxed);
        done
    }

    /// A sentence about a file that hangs, once.
    fn stuck_file(&self) -> Option<String> {
        let file = self.file.as_deref().filter(|_| !self.stuck.is_told.swap(true, Ordering::Relaxed))?;
        let (file, seconds) = (file.display(), FILE_TIMEOUT.as_secs());
        Some(format!("the history, {file}, does not answer within {seconds} s: this run does without it"))
    }

    fn entries_of(&self, mut all: Vec<HistoryEntry>) -> Vec<HistoryEntry> {
        all.retain(|entry| entry.cluster == self.cluster);
        all
    }

    fn put_first(&self, targets: &[Target], all: &mut Vec<HistoryEntry>) {
        let new: Vec<HistoryEntry> = targets.iter().map(|target| self.entry(target)).collect();
        let is_same =
            |a: &HistoryEntry, b: &HistoryEntry| (&a.cluster, &a.namespace, &a.id) == (&b.cluster, &b.namespace, &b.id);
        all.retain(|old| !new.iter().any(|new| is_same(new, old)));
        all.splice(0..0, new);
        let mut of_cluster = 0;
        all.retain(|entry| {
            of_cluster += usize::from(entry.cluster == self.cluster);
            entry.cluster != self.cluster || of_cluster <= LIMIT_PER_CLUSTER
        });
        all.truncate(LIMIT);
    }

    fn entry(&self, target: &Target) -> HistoryEntry {
        let end = target.path.find(['?', '#']).unwrap_or(target.path.len());
        HistoryEntry {
            cluster: self.cluster.clone(),
            namespace: target.namespace.clone(),
            id: target.id.clone(),
            path: target.path[..end].to_owned(),
        }
    }
}

/// Whether nobody but this user has a say in where `file` is. Root may have somebody else's HOME, who could have laid links to
/// files of others there; to anybody else links lead nowhere that they could not write anyway.
#[cfg(unix)]
fn is_own(file: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let user = rustix::process::geteuid();
    let is_ours = |path: &Path| fs::symlink_metadata(path).map_or(true, |found| found.uid() == user.as_raw());
    !user.is_root() || file.ancestors().all(is_ours)
}

#[cfg(not(unix))]
fn is_own(_: &Path) -> bool {
    true
}

/// What `file` holds. [`io::ErrorKind::InvalidData`] with a reason is a file that this program did not write, or a broken
/// one.
fn read(file: &Path) -> io::Result<Vec<HistoryEntry>> {
    let text = match fs::read(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let foreign = |reason: String| io::Error::new(io::ErrorKind::InvalidData, reason);
    match serde_json::from_slice(&text) {
        Ok(HistoryDocument { version: VERSION, targets }) => Ok(targets),
        Ok(HistoryDocument { version, .. }) => Err(foreign(format!("it is of version {version}"))),
        Err(error) => Err(foreign(format!("not understood at line {}, column {}", error.line(), error.column()))),
    }
}

/// What `file` holds; what cannot be understood is moved away, with a sentence about it.
fn read_or_set_aside(file: &Path) -> (Vec<HistoryEntry>, Option<String>) {
    let warning = match read(file) {
        Ok(all) => return (all, None),
        Err(reason) if reason.kind() == io::ErrorKind::InvalidData => match set_aside(file) {
            Ok(aside) => format!("the history was not usable ({reason}) and is now {}", aside.display()),
            Err(error) => complaint("set aside", file, &error),
        },
        Err(error) => complaint("read", file, &error),
    };
    (Vec::new(), Some(warning))
}

fn set_aside(file: &Path) -> io::Result<PathBuf> {
    let free = |number: u32| file.with_extension(format!("json.unusable-{number}"));
    let aside = (1..).map(free).find(|path| fs::symlink_metadata(path).is_err()).unwrap_or_else(|| free(0));
    fs::rename(file, &aside)?;
    Ok(aside)
}

fn write(file: &Path, targets: Vec<HistoryEntry>) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    file.parent().map_or(Ok(()), |folder| builder.recursive(true).create(folder))?;
    // Where the file is a link, as dotfile managers make them, the link stays.
    let target = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let mut text = serde_json::to_vec_pretty(&HistoryDocument { version: VERSION, targets })?;
    text.push(b'\n');
    write_atomically(&target, &text, 0o600)
}

fn complaint(verb: &str, file: &Path, error: &io::Error) -> String {
    format!("cannot {verb} the history, {}: {}", file.display(), system_words(error))
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

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::service::Scheme;

    fn of_context(folder: &tempfile::TempDir, context: &str, server: &str) -> History {
        let cluster = ClusterName { context: Some(context.to_owned()), server: server.to_owned() };
        History::at(Some(folder.path().join("state/kubectl-svcproxy")), cluster)
    }

    fn scratch() -> (tempfile::TempDir, History) {
        let folder = tempfile::tempdir().unwrap();
        let history = of_context(&folder, "a", "https://10.0.0.1:6443");
        (folder, history)
    }

    fn file(history: &History) -> &Path {
        history.file.as_deref().unwrap()
    }

    fn make_folder(history: &History) {
        fs::create_dir_all(file(history).parent().unwrap()).unwrap();
    }

    fn target(namespace: &str, id: &str) -> Target {
        Target::unread(namespace, id.parse().unwrap(), None)
    }

    /// A Target that was opened in some cluster.
    pub(in crate::find) fn entry(namespace: &str, id: &str, path: &str) -> HistoryEntry {
        let (_, history) = scratch();
        history.entry(&Target::unread(namespace, id.parse().unwrap(), Some(path.to_owned())))
    }

    async fn names(history: &History) -> Vec<String> {
        let recalled = history.recall().await;
        recalled.entries.iter().map(|entry| format!("{}/{}", entry.namespace, entry.id)).collect()
    }

    #[tokio::test]
    async fn the_latest_is_first_and_stands_once() {
        let (folder, history) = scratch();
        assert_eq!(history.recall().await, RecalledHistory::default());
        for id in ["one", "https:two:web", "one"] {
            assert_eq!(history.remember(&[target("ns", id)]).await, None);
        }
        let other = of_context(&folder, "b", "https://10.0.0.1:6443");
        other.remember(&[target("x", "other"), target("y", "more")]).await;
        assert_eq!(names(&history).await, ["ns/one", "ns/https:two:web"]);
        assert_eq!(names(&other).await, ["x/other", "y/more"]);
    }

    #[tokio::test]
    async fn one_context_name_for_two_clusters_is_two_histories() {
        let (folder, history) = scratch();
        history.remember(&[target("ns", "one")]).await;
        assert_eq!(of_context(&folder, "a", "https://b").recall().await.entries, []);
    }

    #[tokio::test]
    async fn it_does_not_grow_for_ever() {
        let (folder, history) = scratch();
        let many: Vec<Target> = (0..100).map(|number| target("ns", &format!("s{number}"))).collect();
        let other = of_context(&folder, "b", "https://10.0.0.1:6443");
        other.remember(&[target("ns", "kept")]).await;
        history.remember(&many).await;
        let expect: Vec<HistoryEntry> = many[..LIMIT_PER_CLUSTER].iter().map(|target| history.entry(target)).collect();
        assert_eq!(history.recall().await.entries, expect);
        assert_eq!(other.recall().await.entries.len(), 1);
    }

    #[test]
    fn no_secrets() {
        let (_folder, history) = scratch();
        let id = ServiceId::from_parts(Some(Scheme::Https), "nginx", None).unwrap();
        let target = Target::unread("default", id, Some("/login/x?token=secret#secret".to_owned()));
        assert_eq!(history.entry(&target).path, "/login/x");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn for_this_user_only() {
        use std::os::unix::fs::PermissionsExt;
        let (_folder, history) = scratch();
        history.remember(&[target("ns", "one")]).await;
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(file(&history).parent().unwrap()), mode(file(&history))), (0o700, 0o600));
    }

    #[tokio::test]
    async fn what_the_file_looks_like() {
        let (_folder, history) = scratch();
        history.remember(&[target("ns", "https:two:web")]).await;
        let expect = "{\n  \"version\": 1,\n  \"targets\": [\n    {\n      \"context\": \"a\",\n      \
                      \"server\": \"https://10.0.0.1:6443\",\n      \"namespace\": \"ns\",\n      \
                      \"id\": \"https:two:web\",\n      \"path\": \"/\"\n    }\n  ]\n}\n";
        assert_eq!(fs::read_to_string(file(&history)).unwrap(), expect);
    }

    /// What `text` leads to: a warning and a file set aside, or neither.
    async fn check_foreign(text: &str, reason: &str) {
        let (_folder, history) = scratch();
        make_folder(&history);
        fs::write(file(&history), text).unwrap();
        assert_eq!(history.glance().await, []);
        let warning = history.recall().await.warning.unwrap();
        assert!(warning.contains(reason) && warning.contains("unusable-1"), "{warning}");
        assert_eq!(fs::read_to_string(file(&history).with_extension("json.unusable-1")).unwrap(), text);
        assert_eq!(history.recall().await, RecalledHistory::default(), "said once");
        fs::write(file(&history), text).unwrap();
        assert!(history.remember(&[target("ns", "one")]).await.unwrap().contains("unusable-2"));
        assert_eq!(names(&history).await, ["ns/one"]);
    }

    #[tokio::test]
    async fn a_foreign_file_is_set_aside() {
        check_foreign("", "line 1").await;
        check_foreign("{\"version\":1,\"targets\":[", "line 1").await;
        check_foreign("[1,2]", "not understood").await;
        check_foreign("{\"version\":2,\"targets\":[]}", "version 2").await;
        let hostile = "{\"version\":1,\"targets\":[{\"context\":null,\"server\":\"s\",\"namespace\":\"n\",\
                       \"id\":\"../../x\",\"path\":\"/\"}]}";
        check_foreign(hostile, "not understood").await;
    }

    #[tokio::test]
    async fn a_folder_in_its_place_is_one_sentence_and_stays() {
        let (_folder, history) = scratch();
        fs::create_dir_all(file(&history)).unwrap();
        assert!(history.recall().await.warning.unwrap().starts_with("cannot read the history"));
        assert!(history.remember(&[target("ns", "one")]).await.unwrap().starts_with("cannot write the history"));
        assert_eq!(fs::read_dir(file(&history).parent().unwrap()).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn no_place_to_write_is_one_sentence() {
        let (folder, mut history) = scratch();
        let blocked = folder.path().join("file");
        fs::write(&blocked, "").unwrap();
        history.file = Some(blocked.join("state/history.json"));
        let warning = history.remember(&[target("ns", "one")]).await.unwrap();
        assert!(warning.starts_with("cannot write the history"), "{warning}");
    }

    /// As in a home folder whose server is gone.
    #[cfg(unix)]
    #[tokio::test]
    async fn a_file_that_hangs_holds_nobody_up_and_is_told_once() {
        let (_folder, history) = scratch();
        make_folder(&history);
        let made = std::process::Command::new("mkfifo").arg(file(&history)).status().unwrap();
        assert!(made.success());
        assert_eq!(history.glance().await, []);
        let warning = history.recall().await.warning.unwrap();
        assert!(warning.ends_with("does not answer within 1 s: this run does without it"), "{warning}");
        assert_eq!(history.remember(&[target("ns", "one")]).await, None);
        // Whoever hangs goes on, or the test would wait for it.
        fs::OpenOptions::new().read(true).write(true).open(file(&history)).unwrap();
    }

    #[tokio::test]
    async fn without_a_folder_there_is_no_history() {
        let (_folder, mut history) = scratch();
        history.file = None;
        assert_eq!(history.remember(&[target("ns", "one")]).await, None);
        assert_eq!((history.recall().await, history.glance().await), (RecalledHistory::default(), Vec::new()));
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_link_stays_a_link() {
        let (folder, history) = scratch();
        let real = folder.path().join("dotfiles.json");
        make_folder(&history);
        fs::write(&real, "{\"version\":1,\"targets\":[]}").unwrap();
        std::os::unix::fs::symlink(&real, file(&history)).unwrap();
        assert_eq!(history.remember(&[target("ns", "one")]).await, None);
        assert!(fs::symlink_metadata(file(&history)).unwrap().is_symlink());
        assert!(fs::read_to_string(&real).unwrap().contains("one"));
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
