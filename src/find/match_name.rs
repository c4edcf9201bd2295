//! Which Service a name means: the exact one, else the only one that begins so, else the only one that contains it.

use crate::service::Service;
use crate::suggest::near_names;

/// What a name means among some Services.
#[derive(Debug, PartialEq, Eq)]
pub enum NameMatch<'a> {
    /// Exactly one.
    One(&'a Service),
    /// Several; the user has to say which.
    Several(Vec<&'a Service>),
    /// None; at most three names that are spelled nearly so, nearest first.
    Nothing(Vec<&'a str>),
}

/// Finds what `text` means among `services`.
pub fn match_name<'a>(services: &'a [Service], text: &str) -> NameMatch<'a> {
    let rules: [fn(&str, &str) -> bool; 3] =
        [|name, text| name == text, |name, text| name.starts_with(text), |name, text| name.contains(text)];
    for rule in rules {
        let mut matching: Vec<&Service> = services.iter().filter(|service| rule(&service.name, text)).collect();
        match matching.len() {
            0 => {}
            1 => return NameMatch::One(matching.remove(0)),
            _ => return NameMatch::Several(matching),
        }
    }
    NameMatch::Nothing(near_names(services.iter().map(|service| service.name.as_str()), text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::ServiceType;
    use std::collections::BTreeMap;

    fn services(names: &str) -> Vec<Service> {
        let service = |name: &str| Service {
            namespace: "ns".to_owned(),
            name: name.to_owned(),
            kind: ServiceType::ClusterIp,
            cluster_ip: None,
            external_name: None,
            selector: BTreeMap::new(),
            ports: Vec::new(),
            annotations: BTreeMap::new(),
            load_balancer: Vec::new(),
            session_affinity: false,
            created: None,
        };
        names.split_whitespace().map(service).collect()
    }

    fn check(names: &str, text: &str, expect: &str) {
        let services = services(names);
        let join = |services: Vec<&Service>| {
            services.iter().map(|service| service.name.as_str()).collect::<Vec<_>>().join(" ")
        };
        let found = match match_name(&services, text) {
            NameMatch::One(service) => service.name.clone(),
            NameMatch::Several(several) => format!("several: {}", join(several)),
            NameMatch::Nothing(near) => format!("near: {}", near.join(" ")),
        };
        assert_eq!(found, expect, "{text} in {names}");
    }

    #[test]
    fn exact_then_prefix_then_part() {
        check("nginx nginx-admin my-nginx", "nginx", "nginx");
        check("grafana prometheus", "graf", "grafana");
        check("kube-grafana my-prometheus", "graf", "kube-grafana");
        check("graf-a x-graf", "graf", "graf-a");
        check("graf-a graf-b", "graf", "several: graf-a graf-b");
        check("a-graf b-graf", "graf", "several: a-graf b-graf");
        check("grafana prometheus", "grafna", "near: grafana");
        check("db", "web", "near: ");
        check("", "web", "near: ");
    }
}
