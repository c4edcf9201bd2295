//! kubeconfig files: found, read and merged as kubectl does (client-go `tools/clientcmd/loader.go`).

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use kube::config::{AuthInfo, Cluster as ClusterEntry, Context, Kubeconfig, KubeconfigError};

use super::inputs::{ConnectFlags, ProcessEnvironment};
use crate::error::{Error, system_words};

/// The files that make up the kubeconfig.
#[derive(Debug, Clone)]
pub(crate) enum KubeconfigFiles {
    /// `--kubeconfig`: it must be there.
    Named(PathBuf),
    /// `KUBECONFIG` or the default: those that are there, and the first to name a thing wins.
    Listed(Vec<PathBuf>),
}

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
        match self {
            Self::Named(path) => {
                read_file(path)?.ok_or_else(|| Error::usage(format!("there is no kubeconfig {}", path.display())))
            }
            Self::Listed(paths) => merged(paths),
        }
    }
}

/// Where a kubeconfig is looked for when no flag names one.
pub(crate) fn places(environment: &ProcessEnvironment) -> Vec<PathBuf> {
    match &environment.kubeconfig {
        Some(list) => std::env::split_paths(list).filter(|path| !path.as_os_str().is_empty()).collect(),
        None => environment.home.iter().map(|home| home.join(".kube").join("config")).collect(),
    }
}

/// The context `name`.
pub(crate) fn context(config: &Kubeconfig, name: &str) -> Option<Context> {
    let found = config.contexts.iter().find(|context| context.name == name)?;
    Some(found.context.clone().unwrap_or_default())
}

/// The cluster `name`.
pub(crate) fn cluster(config: &Kubeconfig, name: &str) -> Option<ClusterEntry> {
    let found = config.clusters.iter().find(|cluster| cluster.name == name)?;
    let mut cluster = found.cluster.clone().unwrap_or_default();
    cluster.server = cluster.server.filter(|server| !server.is_empty());
    cluster.tls_server_name = cluster.tls_server_name.filter(|name| !name.is_empty());
    Some(cluster)
}

/// The user `name`.
pub(crate) fn user(config: &Kubeconfig, name: &str) -> Option<AuthInfo> {
    let found = config.auth_infos.iter().find(|user| user.name == name)?;
    Some(found.auth_info.clone().unwrap_or_default())
}

fn merged(paths: &[PathBuf]) -> Result<Kubeconfig, Error> {
    let mut merged = Kubeconfig::default();
    for path in paths {
        if let Some(config) = read_file(path)? {
            merged = merged.merge(config).map_err(|error| unusable(path, &error))?;
        }
    }
    Ok(merged)
}

/// The file's content with its relative paths resolved, `None` when there is no such file.
fn read_file(path: &Path) -> Result<Option<Kubeconfig>, Error> {
    match Kubeconfig::read_from(path) {
        Ok(config) => match doubled(&config) {
            None => Ok(Some(config)),
            Some(name) => Err(Error::usage(format!("the kubeconfig {} has the name {name:?} twice", path.display()))
                .hint("kubectl refuses it too: rename or remove one of the two")),
        },
        Err(KubeconfigError::ReadConfig(error, _)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unusable(path, &error)),
    }
}

/// A name that two entries of one list have: which of them is meant nobody knows (client-go `tools/clientcmd/api/v1/conversion.go`).
fn doubled(config: &Kubeconfig) -> Option<&str> {
    let clusters = config.clusters.iter().map(|cluster| cluster.name.as_str());
    let users = config.auth_infos.iter().map(|user| user.name.as_str());
    let contexts = config.contexts.iter().map(|context| context.name.as_str());
    first_doubled(clusters).or_else(|| first_doubled(users)).or_else(|| first_doubled(contexts))
}

fn first_doubled<'a>(mut names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut seen = HashSet::new();
    names.find(|name| !seen.insert(*name))
}

/// Says where, never what: the lines around a mistake hold tokens and keys.
fn unusable(path: &Path, error: &KubeconfigError) -> Error {
    let path = path.display();
    let at = match error {
        KubeconfigError::ReadConfig(error, _) => {
            return Error::failed(format!("cannot read the kubeconfig {path}: {}", system_words(error)));
        }
        KubeconfigError::Parse(error) => error.location(),
        _ => return Error::usage(format!("the kubeconfig {path} is of another kind or version than those before it")),
    };
    let place = at.map(|at| format!(" at line {}, column {}", at.line(), at.column())).unwrap_or_default();
    Error::usage(format!("the kubeconfig {path} cannot be understood{place}"))
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
            let error = KubeconfigFiles::Named(path).read().unwrap_err().to_string();
            assert!(error.contains("has the name \"c\" twice"), "{error}");
        }
    }

    #[test]
    fn the_first_file_wins_and_missing_ones_are_skipped() {
        let folder = tempfile::tempdir().unwrap();
        let first = write(&folder, "first", "contexts: [{name: a, context: {cluster: one, user: u}}]");
        let second = write(
            &folder,
            "second",
            "current-context: b\ncontexts: [{name: a, context: {cluster: two}}, {name: b, context: {cluster: three}}]",
        );
        let list = std::env::join_paths([PathBuf::new(), folder.path().join("none"), first, second]).unwrap();
        let environment = ProcessEnvironment { kubeconfig: Some(list), ..ProcessEnvironment::default() };
        let config = KubeconfigFiles::of(&ConnectFlags::default(), &environment).read().unwrap();
        assert_eq!(config.current_context.as_deref(), Some("b"));
        assert_eq!(context(&config, "a").unwrap().cluster, "one");
        assert_eq!(context(&config, "b").unwrap().cluster, "three");
    }

    #[test]
    fn the_home_folder_has_the_default() {
        let environment = ProcessEnvironment { home: Some("/home/u".into()), ..ProcessEnvironment::default() };
        assert_eq!(places(&environment), [PathBuf::from("/home/u/.kube/config")]);
    }

    #[test]
    fn paths_are_relative_to_their_file() {
        let folder = tempfile::tempdir().unwrap();
        let text = "clusters: [{name: c, cluster: {certificate-authority: ca.crt}}]\n\
                    users: [{name: u, user: {tokenFile: sub/token, exec: {command: ./login}}}, {name: v, user: {exec: {command: aws}}}]";
        let config = KubeconfigFiles::Named(write(&folder, "config", text)).read().unwrap();
        let ca = cluster(&config, "c").unwrap().certificate_authority.unwrap();
        assert_eq!(PathBuf::from(ca), folder.path().join("ca.crt"));
        let user_entry = user(&config, "u").unwrap();
        assert_eq!(PathBuf::from(user_entry.token_file.unwrap()), folder.path().join("sub/token"));
        assert_eq!(PathBuf::from(user_entry.exec.unwrap().command.unwrap()), folder.path().join("./login"));
        assert_eq!(user(&config, "v").unwrap().exec.unwrap().command.unwrap(), "aws");
    }

    #[test]
    fn a_broken_file_is_named_by_position_and_never_quoted() {
        let folder = tempfile::tempdir().unwrap();
        for (text, position) in [
            ("users:\n- name: u\n  user:\n    token: hunter2\n   bad: indent\n", " at line 5, column"),
            ("users:\n- name: u\n  user: hunter2\n", " at line 3, column"),
            ("clusters: hunter2\n", " at line 1, column"),
            ("users:\n- name: u\n  user:\n    token: {a: hunter2}\n", " at line 4, column"),
        ] {
            let path = write(&folder, "config", text);
            let message = KubeconfigFiles::Named(path.clone()).read().unwrap_err().to_string();
            let expected = format!("the kubeconfig {} cannot be understood{position}", path.display());
            assert!(message.starts_with(&expected), "{message}");
            assert!(!message.contains("hunter2") && !message.contains('\n'), "{message}");
        }
    }

    #[test]
    fn a_named_file_must_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("config");
        let error = KubeconfigFiles::Named(missing.clone()).read().unwrap_err();
        assert_eq!(error.to_string(), format!("there is no kubeconfig {}", missing.display()));
        let error = KubeconfigFiles::Named(folder.path().to_owned()).read().unwrap_err().to_string();
        assert!(error.starts_with("cannot read the kubeconfig "), "{error}");
    }
}
