//! What is said of a Target: the ready line, and what `--dry-run` explains. Pure.

use serde::Serialize;

use crate::proxy::upstream::limitation::Via;
use crate::service::choose_port::PortChoice;
use crate::service::{Scheme, Target};
use crate::terminal::output::OutputFormat;

/// Everything that the ready line may say of one Target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReadyLine {
    /// Context of the kubeconfig; none in a Pod.
    pub context: Option<String>,
    /// URL of the API server.
    pub server: String,
    /// Namespace of the Service.
    pub namespace: String,
    /// Name of the Service.
    pub service: String,
    /// Its port, by name or else by number; none where the Service could not be read and no port was typed.
    pub port: Option<String>,
    /// What the Pods speak.
    pub scheme: Scheme,
    /// The transport asked for.
    pub via: Via,
    /// The computed proxy URL.
    pub proxy_url: String,
    /// The Service's own origin.
    pub site_url: String,
}

impl ReadyLine {
    /// The line on stdout, without its line end.
    pub fn line(&self, format: OutputFormat) -> String {
        match format {
            OutputFormat::Url => self.proxy_url.clone(),
            OutputFormat::Json => serde_json::to_string(self).expect("strings always serialise"),
            _ => {
                let port = self.port.as_ref().map(|port| format!(":{port}")).unwrap_or_default();
                format!("{}/{}{port} is at {}", self.namespace, self.service, self.proxy_url)
            }
        }
    }
}

/// What would be opened, why, and the right it needs: the lines of `--dry-run`. `read` is the choice that was made from
/// the Service, where it could be read.
pub fn explanation(target: &Target, read: Option<&PortChoice>, ready: &ReadyLine) -> Vec<String> {
    let as_typed = || ["as typed: the Service cannot be read"; 2].map(str::to_owned);
    let [port_reason, scheme_reason] =
        read.map_or_else(as_typed, |choice| [choice.why_port.to_string(), choice.why_scheme.to_string()]);
    let port = target.shown_port().unwrap_or_else(|| "none".to_owned());
    let verb = "verb get (create for POST, and so on)";
    let mut lines = vec![
        format!("Service   {}/{}", target.namespace, target.service()),
        format!("port      {port}, {port_reason}"),
        format!("scheme    {}, {scheme_reason}", target.scheme),
        format!("proxy URL {}", ready.proxy_url),
        format!("site      {}", ready.site_url),
        format!(
            "needs     {verb} on services/proxy, resourceNames [\"{}\"], in namespace {}",
            target.id, target.namespace
        ),
    ];
    if target.path != "/" {
        lines.insert(5, format!("page      {}", target.path));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready() -> ReadyLine {
        ReadyLine {
            context: Some("dev".to_owned()),
            server: "https://10.0.0.1:6443".to_owned(),
            namespace: "default".to_owned(),
            service: "nginx".to_owned(),
            port: Some("http".to_owned()),
            scheme: Scheme::Http,
            via: Via::Auto,
            proxy_url: "http://127.0.0.1:8001/p/".to_owned(),
            site_url: "http://nginx.localhost:8001/".to_owned(),
        }
    }

    #[test]
    fn one_line_in_each_format() {
        assert_eq!(ready().line(OutputFormat::Text), "default/nginx:http is at http://127.0.0.1:8001/p/");
        assert_eq!(ready().line(OutputFormat::Url), "http://127.0.0.1:8001/p/");
        let json: serde_json::Value = serde_json::from_str(&ready().line(OutputFormat::Json)).unwrap();
        let keys: Vec<&String> = json.as_object().unwrap().keys().collect();
        let expect = ["context", "namespace", "port", "proxyUrl", "scheme", "server", "service", "siteUrl", "via"];
        assert_eq!(keys, expect);
    }
}
