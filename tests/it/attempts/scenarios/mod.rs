//! The rows of the table, by what they are about.

mod api_server;
mod hosts;
mod lost;
mod not_carried;
mod port_forward;
mod schemes;
mod statuses;
mod unreadable;
mod web_sockets;

use super::answer::Answer;
use super::ask::{curl, fetch, navigation, web_socket};
use super::run::{ALWAYS, Before, Route, Run, Says, User, run};

/// All of them, in the order of the table.
pub(super) fn all() -> Vec<Run> {
    let parts = [
        statuses::runs(),
        hosts::runs(),
        unreadable::runs(),
        api_server::runs(),
        lost::runs(),
        schemes::runs(),
        web_sockets::runs(),
        not_carried::runs(),
        port_forward::runs(),
    ];
    parts.into_iter().flatten().collect()
}
