//! Whether a credential plugin may run, and which file its command means (client-go
//! `plugin/pkg/client/auth/exec/exec.go`, `updateCommandAndCheckAllowlistLocked`).

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::cluster::config::kuberc::{PluginRule, PluginRules, clean};
use crate::search_path::{NoProgram, SearchPath};

/// The rules of a run, and where programs are.
#[derive(Debug, Clone, Default)]
pub(crate) struct PluginPolicy {
    rules: PluginRules,
    search_path: SearchPath,
}

/// Why a plugin does not run.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PluginRefusal {
    #[error("may not run: credentialPluginPolicy of {0} is DenyAll")]
    Denied(String),
    #[error("may not run: it is not in the credentialPluginAllowlist of {0}")]
    NotListed(String),
    #[error("may not run: {0} has a credentialPluginAllowlist, and which file it means is not to be found out")]
    Unknown(String),
    #[error("is found as {0}, by a relative folder of PATH, from which nothing is run")]
    Relative(String),
}

impl PluginPolicy {
    pub(crate) fn new(rules: PluginRules, search_path: SearchPath) -> Self {
        Self { rules, search_path }
    }

    /// The program to run for `command`. One that is nowhere is given back as it is: the system says why it cannot be run.
    ///
    /// # Errors
    /// When it may not run, or kubectl would not take it from where it is.
    pub(crate) fn program(&self, command: &str) -> Result<PathBuf, PluginRefusal> {
        let found = self.search_path.find(OsStr::new(command));
        match &self.rules.rule {
            PluginRule::AllowAll => {}
            PluginRule::DenyAll => return Err(PluginRefusal::Denied(self.file())),
            PluginRule::Allowlist(entries) => self.check(entries, command, &found)?,
        }
        match found {
            Ok(program) => Ok(program),
            Err(NoProgram::NotFound) => Ok(PathBuf::from(command)),
            Err(NoProgram::Relative(path)) => Err(PluginRefusal::Relative(path.display().to_string())),
        }
    }

    /// An entry as it stands may be the command or its file; otherwise one of the same last part must mean the same file.
    fn check(
        &self,
        entries: &[String],
        command: &str,
        found: &Result<PathBuf, NoProgram>,
    ) -> Result<(), PluginRefusal> {
        let command = clean(command);
        let is_listed = |path: &Path| entries.iter().any(|entry| Path::new(entry) == path);
        if is_listed(Path::new(&command)) {
            return Ok(());
        }
        let Ok(program) = found else { return Err(PluginRefusal::Unknown(self.file())) };
        let means_it = |entry: &String| {
            Path::new(entry).file_name() == program.file_name()
                && self.search_path.find(OsStr::new(entry)).is_ok_and(|meant| &meant == program)
        };
        let is_allowed = is_listed(program) || entries.iter().any(means_it);
        if is_allowed { Ok(()) } else { Err(PluginRefusal::NotListed(self.file())) }
    }

    /// Who decided that a plugin may run, for `--dry-run`.
    pub(crate) fn decided_by(&self) -> String {
        match (&self.rules.rule, &self.rules.file) {
            (_, None) => "allowed, since no kuberc says otherwise".to_owned(),
            (PluginRule::AllowAll, Some(file)) => format!("allowed by {}, which allows all", file.display()),
            (PluginRule::DenyAll, Some(file)) => format!("denied by credentialPluginPolicy of {}", file.display()),
            (PluginRule::Allowlist(_), Some(file)) => {
                format!("allowed by credentialPluginAllowlist of {}", file.display())
            }
        }
    }

    fn file(&self) -> String {
        self.rules.file.as_ref().map(|file| file.display().to_string()).unwrap_or_default()
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn names_and_paths_that_mean_the_same_file() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().display().to_string();
        for name in ["bin/aws", "other/aws", "bin/gcloud"] {
            let file = folder.path().join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, "").unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let search_path = SearchPath::new(Some(OsStr::new(&format!("{root}/bin"))), None);
        let check = |entry: &str, command: &str, expect: Result<&str, &str>| {
            let rule = PluginRule::Allowlist(vec![entry.replace('~', &root)]);
            let rules = PluginRules { rule, file: Some("/k".into()) };
            let policy = PluginPolicy::new(rules, search_path.clone());
            let found = policy.program(&command.replace('~', &root));
            let found = found.map(|path| path.display().to_string().replace(&root, "~"));
            let found = found.map_err(|refusal| refusal.to_string());
            assert_eq!(found, expect.map(str::to_owned).map_err(str::to_owned), "{entry} {command}");
        };
        let not_listed = Err("may not run: it is not in the credentialPluginAllowlist of /k");
        check("aws", "aws", Ok("~/bin/aws"));
        check("~/bin/aws", "aws", Ok("~/bin/aws"));
        check("aws", "~/bin/aws", Ok("~/bin/aws"));
        check("~/bin/aws", "~/bin/./aws", Ok("~/bin/./aws"));
        check("aws", "~/other/aws", not_listed);
        check("~/other/aws", "aws", not_listed);
        check("gcloud", "aws", not_listed);
        check("aws", "gcloud", not_listed);
        let unknown = "may not run: /k has a credentialPluginAllowlist, and which file it means is not to be found out";
        check("aws", "missing", Err(unknown));
        check("missing", "missing", Ok("missing"));
    }

    #[test]
    fn who_decided() {
        let of = |rule, file: Option<&str>| {
            PluginPolicy::new(PluginRules { rule, file: file.map(PathBuf::from) }, SearchPath::default())
        };
        let denied = of(PluginRule::DenyAll, Some("/k"));
        assert_eq!(denied.program("aws"), Err(PluginRefusal::Denied("/k".to_owned())));
        assert_eq!(of(PluginRule::AllowAll, None).program("aws"), Ok(PathBuf::from("aws")));
        assert_eq!(of(PluginRule::AllowAll, None).decided_by(), "allowed, since no kuberc says otherwise");
        assert_eq!(of(PluginRule::AllowAll, Some("/k")).decided_by(), "allowed by /k, which allows all");
    }
}
