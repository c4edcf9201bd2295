//! What one client may ask of us over HTTP/2, and where each limit comes from. All of them are said here, so that none changes with
//! a dependency. What h2 bounds by itself and lets nobody set: CONTINUATION frames (a quarter more than the longest head
//! needs, CVE-2024-27316), empty and tiny DATA frames, and one answer to SETTINGS and PING at a time, which is written before more
//! is read. `tests/it/http2_attacks.rs` goes beyond each.

use std::time::Duration;

use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioTimer};

/// Requests under way on a connection: a page of three hundred scripts and a hundred event streams fit. RFC 9113 section 6.5.2
/// asks for a hundred at least; Go has 250.
const MAX_STREAMS: u32 = 500;
/// Octets of a head once it is unpacked, each line counted with 32 more (RFC 9113 section 6.5.2): what Chromium takes of an
/// answer's. A longer one is answered 431, one of four times that ends the connection.
const MAX_HEAD_SIZE: u32 = 256 * 1024;
/// Octets of the table by which heads refer to earlier ones: RFC 9113's own.
const HEADER_TABLE_SIZE: u32 = 4096;
/// Octets of a frame: RFC 9113's own, and the smallest that may be.
const MAX_FRAME_SIZE: u32 = 16 * 1024;
/// Octets of one upload that may be on their way to us: hyper's.
const STREAM_WINDOW_SIZE: u32 = 1024 * 1024;
/// Octets of all uploads of a connection: as much as four.
const CONNECTION_WINDOW_SIZE: u32 = 4 * 1024 * 1024;
/// Octets of one answer that wait for a client which does not read them: as much as a read of the answer brings. hyper's 400 KiB
/// would be 200 MiB for all streams.
const MAX_UNSENT: usize = 64 * 1024;
/// Requests that were taken back before anybody has looked at them: h2's (CVE-2023-44487).
const MAX_RESETS_BEFORE_USE: usize = 20;
/// Streams of a connection that had to be ended since the client broke the rules: hyper's and h2's (CVE-2025-8671).
const MAX_RESETS_FOR_FAULTS: usize = 1024;
/// How often a connection is asked whether anybody is there, and how long that may take: each as long as HTTP/1.1 waits for a
/// request's head.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(30);

/// A server of HTTP/2 with these limits.
pub(super) fn limited_http2() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .enable_connect_protocol()
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD_SIZE)
        .header_table_size(HEADER_TABLE_SIZE)
        .max_frame_size(MAX_FRAME_SIZE)
        .initial_stream_window_size(STREAM_WINDOW_SIZE)
        .initial_connection_window_size(CONNECTION_WINDOW_SIZE)
        .max_send_buf_size(MAX_UNSENT)
        .max_pending_accept_reset_streams(MAX_RESETS_BEFORE_USE)
        .max_local_error_reset_streams(MAX_RESETS_FOR_FAULTS)
        .keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT);
    builder
}
