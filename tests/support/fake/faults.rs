//! What goes wrong on purpose.

use std::sync::Mutex;

use super::status::Status;

/// Something that happens instead of the right answer.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The API server's own error.
    Answer(Status),
    /// A gateway's error: a status and a page.
    Page(u16, &'static str),
    /// The connection ends, and nothing was done.
    Break,
    /// The connection breaks once so many bytes of the answer, its head included, have gone out.
    Cut(usize),
    /// No more comes once so many bytes of the answer, its head included, have gone out; the connection stays.
    Hold(usize),
    /// The right answer, but not before somebody has asked for something whose target contains this.
    Await(&'static str),
}

struct Planned {
    /// A part of the request's target.
    target: String,
    times: usize,
    fault: Fault,
}

/// What is still to go wrong.
#[derive(Default)]
pub(crate) struct Faults(Mutex<Vec<Planned>>);

impl Faults {
    /// The next so many requests whose target contains `target` go wrong.
    pub(crate) fn plan(&self, target: &str, times: usize, fault: Fault) {
        self.0.lock().unwrap().push(Planned { target: target.to_owned(), times, fault });
    }

    /// Nothing goes wrong any more.
    pub(crate) fn forget(&self) {
        self.0.lock().unwrap().clear();
    }

    /// What happens to a request for `target`.
    pub(crate) fn take(&self, target: &str) -> Option<Fault> {
        let mut planned = self.0.lock().unwrap();
        let next = planned.iter_mut().find(|planned| planned.times > 0 && target.contains(&planned.target))?;
        next.times -= 1;
        Some(next.fault.clone())
    }
}
