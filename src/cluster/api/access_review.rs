//! Asking the API server what the user may do.

use serde::Deserialize;
use serde_json::json;

use super::api_error::ApiError;
use super::rule::AccessRule;
use crate::cluster::Cluster;

impl Cluster {
    /// Whether the user has the right that `rule` gives, as the API server's authorizer says (SelfSubjectAccessReview).
    /// Without a name the right must cover all objects.
    ///
    /// # Errors
    /// When the API server cannot be asked. Everybody may ask, unless an administrator took that away.
    pub async fn allows(&self, rule: &AccessRule) -> Result<bool, ApiError> {
        let (resource, subresource) = rule.resource.split_once('/').unwrap_or((&rule.resource, ""));
        let review = json!({
            "kind": "SelfSubjectAccessReview",
            "apiVersion": "authorization.k8s.io/v1",
            "spec": {"resourceAttributes": {
                "namespace": rule.namespace.as_deref().unwrap_or_default(),
                "verb": rule.verb,
                "group": rule.group,
                "resource": resource,
                "subresource": subresource,
                "name": rule.name.as_deref().unwrap_or_default(),
            }},
        });
        let needed = AccessRule::new("create", "selfsubjectaccessreviews", None).group("authorization.k8s.io");
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let answer: ReviewedAccess = self.create(path, &review, &needed).await?;
        Ok(answer.status.allowed)
    }
}

#[derive(Deserialize)]
struct ReviewedAccess {
    status: ReviewStatus,
}

#[derive(Deserialize)]
struct ReviewStatus {
    allowed: bool,
}
