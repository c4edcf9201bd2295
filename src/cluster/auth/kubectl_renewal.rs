//! Tokens that kubectl renews: asked for anything, it gets a new OpenID Connect token on its way and writes it into the kubeconfig
//! (client-go `plugin/pkg/client/auth/oidc`). It knows how: a refresh token may be good for one use.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use crate::cluster::config::inputs::ProcessEnvironment;
use crate::cluster::config::kubeconfig::KubeconfigFiles;
use crate::error::{Error, system_words};
use crate::search_path::SearchPath;

/// How long kubectl may take for it.
const RENEWAL_TIMEOUT: Duration = Duration::from_secs(30);

/// So much of what kubectl says is shown, in characters.
const MAX_WORDS: usize = 300;

/// kubectl, and the kubeconfig that it is to renew a token in.
pub(crate) struct KubectlRenewal {
    /// The kubeconfig.
    pub(super) files: KubeconfigFiles,
    context: Option<String>,
    /// `KUBECTL_PATH`.
    kubectl: Option<OsString>,
    search_path: SearchPath,
}

impl KubectlRenewal {
    /// For what `context` of `files` stands for.
    pub(crate) fn new(files: KubeconfigFiles, context: Option<String>, environment: &ProcessEnvironment) -> Self {
        let ProcessEnvironment { kubectl, search_path, .. } = environment;
        Self { files, context, kubectl: kubectl.clone(), search_path: search_path.clone() }
    }

    /// Has kubectl renew the token of `user`, whatever comes of what it asks for with it.
    ///
    /// # Errors
    /// When it cannot be run. It may still have failed: what is in the kubeconfig afterwards counts; its words are given back.
    pub(crate) async fn renew(&self, user: &str) -> Result<String, Error> {
        let program = self.program()?;
        tracing::info!(user, "has kubectl renew the token");
        let mut kubectl = Command::new(&program);
        kubectl.args(self.arguments(user)).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let finished = timeout(RENEWAL_TIMEOUT, kubectl.kill_on_drop(true).output()).await;
        let failed = |what: &str| Error::failed(format!("kubectl, which renews the token of user {user:?}, {what}"));
        match finished {
            Ok(Ok(output)) => Ok(words(&output)),
            Ok(Err(error)) => Err(failed(&format!("cannot be run: {}", system_words(&error)))),
            Err(_) => Err(failed(&format!("did not end within {} seconds", RENEWAL_TIMEOUT.as_secs()))),
        }
    }

    fn program(&self) -> Result<PathBuf, Error> {
        let found = self.search_path.find(self.kubectl.as_deref().unwrap_or(OsStr::new("kubectl")));
        found.map_err(|_| {
            Error::failed("the OpenID Connect token has expired, and kubectl, which renews it, is not on PATH")
                .hint("put kubectl on PATH, or set KUBECTL_PATH to it")
        })
    }

    /// Anybody may ask for the version, and every kubectl knows how.
    fn arguments(&self, user: &str) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = ["get", "--raw", "/version", "--user", user].map(OsString::from).into();
        if let KubeconfigFiles::Named(path) = &self.files {
            arguments.extend(["--kubeconfig".into(), path.into()]);
        }
        if let Some(context) = &self.context {
            arguments.extend(["--context".into(), context.into()]);
        }
        arguments
    }
}

/// The last line of what it complains of.
fn words(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    said.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default().chars().take(MAX_WORDS).collect()
}
