//! kubeconfig files: found, read and merged as kubectl does.

use std::io;
use std::path::{Path, PathBuf};

use kube::config::{Kubeconfig, KubeconfigError};

use super::flags::{ConnectFlags, Environment};
use crate::error::Error;

/// Reads what `--kubeconfig` names, else what `KUBECONFIG` lists, else `~/.kube/config`. `None` when there is no file.
///
/// Of a list, files that do not exist are skipped, and the first to name a thing wins (client-go `ClientConfigLoadingRules`).
///
/// # Errors
/// When a file cannot be read or understood, or the one of `--kubeconfig` does not exist.
pub(crate) fn read(flags: &ConnectFlags, environment: &Environment) -> Result<Option<Kubeconfig>, Error> {
    if let Some(path) = flags.kubeconfig.as_deref().filter(|path| !path.as_os_str().is_empty()) {
        return read_file(path)?.map(Some).ok_or_else(|| no_such_file(path));
    }
    let mut merged: Option<Kubeconfig> = None;
    for path in places(environment) {
        let Some(config) = read_file(&path)? else { continue };
        merged = Some(match merged {
            Some(merged) => merged.merge(config).map_err(|error| unusable(&path, &error))?,
            None => config,
        });
    }
    Ok(merged)
}

/// The files that are looked for.
pub(crate) fn places(environment: &Environment) -> Vec<PathBuf> {
    match &environment.kubeconfig {
        Some(list) => std::env::split_paths(list).filter(|path| !path.as_os_str().is_empty()).collect(),
        None => environment.home.iter().map(|home| home.join(".kube").join("config")).collect(),
    }
}

/// The file's content with its relative paths resolved, `None` when there is no such file.
fn read_file(path: &Path) -> Result<Option<Kubeconfig>, Error> {
    match Kubeconfig::read_from(path) {
        Ok(config) => Ok(Some(config)),
        Err(KubeconfigError::ReadConfig(error, _)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unusable(path, &error)),
    }
}

fn no_such_file(path: &Path) -> Error {
    Error::usage(format!("there is no kubeconfig {}", path.display()))
}

/// Says where, never what: the lines around a mistake hold tokens and keys.
fn unusable(path: &Path, error: &KubeconfigError) -> Error {
    let path = path.display();
    match error {
        KubeconfigError::ReadConfig(error, _) => Error::failed(format!("cannot read the kubeconfig {path}: {error}")),
        KubeconfigError::Parse(error) => match error.location() {
            Some(at) => Error::usage(format!(
                "the kubeconfig {path} cannot be understood at line {}, column {}",
                at.line(),
                at.column()
            )),
            None => Error::usage(format!("the kubeconfig {path} cannot be understood")),
        },
        _ => Error::usage(format!("the kubeconfig {path} is of another kind or version than the ones before it")),
    }
}
