//! Rights, and Pods that do not answer.

use super::script::{Case, Who};

pub(crate) fn cases() -> Vec<Case> {
    [rights(), silence()].concat()
}

fn rights() -> Vec<Case> {
    let forbidden = |name: &str, line: &str, id: &'static str, user: &str, verb: &str| {
        let message = format!(
            "services \"{id}\" is forbidden: User \"{user}\" cannot {verb} resource \"services/proxy\" in API group \"\" \
             in the namespace \"{{NS}}\""
        );
        let details = format!(r#"{{"name":"{id}","kind":"services"}}"#);
        Case::new(name, line)
            .id(id)
            .by(Who::Narrow)
            .sees_nothing()
            .gets_status_with(403, "Forbidden", &message, &details)
            .gets_header("x-content-type-options", &["nosniff"])
            .gets_header("cache-control", &["no-cache, private"])
    };
    vec![
        Case::new("the literal ID is allowed", "GET /").by(Who::Narrow).sees("GET /"),
        Case::new("HEAD needs get", "HEAD /").by(Who::Narrow).sees("HEAD /"),
        Case::new("POST needs create", "POST /").by(Who::Narrow).body("x").sees("POST /"),
        forbidden("another spelling of the ID is not", "GET /", "named:80", "{USER}", "get"),
        forbidden("PUT needs update", "PUT /", "named:http", "{USER}", "update"),
        forbidden("PATCH needs patch", "PATCH /", "named:http", "{USER}", "patch"),
        forbidden("DELETE needs delete", "DELETE /", "named:http", "{USER}", "delete"),
        forbidden("OPTIONS needs everything", "OPTIONS /", "named:http", "{USER}", ""),
        forbidden("other methods need everything", "PROPFIND /", "named:http", "{USER}", ""),
        forbidden("an upgrade needs get", "GET /ws", "named:80", "{USER}", "get")
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket"),
        forbidden("nobody is anonymous", "GET /", "named:http", "system:anonymous", "get").by(Who::Nobody),
        forbidden("Basic is nobody", "GET /", "named:http", "system:anonymous", "get")
            .by(Who::Nobody)
            .header("Authorization", "Basic YTpi"),
        forbidden("rights come before existence", "GET /", "nothing", "{USER}", "get"),
    ]
}

fn silence() -> Vec<Case> {
    let unreachable = |name: &str, reason: &str| {
        Case::new(name, "GET /").gets_status(
            503,
            "ServiceUnavailable",
            &format!("error trying to reach service: {reason}"),
        )
    };
    vec![
        unreachable("a Pod that closes without an answer", "EOF").answer(""),
        unreachable("https where http is spoken", "tls: first record does not look like a TLS handshake")
            .id("https:named:http")
            .answer("HTTP/1.1 400 Bad Request\r\n\r\n"),
    ]
}
