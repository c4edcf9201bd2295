//! Keeps looking after the connections to one API server, as long as somebody uses it.

use std::sync::{Arc, Weak};

use tokio::time::timeout;

use super::api_server::ApiServer;
use crate::cluster::client::connect::REFUSED;
use crate::cluster::client::send_error::SendError;
use crate::cluster::client::tls::TlsProblem;
use crate::cluster::client::way_watch::{FoundLosses, PROBE_TIMEOUT, WayWatch};

/// Ends what is lost, and tells whoever wants to know whether `api` answers.
pub(crate) async fn look_after(api: Weak<ApiServer>, way: Arc<WayWatch>) {
    loop {
        way.until_due().await;
        let Some(api) = api.upgrade() else { return };
        let FoundLosses { lost, is_probe_due } = way.look();
        if let Some((count, why)) = lost {
            tracing::info!(count, %why, "connections to the API server are lost");
            api.health.lost(&why);
        }
        if is_probe_due {
            tokio::spawn(probe(api, way.clone()));
        }
    }
}

/// Makes a new connection, which whoever waits may soon want.
async fn probe(api: Arc<ApiServer>, way: Arc<WayWatch>) {
    let outcome = timeout(PROBE_TIMEOUT, api.connect_ahead()).await;
    tracing::debug!(?outcome, "tried whether a new connection to the API server comes to be");
    way.probed(match outcome {
        Ok(Ok(())) => {
            api.health.answered();
            true
        }
        Ok(Err(error)) => is_of_somebody(&error),
        Err(_) => false,
    });
}

/// Whether somebody must be there for `error` to come about.
fn is_of_somebody(error: &SendError) -> bool {
    match error {
        SendError::Connect { cause, .. } => cause == REFUSED,
        // Such as no answer.
        SendError::Tls { problem: TlsProblem::Other(_), .. } => false,
        SendError::Resolve { .. } | SendError::Proxy { .. } | SendError::Lost { .. } => false,
        SendError::Tls { .. } | SendError::Credentials(_) | SendError::HeadTooLarge | SendError::Interrupted { .. } => {
            true
        }
    }
}
