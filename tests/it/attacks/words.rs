//! What is shown, logged and opened.

use rustix::process::Signal;

use super::*;
use support::fake::faults::Fault;
use support::fake::status::Status;

#[tokio::test]
async fn t12_the_same_service_of_another_cluster_has_another_name() {
    let (one, other) = (Stage::new().await, Stage::new().await);
    let label = |stage: &Stage| stage.site().split('.').next().unwrap().to_owned();
    assert_ne!(label(&one), label(&other));
    assert_eq!(
        one.served.proxy_url().split_once("/api").unwrap().1,
        other.served.proxy_url().split_once("/api").unwrap().1
    );
    for stage in [one, other] {
        stage.send("GET", "/", &[]).await;
        stage.served.stop().await;
    }
}

#[tokio::test]
async fn t17_no_terminal_obeys_an_api_server() {
    let fake = FakeApiServer::start().await;
    let hostile = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\u{202e}\r\n";
    fake.fault("/services", 9, Fault::Answer(Status::new(500, "InternalError", hostile)));
    let finished = Plugin::new(&fake).args(["web"]).finish().await;
    assert_ne!(finished.code(), 0);
    let is_obeyed = |character: char| character.is_control() && character != '\n' || character == '\u{202e}';
    assert!(!finished.stderr.contains(is_obeyed) && !finished.stdout.contains(is_obeyed), "{:?}", finished.stderr);
}

#[tokio::test]
async fn t17_no_terminal_obeys_a_refusal() {
    let stage = Stage::new().await;
    let answer = stage.raw("GET / HTTP/1.1\r\nHost: e\u{9b}2Jvil\r\nConnection: close\r\n\r\n").await;
    assert!(!answer.contains('\u{9b}') && status_of(&answer) >= 400, "{answer:?}");
    let answer = stage.send("GET", "/", &["Origin: http://e\u{9b}2Jvil"]).await;
    assert!(!answer.text().contains('\u{9b}'), "{:?}", answer.text());
    stage.untouched("a refusal");
}

#[tokio::test]
async fn t18_no_log_tells_a_secret() {
    let stage = Stage::with(&["--v=9", "--log-requests", "--require-token"]).await;
    stage.served.until_stderr("svcproxy-token=").await;
    let said = stage.served.stderr();
    let token = said.split("svcproxy-token=").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    let exchanged = stage.send("GET", &format!("/?svcproxy-token={token}"), &[]).await;
    let cookie = exchanged.header("set-cookie").split(';').next().unwrap().to_owned();
    let lines = [&format!("Cookie: {cookie}; app=c00kie") as &str, "Authorization: Basic cGFzc3dvcmQ="];
    stage.send("POST", "/login?password=pa55word", &lines).await;
    stage.served.until_stderr("/login").await;
    stage.served.signal(Signal::TERM);
    let finished = stage.served.end().await;
    assert_eq!(finished.code(), 0);
    let log = finished.stderr.replacen(&token, "", 1); // the URL that is to be opened names it
    for secret in
        [support::fake::ADMIN_TOKEN, &token, cookie.split('=').nth(1).unwrap(), "c00kie", "cGFzc3dvcmQ=", "pa55word"]
    {
        assert!(!log.contains(secret), "{secret} is in {log}");
    }
}

#[tokio::test]
async fn t19_the_browser_gets_our_url_and_nothing_more() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    for path in ["/$(touch pwned)", "/`touch pwned`", "/;touch pwned", "/ --flag", "/'\"<>|&"] {
        let plugin = Plugin::new(&fake).plain();
        let opened = plugin.home().join("opened");
        let browser = plugin.script(
            "browser",
            &format!("printf '%s\\n' \"$#\" \"$@\" > {0}.part && mv {0}.part {0}", opened.display()),
        );
        let (browser, pwned) = (browser.display().to_string(), plugin.home().join("pwned"));
        let served =
            plugin.args(["web", "-o", "json", "--port=0", "--path", path, "--browser", &browser]).serve().await;
        let arguments = support::eventually("the browser", async || std::fs::read_to_string(&opened).ok()).await;
        let url = served.proxy_url();
        assert!(arguments.starts_with(&format!("1\n{url}")) && arguments.lines().count() == 2, "{path}: {arguments}");
        assert!(!pwned.exists(), "{path}");
    }
}
