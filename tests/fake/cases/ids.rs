//! `[scheme:]name[:port]`, and which Pod it leads to.

use super::script::Case;

pub(crate) fn cases() -> Vec<Case> {
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
    [reached.to_vec(), nowhere(), nonsense()].concat()
}

fn nowhere() -> Vec<Case> {
    let nowhere = |id, message: &str| {
        Case::new(format!("ID {id} leads nowhere"), "GET /").id(id).sees_nothing().gets_status(
            503,
            "ServiceUnavailable",
            message,
        )
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
    vec![
        nowhere("named", "no endpoints available for service \"named\""),
        nowhere("two", "no endpoints available for service \"two\""),
        nowhere("plain:http", "no endpoints available for service \"plain:http\""),
        nowhere("named:81", "no service port 81 found for service \"named\""),
        nowhere("unready:http", "no endpoints available for service \"unready:http\""),
        nowhere("unready:80", "no endpoints available for service \"unready:80\""),
        nowhere("empty:http", "no endpoints available for service \"empty\""),
        nowhere("deaf:http", "error trying to reach service: dial tcp {DEAF}: connect: connection refused"),
        nowhere("https:deaf:http", "error trying to reach service: dial tcp {DEAF}: connect: connection refused"),
        missing("nothing:80", "nothing"),
        missing("nothing", "nothing"),
        missing("nothing:http", "nothing"),
        missing("http:named", "http"),
        missing("https:named", "https"),
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
