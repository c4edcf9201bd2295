//! How the user logs in: what flags and a kubeconfig's user say, and where the credentials come from.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use http::HeaderValue;
use kube::config::AuthInfo;
use secrecy::{ExposeSecret, SecretString};

use super::exec_plugin::{ClusterInfo, ExecPlugin};
use super::issued::{IssuedCredentials, bearer};
use super::kubectl_renewal::KubectlRenewal;
use super::oidc::OidcToken;
use super::plugin_policy::PluginPolicy;
use crate::cluster::client::client_identity::{self, ClientIdentity};
use crate::cluster::config::inputs::ConnectFlags;
use crate::cluster::config::pem_source::PemSource;
use crate::cluster::config::server_url::ServerUrl;
use crate::error::{Error, system_words};
use crate::message::basic_auth::basic;

/// A token file is read again this often, since the tokens of Pods change (client-go `transport.NewCachedFileTokenSource`).
const TOKEN_FILE_READ_INTERVAL: Duration = Duration::from_secs(60);

/// Certificate files are read again this often (client-go `transport.CertCallbackRefreshDuration`).
const CERTIFICATE_FILE_READ_INTERVAL: Duration = Duration::from_secs(300);

/// Where the credentials of one user come from.
pub(crate) struct UserLogin {
    header: HeaderSource,
    certificate: CertificateSource,
}

/// Where `Authorization` comes from.
enum HeaderSource {
    /// There is none.
    Nothing,
    /// It stands in the kubeconfig, or was typed.
    Fixed(HeaderValue),
    /// A file with a token, and a token for when it cannot be read (client-go `transport/token_source.go`).
    File(PathBuf, Option<HeaderValue>),
    /// A program, which may give a client certificate too.
    Plugin(Box<ExecPlugin>),
    /// The token that kubectl got from an OpenID Connect provider.
    Oidc(Box<OidcToken>),
}

/// The client certificate of the kubeconfig.
#[derive(Default)]
struct CertificateSource {
    certificate: PemSource,
    key: PemSource,
    user: String,
}

/// Puts what was typed in the place of what the kubeconfig says.
///
/// # Errors
/// When `--as-user-extra` is not `KEY=VALUE`.
pub(crate) fn override_user(user: &mut AuthInfo, flags: &ConnectFlags) -> Result<(), Error> {
    replace(&mut user.token, &flags.token);
    replace(&mut user.username, &flags.username);
    replace(&mut user.password, &flags.password);
    replace_file(&mut user.client_certificate, &mut user.client_certificate_data, flags.client_certificate.as_ref());
    replace_file(&mut user.client_key, &mut user.client_key_data, flags.client_key.as_ref());
    replace(&mut user.impersonate, &flags.as_user);
    replace(&mut user.impersonate_uid, &flags.as_uid);
    replace(&mut user.impersonate_groups, &Some(flags.as_group.clone()).filter(|groups| !groups.is_empty()));
    let mut typed = std::collections::HashMap::<String, Vec<String>>::new();
    for extra in &flags.as_user_extra {
        let pair = extra.split_once('=');
        let (key, value) = pair.ok_or_else(|| Error::usage(format!("--as-user-extra {extra:?} is not KEY=VALUE")))?;
        typed.entry(key.to_owned()).or_default().push(value.to_owned());
    }
    user.impersonate_user_extra.get_or_insert_default().extend(typed);
    Ok(())
}

/// What was typed takes the place of what is known.
pub(crate) fn replace<T: Clone>(known: &mut Option<T>, typed: &Option<T>) {
    if typed.is_some() {
        known.clone_from(typed);
    }
}

/// A file that was typed takes the place of data too.
fn replace_file<T>(known: &mut Option<String>, data: &mut Option<T>, typed: Option<&PathBuf>) {
    if let Some(path) = typed {
        *known = Some(path.display().to_string());
        *data = None;
    }
}

/// How `user`, called `name`, logs in at `server`. To a `http` server nobody logs in, as with kubectl: whoever listens on the
/// way could do so afterwards too.
///
/// A token comes before a user name and password; a plugin or an OpenID Connect token counts only without them, a plugin
/// only without a client certificate either (client-go `exec.Authenticator.UpdateTransportConfig`).
///
/// # Errors
/// When what is configured cannot be used.
pub(crate) fn of_user(
    user: &AuthInfo,
    name: &str,
    server: &ServerUrl,
    info: ClusterInfo,
    renewal: KubectlRenewal,
    terminal: bool,
    policy: PluginPolicy,
) -> Result<UserLogin, Error> {
    if !server.https {
        return Ok(UserLogin { header: HeaderSource::Nothing, certificate: CertificateSource::default() });
    }
    let certificate = CertificateSource {
        certificate: PemSource::new(user.client_certificate_data.as_deref(), user.client_certificate.as_deref()),
        key: PemSource::new(user.client_key_data.as_ref().map(SecretString::expose_secret), user.client_key.as_deref()),
        user: name.to_owned(),
    };
    let has_certificate = certificate.read()?.is_some();
    let header = match header_of(user)? {
        Some(header) => header,
        None => match (&user.exec, &user.auth_provider) {
            (Some(exec), _) if !has_certificate => {
                HeaderSource::Plugin(Box::new(ExecPlugin::new(exec, name, info, terminal, policy)?))
            }
            (None, Some(provider)) => HeaderSource::Oidc(Box::new(OidcToken::new(provider, name, renewal)?)),
            _ => HeaderSource::Nothing,
        },
    };
    Ok(UserLogin { header, certificate })
}

fn header_of(user: &AuthInfo) -> Result<Option<HeaderSource>, Error> {
    let set = |secret: &Option<SecretString>| secret.clone().filter(|secret| !secret.expose_secret().is_empty());
    let token = set(&user.token).map(|token| bearer(token.expose_secret())).transpose()?;
    if let Some(file) = user.token_file.as_ref().filter(|file| !file.is_empty()) {
        return Ok(Some(HeaderSource::File(file.into(), token)));
    }
    if let Some(token) = token {
        return Ok(Some(HeaderSource::Fixed(token)));
    }
    let name = user.username.as_deref().unwrap_or_default();
    match set(&user.password) {
        None if name.is_empty() => Ok(None),
        password => {
            let password = password.as_ref().map(SecretString::expose_secret).unwrap_or_default();
            Ok(Some(HeaderSource::Fixed(basic(name, password))))
        }
    }
}

impl UserLogin {
    /// The kind of credentials, for the log.
    pub(crate) fn as_str(&self) -> &'static str {
        match &self.header {
            HeaderSource::Fixed(_) => "a token or password that was given",
            HeaderSource::File(..) => "a token in a file",
            HeaderSource::Plugin(_) => "a credential plugin",
            HeaderSource::Oidc(_) => "an OpenID Connect token",
            HeaderSource::Nothing if !matches!(self.certificate.certificate, PemSource::Nothing) => {
                "a client certificate"
            }
            HeaderSource::Nothing => "none",
        }
    }

    /// Whether there is nothing to log in with.
    pub(crate) fn is_nobodys(&self) -> bool {
        matches!((&self.header, &self.certificate.certificate), (HeaderSource::Nothing, PemSource::Nothing))
    }

    /// Which credential plugin runs and who decided so, if there is one.
    pub(crate) fn plugin_decision(&self) -> Option<String> {
        if let HeaderSource::Plugin(plugin) = &self.header { Some(plugin.decision()) } else { None }
    }

    /// Whether asking again may give something else.
    pub(crate) fn is_renewable(&self) -> bool {
        let fixed = matches!(self.header, HeaderSource::Nothing | HeaderSource::Fixed(_));
        !fixed || self.certificate.is_in_files()
    }

    /// Asks the source. `attended` is whether somebody at the terminal waits for it.
    ///
    /// # Errors
    /// When it gives nothing.
    pub(crate) async fn obtain(&self, attended: bool) -> Result<IssuedCredentials, Error> {
        let issued = match &self.header {
            HeaderSource::Nothing => IssuedCredentials::default(),
            HeaderSource::Fixed(value) => {
                IssuedCredentials { authorization: Some(value.clone()), ..IssuedCredentials::default() }
            }
            HeaderSource::File(path, otherwise) => from_file(path, otherwise.as_ref())?,
            HeaderSource::Plugin(plugin) => plugin.run(attended).await?,
            HeaderSource::Oidc(oidc) => oidc.obtain().await?,
        };
        self.certificate.add_to(issued)
    }
}

fn from_file(path: &Path, otherwise: Option<&HeaderValue>) -> Result<IssuedCredentials, Error> {
    let authorization = match (token_in(path), otherwise) {
        (Err(_), Some(otherwise)) => otherwise.clone(),
        (token, _) => bearer(&token?)?,
    };
    let renew = Some(SystemTime::now() + TOKEN_FILE_READ_INTERVAL);
    Ok(IssuedCredentials { authorization: Some(authorization), renew, ..IssuedCredentials::default() })
}

fn token_in(path: &Path) -> Result<String, Error> {
    let token = std::fs::read_to_string(path).map_err(|error| {
        Error::failed(format!("cannot read the token file {}: {}", path.display(), system_words(&error)))
    })?;
    if token.trim().is_empty() {
        return Err(Error::failed(format!("the token file {} is empty", path.display())));
    }
    Ok(token)
}

impl CertificateSource {
    fn is_in_files(&self) -> bool {
        [&self.certificate, &self.key].iter().any(|source| matches!(source, PemSource::File(_)))
    }

    fn read(&self) -> Result<Option<ClientIdentity>, Error> {
        let user = &self.user;
        let Some(certificate) = self.certificate.read(&format!("client certificate of user {user:?}"))? else {
            return Ok(None);
        };
        let key = self.key.read(&format!("client key of user {user:?}"))?;
        let key = key.ok_or_else(|| Error::usage(format!("user {user:?} has a client certificate without a key")))?;
        client_identity::identity(&certificate, &key, &format!("user {user:?}")).map(Some)
    }

    fn add_to(&self, mut issued: IssuedCredentials) -> Result<IssuedCredentials, Error> {
        issued.identity = self.read()?.or(issued.identity);
        if self.is_in_files() {
            let renew = SystemTime::now() + CERTIFICATE_FILE_READ_INTERVAL;
            issued.renew = Some(issued.renew.map_or(renew, |other| other.min(renew)));
        }
        Ok(issued)
    }
}
