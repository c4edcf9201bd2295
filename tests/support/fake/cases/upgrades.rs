//! WebSockets and everything else that says `Connection: upgrade`.

use super::script::{Case, answer};
use super::stage::Stage;
use crate::stream::{read_until, send};

pub(crate) fn cases() -> Vec<Case> {
    let handshake = |name: &str, line: &str| {
        Case::new(name, line)
            .header("Connection", "keep-alive, Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Key", KEY)
            .header("Sec-WebSocket-Version", "13")
    };
    let invalid = |status: u16, line: &str| {
        handshake(&format!("an upgrade answered with {status}"), "GET /ws")
            .answer(answer(line, &["Location: /login"], ""))
            .gets_status(500, "", &format!("invalid upgrade response: status code {status}"))
    };
    let refused = |status: u16, line: &str| {
        handshake(&format!("an upgrade answered with {status}"), "GET /ws")
            .answer(answer(line, &["X-Why: because"], "no"))
            .gets(status)
            .gets_header("x-why", &["because"])
            .gets_header("audit-id", &[])
            .gets_body("no")
    };
    vec![
        handshake("a WebSocket opens", "GET /ws")
            .header("Origin", "http://x.localhost:8001")
            .header("Sec-WebSocket-Protocol", "chat")
            .header("Cookie", "a=b")
            .answer(switching(&["Sec-WebSocket-Protocol: chat", "Set-Cookie: c=d"]))
            .sees("GET /ws")
            .sees_header("host", &["{HOST}"])
            .sees_header("origin", &["http://x.localhost:8001"])
            .sees_header("cookie", &["a=b"])
            .sees_header("connection", &["keep-alive, Upgrade"])
            .sees_header("upgrade", &["websocket"])
            .sees_header("sec-websocket-key", &[KEY])
            .sees_header("sec-websocket-protocol", &["chat"])
            .sees_header("authorization", &[])
            .sees_header("user-agent", &["Go-http-client/1.1"])
            .sees_header("x-forwarded-for", &["{CLIENT}"])
            .sees_header("x-forwarded-uri", &[])
            .gets(101)
            .gets_header("upgrade", &["websocket"])
            .gets_header("sec-websocket-protocol", &["chat"])
            .gets_header("set-cookie", &["c=d"])
            .gets_header("audit-id", &[])
            .gets_header("cache-control", &[]),
        handshake("an upgrade loses its query", "GET /ws?token=x&dry").answer(switching(&[])).sees("GET /ws").gets(101),
        handshake("an upgrade's path is cleaned", "GET /a//b%2Fc/")
            .answer(switching(&[]))
            .sees("GET /a/b/c/")
            .gets(101),
        handshake("an upgrade needs no path", "GET").answer(switching(&[])).sees("GET /").gets(101),
        handshake("an upgrade keeps its CORS headers", "GET /ws")
            .answer(switching(&["Access-Control-Allow-Origin: *"]))
            .gets(101)
            .gets_header("access-control-allow-origin", &["*"]),
        invalid(200, "200 OK"),
        invalid(204, "204 No Content"),
        invalid(302, "302 Found"),
        refused(400, "400 Bad Request"),
        refused(403, "403 Forbidden"),
        refused(426, "426 Upgrade Required"),
        refused(503, "503 Service Unavailable"),
        Case::new("a word that contains upgrade is one", "GET /")
            .header("Connection", "x-upgrade-y")
            .sees_header("connection", &["x-upgrade-y"])
            .gets_status(500, "", "invalid upgrade response: status code 200"),
        Case::new("h2c is an upgrade too", "GET /")
            .header("Connection", "Upgrade, HTTP2-Settings")
            .header("Upgrade", "h2c")
            .header("HTTP2-Settings", "AAMAAABkAAQAoAAAAAIAAAAA")
            .gets_status(500, "", "invalid upgrade response: status code 200"),
        handshake("an upgrade to nobody", "GET /ws").id("deaf:http").sees_nothing().gets_status(
            500,
            "",
            "error dialing backend: dial tcp {DEAF}: connect: connection refused",
        ),
    ]
}

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// The accept key belongs to [`KEY`]; RFC 6455 section 1.3.
fn switching(headers: &[&str]) -> Vec<u8> {
    let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    let accept = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
    format!("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{accept}\r\n{lines}\r\n")
        .into_bytes()
}

fn tunnel() -> Case {
    Case::new("tunnel", "GET /ws").header("Connection", "Upgrade").header("Upgrade", "websocket")
}

/// Bytes pass both ways as they are, also those that come together with the answer.
pub(crate) async fn tunnels_carry_bytes(stage: &Stage) -> Result<(), String> {
    let mut client = stage.connect().await;
    send(&mut client, stage.request(&tunnel())).await?;
    let mut pod = stage.accept().await;
    read_until(&mut pod, "\r\n\r\n").await?;
    send(&mut pod, [switching(&[]), b"first".to_vec()].concat()).await?;
    read_until(&mut client, "first").await?;
    for round in 0..3 {
        send(&mut client, format!("\0up {round}")).await?;
        read_until(&mut pod, &format!("\0up {round}")).await?;
        send(&mut pod, format!("\0down {round}")).await?;
        read_until(&mut client, &format!("\0down {round}")).await?;
    }
    Ok(())
}

/// When one side ends, so does the other.
pub(crate) async fn tunnels_end(stage: &Stage) -> Result<(), String> {
    for client_goes in [true, false] {
        let mut client = stage.connect().await;
        send(&mut client, stage.request(&tunnel())).await?;
        let mut pod = stage.accept().await;
        read_until(&mut pod, "\r\n\r\n").await?;
        send(&mut pod, switching(&[])).await?;
        read_until(&mut client, "\r\n\r\n").await?;
        let ended = if client_goes {
            drop(client);
            read_until(&mut pod, "never").await
        } else {
            drop(pod);
            read_until(&mut client, "never").await
        };
        match ended {
            Err(why) if why.starts_with("ended") => {}
            other => return Err(format!("{other:?}")),
        }
    }
    Ok(())
}
