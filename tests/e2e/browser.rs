//! A real browser: headless Chromium, driven through WebDriver, and what it saw on its network and in its console.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use support::network_turn::{NetworkTurn, NetworkUse};

/// How long a page may take until it shows what is waited for, on a machine with two busy cores.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between two looks at a page.
const POLL: Duration = Duration::from_millis(50);

/// What the browser is started with: no window, no sandbox (there is no second user in a namespace), and no talk of its own.
const SWITCHES: [&str; 8] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// What went wrong on a page, in one line: an app that fails through one way of reaching it need not fail the test.
pub(crate) type Outcome<T = ()> = Result<T, String>;

/// A browser with a profile of its own. It ends with [`Browser::close`], or killed when dropped.
pub(crate) struct Browser {
    client: Client,
    downloads: PathBuf,
    _driver: Child,
    _turn: NetworkTurn,
}

impl Browser {
    /// Starts it, keeping its profile and downloads below `home`, which is empty.
    pub(crate) async fn start(home: &Path) -> Self {
        Self::start_with(home, &[]).await
    }

    /// The same with further switches of Chromium's command line.
    pub(crate) async fn start_with(home: &Path, switches: &[&str]) -> Self {
        let turn = NetworkTurn::take(NetworkUse::Unchanged).await;
        let (driver, port) = start_driver(home).await;
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities(home, switches))
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .expect("Chromium starts");
        Self { client, downloads: downloads(home), _driver: driver, _turn: turn }
    }

    /// Opens `url` and waits until it is loaded.
    pub(crate) async fn open(&self, url: &str) -> Outcome {
        self.client.goto(url).await.map_err(|error| format!("{url} does not open: {error}"))
    }

    /// Loads the page again.
    pub(crate) async fn reload(&self) -> Outcome {
        self.client.refresh().await.map_err(|error| format!("the page does not reload: {error}"))
    }

    /// Where it is now.
    pub(crate) async fn url(&self) -> Outcome<String> {
        self.client.current_url().await.map(Into::into).map_err(|error| error.to_string())
    }

    /// Opens another tab and goes on there; returns the handle of the one it leaves.
    pub(crate) async fn new_tab(&self) -> Outcome<fantoccini::wd::WindowHandle> {
        let left = self.client.window().await.map_err(|error| error.to_string())?;
        let tab = self.client.new_window(true).await.map_err(|error| error.to_string())?;
        self.client.switch_to_window(tab.handle).await.map_err(|error| error.to_string())?;
        Ok(left)
    }

    /// Goes on in another tab.
    pub(crate) async fn switch_to(&self, tab: &fantoccini::wd::WindowHandle) -> Outcome {
        self.client.switch_to_window(tab.clone()).await.map_err(|error| error.to_string())
    }

    /// Runs the body of a JavaScript function, which may `await`, with `arguments`.
    pub(crate) async fn run(&self, body: &str, arguments: &[&str]) -> Outcome<Value> {
        let script = format!(
            "const done = arguments[arguments.length - 1];
             const body = async function () {{ {body} }};
             body.apply(null, [...arguments].slice(0, -1))
                 .then(value => done({{value}}), error => done({{error: String(error)}}));"
        );
        let arguments = arguments.iter().map(|&argument| argument.into()).collect();
        let answer = self.client.execute_async(&script, arguments).await.map_err(|error| error.to_string())?;
        match answer["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(answer["value"].clone()),
        }
    }

    /// Runs `body` until it returns something true; an exception counts as not yet.
    pub(crate) async fn until(&self, what: &str, body: &str, arguments: &[&str]) -> Outcome<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let seen = self.run(body, arguments).await;
            if let Ok(value) = &seen
                && !matches!(value, Value::Null | Value::Bool(false))
            {
                return seen;
            }
            if Instant::now() > deadline {
                return Err(format!("waited in vain for {what}"));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until an element that matches the CSS selector contains `text`.
    pub(crate) async fn until_text(&self, selector: &str, text: &str) -> Outcome {
        let body =
            "return [...document.querySelectorAll(arguments[0])].some(e => e.textContent.includes(arguments[1]))";
        self.until(&format!("{text:?} in {selector}"), body, &[selector, text]).await.map(drop)
    }

    /// Clicks the first element that matches the CSS selector, as soon as it can be clicked.
    pub(crate) async fn click(&self, selector: &str) -> Outcome {
        self.act(&format!("a click on {selector}"), async || {
            let element = self.client.find(Locator::Css(selector)).await?;
            element.click().await
        })
        .await
    }

    /// Clicks the first element whose own text is exactly `text`.
    pub(crate) async fn click_text(&self, selector: &str, text: &str) -> Outcome {
        let body = "const found = [...document.querySelectorAll(arguments[0])].find(e => e.textContent.trim() === arguments[1]);
                    found.click(); return true";
        self.until(&format!("a click on {text:?} in {selector}"), body, &[selector, text]).await.map(drop)
    }

    /// Types into the first element that matches the CSS selector.
    pub(crate) async fn type_into(&self, selector: &str, text: &str) -> Outcome {
        self.act(&format!("typing into {selector}"), async || {
            let element = self.client.find(Locator::Css(selector)).await?;
            element.send_keys(text).await
        })
        .await
    }

    /// Waits until a file of this name and content was downloaded.
    pub(crate) async fn until_downloaded(&self, name: &str, content: &str) -> Outcome {
        let deadline = Instant::now() + PATIENCE;
        while !fs::read_to_string(self.downloads.join(name)).is_ok_and(|text| text == content) {
            if Instant::now() > deadline {
                return Err(format!("waited in vain for {name} to be downloaded"));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    async fn act(
        &self,
        what: &str,
        mut action: impl AsyncFnMut() -> Result<(), fantoccini::error::CmdError>,
    ) -> Outcome {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match action().await {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() > deadline => return Err(format!("{what} is not possible: {error}")),
                Err(_) => tokio::time::sleep(POLL).await,
            }
        }
    }

    /// Writes what the page looks like to a PNG file.
    pub(crate) async fn screenshot(&self, file: &Path) -> Outcome {
        let image = self.client.screenshot().await.map_err(|error| error.to_string())?;
        fs::write(file, image).map_err(|error| format!("{}: {error}", file.display()))
    }

    /// Shows pages to somebody who prefers `light` or `dark`.
    pub(crate) async fn prefer_colours(&self, scheme: &'static str) -> Outcome {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.tell("Emulation.setEmulatedMedia", json!({"features": features})).await.map(drop)
    }

    /// Shows pages in a window whose inside is so large, in CSS pixels.
    pub(crate) async fn resize(&self, width: u32, height: u32) -> Outcome {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.tell("Emulation.setDeviceMetricsOverride", size).await.map(drop)
    }

    /// Lets pages read what is copied, which asks the user elsewhere.
    pub(crate) async fn allow_reading_the_clipboard(&self) -> Outcome {
        let permissions = json!({"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]});
        self.tell("Browser.grantPermissions", permissions).await.map(drop)
    }

    /// Has pages run scripts, or none.
    pub(crate) async fn run_scripts(&self, whether: bool) -> Outcome {
        self.tell("Emulation.setScriptExecutionDisabled", json!({"value": !whether})).await.map(drop)
    }

    /// A command of the DevTools protocol, and its answer.
    async fn tell(&self, command: &'static str, parameters: Value) -> Outcome<Value> {
        self.client.issue_cmd(DevTools { command, parameters }).await.map_err(|error| error.to_string())
    }

    /// What happened in the current tab since the last call.
    pub(crate) async fn record(&self) -> Outcome<Record> {
        let mut record = Record::default();
        for entry in self.log("performance").await? {
            let message: Value =
                serde_json::from_str(entry["message"].as_str().unwrap_or_default()).unwrap_or_default();
            record.note(&message["message"]);
        }
        for entry in self.log("browser").await? {
            if entry["level"] == "SEVERE" {
                record.console_errors.push(entry["message"].as_str().unwrap_or_default().to_owned());
            }
        }
        Ok(record)
    }

    async fn log(&self, kind: &'static str) -> Outcome<Vec<Value>> {
        let entries = self.client.issue_cmd(ReadLog(kind)).await.map_err(|error| error.to_string())?;
        Ok(entries.as_array().cloned().unwrap_or_default())
    }

    /// Ends it.
    pub(crate) async fn close(self) {
        let _ = self.client.close().await; // a browser that is gone is as good
    }
}

/// chromedriver, and the port where it listens. It takes any port of one address family and then wants the same one of the
/// other, which somebody else may have by then.
async fn start_driver(home: &Path) -> (Child, u16) {
    const STARTS: usize = 10;
    let mut said = String::new();
    for _ in 0..STARTS {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .env("HOME", home)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("chromedriver can be started: tests/packages installs it");
        said = match announced_port(&mut driver).await {
            Ok(port) => return (driver, port),
            Err(said) if said.contains("port not available") => said,
            Err(said) => panic!("chromedriver ended before it said its port: {said}"),
        };
    }
    panic!("chromedriver finds no port that is free for both address families: {said}");
}

/// chromedriver says on stdout which port it has; else what it said.
async fn announced_port(driver: &mut Child) -> Result<u16, String> {
    let mut lines = BufReader::new(driver.stdout.take().expect("stdout is piped")).lines();
    let mut said = String::new();
    while let Ok(Some(line)) = lines.next_line().await {
        let port = line.strip_prefix("ChromeDriver was started successfully on port ");
        if let Some(port) = port.and_then(|rest| rest.trim_end_matches('.').parse().ok()) {
            return Ok(port);
        }
        said += &format!("{line}\n");
    }
    Err(said)
}

fn capabilities(home: &Path, further: &[&str]) -> serde_json::Map<String, Value> {
    let mut switches: Vec<String> = SWITCHES.iter().chain(further).map(|&switch| switch.to_owned()).collect();
    switches.push(format!("--user-data-dir={}", home.join("profile").display()));
    switches.push("--window-size=1280,900".to_owned());
    let capabilities = json!({
        "goog:chromeOptions": {
            "args": switches,
            "prefs": {"download.default_directory": downloads(home)},
        },
        "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        "timeouts": {"pageLoad": PATIENCE.as_millis(), "script": PATIENCE.as_millis()},
    });
    match capabilities {
        Value::Object(map) => map,
        _ => unreachable!("written as an object above"),
    }
}

/// Where a browser started in `home` puts what it downloads.
fn downloads(home: &Path) -> PathBuf {
    home.join("downloads")
}

/// Chromium's own command to read and empty a log.
#[derive(Debug)]
struct ReadLog(&'static str);

impl WebDriverCompatibleCommand for ReadLog {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/se/log", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(json!({"type": self.0}).to_string()))
    }
}

/// Chromium's way to take a command of the DevTools protocol.
#[derive(Debug)]
struct DevTools {
    command: &'static str,
    parameters: Value,
}

impl WebDriverCompatibleCommand for DevTools {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(json!({"cmd": self.command, "params": self.parameters}).to_string()))
    }
}

/// What a tab asked the network for, and what it complained about.
#[derive(Debug, Default)]
pub(crate) struct Record {
    by_id: BTreeMap<String, usize>,
    /// In the order of their start; a redirect starts a new one.
    pub(crate) requests: Vec<Request>,
    /// Errors in the console, as Chromium words them.
    pub(crate) console_errors: Vec<String>,
}

/// One request, or one WebSocket.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Absolute; `ws://` for a WebSocket.
    pub(crate) url: String,
    /// What it ended with, or nothing yet.
    pub(crate) end: Option<End>,
}

/// How a request ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum End {
    /// With an answer.
    Status(u64),
    /// Without one, or in the middle of it; Chromium's word for the reason.
    Failure(String),
}

impl Record {
    /// Takes in an event of the DevTools protocol's Network domain.
    fn note(&mut self, event: &Value) {
        let parameters = &event["params"];
        let id = parameters["requestId"].as_str().unwrap_or_default();
        match event["method"].as_str().unwrap_or_default() {
            "Network.requestWillBeSent" => {
                self.end(id, status(&parameters["redirectResponse"]));
                self.start(id, &parameters["request"]["url"]);
            }
            "Network.webSocketCreated" => self.start(id, &parameters["url"]),
            "Network.responseReceived" | "Network.webSocketHandshakeResponseReceived" => {
                self.end(id, status(&parameters["response"]));
            }
            // A page that is left, or a script that changes its mind.
            "Network.loadingFailed" if parameters["canceled"] != true => {
                self.end(id, parameters["errorText"].as_str().map(|text| End::Failure(text.to_owned())));
            }
            "Network.webSocketFrameError" => {
                self.end(id, parameters["errorMessage"].as_str().map(|text| End::Failure(text.to_owned())));
            }
            _ => {}
        }
    }

    fn start(&mut self, id: &str, url: &Value) {
        self.by_id.insert(id.to_owned(), self.requests.len());
        self.requests.push(Request { url: url.as_str().unwrap_or_default().to_owned(), end: None });
    }

    fn end(&mut self, id: &str, end: Option<End>) {
        if let (Some(&number), Some(end)) = (self.by_id.get(id), end) {
            self.requests[number].end = Some(end);
        }
    }

    /// The WebSockets that were accepted, over HTTP/1.1 or HTTP/2.
    pub(crate) fn open_web_sockets(&self) -> usize {
        let is_accepted = |end: &Option<End>| matches!(end, Some(End::Status(101 | 200)));
        let open = |request: &&Request| request.url.starts_with("ws") && is_accepted(&request.end);
        self.requests.iter().filter(open).count()
    }
}

fn status(answer: &Value) -> Option<End> {
    answer["status"].as_u64().map(End::Status)
}
