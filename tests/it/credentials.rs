//! Who the program is to the API server, and that nobody else learns it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::join_all;
use http::StatusCode;
use serde_json::json;

use crate::harness::{Plugin, Served, web};
use support::fake::faults::Fault;
use support::fake::status::Status;
use support::fake::users::Rule;
use support::fake::{ADMIN_TOKEN, FakeApiServer};
use support::{Backend, Canned, eventually, http as client};

/// A credential plugin that notes each run in `runs` and prints `credential`, once a pipe named `gate` lets it, if there is one.
fn exec_login(plugin: &Plugin) -> String {
    let run = "cd \"$(dirname \"$0\")\" && echo run >> runs && { [ ! -p gate ] || cat gate; } && cat credential";
    let script = plugin.script("login", run);
    format!(
        "exec:\n  apiVersion: client.authentication.k8s.io/v1\n  command: {}\n  interactiveMode: Never",
        script.display()
    )
}

fn write_credential(home: &Path, token: &str, expiry: Option<&str>) {
    let mut credential = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": token},
    });
    if let Some(expiry) = expiry {
        credential["status"]["expirationTimestamp"] = expiry.into();
    }
    // In one step: the plugin may be reading it.
    let new = home.join("credential.new");
    fs::write(&new, credential.to_string()).unwrap();
    fs::rename(new, home.join("credential")).unwrap();
}

/// The Service `web`, served with the credentials of a credential plugin.
struct LoggedIn {
    fake: FakeApiServer,
    backend: Backend,
    served: Served,
    home: PathBuf,
}

impl LoggedIn {
    async fn new(expiry: Option<&str>) -> Self {
        let fake = FakeApiServer::start().await;
        let backend = web(&fake).await;
        let plugin = Plugin::without_kubeconfig(&fake);
        let home = plugin.home().to_owned();
        write_credential(&home, ADMIN_TOKEN, expiry);
        let login = exec_login(&plugin);
        let served = plugin.login(&fake, &login).args(["web"]).serve().await;
        Self { fake, backend, served, home }
    }

    /// What the credential plugin prints from now on.
    fn next_credential(&self, token: &str, expiry: Option<&str>) {
        self.fake.add_token(token, "admin");
        write_credential(&self.home, token, expiry);
    }

    /// The status of an answer to a request for `/`.
    async fn ask(&self) -> StatusCode {
        client::get(&self.served.proxy_url()).await.status
    }

    /// How often the credential plugin ran.
    fn runs(&self) -> usize {
        fs::read_to_string(self.home.join("runs")).map_or(0, |runs| runs.lines().count())
    }
}

/// kuberc may forbid credential plugins: none has run before it is obeyed.
#[tokio::test]
async fn a_credential_plugin_that_kuberc_denies_does_not_run() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    let plugin = Plugin::without_kubeconfig(&fake);
    write_credential(plugin.home(), ADMIN_TOKEN, None);
    let (login, home) = (exec_login(&plugin), plugin.home().to_owned());
    plugin.write("deny", &kuberc("credentialPluginPolicy: DenyAll"));
    let denied = plugin.login(&fake, &login).args(["web", "--kuberc", "deny"]).finish().await;
    let expect = format!(
        "error: the credential plugin {}/login of user \"test\" may not run: credentialPluginPolicy of deny is DenyAll\n",
        home.display()
    );
    assert_eq!((denied.code(), &denied.stdout[..]), (1, ""));
    assert!(denied.stderr.starts_with(&expect), "{}", denied.stderr);
    assert!(!home.join("runs").exists(), "it has run");
    fake.end_unasked();
}

/// Whoever can write to the current folder would choose what runs: Go refuses it, and so does this program.
#[tokio::test]
async fn a_credential_plugin_of_the_current_folder_does_not_run() {
    for path in [".:/usr/bin:/bin", ":/usr/bin:/bin", "/usr/bin:/bin:"] {
        let fake = FakeApiServer::start().await;
        let _backend = web(&fake).await;
        let plugin = Plugin::without_kubeconfig(&fake);
        write_credential(plugin.home(), ADMIN_TOKEN, None);
        let (login, home) = (exec_login(&plugin), plugin.home().to_owned());
        // The system has a program called login.
        fs::rename(home.join("login"), home.join("log-in-here")).unwrap();
        let login = login.replace(&format!("{}/login", home.display()), "log-in-here");
        let refused = plugin.login(&fake, &login).env("PATH", path).args(["web"]).finish().await;
        assert_eq!((refused.code(), &refused.stdout[..]), (1, ""), "{path}");
        assert!(refused.stderr.contains("by a relative folder of PATH"), "{path}: {}", refused.stderr);
        assert!(!home.join("runs").exists(), "it has run by {path}");
        fake.end_unasked();
    }
}

#[tokio::test]
async fn a_dry_run_says_which_kuberc_decided() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    for (rules, decision) in [
        (None, "allowed, since no kuberc says otherwise"),
        (
            Some("credentialPluginPolicy: Allowlist\ncredentialPluginAllowlist: [{command: HOME/login}]"),
            "allowed by credentialPluginAllowlist of HOME/.kube/kuberc",
        ),
    ] {
        let plugin = Plugin::without_kubeconfig(&fake);
        write_credential(plugin.home(), ADMIN_TOKEN, None);
        let (login, home) = (exec_login(&plugin), plugin.home().display().to_string());
        if let Some(rules) = rules {
            fs::create_dir(plugin.home().join(".kube")).unwrap();
            plugin.write(".kube/kuberc", &kuberc(&rules.replace("HOME", &home)));
        }
        let told = plugin.plain().login(&fake, &login).args(["web", "--dry-run"]).finish().await;
        let line = format!("plugin    {home}/login, {}", decision.replace("HOME", &home));
        assert!(told.stdout.lines().any(|told| told == line), "{line}: {}", told.stdout);
    }
}

fn kuberc(rules: &str) -> String {
    format!("apiVersion: kubectl.config.k8s.io/v1beta1\nkind: Preference\n{rules}\n")
}

#[tokio::test]
async fn a_credential_plugin_runs_once() {
    let logged_in = LoggedIn::new(None).await;
    for _ in 0..3 {
        assert_eq!(logged_in.ask().await, StatusCode::OK);
    }
    assert_eq!(logged_in.runs(), 1);
    logged_in.served.stop().await;
}

#[tokio::test]
async fn a_token_that_expires_is_renewed_without_a_refusal() {
    let logged_in = LoggedIn::new(Some("2020-01-01T00:00:00Z")).await;
    logged_in.next_credential("second", Some("2999-01-01T00:00:00Z"));
    eventually("the new token is used", async || {
        assert_eq!(logged_in.ask().await, StatusCode::OK);
        let sent = logged_in.fake.requests().pop().unwrap();
        (sent.values("authorization") == ["Bearer second"]).then_some(())
    })
    .await;
    let before = logged_in.runs();
    logged_in.ask().await;
    assert_eq!(logged_in.runs(), before, "renewed although it is good");
    logged_in.served.stop().await;
}

#[tokio::test]
async fn a_401_of_the_api_server_renews_once() {
    let logged_in = LoggedIn::new(None).await;
    logged_in.ask().await;
    logged_in.next_credential("second", None);
    logged_in.fake.revoke_token(ADMIN_TOKEN);
    for status in futures_util::future::join_all((0..8).map(|_| logged_in.ask())).await {
        assert_eq!(status, StatusCode::OK);
    }
    assert_eq!(logged_in.runs(), 2, "one renewal for all requests at once");
    assert_eq!(logged_in.backend.requests().len(), 9);
    logged_in.served.stop().await;
}

#[tokio::test]
async fn a_401_that_stays_is_no_reason_to_renew_again_and_again() {
    let logged_in = LoggedIn::new(None).await;
    logged_in.fake.fault("/proxy/", 100, Fault::Answer(Status::unauthorized()));
    for _ in 0..5 {
        assert_eq!(logged_in.ask().await, StatusCode::UNAUTHORIZED);
    }
    assert!(logged_in.runs() <= 6, "{} runs for five requests", logged_in.runs());
}

#[tokio::test]
async fn a_credential_plugin_that_fails_is_run_again() {
    let login = LoggedIn::new(None).await;
    assert_eq!(login.ask().await, StatusCode::OK);
    login.fake.revoke_token(ADMIN_TOKEN);
    fs::remove_file(login.home.join("credential")).unwrap();
    let refused = client::get(&login.served.proxy_url()).await;
    assert_eq!((refused.status, refused.header("svcproxy-error")), (StatusCode::UNAUTHORIZED, "unauthorized"));
    login.served.until_stderr("login of user \"test\" failed with exit code 1").await;
    login.next_credential("the-next", None);
    eventually("it is run again", async || (login.ask().await == StatusCode::OK).then_some(())).await;
}

#[tokio::test]
async fn a_credential_plugin_that_hangs_is_waited_for_by_all() {
    let login = LoggedIn::new(None).await;
    assert_eq!(login.ask().await, StatusCode::OK);
    let gate = login.home.join("gate");
    assert!(Command::new("mkfifo").arg(&gate).status().unwrap().success());
    login.fake.revoke_token(ADMIN_TOKEN);
    login.next_credential("the-next", None);
    let asking = async {
        // Opened for writing once the plugin reads.
        let opened = tokio::task::spawn_blocking(move || fs::OpenOptions::new().write(true).open(gate)).await;
        drop(opened.unwrap().unwrap());
    };
    let (answers, ()) = tokio::join!(join_all((0..5).map(|_| login.ask())), asking);
    assert_eq!(answers, [StatusCode::OK; 5]);
    assert_eq!(login.runs(), 2);
}

#[tokio::test]
async fn a_401_of_the_app_is_the_apps_own() {
    let logged_in = LoggedIn::new(None).await;
    logged_in.backend.answer("/", Canned { status: 401, ..Canned::default() });
    for _ in 0..3 {
        assert_eq!(logged_in.ask().await, StatusCode::UNAUTHORIZED);
    }
    assert_eq!((logged_in.runs(), logged_in.backend.requests().len()), (1, 3));
    logged_in.served.stop().await;
}

#[tokio::test]
async fn a_token_file_is_read_again() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    let plugin = Plugin::without_kubeconfig(&fake);
    let file = plugin.write("token", ADMIN_TOKEN);
    let served = plugin.login(&fake, &format!("tokenFile: {}", file.display())).args(["web"]).serve().await;
    assert_eq!(client::get(&served.proxy_url()).await.status, StatusCode::OK);
    fake.add_token("second", "admin");
    fs::write(&file, "second\n").unwrap();
    fake.revoke_token(ADMIN_TOKEN);
    assert_eq!(client::get(&served.proxy_url()).await.status, StatusCode::OK);
    served.stop().await;
}

#[tokio::test]
async fn a_client_certificate_logs_in() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    let (certificate, key) = fake.client_certificate("admin");
    let login =
        format!("client-certificate-data: {}\nclient-key-data: {}", STANDARD.encode(certificate), STANDARD.encode(key));
    let served = Plugin::without_kubeconfig(&fake).login(&fake, &login).args(["web"]).serve().await;
    assert_eq!(client::get(&served.proxy_url()).await.status, StatusCode::OK);
    assert!(fake.requests().iter().all(|request| request.values("authorization").is_empty()));
    served.stop().await;
}

#[tokio::test]
async fn impersonation_is_said_once_and_not_by_the_page() {
    let fake = FakeApiServer::start().await;
    let backend = web(&fake).await;
    fake.grant("group:devs", &[Rule::ALL]);
    let flags = ["web", "--as=jane", "--as-group=devs", "--as-group=ops", "--as-uid=7", "--as-user-extra=reason=test"];
    let served = Plugin::new(&fake).args(flags).serve().await;
    let forged = http::Request::builder()
        .header("Impersonate-User", "root")
        .header("Impersonate-Group", "system:masters")
        .header("Impersonate-Extra-Scopes", "all")
        .header("X-Remote-User", "root")
        .header("Audit-Id", "forged");
    assert_eq!(client::send(&served.proxy_url(), forged).await.status, StatusCode::OK);
    let sent = fake.requests().into_iter().rfind(|request| request.target.contains("/proxy/")).unwrap();
    assert_eq!(sent.values("impersonate-user"), ["jane"]);
    assert_eq!(sent.values("impersonate-group"), ["devs", "ops"]);
    assert_eq!(sent.values("impersonate-uid"), ["7"]);
    assert_eq!(sent.values("impersonate-extra-reason"), ["test"]);
    for absent in ["impersonate-extra-scopes", "x-remote-user", "audit-id"] {
        assert!(sent.values(absent).is_empty(), "{absent}");
    }
    let seen = backend.requests()[0]["headers"].to_string();
    assert!(!seen.contains("impersonate") && !seen.contains("authorization"), "{seen}");
    served.stop().await;
}

/// T18.
#[tokio::test]
async fn no_log_level_shows_a_secret() {
    const SECRETS: [&str; 6] =
        ["t0p-s3cret-token", "s3cret-cookie", "s3cret-query", "s3cret-basic", "s3cret-body", "s3cret-key"];
    for format in ["text", "json"] {
        let fake = FakeApiServer::start().await;
        let backend = web(&fake).await;
        fake.add_token(SECRETS[0], "admin");
        let plugin = Plugin::new(&fake).login(&fake, &format!("token: {}", SECRETS[0]));
        let flags = ["web", "-v=9", "--log-requests", "--log-format", format];
        let served = plugin.env("RUST_LOG", "trace").args(flags).serve().await;
        let request = http::Request::builder().header("Cookie", format!("session={}", SECRETS[1]));
        let url = format!("{}a?token={}", served.proxy_url(), SECRETS[2]);
        assert_eq!(client::send(&url, request).await.status, StatusCode::OK);
        let basic = http::Request::builder().header("Authorization", format!("Basic {}", SECRETS[3]));
        client::send(&served.proxy_url(), basic).await;
        let posted = http::Request::builder().method("POST").header("X-Api-Key", SECRETS[5]);
        client::send_body(&served.proxy_url(), posted, SECRETS[4]).await;
        fake.fault("/proxy/", 1, Fault::Cut(0));
        client::get(&served.proxy_url()).await;
        eventually("a line for each request", async || (served.stderr().matches("/a").count() > 0).then_some(())).await;
        served.signal(rustix::process::Signal::TERM);
        let finished = served.end().await;
        for secret in SECRETS {
            assert!(!finished.stderr.contains(secret) && !finished.stdout.contains(secret), "{}", finished.stderr);
        }
        assert!(!backend.requests().is_empty());
    }
}
