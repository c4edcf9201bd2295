//! The first line that a client sends, with octets in its target that curl and scripts send as they are, and that no URL may
//! hold (RFC 3986 section 2): they are percent-encoded, as kubectl does.
//!
//! Only the first line of a connection is looked at: nothing before it could make something else look like one.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

/// The longest line that is looked at: no longer target is taken anyway.
const MAX_LINE_LENGTH: usize = 64 * 1024;

/// What is encoded in a path, and behind it: what `http::Uri` does not hold. Browsers do so themselves (WHATWG URL, section
/// 1.3).
const IN_PATH: [u8; 3] = *b"<>`";
/// The same in a query; the rest of it passes as it is.
const IN_QUERY: [u8; 3] = *b"\"<>";

/// How far the first line has come.
pub(super) enum FirstLine {
    /// Not to its end.
    Coming(Vec<u8>),
    /// It is there, and goes on from this octet.
    Going(Vec<u8>, usize),
    /// It has gone on.
    Gone,
}

impl Default for FirstLine {
    fn default() -> Self {
        Self::Coming(Vec::new())
    }
}

impl FirstLine {
    /// Reads from `stream`, of which this is the first line.
    pub(super) fn poll_read(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            match self {
                Self::Gone => return Pin::new(stream).poll_read(context, buffer),
                Self::Going(line, at) => {
                    let length = buffer.remaining().min(line.len() - *at);
                    buffer.put_slice(&line[*at..*at + length]);
                    *at += length;
                    if *at == line.len() {
                        *self = Self::Gone;
                    }
                    return Poll::Ready(Ok(()));
                }
                Self::Coming(line) => {
                    let before = buffer.filled().len();
                    ready!(Pin::new(&mut *stream).poll_read(context, buffer))?;
                    let came = &buffer.filled()[before..];
                    let is_end = came.is_empty();
                    if line.is_empty() && (is_end || !may_be_encoded(came)) {
                        *self = Self::Gone;
                        return Poll::Ready(Ok(()));
                    }
                    line.extend_from_slice(came);
                    buffer.set_filled(before);
                    if is_end || line.contains(&b'\n') || line.len() > MAX_LINE_LENGTH {
                        let line = encoded(line);
                        *self = if line.is_empty() { Self::Gone } else { Self::Going(line, 0) };
                        if is_end && matches!(self, Self::Gone) {
                            return Poll::Ready(Ok(()));
                        }
                    }
                }
            }
        }
    }
}

/// Whether this beginning of a connection is no whole line that can go on as it is.
fn may_be_encoded(beginning: &[u8]) -> bool {
    let line = beginning.split(|&octet| octet == b'\n').next().unwrap_or_default();
    let is_whole = line.len() < beginning.len();
    let is_request = beginning[0].is_ascii_uppercase();
    is_request && (!is_whole || line.iter().any(|octet| IN_PATH.contains(octet) || IN_QUERY.contains(octet)))
}

/// `text` with the target of its first line encoded.
fn encoded(text: &[u8]) -> Vec<u8> {
    let end = text.iter().position(|&octet| octet == b'\n').unwrap_or(text.len());
    let line = &text[..end];
    let spaces = (line.iter().position(|&octet| octet == b' '), line.iter().rposition(|&octet| octet == b' '));
    let (Some(begin), Some(last)) = spaces else { return text.to_vec() };
    let (mut encoded, mut wanted) = (text[..begin].to_vec(), IN_PATH);
    for &octet in &text[begin..last] {
        if octet == b'?' {
            wanted = IN_QUERY;
        }
        if wanted.contains(&octet) {
            encoded.extend_from_slice(format!("%{octet:02X}").as_bytes());
        } else {
            encoded.push(octet);
        }
    }
    encoded.extend_from_slice(&text[last..]);
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt as _;

    struct Encoding<S>(S, FirstLine);

    impl<S: AsyncRead + Unpin> AsyncRead for Encoding<S> {
        fn poll_read(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let Self(stream, line) = &mut *self;
            line.poll_read(stream, context, buffer)
        }
    }

    async fn check(text: &str, expect: &str) {
        for size in [1, 3, 1000] {
            let pieces = text.as_bytes().chunks(size).map(io::Cursor::new);
            let stream = pieces.fold(Box::new(tokio::io::empty()) as Box<dyn AsyncRead + Unpin>, |all, piece| {
                Box::new(all.chain(piece))
            });
            let mut read = String::new();
            Encoding(stream, FirstLine::default()).read_to_string(&mut read).await.unwrap();
            assert_eq!(read, expect, "in pieces of {size}");
        }
    }

    #[tokio::test]
    async fn the_target_of_the_first_line_and_nothing_else() {
        check("GET /a HTTP/1.1\r\nX: \"<\r\n\r\n", "GET /a HTTP/1.1\r\nX: \"<\r\n\r\n").await;
        check(
            "GET /<a>`^?m[]=up{job=\"x|y`\"} HTTP/1.1\r\nX: \"\r\n\r\nGET /\" HTTP/1.1\r\n",
            "GET /%3Ca%3E%60^?m[]=up{job=%22x|y`%22} HTTP/1.1\r\nX: \"\r\n\r\nGET /\" HTTP/1.1\r\n",
        )
        .await;
        check("GET /< b HTTP/1.1\r\n", "GET /%3C b HTTP/1.1\r\n").await;
        check("\"<>\r\n", "\"<>\r\n").await;
        check("GET /<", "GET /<").await;
        check("", "").await;
    }
}
