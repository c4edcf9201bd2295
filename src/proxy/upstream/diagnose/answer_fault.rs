//! What is malformed in an app's answer, told from the words of whoever could not read it. Pure.

use std::fmt;

/// What is malformed in an answer that is HTTP otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerFault {
    /// A line of its header is none.
    HeaderLine,
    /// What it says of its length is no number, or are several.
    ContentLength,
    /// What it says of how its body is sent is not one `chunked`.
    TransferEncoding,
    /// Its chunks are none.
    Chunks,
    /// Its compressed body is damaged, or something follows it.
    Compression,
    /// Its body ends before the length that it says.
    TooShort,
}

/// Who says so with which words: Go's `net/http`, `net/textproto` and `compress/gzip` in the API server, and hyper here. The
/// first that are in a message say what is wrong.
const WORDS: [(&[&str], AnswerFault); 6] = [
    (&["malformed MIME header", "invalid HTTP header parsed"], AnswerFault::HeaderLine),
    (
        &[
            "bad Content-Length ",
            "invalid empty Content-Length",
            "cannot contain multiple Content-Length",
            "invalid content-length parsed",
        ],
        AnswerFault::ContentLength,
    ),
    (
        &["too many transfer encodings: ", "unsupported transfer encoding: ", "transfer-encoding parsed"],
        AnswerFault::TransferEncoding,
    ),
    (&["malformed chunked encoding", "invalid byte in chunk length", "suspiciously long trailer"], AnswerFault::Chunks),
    (&["gzip: invalid header", "gzip: invalid checksum"], AnswerFault::Compression),
    (&["unexpected EOF"], AnswerFault::TooShort),
];

impl AnswerFault {
    /// What `words` say is malformed, if they do.
    pub(in crate::proxy::upstream) fn told_by(words: &str) -> Option<Self> {
        let is_said = |known: &[&str]| known.iter().any(|known| words.contains(known));
        WORDS.into_iter().find(|(known, _)| is_said(known)).map(|(_, fault)| fault)
    }
}

/// What is wrong, as the end of a sentence after a colon.
impl fmt::Display for AnswerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HeaderLine => "it has a malformed header line",
            Self::ContentLength => "its Content-Length is not one number",
            Self::TransferEncoding => "its Transfer-Encoding is not chunked, once",
            Self::Chunks => "its chunks are malformed",
            Self::Compression => "its compressed body is damaged, or something follows it",
            Self::TooShort => "its body is shorter than it says",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_words_mean() {
        let broken = "net/http: HTTP/1.x transport connection broken: ";
        for (words, expect) in [
            (&*format!(r#"{broken}malformed MIME header: missing colon: "PHP Warning""#), AnswerFault::HeaderLine),
            (&format!(r#"{broken}malformed MIME header line: "a\x00: b""#), AnswerFault::HeaderLine),
            ("invalid HTTP header parsed", AnswerFault::HeaderLine),
            (&format!(r#"{broken}bad Content-Length "5, 5""#), AnswerFault::ContentLength),
            (
                &format!(r#"{broken}http: message cannot contain multiple Content-Length headers; got ["5" "6"]"#),
                AnswerFault::ContentLength,
            ),
            ("invalid content-length parsed", AnswerFault::ContentLength),
            (&format!(r#"{broken}too many transfer encodings: ["chunked" "chunked"]"#), AnswerFault::TransferEncoding),
            ("unexpected transfer-encoding parsed", AnswerFault::TransferEncoding),
            ("malformed chunked encoding", AnswerFault::Chunks),
            ("gzip: invalid header", AnswerFault::Compression),
            ("unexpected EOF", AnswerFault::TooShort),
        ] {
            assert_eq!(AnswerFault::told_by(words), Some(expect), "{words}");
        }
        for words in ["EOF", r#"malformed HTTP response "-ERR""#, "connection refused", "invalid HTTP version parsed"] {
            assert_eq!(AnswerFault::told_by(words), None, "{words}");
        }
    }
}
