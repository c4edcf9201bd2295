//! URLs as Go's `net/url` reads and prints them: what the API server does to every link it touches.
//!
//! Written after the documented behaviour of Go 1.26. Everything is bytes, because a decoded path may be anything.

/// A URL, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Url {
    /// In lower case; empty for a reference without one.
    scheme: Vec<u8>,
    /// What follows the scheme when that is no path: `javascript:alert(1)`.
    opaque: Vec<u8>,
    user: Option<User>,
    /// With its port.
    host: Vec<u8>,
    /// Decoded.
    path: Vec<u8>,
    /// The path as it stood, if Go would have encoded it otherwise.
    raw_path: Vec<u8>,
    /// As it stood, without the `?`.
    query: Option<Vec<u8>>,
    fragment: Vec<u8>,
    raw_fragment: Vec<u8>,
    /// `scheme:/path`: an authority is missing, not empty.
    has_no_authority: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct User {
    name: Vec<u8>,
    password: Option<Vec<u8>>,
}

/// Which characters need no encoding.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Of a path.
    Path,
    /// Of a host, where `%` may only stand for a byte that is not ASCII.
    Host,
    /// Of a user's name or password.
    User,
    /// Behind `#`.
    Fragment,
}

impl Part {
    fn leaves(self, byte: u8) -> bool {
        let extra: &[u8] = match self {
            Self::Path => b"$&+,/:;=@",
            Self::Host => b"!$&'()*+,;=:[]<>\"",
            Self::User => b"$&+,;=",
            Self::Fragment => b"$&+,/:;=?@!()*",
        };
        byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) || extra.contains(&byte)
    }
}

impl Url {
    /// Reads a URL or a reference. The error is Go's text.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, String> {
        let (rest, fragment) = cut(text, b'#');
        let mut url = Self::parse_without_fragment(rest).map_err(|reason| parse_error(rest, &reason))?;
        if let Some(fragment) = fragment.filter(|fragment| !fragment.is_empty()) {
            url.fragment = decode(fragment, Part::Fragment).map_err(|reason| parse_error(text, &reason))?;
            url.raw_fragment = fragment.to_vec();
        }
        Ok(url)
    }

    fn parse_without_fragment(text: &[u8]) -> Result<Self, String> {
        if text.iter().any(|byte| *byte < b' ' || *byte == 0x7f) {
            return Err("net/url: invalid control character in URL".to_owned());
        }
        let mut url = Self::default();
        if text == b"*" {
            url.path = text.to_vec();
            return Ok(url);
        }
        let (scheme, rest) = split_scheme(text)?;
        url.scheme = scheme.to_ascii_lowercase();
        let (rest, query) = cut(rest, b'?');
        url.query = query.map(<[u8]>::to_vec);
        if !rest.starts_with(b"/") {
            if !url.scheme.is_empty() {
                url.opaque = rest.to_vec();
                return Ok(url);
            }
            if cut(rest, b'/').0.contains(&b':') {
                return Err("first path segment in URL cannot contain colon".to_owned());
            }
        }
        let path = url.take_authority(rest)?;
        url.path = decode(path, Part::Path)?;
        url.raw_path = path.to_vec();
        Ok(url)
    }

    /// Reads `//user@host`, if it is there, and returns what follows.
    fn take_authority<'a>(&mut self, rest: &'a [u8]) -> Result<&'a [u8], String> {
        let has_scheme = !self.scheme.is_empty();
        let Some(authority) = rest.strip_prefix(b"//").filter(|_| has_scheme || !rest.starts_with(b"///")) else {
            self.has_no_authority = has_scheme && rest.starts_with(b"/");
            return Ok(rest);
        };
        let (authority, path) = authority.split_at(find(authority, b'/').unwrap_or(authority.len()));
        let host = match authority.iter().rposition(|byte| *byte == b'@') {
            Some(at) => {
                self.user = Some(User::parse(&authority[..at])?);
                &authority[at + 1..]
            }
            None => authority,
        };
        check_port(host)?;
        self.host = decode(host, Part::Host)?;
        Ok(path)
    }

    /// The host with its port; empty if there is none.
    pub(crate) fn host(&self) -> &[u8] {
        &self.host
    }

    /// The path, decoded.
    pub(crate) fn path(&self) -> &[u8] {
        &self.path
    }

    /// Another path, decoded.
    pub(crate) fn set_path(&mut self, path: Vec<u8>) {
        self.path = path;
    }

    /// Makes it a reference to the same host. A user's name stays, as in Go.
    pub(crate) fn drop_scheme_and_host(&mut self) {
        self.scheme.clear();
        self.host.clear();
    }

    /// Prints it.
    pub(crate) fn print(&self) -> Vec<u8> {
        let mut text = Vec::new();
        if !self.scheme.is_empty() {
            text.extend([&self.scheme[..], b":"].concat());
        }
        if self.opaque.is_empty() {
            self.print_authority(&mut text);
            self.print_path(&mut text);
        } else {
            text.extend(&self.opaque);
        }
        if let Some(query) = &self.query {
            text.push(b'?');
            text.extend(query);
        }
        if !self.fragment.is_empty() {
            text.push(b'#');
            text.extend(encode_as_before(&self.fragment, &self.raw_fragment, Part::Fragment));
        }
        text
    }

    fn print_authority(&self, text: &mut Vec<u8>) {
        let nothing = self.scheme.is_empty() && self.host.is_empty() && self.user.is_none();
        let missing = self.has_no_authority && self.host.is_empty() && self.user.is_none();
        if nothing || missing {
            return;
        }
        if !self.host.is_empty() || !self.path.is_empty() || self.user.is_some() {
            text.extend(b"//");
        }
        if let Some(user) = &self.user {
            user.print(text);
        }
        text.extend(encode(&self.host, Part::Host));
    }

    fn print_path(&self, text: &mut Vec<u8>) {
        let path = self.escaped_path();
        if !path.is_empty() && !path.starts_with(b"/") && !self.host.is_empty() {
            text.push(b'/');
        }
        if text.is_empty() && cut(&path, b'/').0.contains(&b':') {
            text.extend(b"./");
        }
        text.extend(path);
    }

    /// The path, encoded: as it stood where that still means the same.
    pub(crate) fn escaped_path(&self) -> Vec<u8> {
        if self.path == b"*" { self.path.clone() } else { encode_as_before(&self.path, &self.raw_path, Part::Path) }
    }
}

impl User {
    fn parse(text: &[u8]) -> Result<Self, String> {
        let valid = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(byte);
        if !text.iter().all(valid) {
            return Err("net/url: invalid userinfo".to_owned());
        }
        let (name, password) = cut(text, b':');
        let password = password.map(|password| decode(password, Part::User)).transpose()?;
        Ok(Self { name: decode(name, Part::User)?, password })
    }

    fn print(&self, text: &mut Vec<u8>) {
        text.extend(encode(&self.name, Part::User));
        if let Some(password) = &self.password {
            text.push(b':');
            text.extend(encode(password, Part::User));
        }
        text.push(b'@');
    }
}

/// `scheme:rest`; no scheme where the text before a colon could not be one.
fn split_scheme(text: &[u8]) -> Result<(&[u8], &[u8]), String> {
    let end = text.iter().position(|byte| !(byte.is_ascii_alphanumeric() || b"+-.".contains(byte)));
    match end {
        Some(0) if text[0] == b':' => Err("missing protocol scheme".to_owned()),
        Some(end) if text[end] == b':' && text[0].is_ascii_alphabetic() => Ok((&text[..end], &text[end + 1..])),
        _ => Ok((b"", text)),
    }
}

fn check_port(host: &[u8]) -> Result<(), String> {
    let after_literal = host.iter().rposition(|byte| *byte == b']').map_or(0, |end| end + 1);
    let Some(colon) = find(&host[after_literal..], b':') else { return Ok(()) };
    let port = &host[after_literal + colon..];
    if port[1..].iter().all(u8::is_ascii_digit) {
        return Ok(());
    }
    Err(format!("invalid port {} after host", quote(port)))
}

fn parse_error(text: &[u8], reason: &str) -> String {
    format!("parse {}: {reason}", quote(text))
}

/// Text in Go's double quotes.
pub(crate) fn quote(text: &[u8]) -> String {
    let mut quoted = String::from('"');
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' | '\\' => quoted.extend(['\\', character]),
                '\n' => quoted.push_str("\\n"),
                '\r' => quoted.push_str("\\r"),
                '\t' => quoted.push_str("\\t"),
                '\0'..' ' | '\x7f' => quoted.push_str(&format!("\\x{:02x}", u32::from(character))),
                _ => quoted.push(character),
            }
        }
        quoted.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    quoted.push('"');
    quoted
}

/// Undoes percent-encoding; an error names the first escape that is none.
pub(crate) fn decode(text: &[u8], part: Part) -> Result<Vec<u8>, String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        if byte != b'%' {
            if part == Part::Host && byte.is_ascii() && !part.leaves(byte) {
                return Err(format!("invalid character {} in host name", quote(&[byte])));
            }
            decoded.push(byte);
            rest = after;
            continue;
        }
        let invalid = || format!("invalid URL escape {}", quote(&rest[..rest.len().min(3)]));
        let value = hex(after).ok_or_else(invalid)?;
        if part == Part::Host && value.is_ascii() && value != b'%' {
            return Err(invalid());
        }
        decoded.push(value);
        rest = &after[2..];
    }
    Ok(decoded)
}

fn hex(text: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let value = digit(*text.first()?)? * 16 + digit(*text.get(1)?)?;
    u8::try_from(value).ok()
}

/// Percent-encodes.
pub(crate) fn encode(text: &[u8], part: Part) -> Vec<u8> {
    let escaped = |byte: &u8| if part.leaves(*byte) { vec![*byte] } else { format!("%{byte:02X}").into_bytes() };
    text.iter().flat_map(escaped).collect()
}

/// Percent-encodes, but keeps `before` where that is a valid encoding of the same.
fn encode_as_before(text: &[u8], before: &[u8], part: Part) -> Vec<u8> {
    let valid = before.iter().all(|byte| part.leaves(*byte) || b"!$&'()*+,;=:@[]%".contains(byte));
    if valid && !before.is_empty() && decode(before, part).is_ok_and(|decoded| decoded == text) {
        before.to_vec()
    } else {
        encode(text, part)
    }
}

/// Go's `path.Join`: the non-empty parts with `/` between them, cleaned. A trailing slash is lost.
pub(crate) fn join(parts: &[&[u8]]) -> Vec<u8> {
    let parts: Vec<&[u8]> = parts.iter().copied().filter(|part| !part.is_empty()).collect();
    if parts.is_empty() { Vec::new() } else { clean(&parts.join(&b'/')) }
}

/// Go's `path.Clean`: no empty, `.` or `..` segments, as far as the root allows.
fn clean(path: &[u8]) -> Vec<u8> {
    let rooted = path.starts_with(b"/");
    let mut kept: Vec<&[u8]> = Vec::new();
    for segment in path.split(|byte| *byte == b'/') {
        match segment {
            b"" | b"." => {}
            b".." if kept.last().is_some_and(|last| *last != b"..") => drop(kept.pop()),
            b".." if rooted => {}
            _ => kept.push(segment),
        }
    }
    let joined = kept.join(&b'/');
    match (rooted, joined.is_empty()) {
        (true, _) => [b"/", &joined[..]].concat(),
        (false, true) => b".".to_vec(),
        (false, false) => joined,
    }
}

fn find(text: &[u8], byte: u8) -> Option<usize> {
    text.iter().position(|other| *other == byte)
}

/// What stands before and after the first `byte`.
pub(crate) fn cut(text: &[u8], byte: u8) -> (&[u8], Option<&[u8]>) {
    match find(text, byte) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(text: &str) -> String {
        match Url::parse(text.as_bytes()) {
            Ok(url) => String::from_utf8_lossy(&url.print()).into_owned(),
            Err(error) => error,
        }
    }

    #[test]
    fn prints_what_it_read() {
        for text in [
            "/login",
            "login",
            "../x",
            "?a=1",
            "#f",
            "",
            "http://10.0.0.1:80/x?y#z",
            "//cdn/x",
            "javascript:alert(1)",
            "https://user:pw@host:1/x",
            "/a%2Fb?next=/b//c%2F",
            "/x?",
            "mailto:a@b",
            "file:///etc",
            "http://[::1]:80/",
            "/a!b'(c)*",
            "data:,x?y",
        ] {
            assert_eq!(printed(text), text);
        }
    }

    #[test]
    fn prints_its_own_way() {
        for (text, expected) in [
            ("/a b", "/a%20b"),
            ("HTTP://Host/x", "http://Host/x"),
            ("{{u}}", "%7B%7Bu%7D%7D"),
            ("/\\evil.com", "/%5Cevil.com"),
            ("/x#a b", "/x#a%20b"),
            ("/zażółć", "/za%C5%BC%C3%B3%C5%82%C4%87"),
            ("x#", "x"),
        ] {
            assert_eq!(printed(text), expected);
        }
    }

    #[test]
    fn says_what_it_cannot_read() {
        for (text, expected) in [
            ("/%zz", r#"parse "/%zz": invalid URL escape "%zz""#),
            ("/%4", r#"parse "/%4": invalid URL escape "%4""#),
            ("a:b/c:d", "a:b/c:d"),
            ("1:b", r#"parse "1:b": first path segment in URL cannot contain colon"#),
            (":x", r#"parse ":x": missing protocol scheme"#),
            ("/a\nb", r#"parse "/a\nb": net/url: invalid control character in URL"#),
            ("http://h:x/", r#"parse "http://h:x/": invalid port ":x" after host"#),
            ("http://a b/", r#"parse "http://a b/": invalid character " " in host name"#),
        ] {
            assert_eq!(printed(text), expected);
        }
    }

    #[test]
    fn joins_paths() {
        for (parts, expected) in [
            (&["/p", "/a//b"][..], "/p/a/b"),
            (&["/p/q", "/../up"], "/p/up"),
            (&["/p", "/../../../x/"], "/x"),
            (&["", "/"], "/"),
            (&["", ""], ""),
            (&["a", ".."], "."),
            (&["..", "a", ".."], ".."),
        ] {
            let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
            assert_eq!(String::from_utf8_lossy(&join(&parts)), expected);
        }
    }
}
