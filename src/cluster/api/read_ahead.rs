//! Content that is taken from the wire at the reader's pace, but not for long.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Semaphore, SemaphorePermit, mpsc};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::api_error::ApiError;
use super::call::WireContent;

/// Bytes that may wait for the reader, as long as it is quick.
const ROOM: usize = 128 * 1024;
/// A reader that takes nothing for longer than this is not waited for: an API server breaks an answer off that is not
/// taken within a minute (apiserver `--request-timeout`), while a person may look at a first screenful for longer.
const SLOW_READER_TIMEOUT: Duration = Duration::from_secs(5);

type ContentPiece = Result<Bytes, ApiError>;

/// Content on its way through memory.
#[derive(Debug)]
pub(super) struct ReadAhead {
    pieces: mpsc::UnboundedReceiver<ContentPiece>,
    room: Arc<Semaphore>,
    _task: AbortOnDropHandle<()>,
}

impl ReadAhead {
    pub(super) fn of(wire: WireContent) -> Self {
        let (sender, pieces) = mpsc::unbounded_channel();
        let room = Arc::new(Semaphore::new(ROOM));
        let task = tokio::spawn(receive(wire, sender, room.clone()));
        Self { pieces, room, _task: AbortOnDropHandle::new(task) }
    }

    /// The next piece; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        let piece = self.pieces.recv().await.transpose()?;
        self.room.add_permits(size(piece.as_ref()));
        Ok(piece)
    }
}

async fn receive(mut wire: WireContent, pieces: mpsc::UnboundedSender<ContentPiece>, room: Arc<Semaphore>) {
    let mut is_patient = true;
    while let Some(piece) = wire.next().await.transpose() {
        let size = size(piece.as_ref().ok());
        if pieces.send(piece).is_err() {
            return;
        }
        if is_patient {
            let taken =
                timeout(SLOW_READER_TIMEOUT, room.acquire_many(u32::try_from(size).expect("no more than the room")))
                    .await;
            is_patient = taken.is_ok_and(|taken| taken.map(SemaphorePermit::forget).is_ok());
        }
    }
}

/// How much of the room a piece takes.
fn size(piece: Option<&Bytes>) -> usize {
    piece.map_or(0, Bytes::len).min(ROOM)
}
