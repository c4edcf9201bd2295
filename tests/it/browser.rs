//! Opening the browser: once the program serves, best effort, with nothing but its own URL.

use std::fs;
use std::path::Path;

use crate::harness::{Plugin, web};
use support::fake::FakeApiServer;
use support::{eventually, http as client};

/// A browser that records its arguments, one a line, in the plugin's folder.
const RECORDING: &str = "printf '%s\\n' \"$@\" > \"$(dirname \"$0\")/opened.new\" && mv \"$(dirname \"$0\")/opened.new\" \"$(dirname \"$0\")/opened\"";

async fn opened(home: &Path) -> Vec<String> {
    let file = home.join("opened");
    let text = eventually("the browser was started", async || fs::read_to_string(&file).ok()).await;
    text.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn the_browser_named_by_the_flag_gets_the_computed_proxy_url() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    for (command, expected) in
        [("{} --new-window", &["--new-window", "URL"][..]), ("{} -u %s -x", &["-u", "URL", "-x"])]
    {
        let plugin = Plugin::new(&fake).plain();
        let home = plugin.home().to_owned();
        let browser = plugin.script("browser", RECORDING);
        let command = command.replace("{}", &browser.display().to_string());
        let served = plugin.args(["web", "--port=0", "-o", "json", "--browser", &command]).serve().await;
        let expected: Vec<String> = expected.iter().map(|word| word.replace("URL", &served.proxy_url())).collect();
        assert_eq!(opened(&home).await, expected);
        served.stop().await;
    }
}

#[tokio::test]
async fn a_browser_in_a_folder_with_a_blank() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    for quoted in [false, true] {
        let plugin = Plugin::new(&fake).plain();
        let home = plugin.home().to_owned();
        fs::create_dir(home.join("my apps")).unwrap();
        let browser = plugin.script("my apps/browser", RECORDING).display().to_string();
        let command = if quoted { format!("\"{browser}\" --new-window") } else { browser };
        let served = plugin.args(["web", "--port=0", "-o", "json", "--browser", &command]).serve().await;
        let words = opened(&home.join("my apps")).await;
        assert_eq!(words.last(), Some(&served.proxy_url()), "{command}");
        served.stop().await;
    }
}

#[tokio::test]
async fn it_opens_at_the_path_asked_for() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    let plugin = Plugin::new(&fake).plain();
    let home = plugin.home().to_owned();
    let browser = plugin.script("browser", RECORDING);
    let arguments = ["web", "--port=0", "-o", "json", "--path=/ui/?a=b;c", "--browser"];
    let served = plugin.args(arguments).args([browser]).serve().await;
    assert_eq!(opened(&home).await, [format!("{}ui/?a=b;c", served.proxy_url())]);
    served.stop().await;
}

#[tokio::test]
async fn a_browser_that_fails_does_no_harm() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    let plugin = Plugin::new(&fake).plain();
    let browser = plugin.script("browser", "exit 3");
    let served = plugin.args(["web", "--port=0", "-o", "json", "--browser"]).args([browser]).serve().await;
    served.until_stderr("exit status: 3); open the URL yourself").await;
    assert_eq!(client::get(&served.proxy_url()).await.json()["target"], "/");
}

#[tokio::test]
async fn a_browser_that_stays_in_the_foreground_does_not_hold_anything() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    let plugin = Plugin::new(&fake).plain();
    let home = plugin.home().to_owned();
    let stays = format!("{RECORDING}; while kill -0 $PPID 2> /dev/null; do sleep 1; done");
    let browser = plugin.script("browser", &stays);
    let served = plugin.args(["web", "--port=0", "-o", "json", "--browser"]).args([browser]).serve().await;
    opened(&home).await;
    assert_eq!(client::get(&served.proxy_url()).await.json()["target"], "/");
    served.stop().await;
}

#[tokio::test]
async fn nobody_reads_so_nothing_opens() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    let plugin = Plugin::new(&fake).plain();
    let home = plugin.home().to_owned();
    let browser = plugin.script("browser", RECORDING);
    let served = plugin.env("BROWSER", browser).args(["web", "--port=0"]).serve().await;
    served.until_stderr("in a browser:").await;
    served.signal(rustix::process::Signal::TERM);
    served.end().await;
    assert!(!home.join("opened").exists());
}
