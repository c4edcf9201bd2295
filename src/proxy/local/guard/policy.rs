//! What the user says about who may use what is served. Pure.

use clap::Args;
use http::uri::Authority;

/// Who may use what is served.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Who may use it")]
pub struct GuardPolicy {
    /// Let only GET, HEAD and OPTIONS through, and no WebSockets
    #[arg(long)]
    pub read_only: bool,

    // A name without a port has whatever port.
    /// Also answer to this Host (NAME or NAME:PORT)
    #[arg(long = "allow-host", value_name = "HOST", value_delimiter = ',', value_parser = host_text)]
    pub allow_hosts: Vec<String>,

    // Their pages may send any request.
    /// Also let pages of this origin in (http://NAME:PORT)
    #[arg(long = "allow-origin", value_name = "ORIGIN", value_delimiter = ',', value_parser = origin)]
    pub allow_origins: Vec<String>,

    /// Let other users of this machine in
    #[arg(long)]
    pub allow_other_users: bool,

    // Without the flag only where nothing else tells whose page sends a request; with `=false` nowhere.
    /// Ask for a one-time token, which is in the URL that is opened
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL",
          value_parser = on_or_off)]
    pub require_token: Option<bool>,
}

/// As kubectl reads what is on or off (Go's `strconv.ParseBool`). Pure.
fn on_or_off(text: &str) -> Result<bool, &'static str> {
    match text {
        "1" | "t" | "T" | "true" | "True" | "TRUE" => Ok(true),
        "0" | "f" | "F" | "false" | "False" | "FALSE" => Ok(false),
        _ => Err("neither true nor false"),
    }
}

/// A host as URLs have it, with or without a port. Pure.
///
/// # Errors
/// When it is none, or has a user name in front of it.
pub fn host(text: &str) -> Result<Authority, String> {
    let authority = text.parse().ok().filter(|authority: &Authority| !authority.as_str().contains('@'));
    authority.ok_or_else(|| "not a host such as dev.example or dev.example:8443".to_owned())
}

fn host_text(text: &str) -> Result<String, String> {
    host(text).map(|host| host.to_string())
}

/// Browsers write an origin without a path (RFC 6454 section 6.2); a `/` at the end is a habit of people.
fn origin(text: &str) -> Result<String, String> {
    let plain = text.strip_suffix('/').unwrap_or(text);
    let is_origin = |(scheme, authority): (&str, &str)| !scheme.is_empty() && host(authority).is_ok();
    match plain.split_once("://") {
        Some(parts) if is_origin(parts) => Ok(plain.to_owned()),
        _ => Err("not an origin such as http://localhost:3000".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_and_hosts() {
        for text in ["http://localhost:3000", "https://dev.example/", "chrome-extension://abcdef"] {
            assert_eq!(origin(text).as_deref(), Ok(text.trim_end_matches('/')), "{text:?}");
        }
        for text in ["", "dev.example", "http://", "://dev.example", "http://dev.example/ui", "http://me@dev.example"] {
            assert!(origin(text).is_err(), "{text:?}");
        }
        for text in ["dev.example", "dev.example:8443", "[::1]:80", "10.0.0.1"] {
            assert_eq!(host(text).unwrap().as_str(), text);
        }
        for text in ["", "http://dev.example", "dev.example/", "me@dev.example", "a b"] {
            assert!(host(text).is_err(), "{text:?}");
        }
    }
}
