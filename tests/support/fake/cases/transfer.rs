//! Methods, bodies and their framing.

use std::time::Duration;

use tokio::time::timeout;

use super::script::{Case, answer, unframed};
use super::stage::Stage;
use crate::stream::{read_until, send};

pub(crate) fn cases() -> Vec<Case> {
    [methods(), requests(), answers()].concat()
}

fn methods() -> Vec<Case> {
    let passed =
        |method: &str| Case::new(format!("{method} passes"), &format!("{method} /x")).sees(&format!("{method} /x"));
    let refused = |method: &str| {
        Case::new(format!("{method} is refused"), &format!("{method} /x")).sees_nothing().gets_status_with(
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
            "{}",
        )
    };
    let mut cases = ["GET", "DELETE", "OPTIONS"].map(passed).to_vec();
    cases.extend(["POST", "PUT", "PATCH"].map(|method| passed(method).body("data").sees_body("data")));
    cases.extend(["PROPFIND", "TRACE"].map(refused));
    cases
}

fn requests() -> Vec<Case> {
    vec![
        Case::new("a body of known length keeps it", "POST /")
            .body("data")
            .sees_header("content-length", &["4"])
            .sees_header("transfer-encoding", &[]),
        Case::new("a body of unknown length stays so", "POST /")
            .header("Transfer-Encoding", "chunked")
            .raw_body("4\r\ndata\r\n0\r\n\r\n")
            .sees_header("transfer-encoding", &["chunked"])
            .sees_header("content-length", &[])
            .sees_body("data"),
        Case::new("a GET may have a body", "GET /").body("data").sees_body("data"),
        Case::new("a GET without one has none", "GET /")
            .sees_header("content-length", &[])
            .sees_header("transfer-encoding", &[]),
    ]
}

fn answers() -> Vec<Case> {
    vec![
        Case::new("a HEAD keeps its length", "HEAD /")
            .answer(unframed("200 OK", &["Content-Length: 1000", "Content-Type: text/plain"], ""))
            .gets_header("content-length", &["1000"]),
        Case::new("304", "GET /")
            .header("If-None-Match", "\"x\"")
            .answer(unframed("304 Not Modified", &["ETag: \"x\"", "Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT"], ""))
            .gets(304)
            .gets_header("etag", &["\"x\""])
            .gets_header("last-modified", &["Thu, 01 Jan 2026 00:00:00 GMT"]),
        Case::new("204", "DELETE /").answer(unframed("204 No Content", &[], "")).gets(204),
        Case::new("a part", "GET /")
            .header("Range", "bytes=1-2")
            .answer(answer("206 Partial Content", &["Content-Range: bytes 1-2/4", "Content-Type: text/plain"], "bc"))
            .gets(206)
            .gets_header("content-range", &["bytes 1-2/4"])
            .gets_header("content-length", &["2"])
            .gets_body("bc"),
        Case::new("a body that ends with the connection", "GET /")
            .answer(unframed("200 OK", &["Content-Type: text/plain"], "text"))
            .gets_body("text"),
        Case::new("an answer that is cut off", "GET /")
            .answer(unframed("200 OK", &["Content-Length: 1000", "Content-Type: text/plain"], "text"))
            .gets_broken(),
        Case::new("chunks that are cut off", "GET /")
            .answer(unframed("200 OK", &["Transfer-Encoding: chunked", "Content-Type: text/plain"], "4\r\ntext\r\n"))
            .gets_broken(),
        Case::new("trailers pass", "GET /")
            .header("TE", "trailers")
            .answer(unframed(
                "200 OK",
                &["Transfer-Encoding: chunked", "Trailer: X-Sum", "Content-Type: text/plain"],
                "4\r\ntext\r\n0\r\nX-Sum: 5\r\n\r\n",
            ))
            .gets_header("trailer", &["X-Sum"])
            .gets_body("text")
            .gets_trailer("x-sum", &["5"]),
        Case::new("a status that HTTP does not know", "GET /")
            .answer(answer("299 Odd", &[], "odd"))
            .gets(299)
            .gets_body("odd"),
    ]
}

/// Each server-sent event reaches the client before the next one is sent.
pub(crate) async fn events_pass_at_once(stage: &Stage) -> Result<(), String> {
    let mut client = stage.connect().await;
    send(&mut client, stage.request(&Case::new("events", "GET /events"))).await?;
    let mut pod = stage.accept().await;
    read_until(&mut pod, "\r\n\r\n").await?;
    send(&mut pod, unframed("200 OK", &["Content-Type: text/event-stream"], "")).await?;
    for number in 0..3 {
        send(&mut pod, format!("data: {number}\n\n")).await?;
        read_until(&mut client, &format!("data: {number}\n\n")).await?;
    }
    Ok(())
}

/// Nothing of a page reaches the client before its end has reached the API server.
pub(crate) async fn a_page_waits_for_its_end(stage: &Stage) -> Result<(), String> {
    /// An answer that is not held back takes a few milliseconds.
    const HELD_BACK: Duration = Duration::from_millis(150);
    let mut client = stage.connect().await;
    send(&mut client, stage.request(&Case::new("page", "GET /page"))).await?;
    let mut pod = stage.accept().await;
    read_until(&mut pod, "\r\n\r\n").await?;
    send(&mut pod, unframed("200 OK", &["Content-Type: text/html"], "<a href=/x>")).await?;
    if timeout(HELD_BACK, read_until(&mut client, "HTTP/1.1")).await.is_ok() {
        return Err("something arrived".to_owned());
    }
    drop(pod);
    read_until(&mut client, "<a href=").await.map(drop)
}

/// Each piece of a body reaches the Pod before the next one is sent.
pub(crate) async fn uploads_pass_at_once(stage: &Stage) -> Result<(), String> {
    let mut client = stage.connect().await;
    let case = Case::new("upload", "POST /upload").header("Transfer-Encoding", "chunked");
    send(&mut client, stage.request(&case)).await?;
    let mut pod = stage.accept().await;
    for number in 0..3 {
        send(&mut client, format!("7\r\npiece {number}\r\n")).await?;
        read_until(&mut pod, &format!("piece {number}")).await?;
    }
    send(&mut client, "0\r\n\r\n").await?;
    read_until(&mut pod, "0\r\n\r\n").await?;
    send(&mut pod, unframed("200 OK", &["Content-Length: 4"], "done")).await?;
    read_until(&mut client, "done").await.map(drop)
}
