//! What is said of the way to the cluster while Services are served: once when it is lost, once when it is back.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use crate::cluster::{ApiServerHealth, HealthTrouble};
use crate::terminal::output::Output;
use crate::terminal::styled_text::TextTone;

/// What is over sooner is not worth a word: the page that met it says so.
const UNMENTIONED_TROUBLE_LIMIT: Duration = Duration::from_secs(1);

/// By then it is known whether connections can be made again after some were lost.
const RECONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Tells `output` of each change of `health`, as long as it is polled.
pub async fn report_health(mut health: watch::Receiver<ApiServerHealth>, output: Output) {
    let mut told = ApiServerHealth::Well;
    loop {
        let now = health.borrow_and_update().clone();
        let is_worse = now != ApiServerHealth::Well;
        let is_lost = matches!(now, ApiServerHealth::Lost(_));
        let limit = if is_lost { RECONNECT_LIMIT } else { UNMENTIONED_TROUBLE_LIMIT };
        if is_worse && timeout(limit, health.changed()).await.is_ok() {
            if !is_lost || *health.borrow() != ApiServerHealth::Well {
                continue;
            }
            health.mark_changed();
        }
        if let Some((tone, line)) = change(&told, &now) {
            output.print_event(tone, &line);
        }
        told = now;
        if health.changed().await.is_err() {
            return;
        }
    }
}

/// What there is to tell when `told` has become `now`.
fn change(told: &ApiServerHealth, now: &ApiServerHealth) -> Option<(TextTone, String)> {
    use ApiServerHealth::{CredentialsRefused, Lost, Unreachable, Well};
    Some(match (told, now) {
        (Well | Lost(_), Well) => return None,
        (_, Lost(trouble)) => {
            (TextTone::Bad, format!("connections to the API server were lost and are made anew: {}", trouble.why))
        }
        (_, Unreachable(trouble)) => (TextTone::Bad, format!("the API server cannot be reached: {}", trouble.why)),
        (_, CredentialsRefused(trouble)) => {
            (TextTone::Bad, format!("{}: what is open cannot be used until you have logged in again", trouble.why))
        }
        (Unreachable(trouble), Well) => {
            (TextTone::Good, format!("the API server is reached again, after {}", lasted(trouble)))
        }
        (CredentialsRefused(trouble), Well) => {
            (TextTone::Good, format!("the credentials are accepted again, after {}", lasted(trouble)))
        }
    })
}

/// The same for the status line, as long as it holds.
pub fn status(health: &ApiServerHealth) -> Option<String> {
    match health {
        ApiServerHealth::Well | ApiServerHealth::Lost(_) => None,
        ApiServerHealth::Unreachable(trouble) => Some(format!("API server unreachable for {}", lasted(trouble))),
        ApiServerHealth::CredentialsRefused(trouble) => Some(format!("credentials refused for {}", lasted(trouble))),
    }
}

fn lasted(trouble: &HealthTrouble) -> String {
    let seconds = trouble.since.elapsed().as_secs();
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn each_change_once() {
        let trouble = |seconds: u64, why: &str| HealthTrouble {
            since: Instant::now() - Duration::from_secs(seconds),
            why: why.to_owned(),
        };
        let gone = ApiServerHealth::Unreachable(trouble(28, "no route to host at 10.0.0.1:6443"));
        let refused = ApiServerHealth::CredentialsRefused(trouble(300, "the token has expired"));
        let check = |told: &ApiServerHealth, now: &ApiServerHealth, expect: Option<&str>| {
            assert_eq!(change(told, now).map(|(_, line)| line).as_deref(), expect);
        };
        let well = ApiServerHealth::Well;
        check(&well, &well, None);
        check(&well, &gone, Some("the API server cannot be reached: no route to host at 10.0.0.1:6443"));
        check(&gone, &well, Some("the API server is reached again, after 28 s"));
        let log_in = "the token has expired: what is open cannot be used until you have logged in again";
        check(&gone, &refused, Some(log_in));
        check(&refused, &well, Some("the credentials are accepted again, after 5 min"));
        let lost = ApiServerHealth::Lost(trouble(0, "this machine has lost its address 10.0.0.7"));
        let anew =
            "connections to the API server were lost and are made anew: this machine has lost its address 10.0.0.7";
        check(&well, &lost, Some(anew));
        check(&lost, &well, None);
        assert_eq!(status(&gone).as_deref(), Some("API server unreachable for 28 s"));
        assert_eq!(status(&well), None);
    }
}
