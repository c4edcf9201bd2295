//! Whether a request may pass, and what a refused one is told.

pub mod policy;
pub mod admit;
pub mod hosts;
pub(crate) mod logins_elsewhere;
pub mod outer_front;
pub(crate) mod refusal;
pub mod token;
