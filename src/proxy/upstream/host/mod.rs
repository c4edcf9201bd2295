//! Under which hosts an app may see itself: the local one, unless it accepts only another.
//!
//! Many apps check `Host` (DNS rebinding, `ALLOWED_HOSTS`, virtual hosts) and compare `Origin` with it. So the local
//! host is sent along as it is, and an app that refuses it is asked under the hosts that it may know.

mod cluster_routes;
mod outer_https;
mod present;

use http::HeaderValue;

use crate::message::host_port::url_authority;
use crate::service::{Scheme, Target};

pub(super) use cluster_routes::outside_hosts;
pub(super) use outer_https::set_outer_https;
pub(super) use present::{set_app_host, set_forwarded};

/// How many hosts are tried: each is a request to the app.
const MAX_TRIED_HOSTS: usize = 16;

/// The hosts to try besides `local`, the likeliest first, none twice and not too many: `localhost`, the names of `target`'s
/// Service in the cluster, and those of its Ingresses and HTTPRoutes. Pure.
pub(super) fn others(
    target: &Target,
    scheme: Scheme,
    localhost: Option<&HeaderValue>,
    ingress_hosts: Vec<String>,
    local: &HeaderValue,
) -> Vec<HeaderValue> {
    let named = names(target, scheme).into_iter().chain(ingress_hosts);
    let named = named.filter_map(|host| HeaderValue::try_from(host).ok());
    let mut others: Vec<HeaderValue> = Vec::new();
    for host in localhost.cloned().into_iter().chain(named).filter(|host| host != local) {
        if others.len() < MAX_TRIED_HOSTS && !others.contains(&host) {
            others.push(host);
        }
    }
    others
}

/// The Service's names, as clients in the cluster write them to speak `scheme`, the fullest first. Pure.
fn names(target: &Target, scheme: Scheme) -> Vec<String> {
    let service = target.service();
    let short = format!("{service}.{}.svc", target.namespace);
    let port = target.port.as_ref().map(|port| port.number);
    let names = [&format!("{short}.cluster.local"), &short, service];
    names.map(|name| url_authority(scheme, name, port)).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(id: &str, number: u16) -> Target {
        use crate::service::TargetPort;
        let port = TargetPort { name: None, number, target_port: None, has_siblings: false };
        let (namespace, path) = ("ns".to_owned(), "/".to_owned());
        Target { namespace, id: id.parse().unwrap(), port: Some(port), scheme: Scheme::Http, path }
    }

    #[test]
    fn the_likeliest_first_and_none_twice() {
        let check = |number, scheme, local: &'static str, ingress: &[&str], expect: &[&str]| {
            let ingress = ingress.iter().map(|host| (*host).to_owned()).collect();
            let localhost = HeaderValue::from_static("localhost:1");
            let local = HeaderValue::from_static(local);
            let hosts = others(&target("web", number), scheme, Some(&localhost), ingress, &local);
            assert_eq!(hosts, expect);
        };
        let plain = ["localhost:1", "web.ns.svc.cluster.local", "web.ns.svc", "web", "a.example"];
        check(80, Scheme::Http, "l:1", &["a.example", "web", "a.example"], &plain);
        check(443, Scheme::Https, "l:1", &["a.example"], &plain);
        let many: Vec<String> = (0..2000).map(|number| format!("{number}.example")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        check(80, Scheme::Http, "l:1", &many, &[&plain[..4], &many[..12]].concat());
        let with_port = ["localhost:1", "web.ns.svc.cluster.local:8080", "web.ns.svc:8080"];
        check(8080, Scheme::Http, "web:8080", &[], &with_port);
    }
}
