//! A home folder, an API server and two proxies for one row, in which both programs run one after the other.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::listener::{Notes, NotingListener, Role, VALID_TOKEN, Ways};
use crate::row::Row;
use crate::seen::Seen;
use support::Authority;

/// How long a run may take: none of them waits for anybody.
const RUN_TIMEOUT: Duration = Duration::from_secs(60);

/// What runs.
pub(crate) struct Programs {
    pub(crate) kubectl: PathBuf,
    pub(crate) own: PathBuf,
}

/// Certificates, the same for all rows.
struct Certificates {
    ca: String,
    other_ca: String,
    users: [(String, String); 3],
    tls: TlsAcceptor,
}

/// Where a row happens.
struct Place {
    home: TempDir,
    notes: Notes,
    words: BTreeMap<&'static str, String>,
    _listeners: [NotingListener; 3],
}

/// Runs both; what is other than it should be.
pub(crate) async fn compare(row: &Row, programs: &Programs) -> Result<(), String> {
    let place = Place::new(row, programs).await;
    let of_kubectl = place.run(row, &programs.kubectl, &["get", "service", "web", "-o", "name"]).await?;
    let own = place.run(row, &programs.own, &["web", "--dry-run"]).await?;
    let both = format!("kubectl: {}\n{}\nthis program: {}\n{}", of_kubectl.0, of_kubectl.1, own.0, own.1);
    match (&row.differs, of_kubectl.0 == own.0) {
        (None, true) | (Some(_), false) => Ok(()),
        (None, false) => Err(both),
        (Some(name), true) => Err(format!("{name} is no difference any more\n{both}")),
    }
}

impl Place {
    async fn new(row: &Row, programs: &Programs) -> Self {
        let home = tempfile::tempdir().unwrap();
        let (notes, ways) = (Notes::default(), Ways::default());
        let certificates = certificates();
        let start = |role| NotingListener::start(role, certificates.tls.clone(), notes.clone(), &ways);
        let server = start(Role::ApiServer).await;
        let first = start(Role::Proxy("A", server.address)).await;
        let second = start(Role::Proxy("B", server.address)).await;
        let mut words = words_of(certificates, home.path());
        words.extend([
            ("{KUBECTL}", programs.kubectl.display().to_string()),
            ("{SERVER}", format!("https://{}", server.address)),
            ("{PLAIN}", format!("http://{}", server.address)),
            ("{ADDRESS}", server.address.to_string()),
            ("{PORT}", server.address.port().to_string()),
            ("{A}", first.address.to_string()),
            ("{B}", second.address.to_string()),
        ]);
        let place = Self { home, notes, words, _listeners: [server, first, second] };
        place.furnish(row, certificates);
        place
    }

    fn furnish(&self, row: &Row, certificates: &Certificates) {
        let write = |name: &str, text: &str| write(self.home.path(), name, text);
        write("ca.crt", &certificates.ca);
        write("other.crt", &certificates.other_ca);
        for (name, (certificate, key)) in ["alice", "bob", "carol"].into_iter().zip(&certificates.users) {
            write(&format!("{name}.crt"), certificate);
            write(&format!("{name}.key"), key);
        }
        write("token", "from-file\n");
        let credential = r#"{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"from-plugin"}}"#;
        for program in ["login", "bin/login", "bin/other-login", "elsewhere/login"] {
            write(
                program,
                &format!("#!/bin/sh\necho run >> '{}'/ran\necho '{credential}'\n", self.home.path().display()),
            );
            fs::set_permissions(self.home.path().join(program), Permissions::from_mode(0o755)).unwrap();
        }
        for (name, text) in &row.files {
            write(name, &self.fill(text));
        }
    }

    fn fill(&self, text: &str) -> String {
        // Some words stand for text with other words in it.
        let fill = |text: String| self.words.iter().fold(text, |text, (word, value)| text.replace(word, value));
        fill(fill(text.to_owned()))
    }

    /// What is seen of a run, and what it said.
    async fn run(&self, row: &Row, program: &Path, arguments: &[&str]) -> Result<(Seen, String), String> {
        let home = self.home.path();
        let mut command = Command::new(program);
        command
            .args(arguments)
            .args(row.flags.iter().map(|flag| self.fill(flag)))
            .env_clear()
            .env("PATH", format!("{}/bin:/usr/bin:/bin", home.display()))
            .env("HOME", home)
            .env("KUBECONFIG", home.join("config"))
            .envs(row.env.iter().map(|(name, value)| (name, self.fill(value))))
            .current_dir(home)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        for (name, _) in row.env.iter().filter(|(_, value)| value == "UNSET") {
            command.env_remove(name);
        }
        if !row.without_kubeconfig {
            write(home, "config", &self.fill(&kubeconfig(row)));
        }
        let _ = fs::remove_file(home.join("ran"));
        self.notes.lock().unwrap().clear();
        let output = timeout(RUN_TIMEOUT, command.output()).await;
        let output = output.map_err(|_| format!("{} does not end", program.display()))?.unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let request = self.notes.lock().unwrap().first().cloned();
        let plugin_ran = home.join("ran").exists();
        Ok((Seen { success: output.status.success(), plugin_ran, request }, said))
    }
}

fn write(home: &Path, name: &str, text: &str) {
    let file = home.join(name);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
}

fn kubeconfig(row: &Row) -> String {
    if let Some(config) = &row.config {
        return config.clone();
    }
    let part = |part: &Option<String>, usual: &str| part.clone().unwrap_or_else(|| usual.to_owned());
    let entry = |entry: &Option<String>| entry.as_ref().map(|entry| format!("- {entry}\n")).unwrap_or_default();
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: k\nclusters:\n- name: c\n  cluster: {}\n{}users:\n- name: u\n  user: {}\n{}\
         contexts:\n- name: k\n  context: {}\n{}{}\n",
        part(&row.cluster, "{server: '{SERVER}', certificate-authority-data: {CA}}"),
        entry(&row.more_cluster),
        part(&row.user, "{token: secret}"),
        entry(&row.more_user),
        part(&row.context, "{cluster: c, user: u}"),
        entry(&row.more_context),
        part(&row.more, ""),
    )
}

fn words_of(certificates: &Certificates, home: &Path) -> BTreeMap<&'static str, String> {
    let encoded = |text: &String| STANDARD.encode(text);
    let [(alice, alice_key), (bob, bob_key), _] = &certificates.users;
    let exec = |command: &str| {
        format!("exec: {{apiVersion: client.authentication.k8s.io/v1, command: {command}, interactiveMode: Never}}")
    };
    BTreeMap::from([
        ("{HOME}", home.display().to_string()),
        ("{CA}", encoded(&certificates.ca)),
        ("{CALINES}", in_lines(&encoded(&certificates.ca), "\n      ")),
        ("{CACRLF}", in_lines(&encoded(&certificates.ca), "\\r\\n")),
        ("{ALIASES}", vec!["*a"; 3000].join(", ")),
        ("{DEEP}", format!("{}{}", "[".repeat(150), "]".repeat(150))),
        ("{OTHERCA}", encoded(&certificates.other_ca)),
        ("{ALICE}", encoded(alice)),
        ("{ALICEKEY}", encoded(alice_key)),
        ("{BOB}", encoded(bob)),
        ("{BOBKEY}", encoded(bob_key)),
        ("{EXEC}", exec("{HOME}/login")),
        ("{EXECNAME}", exec("login")),
        (
            "{OIDC}",
            "name: oidc, config: {idp-issuer-url: '{SERVER}/oidc', client-id: c, idp-certificate-authority-data: {CA}"
                .to_owned(),
        ),
        ("{OVER}", "e30.eyJleHAiOjEwMDAwMDAwMDB9.c2ln".to_owned()),
        ("{VALID}", VALID_TOKEN.to_owned()),
        ("{TRUSTED}", "certificate-authority-data: {CA}".to_owned()),
        ("{RC}", "apiVersion: kubectl.config.k8s.io/v1beta1\nkind: Preference".to_owned()),
    ])
}

/// Lines of 64, as `base64` and `openssl` write them.
fn in_lines(text: &str, separator: &str) -> String {
    let lines = text.as_bytes().chunks(64).map(String::from_utf8_lossy);
    lines.map(|line| format!("{separator}{line}")).collect()
}

fn certificates() -> &'static Certificates {
    static CERTIFICATES: OnceLock<Certificates> = OnceLock::new();
    CERTIFICATES.get_or_init(|| {
        let authority = Authority::new();
        let users = ["alice", "bob", "carol"].map(|name| authority.client(name));
        Certificates { ca: authority.pem(), other_ca: Authority::new().pem(), users, tls: acceptor(&authority) }
    })
}

/// TLS that asks for a client's certificate and is content without.
fn acceptor(authority: &Authority) -> TlsAcceptor {
    let (certificate, key) = authority.server(&["127.0.0.1", "localhost", "api.example", "other.example"]);
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut trusted = RootCertStore::empty();
    trusted.add(CertificateDer::from(authority.der())).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(trusted), provider.clone());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.allow_unauthenticated().build().unwrap())
        .with_single_cert(chain, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}
