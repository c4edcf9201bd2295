//! What an answer says of the host that was sent. Pure.

use http::{Response, StatusCode};

use crate::message::client_kind::ClientKind;
use crate::proxy::upstream::Body;
use crate::proxy::upstream::diagnose::FailureCause;

/// What one answer tells of the host that it was asked under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HostVerdict {
    /// The app shows pages under it.
    Accepted,
    /// It may be why the app shows none.
    Refused,
    /// Neither.
    Unclear,
}

/// Whether what `reader` is answered can tell anything: navigations, and what is typed at a terminal. What a page fetches
/// for itself has reasons of its own to fail.
pub(super) fn can_be_judged(reader: ClientKind) -> bool {
    reader != ClientKind::Program
}

/// 421 says it; 400 and 403 are what apps with a list of hosts answer, and not only they.
pub(super) fn of(reader: ClientKind, answer: &Response<Body>) -> HostVerdict {
    let is_the_apps = answer.extensions().get::<FailureCause>().is_none();
    match answer.status() {
        StatusCode::MISDIRECTED_REQUEST | StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN if is_the_apps => {
            HostVerdict::Refused
        }
        status if is_page(status) && reader == ClientKind::Browser => HostVerdict::Accepted,
        _ => HostVerdict::Unclear,
    }
}

/// Whether an answer under another host is what was wanted instead of a refusal.
pub(super) fn is_better(answer: &Response<Body>) -> bool {
    is_page(answer.status()) || answer.status() == StatusCode::UNAUTHORIZED
}

fn is_page(status: StatusCode) -> bool {
    status.is_success() || status.is_redirection()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16) -> Response<Body> {
        let mut answer = Response::new(Body::Empty);
        *answer.status_mut() = StatusCode::from_u16(status).unwrap();
        answer
    }

    #[test]
    fn by_status_and_reader() {
        for (status, browser, terminal) in [
            (200, HostVerdict::Accepted, HostVerdict::Unclear),
            (302, HostVerdict::Accepted, HostVerdict::Unclear),
            (304, HostVerdict::Accepted, HostVerdict::Unclear),
            (400, HostVerdict::Refused, HostVerdict::Refused),
            (401, HostVerdict::Unclear, HostVerdict::Unclear),
            (403, HostVerdict::Refused, HostVerdict::Refused),
            (404, HostVerdict::Unclear, HostVerdict::Unclear),
            (421, HostVerdict::Refused, HostVerdict::Refused),
            (500, HostVerdict::Unclear, HostVerdict::Unclear),
        ] {
            assert_eq!(of(ClientKind::Browser, &answer(status)), browser, "{status}");
            assert_eq!(of(ClientKind::Terminal, &answer(status)), terminal, "{status}");
        }
    }

    #[test]
    fn the_api_servers_refusal_is_not_the_apps() {
        let mut answer = answer(403);
        answer.extensions_mut().insert(FailureCause::Denied);
        assert_eq!(of(ClientKind::Browser, &answer), HostVerdict::Unclear);
    }

    #[test]
    fn better_than_a_refusal() {
        let better: Vec<u16> = [200, 204, 301, 400, 401, 403, 404, 421, 502]
            .into_iter()
            .filter(|&status| is_better(&answer(status)))
            .collect();
        assert_eq!(better, [200, 204, 301, 401]);
    }
}
