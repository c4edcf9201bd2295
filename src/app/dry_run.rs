//! `--dry-run`: what would be opened, why, and whether it may be.

use futures_util::future::join_all;

use super::open::{OpenService, ServingSession};
use super::plan::DEFAULT_PORT;
use super::ready_line::ReadyLine;
use crate::error::Error;
use crate::proxy::local::{ListenOn, LocalListener};
use crate::proxy::upstream::Transport;
use crate::service::choose_port::{PortChoice, openable};
use crate::service::{Readiness, Service, Target, direct_urls};
use crate::terminal::output::OutputFormat;

/// What was found out about one Service.
struct ExplainedTarget<'a> {
    target: &'a Target,
    read: Option<&'a (Service, PortChoice)>,
    ready: &'a ReadyLine,
    endpoints: Option<Readiness>,
    right: Result<Transport, Error>,
}

impl ServingSession<'_> {
    /// Says what would be opened, and why.
    pub async fn explain(&self, services: &[OpenService], listener: &LocalListener) {
        if self.plan.format != OutputFormat::Text {
            services.iter().for_each(|service| self.output.print_data(&service.ready.line(self.plan.format)));
            return;
        }
        let context = self.cluster.context().map_or_else(String::new, |context| format!("{context} · "));
        self.output.print_data(&format!("context   {context}{}", self.cluster.server()));
        for explained in join_all(services.iter().map(|service| self.find_out(service))).await {
            explained.lines().iter().for_each(|line| self.output.print_data(line));
        }
        self.output.print_data(&format!("listens   {}", self.listening(listener)));
        if let Some(plugin) = self.cluster.credential_plugin() {
            self.output.print_data(&format!("plugin    {plugin}"));
        }
    }

    async fn find_out<'a>(&self, service: &'a OpenService) -> ExplainedTarget<'a> {
        let OpenService { target, read, transport, ready, .. } = service;
        let ((), right) = tokio::join!(service.count_endpoints(self.cluster), transport.way_in());
        ExplainedTarget { target, read: read.as_ref(), ready, endpoints: *transport.ready().borrow(), right }
    }

    fn listening(&self, listener: &LocalListener) -> String {
        let is_default = matches!(&self.plan.listen, ListenOn::Tcp { port: None, .. });
        match listener.port() {
            Some(port) if is_default && port != DEFAULT_PORT => {
                format!("{}, since port {DEFAULT_PORT} is taken", listener.authority())
            }
            Some(_) => format!("{}, which is free", listener.authority()),
            None => listener.socket_path().map(|path| path.display().to_string()).unwrap_or_default(),
        }
    }
}

impl ExplainedTarget<'_> {
    fn lines(&self) -> Vec<String> {
        let Self { target, read, ready, .. } = self;
        let as_typed = || ["as typed: the Service cannot be read"; 2].map(str::to_owned);
        let [port_reason, scheme_reason] =
            read.map_or_else(as_typed, |(_, choice)| [choice.why_port.to_string(), choice.why_scheme.to_string()]);
        let port = target.shown_port().unwrap_or_else(|| "none".to_owned());
        let mut lines = vec![
            format!("Service   {}/{}", target.namespace, target.service()),
            format!("port      {port}, {port_reason}"),
            format!("scheme    {}, {scheme_reason}", target.scheme),
            format!("proxy URL {}", ready.proxy_url),
            format!("site      {}", ready.site_url),
        ];
        lines.extend((target.path != "/").then(|| format!("page      {}", target.path)));
        lines.push(format!(
            "needs     verb get (create for POST, and so on) on services/proxy, resourceNames [\"{}\"], in namespace {}",
            target.id, target.namespace
        ));
        lines.extend(self.right());
        lines.push(match self.endpoints {
            Some(Readiness { ready, total }) => format!("endpoints {ready} of {total} ready"),
            None => "endpoints unknown: they may not be listed".to_owned(),
        });
        lines.extend(self.others());
        lines
    }

    fn right(&self) -> Vec<String> {
        match &self.right {
            Ok(Transport::ServiceProxy) => vec!["right     yes".to_owned()],
            Ok(Transport::PortForward) => vec!["right     yes, by port-forward".to_owned()],
            Err(error) => {
                let hint = error.hint_text().map(|hint| format!("          {hint}"));
                [format!("right     no: {}", error.message())].into_iter().chain(hint).collect()
            }
        }
    }

    /// What else could be opened, and where else.
    fn others(&self) -> Vec<String> {
        let Some((service, choice)) = self.read else { return Vec::new() };
        let choices = openable(service).unwrap_or_default();
        let others: Vec<String> = choices
            .iter()
            .filter(|other| other.port != choice.port)
            .map(|other| format!("{} ({})", other.port.name.as_deref().unwrap_or("unnamed"), other.port.number))
            .collect();
        let more = (!others.is_empty()).then(|| format!("not taken {}", others.join(", ")));
        let direct = direct_urls(service, choice).into_iter().map(|url| format!("also at   {url}"));
        more.into_iter().chain(direct).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::upstream::limitation::Via;
    use crate::service::Scheme;

    #[test]
    fn what_was_found_out() {
        let target = Target::unread("shop", "web:http".parse().unwrap(), None);
        let ready = ReadyLine {
            context: None,
            server: "https://10.0.0.1:6443".to_owned(),
            namespace: "shop".to_owned(),
            service: "web".to_owned(),
            port: Some("http".to_owned()),
            scheme: Scheme::Http,
            via: Via::Auto,
            proxy_url: "http://127.0.0.1:8001/p/".to_owned(),
            site_url: "http://web.localhost:8001/".to_owned(),
        };
        let lines = |endpoints, right| {
            let explained = ExplainedTarget { target: &target, read: None, ready: &ready, endpoints, right };
            explained.lines()[6..].to_vec()
        };
        let count = Readiness { ready: 1, total: 2 };
        assert_eq!(lines(Some(count), Ok(Transport::ServiceProxy)), ["right     yes", "endpoints 1 of 2 ready"]);
        let refused = Error::failed("you may not").hint("ask for it");
        let expect = ["right     no: you may not", "          ask for it", "endpoints unknown: they may not be listed"];
        assert_eq!(lines(None, Err(refused)), expect);
    }
}
