//! One right in RBAC's words, and how an administrator gives it. Pure.

use std::fmt;

/// One right: a verb on a resource, in a namespace or everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AccessRule {
    /// `get`, `list`, `create`, …
    pub verb: String,
    /// API group, empty for the core one.
    pub group: String,
    /// `services`, or `services/proxy` with a subresource.
    pub resource: String,
    /// The one object; `None` means all.
    pub name: Option<String>,
    /// `None` means every namespace.
    pub namespace: Option<String>,
}

impl AccessRule {
    /// `verb` on core `resource` in `namespace`.
    pub fn new(verb: &str, resource: &str, namespace: Option<&str>) -> Self {
        Self {
            verb: verb.to_owned(),
            group: String::new(),
            resource: resource.to_owned(),
            name: None,
            namespace: namespace.map(str::to_owned),
        }
    }

    /// The same in another API group.
    #[must_use]
    pub fn group(mut self, group: &str) -> Self {
        group.clone_into(&mut self.group);
        self
    }

    /// The same on one object alone.
    #[must_use]
    pub fn named(mut self, name: Option<&str>) -> Self {
        self.name = name.map(str::to_owned);
        self
    }

    /// The command with which an administrator makes a role of it.
    pub fn create_command(&self) -> String {
        let mut command = match &self.namespace {
            Some(namespace) => format!("kubectl create role svcproxy --namespace={namespace}"),
            None => "kubectl create clusterrole svcproxy".to_owned(),
        };
        command += &format!(" --verb={} --resource={}", self.verb, self.qualified_resource());
        if let Some(name) = &self.name {
            command += &format!(" --resource-name={name}");
        }
        command
    }

    /// `endpointslices.discovery.k8s.io`, as kubectl spells a resource of another group.
    fn qualified_resource(&self) -> String {
        match self.group.as_str() {
            "" => self.resource.clone(),
            group => format!("{}.{group}", self.resource),
        }
    }
}

/// The rule as it stands in a Role, on one line of YAML.
impl fmt::Display for AccessRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verb, group, resource, name, .. } = self;
        write!(f, "{{apiGroups: [{group:?}], resources: [{resource:?}]")?;
        if let Some(name) = name {
            write!(f, ", resourceNames: [{name:?}]")?;
        }
        write!(f, ", verbs: [{verb:?}]}}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_ask_for() {
        let one = AccessRule::new("get", "services/proxy", Some("web")).named(Some("https:nginx:443"));
        assert_eq!(
            one.to_string(),
            r#"{apiGroups: [""], resources: ["services/proxy"], resourceNames: ["https:nginx:443"], verbs: ["get"]}"#
        );
        assert_eq!(
            one.create_command(),
            "kubectl create role svcproxy --namespace=web --verb=get --resource=services/proxy --resource-name=https:nginx:443"
        );
        let all = AccessRule::new("list", "endpointslices", None).group("discovery.k8s.io");
        assert_eq!(
            all.create_command(),
            "kubectl create clusterrole svcproxy --verb=list --resource=endpointslices.discovery.k8s.io"
        );
    }
}
