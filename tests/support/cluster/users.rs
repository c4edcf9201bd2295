//! Who may log in, and the kubeconfigs with which they do.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::KeyPair;

use super::Cluster;
use crate::Authority;

/// Of a member of `system:masters`.
pub(super) const ADMIN_TOKEN: &str = "token-of-admin";

/// Users in the API server's token file, which it reads once, at its start.
const TOKEN_USERS: u32 = 1000;

/// The static token file, and how many of its users were handed out.
pub(super) struct Tokens(AtomicU32);

impl Tokens {
    pub(super) fn write(file: &Path) -> Self {
        let mut lines = format!("{ADMIN_TOKEN},admin,admin,system:masters\n");
        for number in 0..TOKEN_USERS {
            let name = user_name(number);
            writeln!(lines, "{},{name},{name}", token_of(&name)).expect("a String takes everything");
        }
        fs::write(file, lines).unwrap();
        Self(AtomicU32::new(0))
    }

    /// Has the user called `name` in `file` log in with `token`.
    pub(super) fn replace(file: &Path, name: &str, token: &str) {
        let own = format!(",{name},{name}");
        let lines = fs::read_to_string(file).unwrap();
        let line = |line: &str| if line.ends_with(&own) { format!("{token}{own}\n") } else { format!("{line}\n") };
        fs::write(file, lines.lines().map(line).collect::<String>()).unwrap();
    }

    /// The name of a user whom no test had yet.
    pub(super) fn next(&self) -> String {
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        assert!(number < TOKEN_USERS, "no users left: raise TOKEN_USERS");
        user_name(number)
    }
}

fn user_name(number: u32) -> String {
    format!("user-{number}")
}

fn token_of(name: &str) -> String {
    format!("token-of-{name}")
}

/// How a user proves who they are.
#[derive(Clone, Copy, Debug)]
pub enum Login {
    /// A bearer token in the kubeconfig.
    Token,
    /// A bearer token in a file that the kubeconfig names.
    TokenFile,
    /// A client certificate and key in the kubeconfig.
    Certificate,
    /// A credential plugin, which prints the token.
    Exec,
}

/// Somebody who may log in.
pub struct User {
    name: String,
    token: String,
    directory: PathBuf,
    authority: String,
    credential: String,
}

impl User {
    pub(super) fn admin(directory: &Path, authority: &Authority) -> Self {
        Self {
            name: "admin".to_owned(),
            token: ADMIN_TOKEN.to_owned(),
            directory: fresh_directory(directory),
            authority: authority.pem(),
            credential: format!("    token: {ADMIN_TOKEN}\n"),
        }
    }

    pub(super) fn new(directory: &Path, authority: &Authority, name: String, login: Login) -> Self {
        let directory = fresh_directory(directory);
        let token = token_of(&name);
        let credential = match login {
            Login::Token => format!("    token: {token}\n"),
            Login::TokenFile => token_file(&directory, &token),
            Login::Certificate => certificate(authority, &name),
            Login::Exec => credential_plugin(&directory, &token),
        };
        Self { name, token, directory, authority: authority.pem(), credential }
    }

    /// The name that RBAC sees.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A bearer token for this user, whatever the kubeconfig says.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// A kubeconfig with one context, called `test`, in `namespace`.
    pub fn kubeconfig(&self, namespace: &str) -> PathBuf {
        let file = self.directory.join(format!("{namespace}.kubeconfig"));
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: test\n\
             clusters:\n- name: test\n  cluster:\n    server: {server}\n    certificate-authority-data: {authority}\n\
             contexts:\n- name: test\n  context:\n    cluster: test\n    user: {name}\n    namespace: {namespace}\n\
             users:\n- name: {name}\n  user:\n{credential}",
            server = Cluster::url(),
            authority = STANDARD.encode(&self.authority),
            name = self.name,
            credential = self.credential,
        );
        fs::write(&file, text).unwrap();
        file
    }

    /// How often the credential plugin of [`Login::Exec`] ran.
    pub fn plugin_runs(&self) -> usize {
        fs::read_to_string(self.directory.join("runs")).map_or(0, |runs| runs.lines().count())
    }

    /// What the plugin of [`Login::Exec`] prints from now on: an `ExecCredential`.
    pub fn set_credential(&self, token: &str, expiry: Option<&str>) {
        write_credential(&self.directory, token, expiry);
    }
}

fn token_file(directory: &Path, token: &str) -> String {
    let file = directory.join("token");
    fs::write(&file, token).unwrap();
    format!("    tokenFile: {}\n", file.display())
}

fn certificate(authority: &Authority, name: &str) -> String {
    let (certificate, key) = authority.client(name);
    format!(
        "    client-certificate-data: {}\n    client-key-data: {}\n",
        STANDARD.encode(certificate),
        STANDARD.encode(key)
    )
}

/// A script that notes each run beside itself and prints a file.
fn credential_plugin(directory: &Path, token: &str) -> String {
    write_credential(directory, token, None);
    let script = directory.join("login");
    let text = "#!/bin/sh\ncd \"$(dirname \"$0\")\" && echo run >> runs && cat credential.json\n";
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    format!(
        "    exec:\n      apiVersion: client.authentication.k8s.io/v1\n      command: {}\n      interactiveMode: Never\n",
        script.display()
    )
}

fn write_credential(directory: &Path, token: &str, expiry: Option<&str>) {
    let mut status = serde_json::json!({"token": token});
    if let Some(expiry) = expiry {
        status["expirationTimestamp"] = expiry.into();
    }
    let credential = serde_json::json!({
        "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status,
    });
    // In one step: the plugin may be running.
    let next = directory.join("credential.next");
    fs::write(&next, credential.to_string()).unwrap();
    fs::rename(next, directory.join("credential.json")).unwrap();
}

pub(super) fn fresh_directory(parent: &Path) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let directory = parent.join(NEXT.fetch_add(1, Ordering::Relaxed).to_string());
    fs::create_dir(&directory).unwrap();
    directory
}

/// A private key and its public key, as PEM.
pub(super) fn new_key() -> (String, String) {
    let key = KeyPair::generate().unwrap();
    (key.serialize_pem(), key.public_key_pem())
}
