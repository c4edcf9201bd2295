//! Who uses the network of all tests: those that change it, or those that cannot bear a change.
//!
//! Chromium ends every request that is under way when any device of its machine comes, goes or changes its address
//! (`net::ERR_NETWORK_CHANGED`), whatever those requests go by. So a browser and a cable never are there at the same time.

use std::sync::LazyLock;

use tokio::sync::watch;

/// What somebody needs of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkUse {
    /// Devices and addresses stay as they are.
    Unchanged,
    /// They change.
    Changing,
}

/// The turn of all who need the same; it lasts until the last of them drops this.
#[derive(Debug)]
pub struct NetworkTurn(NetworkUse);

/// Who has it, and how many they are.
static TURNS: LazyLock<watch::Sender<(NetworkUse, usize)>> =
    LazyLock::new(|| watch::Sender::new((NetworkUse::Unchanged, 0)));

impl NetworkTurn {
    /// Waits until nobody needs anything else. Who has one gets another of the same at once.
    ///
    /// # Panics
    /// Never: the sender lives as long as the program.
    pub async fn take(needed: NetworkUse) -> Self {
        let is_free = |(by, count): &(NetworkUse, usize)| *count == 0 || *by == needed;
        let mut turns = TURNS.subscribe();
        while !TURNS.send_if_modified(|turn| {
            let free = is_free(turn);
            if free {
                *turn = (needed, turn.1 + 1);
            }
            free
        }) {
            turns.wait_for(is_free).await.expect("the sender is never dropped");
        }
        Self(needed)
    }
}

impl Drop for NetworkTurn {
    fn drop(&mut self) {
        TURNS.send_modify(|(by, count)| {
            debug_assert_eq!(*by, self.0, "one use at a time");
            *count -= 1;
        });
    }
}
