//! kuberc, kubectl's preferences: what it says of credential plugins, found and read as kubectl does (kubectl
//! `pkg/kuberc/kuberc.go` and `marshal.go`, client-go `exec.ValidatePluginPolicy`; 1.36 and 1.37 alike).

use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::inputs::{ConnectFlags, ProcessEnvironment};
use crate::error::{Error, system_words};

/// The version whose preferences know of credential plugins.
const VERSION_WITH_POLICY: &str = "kubectl.config.k8s.io/v1beta1";
/// The one before it, in which the same fields mean nothing.
const VERSION_WITHOUT_POLICY: &str = "kubectl.config.k8s.io/v1alpha1";

/// Which credential plugins may run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum PluginRule {
    /// Every one.
    #[default]
    AllowAll,
    /// None.
    DenyAll,
    /// Those that one of these names or paths means.
    Allowlist(Vec<String>),
}

/// The rule, and whose it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PluginRules {
    pub(crate) rule: PluginRule,
    /// The kuberc that has it; `None` where none was read.
    pub(crate) file: Option<PathBuf>,
}

/// Where a kuberc may be.
#[derive(Debug, PartialEq, Eq)]
enum KubercPlace {
    /// Nowhere.
    Off,
    /// The user named it, so it must be there and make sense.
    Named(PathBuf),
    /// Where kubectl looks of itself.
    Usual(PathBuf),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KubercPreference {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    credential_plugin_policy: Option<String>,
    credential_plugin_allowlist: Option<Vec<Option<AllowlistEntry>>>,
}

/// `name` is what `command` was called before 1.36.
#[derive(Default, Deserialize)]
struct AllowlistEntry {
    name: Option<String>,
    command: Option<String>,
}

impl PluginRules {
    /// Reads the kuberc that flags and environment mean, if there is one.
    ///
    /// # Errors
    /// When one that was named cannot be read, or any says of plugins what makes no sense: kubectl runs nothing then.
    pub(crate) fn read(flags: &ConnectFlags, environment: &ProcessEnvironment) -> Result<Self, Error> {
        let (file, is_named) = match place(flags, environment)? {
            KubercPlace::Off => return Ok(Self::default()),
            KubercPlace::Named(file) => (file, true),
            KubercPlace::Usual(file) => (file, false),
        };
        match preference(&file) {
            Ok(None) => Ok(Self::default()),
            Ok(Some(preference)) => Ok(Self { rule: preference.rule(&file)?, file: Some(file) }),
            Err(UnreadKuberc::NoFile) if !is_named => Ok(Self::default()),
            Err(why) if is_named => Err(Error::usage(why.sentence(&file))),
            Err(why) => {
                tracing::warn!("{}, so it counts for nothing", why.sentence(&file));
                Ok(Self::default())
            }
        }
    }
}

fn place(flags: &ConnectFlags, environment: &ProcessEnvironment) -> Result<KubercPlace, Error> {
    // kubectl looks no further than the first.
    let typed = flags.kuberc.first().filter(|path| !path.as_os_str().is_empty());
    if environment.kuberc_disabled {
        return match typed {
            None => Ok(KubercPlace::Off),
            Some(_) => Err(Error::usage("--kuberc names a file, but KUBECTL_KUBERC=false turns kuberc off")),
        };
    }
    let variable = environment.kuberc.as_ref();
    if variable.is_some_and(|value| value == "off") {
        return match typed {
            None => Ok(KubercPlace::Off),
            Some(_) => Err(Error::usage("--kuberc names a file, but KUBERC=off turns kuberc off")),
        };
    }
    let usual = environment.home.as_ref().map(|home| home.join(".kube").join("kuberc"));
    Ok(match (typed, variable) {
        (Some(typed), None) => KubercPlace::Named(typed.clone()),
        (Some(typed), Some(_)) if Some(typed) != usual.as_ref() => KubercPlace::Named(typed.clone()),
        (_, Some(variable)) => KubercPlace::Named(variable.into()),
        (None, None) => usual.map_or(KubercPlace::Off, KubercPlace::Usual),
    })
}

/// Why a file gives no preferences.
enum UnreadKuberc {
    NoFile,
    Io(io::Error),
    /// It has documents, and none is a Preference that kubectl knows.
    NoPreference,
}

impl UnreadKuberc {
    fn sentence(&self, file: &Path) -> String {
        let file = file.display();
        match self {
            Self::NoFile => format!("there is no kuberc {file}"),
            Self::Io(error) => format!("cannot read the kuberc {file}: {}", system_words(error)),
            Self::NoPreference => format!("the kuberc {file} has no Preference of {VERSION_WITH_POLICY}"),
        }
    }
}

/// The first document of `file` that is a Preference; `None` if it is empty.
fn preference(file: &Path) -> Result<Option<KubercPreference>, UnreadKuberc> {
    let text = std::fs::read_to_string(file).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => UnreadKuberc::NoFile,
        _ => UnreadKuberc::Io(error),
    })?;
    let mut has_documents = false;
    for document in documents(&text) {
        has_documents = true;
        if let Some(preference) = KubercPreference::read(&document) {
            return Ok(Some(preference));
        }
    }
    if has_documents { Err(UnreadKuberc::NoPreference) } else { Ok(None) }
}

/// The documents of a YAML file that are not empty (apimachinery `util/yaml.YAMLReader`).
fn documents(text: &str) -> Vec<String> {
    let mut documents = vec![String::new()];
    for line in text.lines() {
        let is_separator = line.strip_prefix("---").is_some_and(|rest| rest.trim().is_empty());
        match documents.last_mut() {
            Some(document) if !is_separator => {
                document.push_str(line);
                document.push('\n');
            }
            _ => documents.push(String::new()),
        }
    }
    documents.retain(|document| !document.trim().is_empty());
    documents
}

impl KubercPreference {
    /// Through JSON, as kubectl does: a number is no text.
    fn read(document: &str) -> Option<Self> {
        let options = serde_saphyr::options! { duplicate_keys: serde_saphyr::DuplicateKeyPolicy::LastWins };
        let value: serde_json::Value = serde_saphyr::from_str_with_options(document, options).ok()?;
        let found: Self = serde_json::from_value(value).ok()?;
        let is_known = [VERSION_WITH_POLICY, VERSION_WITHOUT_POLICY].contains(&found.api_version.as_str());
        let names_agree = found.entries().iter().all(|entry| match (entry.name(), entry.command()) {
            ("", _) | (_, "") => true,
            (name, command) => name == command,
        });
        (is_known && found.kind == "Preference" && names_agree).then_some(found)
    }

    fn entries(&self) -> Vec<&AllowlistEntry> {
        self.credential_plugin_allowlist.iter().flatten().flatten().collect()
    }

    /// The rule; `file` is named where it makes no sense.
    fn rule(self, file: &Path) -> Result<PluginRule, Error> {
        if self.api_version == VERSION_WITHOUT_POLICY {
            if self.credential_plugin_policy.is_some() || self.credential_plugin_allowlist.is_some() {
                tracing::warn!(
                    "the kuberc {} is of {VERSION_WITHOUT_POLICY}, where credentialPluginPolicy counts for nothing",
                    file.display()
                );
            }
            return Ok(PluginRule::AllowAll);
        }
        let wrong = |what: String| Error::usage(format!("the kuberc {} {what}", file.display()));
        let policy = self.credential_plugin_policy.unwrap_or_default();
        match (policy.as_str(), self.credential_plugin_allowlist) {
            ("" | "AllowAll", None) => Ok(PluginRule::AllowAll),
            ("DenyAll", None) => Ok(PluginRule::DenyAll),
            ("" | "AllowAll" | "DenyAll", Some(_)) => Err(wrong(format!(
                "has a credentialPluginAllowlist, which only credentialPluginPolicy Allowlist may have, not {policy:?}"
            ))),
            ("Allowlist", None) => {
                Err(wrong("has credentialPluginPolicy Allowlist without a credentialPluginAllowlist".to_owned()))
            }
            ("Allowlist", Some(entries)) => allowlist(entries).map(PluginRule::Allowlist).map_err(wrong),
            _ => Err(wrong(format!("has the credentialPluginPolicy {policy:?}, which nobody knows"))
                .hint("AllowAll, DenyAll and Allowlist are known")),
        }
    }
}

impl AllowlistEntry {
    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    fn command(&self) -> &str {
        self.command.as_deref().unwrap_or_default()
    }
}

fn allowlist(entries: Vec<Option<AllowlistEntry>>) -> Result<Vec<String>, String> {
    if entries.is_empty() {
        return Err("has an empty credentialPluginAllowlist; to run none is credentialPluginPolicy DenyAll".to_owned());
    }
    let command = |(index, entry): (usize, Option<AllowlistEntry>)| {
        let entry = entry.unwrap_or_default();
        let command = if entry.command().is_empty() { entry.name() } else { entry.command() };
        match command {
            "" => Err(format!("has nothing in entry {} of its credentialPluginAllowlist", index + 1)),
            command if clean(command) == command => Ok(command.to_owned()),
            command => Err(format!("has {command:?} in its credentialPluginAllowlist, which is {:?}", clean(command))),
        }
    };
    entries.into_iter().enumerate().map(command).collect()
}

/// The shortest spelling of a path (Go `path/filepath.Clean`).
pub(crate) fn clean(path: &str) -> String {
    use std::path::Component;
    let mut parts: Vec<Component<'_>> = Vec::new();
    for part in Path::new(path).components() {
        match (part, parts.last()) {
            (Component::CurDir, _) | (Component::ParentDir, Some(Component::RootDir)) => {}
            (Component::ParentDir, Some(Component::Normal(_))) => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    if parts.is_empty() { ".".to_owned() } else { parts.iter().collect::<PathBuf>().display().to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    fn rule(text: &str) -> Result<PluginRule, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kuberc");
        std::fs::write(&file, text).unwrap();
        let flags = ConnectFlags { kuberc: vec![file.clone()], ..ConnectFlags::default() };
        let read = PluginRules::read(&flags, &ProcessEnvironment::default());
        read.map(|rules| rules.rule).map_err(|error| error.message().replace(&file.display().to_string(), "FILE"))
    }

    #[test]
    fn what_a_file_says() {
        let head = "apiVersion: kubectl.config.k8s.io/v1beta1\nkind: Preference\n";
        let check = |text: &str, expect: Result<PluginRule, &str>| {
            assert_eq!(rule(&format!("{head}{text}")), expect.map_err(str::to_owned), "{text}");
        };
        let list = |names: &[&str]| Ok(PluginRule::Allowlist(names.iter().map(|&name| name.to_owned()).collect()));
        check("", Ok(PluginRule::AllowAll));
        check("credentialPluginPolicy: DenyAll", Ok(PluginRule::DenyAll));
        check("credentialPluginPolicy: \"\"", Ok(PluginRule::AllowAll));
        check("CredentialPluginPolicy: DenyAll", Ok(PluginRule::AllowAll));
        let path = format!("{}b", std::path::MAIN_SEPARATOR);
        check(
            &format!(
                "credentialPluginPolicy: Allowlist\ncredentialPluginAllowlist: [{{command: aws}}, {{name: '{path}'}}]"
            ),
            list(&["aws", &path]),
        );
        check(
            "credentialPluginPolicy: Allowlist\ncredentialPluginAllowlist: [{command: ./aws}]",
            Err("the kuberc FILE has \"./aws\" in its credentialPluginAllowlist, which is \"aws\""),
        );
        check(
            "credentialPluginPolicy: DenyAll\ncredentialPluginAllowlist: []",
            Err(
                "the kuberc FILE has a credentialPluginAllowlist, which only credentialPluginPolicy Allowlist may have, \
                 not \"DenyAll\"",
            ),
        );
        let unknown = "the kuberc FILE has the credentialPluginPolicy \"denyall\", which nobody knows";
        check("credentialPluginPolicy: denyall", Err(unknown));
        let nothing = "the kuberc FILE has no Preference of kubectl.config.k8s.io/v1beta1";
        check("credentialPluginPolicy: 5", Err(nothing));
    }

    #[test]
    fn where_it_is() {
        let check = |typed: &str, variable: &str, disabled: bool, expect: Result<KubercPlace, &str>| {
            let flags = ConnectFlags { kuberc: vec![typed.into()], ..ConnectFlags::default() };
            let environment = ProcessEnvironment {
                kuberc: Some(OsString::from(variable)).filter(|value| !value.is_empty()),
                kuberc_disabled: disabled,
                home: Some("/home/u".into()),
                ..ProcessEnvironment::default()
            };
            let found = place(&flags, &environment).map_err(|error| error.message().to_owned());
            assert_eq!(found, expect.map_err(str::to_owned), "{typed:?} {variable:?} {disabled}");
        };
        let usual = "/home/u/.kube/kuberc";
        check("", "", false, Ok(KubercPlace::Usual(usual.into())));
        check("", "/k", false, Ok(KubercPlace::Named("/k".into())));
        check("/f", "/k", false, Ok(KubercPlace::Named("/f".into())));
        check(usual, "/k", false, Ok(KubercPlace::Named("/k".into())));
        check(usual, "", false, Ok(KubercPlace::Named(usual.into())));
        check("", "off", false, Ok(KubercPlace::Off));
        check("", "Off", false, Ok(KubercPlace::Named("Off".into())));
        check("/f", "off", false, Err("--kuberc names a file, but KUBERC=off turns kuberc off"));
        check("", "/k", true, Ok(KubercPlace::Off));
        check("/f", "", true, Err("--kuberc names a file, but KUBECTL_KUBERC=false turns kuberc off"));
    }

    #[test]
    fn the_shortest_spelling() {
        let native = |path: &str| path.replace('/', std::path::MAIN_SEPARATOR_STR);
        let check = |path: &str, expect: &str| assert_eq!(clean(path), native(expect), "{path:?}");
        check("aws", "aws");
        check("./aws", "aws");
        check("/a//b/./c/", "/a/b/c");
        check("/a/../b", "/b");
        check("/../b", "/b");
        check("../b", "../b");
        check("a/..", ".");
        check("", ".");
    }
}
