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
        Ok(Some(Self { config, folder: folder.to_owned() }))
    }

    /// What COMMAND finds in its environment, so that curl, Python and Node trust the authority besides those that they would
    /// trust anyway.
    pub fn environment(&self) -> Vec<(String, String)> {
        let authority = AuthorityFiles::of(&self.folder).certificate;
        let variable = |name: &str, file: &Path| (name.to_owned(), file.to_string_lossy().into_owned());
        let mut environment = vec![variable("NODE_EXTRA_CA_CERTS", &authority)];
        if let Some(bundle) = bundle(&self.folder, &authority) {
            environment.extend(BUNDLE_VARIABLES.map(|name| variable(name, &bundle)));
        }
        environment
    }
}

fn server_config(authority: LocalAuthority) -> Result<Arc<ServerConfig>, String> {
    let certificates = SiteCertificates::new(authority).map_err(|error| error.to_string())?;
    certificates.server_config().map_err(|error| error.to_string())
}

/// By these, programs are told what to trust *instead* of the system's authorities, so that they get those as well.
const BUNDLE_VARIABLES: [&str; 3] = ["SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"];
/// Where systems keep their authorities in one file.
const SYSTEM_BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Written anew each time, since systems renew theirs.
fn bundle(folder: &Path, authority: &Path) -> Option<PathBuf> {
    let system = SYSTEM_BUNDLES.iter().find_map(|file| fs::read(file).ok())?;
    let own = fs::read(authority).ok()?;
    let file = folder.join("local-ca-and-system.pem");
    write_atomically(&file, &[&own[..], b"\n", &system].concat(), 0o644).ok()?;
    Some(file)
}
