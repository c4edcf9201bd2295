//! What was opened last, among programs that know nothing of each other.

use std::fs;
use std::path::Path;

use futures_util::future::join_all;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{Plugin, web};
use support::fake::FakeApiServer;

const FOLDER: &str = "kubectl-svcproxy";

fn files(state: &Path) -> Vec<String> {
    let entries = fs::read_dir(state.join(FOLDER)).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn remembered(state: &Path) -> Vec<String> {
    let document: Value = serde_json::from_slice(&fs::read(state.join(FOLDER).join("history.json")).unwrap()).unwrap();
    let targets = document["targets"].as_array().unwrap().iter();
    targets.map(|target| target["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn programs_at_once_leave_a_whole_file() {
    let fake = FakeApiServer::start().await;
    let state = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..16).map(|number| format!("app-{number:02}")).collect();
    for name in &names {
        fake.service("default", name, json!([{"name": "http", "port": 80}]));
    }
    let open = |name: &String| Plugin::new(&fake).env("XDG_STATE_HOME", state.path()).args([name]).serve();
    for served in join_all(names.iter().map(open)).await {
        served.signal(Signal::TERM);
        let finished = served.end().await;
        assert_eq!((finished.code(), finished.stderr.contains("history")), (0, false), "{}", finished.stderr);
    }
    let ids = remembered(state.path());
    assert!(!ids.is_empty() && ids.iter().all(|id| names.contains(&id.replace(":http", ""))), "{ids:?}");
    assert_eq!(files(state.path()), ["history.json"]);
}

#[tokio::test]
async fn a_broken_file_is_set_aside_with_one_line() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    let state = tempfile::tempdir().unwrap();
    let folder = state.path().join(FOLDER);
    fs::create_dir(&folder).unwrap();
    let broken = "{\"version\": 1, \"targets\": [";
    let plugin = || Plugin::new(&fake).env("XDG_STATE_HOME", state.path());

    // Whoever presses Tab is told nothing, so nothing happens.
    fs::write(folder.join("history.json"), broken).unwrap();
    plugin().plain().args(["__complete", "-n", "x"]).ends(0, ":4\n", "").await;
    assert_eq!(fs::read_to_string(folder.join("history.json")).unwrap(), broken);

    let warning = |number: u32| {
        format!(
            "warning: the history was not usable (not understood at line 1, column 27) and is now \
             {}/history.json.unusable-{number}\n",
            folder.display()
        )
    };
    let listed = || plugin().plain().args(["--list", "-o", "name"]);
    listed().ends(0, "service/web\n", &warning(1)).await;
    listed().ends(0, "service/web\n", "").await;

    fs::write(folder.join("history.json"), broken).unwrap();
    let served = plugin().args(["web"]).serve().await;
    served.until_stderr("unusable-2").await;
    served.signal(Signal::TERM);
    let said = served.end().await.stderr;
    assert_eq!(said.matches("warning:").count(), 1, "{said}");
    assert!(said.contains(&warning(2)), "{said}");
    assert_eq!(remembered(state.path()), ["web:http"]);
    plugin().args(["-"]).serve().await.stop().await;
    let expect = ["history.json", "history.json.unusable-1", "history.json.unusable-2"];
    assert_eq!(files(state.path()), expect);
}
