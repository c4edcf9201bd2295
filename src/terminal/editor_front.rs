//! Where editors and workspaces on another machine than the browser show the ports of this one. Pure.

use http::Uri;

/// Stands for the port (code-server's release notes, version 4.8.0).
const PORT: &str = "{{port}}";

/// The URL under which an editor shows any port of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditorFront(String);

/// The URL under which it shows one port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForwardedPort {
    /// An origin that is the port's own, without a `/` at its end.
    Origin(String),
    /// Below a path of the editor's own origin, which it takes off: links that begin with `/` lead to the editor.
    Below(String),
}

impl EditorFront {
    /// The one that this program was started in, by its environment: `variable` gives what is set and not empty.
    ///
    /// | editor | variables | source |
    /// | --- | --- | --- |
    /// | Coder, code-server | `VSCODE_PROXY_URI` | code-server `patches/proxy-uri.diff` |
    /// | GitHub Codespaces | `CODESPACE_NAME`, `GITHUB_CODESPACES_PORT_FORWARDING_DOMAIN` | GitHub Docs, "Default environment variables for your codespace" |
    /// | Gitpod | `GITPOD_WORKSPACE_URL` | gitpod `components/gitpod-cli/cmd/url.go` |
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let codespace = || {
            let (name, domain) = (variable("CODESPACE_NAME")?, variable("GITHUB_CODESPACES_PORT_FORWARDING_DOMAIN")?);
            Some(format!("https://{name}-{PORT}.{domain}"))
        };
        let gitpod = || {
            let url = variable("GITPOD_WORKSPACE_URL")?;
            url.split_once("://").map(|(scheme, host)| format!("{scheme}://{PORT}-{host}"))
        };
        let template = variable("VSCODE_PROXY_URI").or_else(codespace).or_else(gitpod)?;
        let front = Self(template);
        front.at(1).is_some().then_some(front)
    }

    /// Where it shows `port`; `None` where the variables make no URL.
    pub fn at(&self, port: u16) -> Option<ForwardedPort> {
        let url = self.0.contains(PORT).then(|| self.0.replace(PORT, &port.to_string()))?;
        let parsed: Uri = url.parse().ok()?;
        let (scheme, authority) = (parsed.scheme_str()?, parsed.authority()?.as_str());
        if !matches!(scheme, "http" | "https") || authority.contains(['@', '{', '}']) || parsed.query().is_some() {
            return None;
        }
        Some(match parsed.path() {
            "/" => ForwardedPort::Origin(format!("{scheme}://{authority}")),
            _ => ForwardedPort::Below(url),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(variables: &[(&str, &str)]) -> Option<ForwardedPort> {
        let value = |name: &str| variables.iter().find(|(is, _)| *is == name).map(|(_, value)| (*value).to_owned());
        EditorFront::of(value)?.at(8001)
    }

    #[test]
    fn each_editor_has_its_own_way() {
        let codespace =
            [("CODESPACE_NAME", "octo-cat-1"), ("GITHUB_CODESPACES_PORT_FORWARDING_DOMAIN", "app.github.dev")];
        let origin = |url: &str| Some(ForwardedPort::Origin(url.to_owned()));
        let below = |url: &str| Some(ForwardedPort::Below(url.to_owned()));
        for (variables, expect) in [
            (&codespace[..], origin("https://octo-cat-1-8001.app.github.dev")),
            (&codespace[..1], None),
            (
                &[("GITPOD_WORKSPACE_URL", "https://me-x-1.ws-eu1.gitpod.io")],
                origin("https://8001-me-x-1.ws-eu1.gitpod.io"),
            ),
            (
                &[("VSCODE_PROXY_URI", "https://{{port}}--main--ws--me.coder.example:8443/")],
                origin("https://8001--main--ws--me.coder.example:8443"),
            ),
            (
                &[("VSCODE_PROXY_URI", "https://code.example/proxy/{{port}}/")],
                below("https://code.example/proxy/8001/"),
            ),
            (&[("VSCODE_PROXY_URI", "./proxy/{{port}}")], None),
            (&[("VSCODE_PROXY_URI", "https://{{port}}.{{host}}")], None),
            (&[("VSCODE_PROXY_URI", "https://code.example")], None),
            (&[("VSCODE_PROXY_URI", "https://me@{{port}}.code.example")], None),
            (&[("VSCODE_PROXY_URI", "ftp://{{port}}.code.example")], None),
            (&[("CODER", "true")], None),
            (&[], None),
        ] {
            assert_eq!(at(variables), expect, "{variables:?}");
        }
    }
}
