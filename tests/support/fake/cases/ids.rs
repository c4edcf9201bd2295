//! `[scheme:]name[:port]`, and which Pod it leads to.

use super::Release;
use super::script::Case;

pub(crate) fn cases(release: Release) -> Vec<Case> {
    let reached = [
        "named:http",
        "named:80",
        "http:named:80",
        "named:080",
        "plain",
        "plain:",
        "plain:80",
        "http:plain:",
        ":plain:80",
        "two:admin",
        "two:8080",
    ];
    let reached = reached.map(|id| Case::new(format!("ID {id} leads to a Pod"), "GET /").id(id).sees("GET /"));
    [reached.to_vec(), nowhere(release), nonsense()].concat()
}

fn nowhere(release: Release) -> Vec<Case> {
    let nowhere = |id, message: &str| {
        Case::new(format!("ID {id} leads nowhere"), "GET /").id(id).sees_nothing().gets_status(
            503,
            "ServiceUnavailable",
            message,
        )
    };
    let podless = |id: &'static str, name: &str| {
        let named = if release == Release::V1_36 { id } else { name };
        nowhere(id, &format!("no endpoints available for service \"{named}\""))
    };
    let missing = |id, name: &str| {
        let details = format!(r#"{{"name":"{name}","kind":"services"}}"#);
        Case::new(format!("ID {id} does not exist"), "GET /").id(id).sees_nothing().gets_status_with(
            404,
            "NotFound",
            &format!("services \"{name}\" not found"),
            &details,
        )
    };
    let unheard_of = |id, name: &str| match release {
        Release::V1_36 => missing(id, name),
        Release::V1_37 => podless(id, name),
    };
    vec![
        podless("named", "named"),
        podless("two", "two"),
        podless("plain:http", "plain"),
        nowhere("named:81", "no service port 81 found for service \"named\""),
        podless("unready:http", "unready"),
        podless("unready:80", "unready"),
        nowhere("empty:http", "no endpoints available for service \"empty\""),
        nowhere("deaf:http", "error trying to reach service: dial tcp {DEAF}: connect: connection refused"),
        nowhere("https:deaf:http", "error trying to reach service: dial tcp {DEAF}: connect: connection refused"),
        missing("nothing:80", "nothing"),
        unheard_of("nothing", "nothing"),
        unheard_of("nothing:http", "nothing"),
        unheard_of("http:named", "http"),
        unheard_of("https:named", "https"),
    ]
}

fn nonsense() -> Vec<Case> {
    let ids = [":named", "::", "ftp:named:80", "HTTP:named:80", "a:b:c:d"];
    ids.map(|id| {
        Case::new(format!("ID {id} is none"), "GET /").id(id).sees_nothing().gets_status(
            400,
            "BadRequest",
            &format!("invalid service request \"{id}\""),
        )
    })
    .to_vec()
}
