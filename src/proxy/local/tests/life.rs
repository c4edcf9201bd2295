//! How long things last: draining, clients that leave, idleness, and what is counted.

use super::*;

fn hand_made() -> (LocalProxy, Hands) {
    let (service, hands) = by_hand();
    (local(vec![site(LABEL, PROXY_PATH, service)]), hands)
}

/// Waits until the far end of a connection by hand is gone.
async fn is_gone(connection: &mut BufReader<DuplexStream>) {
    assert_eq!(soon(connection.read_to_end(&mut Vec::new())).await.unwrap(), 0);
}

#[tokio::test]
async fn answers_under_way_are_finished_at_the_end() {
    let (mut local, mut hands) = hand_made();
    let logged = LoggedRequests::default();
    local.log = logged.log();
    let serving = Serving::start(local).await;
    let mut wire = serving.connect().await;
    wire.send(&format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", serving.host())).await;
    let (mut connection, _) = next(&mut hands).await;
    connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf").await.unwrap();
    wire.head().await;
    assert_eq!(wire.exactly(4).await, "half");
    let address = serving.addresses[0];
    let stopping = tokio::spawn(serving.stop());
    soon(async { while TcpStream::connect(address).await.is_ok() {} }).await;
    assert!(!stopping.is_finished());
    connection.write_all(b"done").await.unwrap();
    assert_eq!(wire.rest().await, "done");
    assert_eq!(stopping.await.unwrap(), 0);
    assert_eq!(logged.counts(), RequestCounts { requests: 1, refused: 0, tunnels: 0 });
}

#[tokio::test]
async fn idle_connections_do_not_hold_the_end() {
    let serving = Serving::start(echoing()).await;
    let mut used = serving.connect().await;
    used.send(&format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", serving.host())).await;
    let head = used.head().await;
    used.exactly(field(&head, "content-length").unwrap().parse().unwrap()).await;
    let _unused = serving.connect().await;
    assert_eq!(serving.stop().await, 0);
    assert_eq!(used.rest().await, "");
}

#[tokio::test]
async fn what_takes_longer_than_the_grace_is_cut() {
    let (local, mut hands) = hand_made();
    let serving = Serving::with_grace(local, Duration::from_millis(50)).await;
    let mut wire = serving.connect().await;
    wire.send(&request_text(&serving.host(), "GET /", "")).await;
    let (mut connection, _) = next(&mut hands).await;
    assert_eq!(serving.stop().await, 1);
    assert_eq!(wire.rest().await, "");
    is_gone(&mut connection).await;
}

#[tokio::test]
async fn dropping_it_cuts_everything() {
    let (local, mut hands) = hand_made();
    let serving = Serving::start(local).await;
    let mut wire = serving.connect().await;
    wire.send(&request_text(&serving.host(), "GET /", "")).await;
    let (mut connection, _) = next(&mut hands).await;
    serving.done.abort();
    assert_eq!(wire.rest().await, "");
    is_gone(&mut connection).await;
}

#[tokio::test]
async fn who_only_half_closes_still_gets_the_answer() {
    let (local, mut hands) = hand_made();
    let serving = Serving::start(local).await;
    let mut wire = serving.connect().await;
    wire.send(&format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", serving.host())).await;
    wire.finish().await;
    let (mut connection, _) = next(&mut hands).await;
    connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
    assert_eq!(body_of(&wire.rest().await), "ok");
}

#[tokio::test]
async fn a_silent_answer_ends_when_its_client_is_gone() {
    let (local, mut hands) = hand_made();
    let serving = Serving::start(local).await;
    let mut wire = serving.connect().await;
    wire.send(&request_text(&serving.host(), "GET /events", "")).await;
    let (mut connection, _) = next(&mut hands).await;
    connection.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n").await.unwrap();
    assert_eq!(status_of(&wire.head().await), 200);
    drop(wire);
    is_gone(&mut connection).await;
}

#[tokio::test]
async fn an_upload_that_breaks_off_is_not_taken_for_whole() {
    let (local, mut hands) = hand_made();
    let serving = Serving::start(local).await;
    let mut wire = serving.connect().await;
    wire.send(&request_text(&serving.host(), "POST /\nTransfer-Encoding: chunked", "4\r\nhalf\r\n")).await;
    let (mut connection, _) = next(&mut hands).await;
    let mut half = [0; 9];
    soon(connection.read_exact(&mut half)).await.unwrap();
    assert_eq!(&half, b"4\r\nhalf\r\n");
    drop(wire);
    is_gone(&mut connection).await;
}

#[tokio::test]
async fn a_client_that_talks_nonsense_harms_nobody() {
    let serving = Serving::start(echoing()).await;
    for nonsense in ["\0\0\0\0\r\n\r\n", "GET", "", "GET / HTTP/1.1\r\nHost"] {
        let mut wire = serving.connect().await;
        wire.send(nonsense).await;
    }
    assert_eq!(status_of(&serving.ask("GET /").await), 200);
}

#[tokio::test]
async fn idle_means_nothing_open() {
    let (mut local, mut hands) = hand_made();
    let activity = TrafficStats::default();
    local.activity = activity.clone();
    let serving = Serving::start(local).await;
    let mut wire = serving.connect().await;
    wire.send(&request_text(&serving.host(), "GET /", "")).await;
    let (mut connection, _) = next(&mut hands).await;
    connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no").await.unwrap();
    wire.head().await;
    let short = Duration::from_millis(50);
    assert!(timeout(short * 4, activity.idle_for(short)).await.is_err());
    connection.write_all(b"k").await.unwrap();
    wire.rest().await;
    soon(activity.idle_for(short)).await;
}

#[tokio::test]
async fn the_log_hears_of_every_request_once() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let listener = Arc::clone(&told);
    let mut local = answering(|request| async move {
        let body = http_body_util::BodyExt::collect(request.into_body()).await.unwrap().to_bytes();
        let mut response = Response::new(Body::full(body));
        response.extensions_mut().insert("by hand");
        response
    });
    local.log = Some(RequestLog::new(true, move |record| {
        let RequestRecord { method, path, status, bytes_in, bytes_out, site, .. } = record;
        let via = record.extensions.get::<&str>().copied();
        let line = format!("{method} {path} {} {bytes_in} {bytes_out} {site:?} {via:?}", status.as_str());
        listener.lock().unwrap().push(line);
    }));
    let serving = Serving::start(local).await;
    let mut wire = serving.connect().await;
    wire.send(&request_text(&serving.host(), "POST /a%20b?token=secret\nContent-Length: 5", "hello")).await;
    wire.rest().await;
    serving.ask_at("evil.example", "GET /refused").await;
    serving.stop().await;
    let expect = [format!("POST /a%20b 200 5 5 Some(\"{LABEL}\") Some(\"by hand\")"), "GET /refused 421".to_owned()];
    let told = told.lock().unwrap();
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(told[0], expect[0]);
    assert!(told[1].starts_with(&expect[1]) && told[1].ends_with("None None"), "{told:?}");
}
