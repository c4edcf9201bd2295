//! Whether this run serves by https, and what COMMAND needs to trust it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;

use super::plan::OpenPlan;
use crate::error::Error;
use crate::local_tls::authority::AuthorityFiles;
use crate::local_tls::{LocalAuthority, SiteCertificates};
use crate::proxy::local::ListenOn;
use crate::terminal::private_file::write_atomically;

/// How this run speaks https.
#[derive(Debug)]
pub struct LocalHttps {
    /// With the certificate of each site.
    pub config: Arc<ServerConfig>,
    /// Where the authority is that browsers trust.
    folder: PathBuf,
    /// Whom the environment says that programs are to trust, by variable.
    ca_files: Vec<(&'static str, PathBuf)>,
}

impl LocalHttps {
    /// What `plan` wants; `folder` is where `--install-ca` keeps its authority. `None` where nothing is served by https.
    ///
    /// # Errors
    /// When it is asked for and was never set up, or the authority cannot be used.
    pub fn of(plan: &OpenPlan, folder: Option<&Path>) -> Result<Option<Self>, Error> {
        let flag = plan.serving.tls;
        let is_unwanted = flag == Some(false) || matches!(plan.listen, ListenOn::UnixSocket(_));
        let Some(folder) = folder.filter(|_| !is_unwanted) else { return Ok(None) };
        let Some(authority) = LocalAuthority::read(folder)? else {
            return match flag {
                Some(true) => Err(Error::failed("--tls needs a certificate authority that your browsers trust")
                    .hint("kubectl svcproxy --install-ca makes one, for names of this machine alone")),
                _ => Ok(None),
            };
        };
        let config = server_config(authority)
            .map_err(|why| Error::failed(format!("cannot serve by https: {why}")).hint("--tls=false does without"))?;
        Ok(Some(Self { config, folder: folder.to_owned(), ca_files: plan.ca_files.clone() }))
    }

    /// What COMMAND finds in its environment, so that curl, Python and Node trust the authority besides those that they would
    /// trust anyway.
    pub fn environment(&self) -> Vec<(String, String)> {
        let bundle = |name: &&str| Some(((*name).to_owned(), self.bundle(name)?.to_string_lossy().into_owned()));
        CA_VARIABLES.iter().filter_map(bundle).collect()
    }

    /// A file with the authority and what `variable` stands for without it; nothing where that is not to be had, so that nobody is
    /// made to trust less.
    fn bundle(&self, variable: &str) -> Option<PathBuf> {
        let own = AuthorityFiles::of(&self.folder).certificate;
        let asked = self.ca_files.iter().find(|(name, _)| *name == variable).map(|(_, file)| file);
        let others = match asked {
            Some(file) => fs::read(file).ok()?,
            None if variable == ADDS => return Some(own),
            None => SYSTEM_BUNDLES.iter().find_map(|file| fs::read(file).ok())?,
        };
        let bundle = self.folder.join(format!("local-ca-and-{}.pem", variable.to_ascii_lowercase()));
        write_atomically(&bundle, &[&fs::read(&own).ok()?[..], b"\n", &others].concat(), 0o644).ok()?;
        Some(bundle)
    }
}

fn server_config(authority: LocalAuthority) -> Result<Arc<ServerConfig>, String> {
    let certificates = SiteCertificates::new(authority).map_err(|error| error.to_string())?;
    certificates.server_config().map_err(|error| error.to_string())
}

/// By these, programs are told whom to trust.
pub const CA_VARIABLES: [&str; 4] = ["SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", ADDS];
/// The one that names authorities *besides* the system's.
const ADDS: &str = "NODE_EXTRA_CA_CERTS";
/// Where systems keep their authorities in one file.
const SYSTEM_BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local_tls::authority::today;

    #[test]
    fn whom_one_trusts_already_stays_trusted() {
        let folder = tempfile::tempdir().unwrap();
        LocalAuthority::make(today()).unwrap().keep(folder.path()).unwrap();
        let company = folder.path().join("company.pem");
        fs::write(&company, "the company's\n").unwrap();
        let gone = folder.path().join("gone.pem");
        let https = LocalHttps {
            config: server_config(LocalAuthority::make(today()).unwrap()).unwrap(),
            folder: folder.path().to_owned(),
            ca_files: vec![("SSL_CERT_FILE", company), ("CURL_CA_BUNDLE", gone)],
        };
        let environment = https.environment();
        let text = |name: &str| {
            let file = environment.iter().find(|(known, _)| known == name)?;
            Some(fs::read_to_string(&file.1).unwrap())
        };
        let both = text("SSL_CERT_FILE").unwrap();
        assert!(both.contains("BEGIN CERTIFICATE") && both.ends_with("the company's\n"), "{both}");
        assert_eq!(text("CURL_CA_BUNDLE"), None, "it stays what it was");
        assert!(text(ADDS).unwrap().contains("BEGIN CERTIFICATE"));
    }
}
