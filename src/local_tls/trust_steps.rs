//! What has to be done so that this user's browsers trust the authority, and to undo it: commands, told before they run. Pure.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The operating system, as far as it decides who is asked for trust.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrustPlatform {
    /// Browsers have NSS databases of their own.
    Linux,
    /// The login keychain.
    MacOs,
    /// The user's certificate store.
    Windows,
}

/// A place where certificates are trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrustStore {
    /// An NSS database: a folder, and whether it is there already.
    Nss(PathBuf, bool),
    /// The user's keychain on macOS.
    Keychain,
    /// The user's root store on Windows.
    WindowsUser,
    /// The whole system's, on Linux.
    LinuxSystem(SystemStore),
}

/// How a distribution adds an authority of its administrator's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemStore {
    /// Where its file goes.
    pub folder: PathBuf,
    /// What makes the system take note.
    pub refresh: &'static str,
    /// Its arguments.
    pub arguments: &'static [&'static str],
}

/// One command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustStep {
    /// What it is for.
    pub purpose: String,
    /// A folder that has to be there.
    pub folder: Option<PathBuf>,
    /// The program and its arguments.
    pub command: Vec<OsString>,
}

/// The authority's certificate, and what it is called.
#[derive(Debug, Clone, Copy)]
pub struct TrustedCertificate<'a> {
    /// A PEM file.
    pub file: &'a Path,
    /// The name that nobody else has.
    pub name: &'a str,
}

impl TrustStore {
    /// Makes it trust `certificate`.
    pub fn install(&self, certificate: TrustedCertificate<'_>) -> Vec<TrustStep> {
        let TrustedCertificate { file, name } = certificate;
        match self {
            Self::Nss(folder, is_there) => {
                let database = database_of(folder);
                let new = ["-N", "--empty-password", "-d"].map(OsString::from).into_iter().chain([database.clone()]);
                let make = step(format!("make {}", folder.display()), "certutil", new);
                let make = TrustStep { folder: Some(folder.clone()), ..make };
                // Trusted as an authority for servers, for nothing else.
                let before = ["-A", "-t", "C,,", "-n", name, "-d"].map(OsString::from).into_iter();
                let arguments = before.chain([database, "-i".into(), file.into()]);
                let add = step(format!("add it to {}", folder.display()), "certutil", arguments);
                if *is_there { vec![add] } else { vec![make, add] }
            }
            Self::Keychain => {
                let before = ["add-trusted-cert", "-r", "trustRoot", "-p", "ssl"].map(OsString::from).into_iter();
                vec![step("add it to your login keychain", "security", before.chain([file.into()]))]
            }
            Self::WindowsUser => {
                let before = ["-user", "-f", "-addstore", "Root"].map(OsString::from).into_iter();
                vec![step("add it to your own root store", "certutil", before.chain([file.into()]))]
            }
            Self::LinuxSystem(system) => {
                let place = system.file();
                let before = ["-m", "0644"].map(OsString::from).into_iter();
                let copy = before.chain([file.into(), place.into()]);
                vec![step("give it to the whole system, which asks for root", "install", copy), system.refresh()]
            }
        }
    }

    /// Makes it trust `certificate` no more.
    pub fn remove(&self, certificate: TrustedCertificate<'_>) -> Vec<TrustStep> {
        let name = certificate.name;
        match self {
            Self::Nss(folder, _) => {
                let before = ["-D", "-n", name, "-d"].map(OsString::from).into_iter();
                let arguments = before.chain([database_of(folder)]);
                vec![step(format!("take it out of {}", folder.display()), "certutil", arguments)]
            }
            Self::Keychain => {
                let arguments = ["delete-certificate", "-t", "-c", name].map(OsString::from);
                vec![step("take it out of your login keychain", "security", arguments)]
            }
            Self::WindowsUser => {
                let arguments = ["-user", "-delstore", "Root", name].map(OsString::from);
                vec![step("take it out of your own root store", "certutil", arguments)]
            }
            Self::LinuxSystem(system) => {
                let arguments = [OsString::from("-f"), system.file().into()];
                vec![step("take it from the system, which asks for root", "rm", arguments), system.refresh()]
            }
        }
    }
}

/// What it is called among the system's.
const SYSTEM_FILE: &str = "kubectl-svcproxy-local-ca.crt";

impl SystemStore {
    /// The authority's file among the system's.
    pub fn file(&self) -> PathBuf {
        self.folder.join(SYSTEM_FILE)
    }

    fn refresh(&self) -> TrustStep {
        step("have the system take note", self.refresh, self.arguments.iter().map(OsString::from))
    }
}

fn step(purpose: impl Into<String>, program: &str, arguments: impl IntoIterator<Item = OsString>) -> TrustStep {
    let command = std::iter::once(OsString::from(program)).chain(arguments).collect();
    TrustStep { purpose: purpose.into(), folder: None, command }
}

/// NSS' name for the folder of a database of the kind that is used today.
fn database_of(folder: &Path) -> OsString {
    let mut name = OsString::from("sql:");
    name.push(folder);
    name
}

/// Folders below the home that hold NSS databases, or profiles with one each; `*` stands for any one folder. Chromium's own
/// is made where it is missing.
pub const NSS_PLACES: [&str; 9] = [
    ".pki/nssdb",
    ".local/share/pki/nssdb",
    "snap/chromium/current/.pki/nssdb",
    ".mozilla/firefox/*",
    ".config/mozilla/firefox/*",
    "snap/firefox/common/.mozilla/firefox/*",
    ".var/app/org.mozilla.firefox/.mozilla/firefox/*",
    ".librewolf/*",
    ".var/app/org.chromium.Chromium/.pki/nssdb",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(steps: &[TrustStep]) -> Vec<String> {
        let line = |step: &TrustStep| {
            let words: Vec<_> = step.command.iter().map(|word| word.to_string_lossy()).collect();
            // Systems separate folders by other characters; these steps are for each of them.
            words.join(" ").replace(std::path::MAIN_SEPARATOR, "/")
        };
        steps.iter().map(line).collect()
    }

    fn check(store: &TrustStore, install: &[&str], remove: &[&str]) {
        let certificate = TrustedCertificate { file: Path::new("/state/ca.pem"), name: "NAME" };
        assert_eq!(lines(&store.install(certificate)), install);
        assert_eq!(lines(&store.remove(certificate)), remove);
    }

    #[test]
    fn each_store_and_its_undoing() {
        check(
            &TrustStore::Nss(PathBuf::from("/home/.pki/nssdb"), false),
            &[
                "certutil -N --empty-password -d sql:/home/.pki/nssdb",
                "certutil -A -t C,, -n NAME -d sql:/home/.pki/nssdb -i /state/ca.pem",
            ],
            &["certutil -D -n NAME -d sql:/home/.pki/nssdb"],
        );
        check(
            &TrustStore::Keychain,
            &["security add-trusted-cert -r trustRoot -p ssl /state/ca.pem"],
            &["security delete-certificate -t -c NAME"],
        );
        check(
            &TrustStore::WindowsUser,
            &["certutil -user -f -addstore Root /state/ca.pem"],
            &["certutil -user -delstore Root NAME"],
        );
        let system =
            SystemStore { folder: PathBuf::from("/anchors"), refresh: "update-ca-certificates", arguments: &[] };
        check(
            &TrustStore::LinuxSystem(system),
            &["install -m 0644 /state/ca.pem /anchors/kubectl-svcproxy-local-ca.crt", "update-ca-certificates"],
            &["rm -f /anchors/kubectl-svcproxy-local-ca.crt", "update-ca-certificates"],
        );
    }
}
