//! How many connections the system allows: each takes two open files, one on either side.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Five thousand connections; as many as macOS allows everybody (`OPEN_MAX`).
const ENOUGH: u64 = 10_240;

/// Raises the soft limit, which is for programs that ask in vain for files of higher numbers (`select`), as Go programs
/// such as kubectl do. 1,024 is usual on Linux, 256 on macOS.
pub(super) fn allow_many() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.map_or(ENOUGH, |maximum| maximum.min(ENOUGH));
    if current.is_some_and(|current| current < wanted)
        && let Err(cause) = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum })
    {
        tracing::debug!(%cause, "no more open files than the system allows at first");
    }
}
