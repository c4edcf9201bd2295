//! Which Service is meant, and which of its ports: by name, by picking or from the history; and what there is to open.

pub mod query;
pub mod resolve;
pub mod match_name;
pub mod by_picking;
pub mod scan;
pub(crate) mod find_messages;
pub mod by_name;
mod guess;
pub mod elsewhere;
pub mod missing_namespace;
pub mod picker;
pub mod list;
pub mod history;

pub use by_name::{FindOutcome, FoundTarget, ServiceFinder, choose_port_of};
pub use find_messages::{only_elsewhere, refusal, several_services, unlisted};
