//! What the API server's service proxy does, as a list of cases: a request and a Pod's answer in; what the Pod must see and
//! what the client must get out. Run against the fake and against a real API server: where they differ, the fake is wrong.
//!
//! - `stage`: the Services the cases need, the scripted Pod and the client that sends exactly what it is told
//! - `script`: how a case is written down
//! - the other modules: the cases

mod errors;
mod headers;
mod ids;
mod links;
mod pages;
mod paths;
mod script;
mod stage;
mod transfer;
mod upgrades;

pub(crate) use links::LOCATIONS;
pub(crate) use pages::MARKUP;
pub(crate) use paths::PATHS;
pub(crate) use script::Case;
pub use stage::{Door, Pod, SERVICES, Stage, narrow_rules, ports_of};

/// Whose words are expected where two releases of Kubernetes differ. The fake speaks like the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// Looks for Pods by Endpoints.
    V1_36,
    /// Looks for Pods by EndpointSlices, and so does not notice that there is no such Service.
    V1_37,
}

impl Release {
    /// By what `/version` says; a later one speaks like the last that is known.
    pub fn of(version: &serde_json::Value) -> Self {
        if version["minor"] == "36" { Self::V1_36 } else { Self::V1_37 }
    }
}

/// Every case.
fn all(release: Release) -> Vec<Case> {
    [
        ids::cases(release),
        paths::cases(),
        headers::cases(),
        links::cases(),
        pages::cases(),
        transfer::cases(),
        upgrades::cases(),
        errors::cases(),
    ]
    .concat()
}

/// Runs every case and what cannot be written down as one; the failures in words.
pub async fn run_all(stage: &Stage, release: Release) -> Vec<String> {
    let mut failures = Vec::new();
    for case in all(release) {
        if let Err(why) = stage.run(&case).await {
            failures.push(format!("{}: {why}", case.name));
        }
    }
    for (name, result) in [
        ("events pass at once", transfer::events_pass_at_once(stage).await),
        ("a page waits for its end", transfer::a_page_waits_for_its_end(stage).await),
        ("uploads pass at once", transfer::uploads_pass_at_once(stage).await),
        ("tunnels carry bytes both ways", upgrades::tunnels_carry_bytes(stage).await),
        ("tunnels end with either side", upgrades::tunnels_end(stage).await),
    ] {
        failures.extend(result.err().map(|why| format!("{name}: {why}")));
    }
    failures
}
