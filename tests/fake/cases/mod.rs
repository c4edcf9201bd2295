//! What the API server's service proxy does, as a list of cases: a request and a Pod's answer in; what the Pod must see and
//! what the client must get out. Run against the fake and against a real API server: where they differ, the fake is wrong.
//!
//! - [`stage`]: the Services the cases need, the scripted Pod and the client that sends exactly what it is told
//! - [`script`]: how a case is written down
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
pub(crate) use stage::{Door, Pod, SERVICES, Stage, narrow_rules, ports_of};

/// Every case.
pub(crate) fn all() -> Vec<Case> {
    [
        ids::cases(),
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
pub(crate) async fn run_all(stage: &Stage) -> Vec<String> {
    let mut failures = Vec::new();
    for case in all() {
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
