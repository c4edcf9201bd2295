//! One run of the program, from what was typed to its end: `args` and `plan` decide, `run` and `open` do, the others say
//! what happens.

pub mod args;
pub(crate) mod typed_words;
pub mod plan;
pub mod run;
pub mod ready_line;
pub mod request_line;
pub mod status_line;
pub mod open;
pub mod service_changes;
pub mod completion;
