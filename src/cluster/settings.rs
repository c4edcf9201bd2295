//! kubeconfig and flags → everything that decides how and as whom to connect.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue};
use kube::config::{AuthInfo, Cluster as ClusterEntry, Context, Kubeconfig};
use secrecy::{ExposeSecret, SecretString};

use super::flags::{ConnectFlags, Environment};
use super::kubeconfig;
use super::server_url::ServerUrl;
use super::tls::{self, Identity, Trust};
use crate::error::Error;

/// How and as whom to connect.
pub(crate) struct Settings {
    pub(crate) context: Option<String>,
    pub(crate) cluster: String,
    pub(crate) user: String,
    pub(crate) namespace: String,
    pub(crate) server: ServerUrl,
    pub(crate) trust: Trust,
    pub(crate) tls_server_name: String,
    pub(crate) authorization: Option<HeaderValue>,
    pub(crate) identity: Option<Identity>,
    pub(crate) impersonation: Vec<(HeaderName, HeaderValue)>,
    pub(crate) request_timeout: Option<Duration>,
    pub(crate) disable_compression: bool,
}

impl Settings {
    /// Reads the kubeconfig and applies the flags to it.
    pub(crate) fn read(flags: &ConnectFlags, environment: &Environment) -> Result<Self, Error> {
        let config = kubeconfig::read(flags, environment)?.unwrap_or_default();
        let context_name = flags.context.clone().or(config.current_context.clone()).filter(|name| !name.is_empty());
        let context = context(&config, context_name.as_deref())?;
        let cluster_name = flags.cluster.clone().unwrap_or_else(|| context.cluster.clone());
        let user_name = flags.user.clone().or(context.user.clone()).unwrap_or_default();
        let cluster = cluster(&config, &cluster_name);
        let user = user(&config, &user_name);
        let server = flags.server.clone().or(cluster.server.clone()).ok_or_else(no_server)?;
        let server = ServerUrl::parse(&server)?;
        let tls_server_name = flags
            .tls_server_name
            .clone()
            .or(cluster.tls_server_name.clone().filter(|_| flags.server.is_none()))
            .unwrap_or_else(|| server.host().to_owned());
        Ok(Self {
            trust: trust(&cluster, &cluster_name)?,
            authorization: bearer(flags.token.as_ref().or(user.token.as_ref()))?,
            identity: identity(&user, &user_name)?,
            impersonation: Vec::new(),
            namespace: flags.namespace.clone().or(context.namespace).unwrap_or_else(|| "default".to_owned()),
            context: context_name,
            cluster: cluster_name,
            user: user_name,
            server,
            tls_server_name,
            request_timeout: flags.request_timeout.filter(|limit| !limit.is_zero()),
            disable_compression: flags.disable_compression,
        })
    }
}

fn no_server() -> Error {
    Error::usage("no cluster is configured").hint(
        "set KUBECONFIG, or give --kubeconfig FILE or --server URL; `kubectl config view` shows what kubectl knows",
    )
}

fn context(config: &Kubeconfig, name: Option<&str>) -> Result<Context, Error> {
    let Some(name) = name else { return Ok(Context::default()) };
    let found = config.contexts.iter().find(|context| context.name == name);
    let found = found.ok_or_else(|| Error::usage(format!("there is no context {name:?} in the kubeconfig")))?;
    Ok(found.context.clone().unwrap_or_default())
}

fn cluster(config: &Kubeconfig, name: &str) -> ClusterEntry {
    let found = config.clusters.iter().find(|cluster| cluster.name == name);
    found.and_then(|named| named.cluster.clone()).unwrap_or_default()
}

fn user(config: &Kubeconfig, name: &str) -> AuthInfo {
    let found = config.auth_infos.iter().find(|user| user.name == name);
    found.and_then(|named| named.auth_info.clone()).unwrap_or_default()
}

fn trust(cluster: &ClusterEntry, name: &str) -> Result<Trust, Error> {
    if cluster.insecure_skip_tls_verify == Some(true) {
        return Ok(Trust::Anything);
    }
    let origin = format!("the certificate authority of cluster {name:?}");
    match data_or_file(
        cluster.certificate_authority_data.as_deref(),
        cluster.certificate_authority.as_deref(),
        &origin,
    )? {
        Some(pem) => Trust::from_pem(&pem, &origin),
        None => Ok(Trust::System),
    }
}

fn identity(user: &AuthInfo, name: &str) -> Result<Option<Identity>, Error> {
    let origin = format!("user {name:?}");
    let certificate =
        data_or_file(user.client_certificate_data.as_deref(), user.client_certificate.as_deref(), &origin)?;
    let key = data_or_file(
        user.client_key_data.as_ref().map(SecretString::expose_secret),
        user.client_key.as_deref(),
        &origin,
    )?;
    match (certificate, key) {
        (Some(certificate), Some(key)) => tls::identity(&certificate, &key, &origin).map(Some),
        _ => Ok(None),
    }
}

fn data_or_file(data: Option<&str>, file: Option<&str>, origin: &str) -> Result<Option<Vec<u8>>, Error> {
    if let Some(data) = data.filter(|data| !data.is_empty()) {
        let decoded = STANDARD.decode(data);
        return decoded.map(Some).map_err(|_| Error::usage(format!("{origin} is not base64")));
    }
    let Some(file) = file.filter(|file| !file.is_empty()) else { return Ok(None) };
    std::fs::read(file).map(Some).map_err(|error| Error::failed(format!("cannot read {file} of {origin}: {error}")))
}

fn bearer(token: Option<&SecretString>) -> Result<Option<HeaderValue>, Error> {
    let Some(token) = token.map(|token| token.expose_secret().trim()).filter(|token| !token.is_empty()) else {
        return Ok(None);
    };
    let mut value = HeaderValue::try_from(format!("Bearer {token}"))
        .map_err(|_| Error::usage("the token holds characters that no token can have"))?;
    value.set_sensitive(true);
    Ok(Some(value))
}
