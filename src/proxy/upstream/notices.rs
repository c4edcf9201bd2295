//! What the user is told while Services are served: one line each, printed by somebody else.

use std::fmt;
use std::sync::Arc;

/// Whoever tells the user. A clone tells the same one.
#[derive(Clone)]
pub struct Notices(Arc<dyn Fn(&str) + Send + Sync>);

impl Notices {
    /// `tell` gets each line, without a line end, on the task where it came up: it must not block.
    pub fn new(tell: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    /// Tells one line.
    pub fn tell(&self, line: impl fmt::Display) {
        (self.0)(&line.to_string());
    }
}

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Notices")
    }
}
