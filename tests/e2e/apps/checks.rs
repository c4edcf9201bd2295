//! What a person does with each app, and what they must see.

use std::fs;

use super::Page;
use crate::browser::Outcome;

/// A page with assets, a folder that redirects to its slash, a listing, and a piece of a file.
pub(super) async fn nginx(page: &Page<'_>) -> Outcome {
    let browser = page.browser;
    browser.until_text("h1", "Front page").await?;
    browser.until("the script to run", "return document.body.dataset.script === 'ran'", &[]).await?;
    browser
        .until(
            "the style sheet",
            "return getComputedStyle(document.querySelector('h1')).color === 'rgb(0, 90, 60)'",
            &[],
        )
        .await?;
    browser.until("the picture", "return document.querySelector('#mark').naturalWidth === 48", &[]).await?;
    browser.click("#files").await?;
    browser.until("the listing's own URL", "return location.href === arguments[0]", &[&page.at("files/")]).await?;
    browser.until_text("a[href='lines.txt']", "lines.txt").await?;
    let range = "const answer = await fetch('lines.txt', {headers: {Range: 'bytes=13-25'}});
                 return [answer.status, answer.headers.get('content-range'), await answer.text()].join(' ')";
    expect(&browser.run(range, &[]).await?, "206 bytes 13-25/1300000 line 0000002\n")?;
    browser.click("a[href='deeper/']").await?;
    browser.until_text("a[href='note.txt']", "note.txt").await?;
    browser.click("a[href='../']").await?;
    browser.until_text("h1", "Index of /files/").await
}

/// Its page of contents, redirects of both kinds, a cookie, and its own Basic authentication.
pub(super) async fn httpbin(page: &Page<'_>) -> Outcome {
    let browser = page.browser;
    browser.until_text(".opblock-tag", "HTTP Methods").await?;
    for path in ["relative-redirect/2", "absolute-redirect/2"] {
        browser.open(&page.at(path)).await?;
        browser
            .until(&format!("{path} to end at /get"), "return location.href === arguments[0]", &[&page.at("get")])
            .await?;
    }
    browser.open(&page.at("cookies/set/flavour/mint")).await?;
    browser.until_text("body", "\"flavour\": \"mint\"").await?;
    browser.reload().await?;
    browser.until_text("body", "\"flavour\": \"mint\"").await?;
    let login = "const answer = await fetch(arguments[0], {headers: {Authorization: 'Basic ' + btoa('me:secret')}});
                 return answer.status + ' ' + (await answer.text()).replace(/\\s/g, '')";
    let answer = browser.run(login, &[&page.at("basic-auth/me/secret")]).await?;
    expect(&answer, r#"200 {"authenticated":true,"user":"me"}"#)
}

/// A query as a table and as a graph, and the page of targets.
pub(super) async fn prometheus(page: &Page<'_>) -> Outcome {
    let browser = page.browser;
    let scraped = "return (await (await fetch(arguments[0])).json()).data.result.length > 0";
    let figures = page.at(&format!("api/v1/query?query=up{{instance=\"{}:8080\"}}", page.ip));
    browser.until("the first figures", scraped, &[&figures]).await?;
    browser.type_into("textarea[name=expr]", "up").await?;
    browser.run("document.querySelector('.execute_btn').click()", &[]).await?; // it may be below the suggestions
    browser.until_text(".console_table td", "up{instance=").await?;
    browser.click_text(".nav-tabs a", "Graph").await?;
    browser
        .until(
            "the graph",
            "document.querySelector('.execute_btn').click(); // a graph needs two figures, and they come each second
         await new Promise(resolve => setTimeout(resolve, 500));
         return !!document.querySelector('.rickshaw_graph svg path')",
            &[],
        )
        .await?;
    browser.click_text("a", "Targets").await?;
    browser.until_text("body", "itself (1/1 up)").await
}

/// The worker that is there, and a finished task of its.
pub(super) async fn flower(page: &Page<'_>) -> Outcome {
    let browser = page.browser;
    browser.until_text("td", "Online").await?;
    browser.click_text("td a", &format!("worker@{}", page.ip)).await?;
    browser.until_text("td", "Max concurrency").await?;
    browser.click_text("nav a", "Tasks").await?;
    browser.until_text("td", "SUCCESS").await?;
    browser.click("td a[href*='/task/']").await?;
    browser.until_text("body", "[20, 22]").await
}

/// A login with a password that outlives a reload, and a kernel that computes.
pub(super) async fn jupyterlab(page: &Page<'_>) -> Outcome {
    let browser = page.browser;
    log_in(page).await?;
    compute(page).await?;
    browser.reload().await?;
    stays_logged_in(page).await
}

async fn log_in(page: &Page<'_>) -> Outcome {
    let browser = page.browser;
    let where_it_is = "return document.querySelector('input[name=password]') ? 'login'
                           : document.querySelector('#jp-main-dock-panel') && 'lab'";
    if browser.until("the login or the lab", where_it_is, &[]).await? == "login" {
        browser.type_into("input[name=password]", "lab").await?;
        browser.click("#login_submit").await?;
    }
    browser.until("the lab", "return !!document.querySelector('#jp-main-dock-panel')", &[]).await.map(drop)
}

async fn compute(page: &Page<'_>) -> Outcome {
    let browser = page.browser;
    let notebook = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/apps/jupyterlab/sums.ipynb");
    fs::copy(notebook, page.data.join("notebooks/sums.ipynb")).map_err(|error| error.to_string())?; // without output
    browser.open(&page.at("lab/tree/sums.ipynb")).await?;
    browser.until_text(".jp-Notebook .jp-CodeCell", "1+1").await?;
    kernel_is_there(page).await?;
    browser.click(".jp-CodeCell .cm-content").await?;
    browser.click(".jp-NotebookPanel-toolbar [data-jp-item-name=run] jp-button").await?;
    browser.until_text(".jp-OutputArea-output", "2").await?;
    browser.click(".jp-NotebookPanel-toolbar [data-jp-item-name=save] jp-button").await?;
    browser.until("the notebook to be saved", "return !document.querySelector('.jp-mod-dirty')", &[]).await.map(drop)
}

/// After a reload: the output that was saved is there again, and no form asks for the password.
async fn stays_logged_in(page: &Page<'_>) -> Outcome {
    let url = page.browser.url().await?;
    if url.contains("/login") {
        return Err(format!("the login was lost: {url}"));
    }
    page.browser.until_text(".jp-OutputArea-output", "2").await?;
    kernel_is_there(page).await
}

async fn kernel_is_there(page: &Page<'_>) -> Outcome {
    page.browser.until_text("#jp-main-statusbar", "Python 3 (ipykernel) | Idle").await
}

/// Both labs, in two tabs of one browser, logged in and computing beside each other.
pub(super) async fn two_jupyterlabs(one: &Page<'_>, two: &Page<'_>) -> Outcome {
    let browser = one.browser;
    browser.open(&one.base).await?;
    log_in(one).await?;
    let first = browser.new_tab().await?;
    browser.open(&two.base).await?;
    log_in(two).await?;
    compute(two).await?;
    browser.switch_to(&first).await?;
    compute(one).await?;
    browser.reload().await?;
    stays_logged_in(one).await?;
    browser.screenshot(&one.picture).await
}

/// A curve.
pub(super) async fn tensorboard(page: &Page<'_>) -> Outcome {
    let browser = page.browser;
    browser.until_text("scalar-card", "loss").await?;
    browser.until_text("scalar-card td, scalar-card tb-data-table-content-cell", "0.0207").await // of the last step
}

/// A button that answers over the WebSocket, a file up and a file down.
pub(super) async fn streamlit(page: &Page<'_>) -> Outcome {
    let browser = page.browser;
    browser.until_text("h1", "Counter").await?;
    browser.until_text("p", "Count is 0").await?;
    browser.click_text("button", "Add one").await?;
    browser.until_text("p", "Count is 1").await?;
    let file = page.data.join("upload.txt");
    fs::write(&file, "1234567").map_err(|error| error.to_string())?;
    browser.type_into("input[type=file]", &file.display().to_string()).await?;
    browser.until_text("p", "Got 7 bytes").await?;
    browser.click_text("button", "Download").await?;
    browser.until_downloaded("answer.txt", "forty-two\n").await
}

/// The editor, and a message from a flow over its WebSocket.
pub(super) async fn node_red(page: &Page<'_>) -> Outcome {
    let browser = page.browser;
    browser.until_text(".red-ui-flow-node", "greet").await?;
    browser.run("RED.sidebar.show('debug')", &[]).await?;
    browser.click(".red-ui-flow-node-button-button").await?;
    browser.until_text(".red-ui-debug-msg", "hello from the flow").await
}

/// Modules, and one that is replaced while the page stays.
pub(super) async fn vite(page: &Page<'_>) -> Outcome {
    let browser = page.browser;
    let module = page.data.join("site/message.js");
    browser.until_text("h1", "Hot reload").await?;
    browser.until("the first message", "return document.querySelector('#message').textContent", &[]).await?;
    browser.run("window.stayed = true", &[]).await?;
    let text = format!("from {}", page.picture.file_stem().and_then(|name| name.to_str()).unwrap_or_default());
    fs::write(module, format!("export const message = {text:?};\n")).map_err(|error| error.to_string())?;
    browser.until_text("#message", &text).await?;
    browser.until("the same page as before", "return window.stayed", &[]).await.map(drop)
}

/// The docs page, and a request made from it.
pub(super) async fn fastapi(page: &Page<'_>) -> Outcome {
    let browser = page.browser;
    browser.until_text(".opblock-summary-path", "/items").await?;
    browser.click(".opblock-summary-control").await?;
    browser.click(".try-out__btn").await?;
    browser.type_into("tr[data-param-name=number] input", "42").await?;
    browser.click(".execute").await?;
    browser.until_text(".live-responses-table .response-col_status", "200").await?;
    browser.until_text(".live-responses-table", "\"number\": 42").await
}

/// Django's own login, with its token in a cookie and in the form, and a session.
pub(super) async fn django(page: &Page<'_>) -> Outcome {
    let browser = page.browser;
    browser.until_text("h1", "Front page").await?;
    browser.click("#login").await?;
    browser.type_into("input[name=username]", "ann").await?;
    browser.type_into("input[name=password]", "secret").await?;
    browser.click("button").await?;
    browser.until_text("h1", "Hello ann").await?;
    browser.until("its own URL", "return location.href === arguments[0]", &[&page.base]).await?;
    browser.reload().await?;
    browser.until_text("h1", "Hello ann").await
}

fn expect(seen: &serde_json::Value, wanted: &str) -> Outcome {
    if seen == wanted { Ok(()) } else { Err(format!("expected {wanted:?}, got {seen}")) }
}
