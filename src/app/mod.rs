//! One run of the program, from what was typed to its end: `args` and `plan` decide, `run` and `open` do, the others say
//! what happens.

pub mod args;
pub(crate) mod typed_words;
pub mod flag_tips;
pub mod plan;
pub mod run;
pub mod ready_line;
pub mod ready_block;
pub mod request_line;
pub mod trouble_line;
pub mod serving_keys;
pub mod status_line;
pub mod open;
pub mod local_https;
mod served_before;
mod announce;
mod dry_run;
pub mod service_changes;
mod endpoint_wait;
pub(crate) mod shown_run;
pub mod completion;
