//! Has this user's browsers trust the authority, and undoes it: says each command, asks, runs it.

use std::fs;
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ValueEnum;

use super::authority::{AuthorityFiles, LocalAuthority, today};
use super::trust_steps::{NSS_PLACES, SystemStore, TrustPlatform, TrustStep, TrustStore, TrustedCertificate};
use crate::error::{Error, system_words};
use crate::search_path::SearchPath;
use crate::terminal::output::Output;

/// Who is to trust the authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TrustScope {
    /// This user's browsers
    Browsers,
    /// The whole system as well, which needs root (Linux)
    System,
}

/// What is known of the place where browsers are to trust it.
#[derive(Debug, Clone)]
pub struct TrustDesk<'a> {
    /// The state folder, where the authority is kept.
    pub folder: &'a Path,
    /// The user's home.
    pub home: &'a Path,
    /// Where programs are.
    pub search_path: &'a SearchPath,
    /// Whether there is a terminal to ask on.
    pub can_ask: bool,
    /// Where everything is said.
    pub output: &'a Output,
}

/// How each distribution takes an authority of its administrator's.
const SYSTEM_STORES: [(&str, &str, &[&str]); 4] = [
    ("/usr/local/share/ca-certificates", "update-ca-certificates", &[]),
    ("/etc/pki/ca-trust/source/anchors", "update-ca-trust", &["extract"]),
    ("/etc/ca-certificates/trust-source/anchors", "trust", &["extract-compat"]),
    ("/usr/share/pki/trust/anchors", "update-ca-certificates", &[]),
];

impl TrustDesk<'_> {
    /// Makes an authority if there is none, and has `scope` trust it. Without a scope that was typed it asks first.
    ///
    /// # Errors
    /// When the user does not want it (exit code 130), there is nobody to ask, or a command fails.
    pub fn install(&self, scope: Option<TrustScope>) -> Result<(), Error> {
        let known = LocalAuthority::read(self.folder)?;
        let is_new = known.is_none();
        let authority = known
            .map_or_else(|| LocalAuthority::make(today()), Ok)
            .map_err(|error| Error::failed(format!("cannot make a certificate authority: {error}")))?;
        let file = AuthorityFiles::of(self.folder).certificate;
        let name = authority.name();
        let certificate = TrustedCertificate { file: &file, name: &name };
        let stores = self.stores(scope.unwrap_or(TrustScope::Browsers))?;
        let steps: Vec<TrustStep> = stores.iter().flat_map(|store| store.install(certificate)).collect();
        self.check_programs(&steps)?;
        self.say(
            "This makes a certificate authority that can vouch for localhost and names below it, and for nothing else, and has \
             browsers trust it:",
        );
        if is_new {
            self.say(&format!("  keep it in {}, its key for you alone", self.folder.display()));
        }
        steps.iter().for_each(|step| self.say_step(step));
        self.agree(scope.is_some(), "--install-ca=browsers")?;
        authority.keep(self.folder)?;
        for step in &steps {
            run(step).map_err(|error| error.hint("kubectl svcproxy --remove-ca undoes what was done"))?;
        }
        self.say(
            "Services are served by https too from now on; --tls=false does without. Browsers that are open now may have to be \
             started anew. kubectl svcproxy --remove-ca undoes all of this.",
        );
        Ok(())
    }

    /// Undoes [`TrustDesk::install`] wherever it was done.
    ///
    /// # Errors
    /// When a command fails: then the authority stays, so that it can be tried again.
    pub fn remove(&self) -> Result<(), Error> {
        let Some(authority) = LocalAuthority::read(self.folder)? else {
            self.say(&format!("There is no certificate authority in {}.", self.folder.display()));
            return Ok(());
        };
        let file = AuthorityFiles::of(self.folder).certificate;
        let name = authority.name();
        let certificate = TrustedCertificate { file: &file, name: &name };
        let mut stores = self.stores(TrustScope::Browsers).unwrap_or_default();
        stores.extend(self.system_store());
        for store in stores.iter().filter(|store| trusts(store, &name)) {
            for step in store.remove(certificate) {
                self.say_step(&step);
                run(&step)?;
            }
        }
        LocalAuthority::forget(self.folder)?;
        self.say("No browser trusts it any more, and its key is gone.");
        Ok(())
    }

    fn say(&self, line: &str) {
        self.output.print_notice(line);
    }

    fn say_step(&self, step: &TrustStep) {
        let words: Vec<_> = step.command.iter().map(|word| word.to_string_lossy()).collect();
        self.say(&format!("  {}:", step.purpose));
        self.output.print_hint(&format!("    {}", shell_words::join(words)));
    }

    fn agree(&self, has_agreed: bool, flag: &str) -> Result<(), Error> {
        if !self.can_ask {
            return match has_agreed {
                true => Ok(()),
                false => Err(Error::usage("there is no terminal to ask on whether browsers may trust it")
                    .hint(format!("{flag} agrees to it"))),
            };
        }
        self.say("Go on? [y/N]");
        let mut answer = String::new();
        let _ = io::stdin().lock().read_line(&mut answer);
        match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(Error::cancelled()),
        }
    }

    fn check_programs(&self, steps: &[TrustStep]) -> Result<(), Error> {
        let missing = steps.iter().map(|step| &step.command[0]).find(|program| self.search_path.find(program).is_err());
        let Some(program) = missing else { return Ok(()) };
        let program = program.to_string_lossy();
        let error =
            Error::failed(format!("{program} is not installed, and it is what makes browsers trust a certificate"));
        Err(match &*program {
            "certutil" => error.hint("install it: apt install libnss3-tools, dnf install nss-tools, or pacman -S nss"),
            _ => error,
        })
    }

    fn stores(&self, scope: TrustScope) -> Result<Vec<TrustStore>, Error> {
        let mut stores = match platform() {
            TrustPlatform::MacOs => vec![TrustStore::Keychain],
            TrustPlatform::Windows => vec![TrustStore::WindowsUser],
            TrustPlatform::Linux => nss_databases(self.home),
        };
        if scope == TrustScope::System && platform() == TrustPlatform::Linux {
            stores.push(self.system_store().ok_or_else(|| {
                Error::failed("this system has no folder for authorities of its administrator that is known here")
                    .hint("--install-ca without a value has your browsers alone trust it")
            })?);
        }
        Ok(stores)
    }

    fn system_store(&self) -> Option<TrustStore> {
        let known = SYSTEM_STORES
            .iter()
            .find(|(folder, refresh, _)| Path::new(folder).is_dir() && self.search_path.find(refresh.as_ref()).is_ok());
        known.map(|&(folder, refresh, arguments)| {
            TrustStore::LinuxSystem(SystemStore { folder: PathBuf::from(folder), refresh, arguments })
        })
    }
}

fn platform() -> TrustPlatform {
    if cfg!(target_os = "macos") {
        TrustPlatform::MacOs
    } else if cfg!(windows) {
        TrustPlatform::Windows
    } else {
        TrustPlatform::Linux
    }
}

/// Chromium's, which is made where there is none, and those of every profile of a browser that has its own.
fn nss_databases(home: &Path) -> Vec<TrustStore> {
    let is_database = |folder: &PathBuf| folder.join("cert9.db").is_file();
    let found = NSS_PLACES.iter().flat_map(|place| match place.strip_suffix("/*") {
        Some(parent) => folders_in(&home.join(parent)),
        None => vec![home.join(place)],
    });
    let mut stores: Vec<TrustStore> = found.filter(is_database).map(|folder| TrustStore::Nss(folder, true)).collect();
    let own = home.join(NSS_PLACES[0]);
    if !is_database(&own) {
        stores.insert(0, TrustStore::Nss(own, false));
    }
    stores
}

fn folders_in(parent: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

/// Whether there is anything to take away.
fn trusts(store: &TrustStore, name: &str) -> bool {
    match store {
        TrustStore::Nss(_, false) => false,
        TrustStore::Nss(folder, true) => {
            let database = format!("sql:{}", folder.display());
            let listing = Command::new("certutil").args(["-L", "-n", name, "-d", &database]).output();
            listing.is_ok_and(|listing| listing.status.success())
        }
        TrustStore::Keychain | TrustStore::WindowsUser => true,
        TrustStore::LinuxSystem(system) => system.file().is_file(),
    }
}

fn run(step: &TrustStep) -> Result<(), Error> {
    let (program, arguments) = step.command.split_first().expect("a step has a program");
    // Where that fails, the command says it better.
    let _ = step.folder.iter().try_for_each(fs::create_dir_all);
    let said = Command::new(program).args(arguments).output();
    let failed = |why: String| Error::failed(format!("{} failed: {why}", program.to_string_lossy()));
    let said = said.map_err(|error| failed(system_words(&error).to_string()))?;
    match said.status.success() {
        true => Ok(()),
        false => {
            let text = String::from_utf8_lossy(if said.stderr.is_empty() { &said.stdout } else { &said.stderr });
            Err(failed(text.lines().last().unwrap_or("it does not say why").trim().to_owned()))
        }
    }
}
