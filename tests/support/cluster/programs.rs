//! Where the programs of the control plane are.

use std::env;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The search path that `tests/cluster/build` prints.
pub struct Programs(String);

/// Set for the part of the program that runs in its own namespaces, where nothing can be downloaded.
pub(super) const SEARCH_PATH: &str = "SVCPROXY_TEST_PROGRAMS";

impl Programs {
    /// Finds the programs, building them first if need be (minutes, once).
    pub fn find() -> Result<Self, String> {
        if let Ok(path) = env::var(SEARCH_PATH) {
            return Ok(Self(path));
        }
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../cluster/build");
        let built = Command::new(script).stderr(Stdio::inherit()).stdin(Stdio::null()).output();
        let built = built.map_err(|error| format!("{script}: {error}"))?;
        if !built.status.success() {
            return Err("the programs of the test cluster could not be built".to_owned());
        }
        Ok(Self(String::from_utf8_lossy(&built.stdout).trim().to_owned()))
    }

    /// The search path itself.
    pub(super) fn search_path(&self) -> &str {
        &self.0
    }

    /// The file of one program: `kubectl`, `krew`, `kube-apiserver` and so on.
    pub fn path(&self, name: &str) -> Result<PathBuf, String> {
        env::split_paths(&self.0)
            .map(|folder| folder.join(name))
            .find(|file| file.is_file())
            .ok_or_else(|| format!("{name} is in none of {}", self.0))
    }
}
