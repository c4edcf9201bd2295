//! Content that is taken from the wire at the reader's pace, but not for long.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{BoxStream, Stream, StreamExt, unfold};
use tokio::sync::{Semaphore, SemaphorePermit, mpsc};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::api_error::ApiError;

/// Bytes that may wait for the reader, as long as it is quick.
const ROOM: usize = 128 * 1024;
/// A reader that takes nothing for longer than this is not waited for: an API server breaks an answer off that is not
/// taken within a minute (apiserver `--request-timeout`), while a person may look at a first screenful for longer.
const SLOW_READER_TIMEOUT: Duration = Duration::from_secs(5);

type ContentPiece = Result<Bytes, ApiError>;

/// The pieces of `wire`, taken from it in a task of its own, which ends with the stream.
pub(super) fn read_ahead(wire: BoxStream<'static, ContentPiece>) -> impl Stream<Item = ContentPiece> + Send {
    let (sender, pieces) = mpsc::unbounded_channel();
    let room = Arc::new(Semaphore::new(ROOM));
    let task = AbortOnDropHandle::new(tokio::spawn(receive(wire, sender, room.clone())));
    unfold((pieces, room, task), |(mut pieces, room, task)| async move {
        let piece: ContentPiece = pieces.recv().await?;
        room.add_permits(size(&piece));
        Some((piece, (pieces, room, task)))
    })
}

async fn receive(
    mut wire: BoxStream<'static, ContentPiece>,
    pieces: mpsc::UnboundedSender<ContentPiece>,
    room: Arc<Semaphore>,
) {
    let mut is_patient = true;
    while let Some(piece) = wire.next().await {
        let size = u32::try_from(size(&piece)).expect("no more than the room");
        if pieces.send(piece).is_err() {
            return;
        }
        if is_patient {
            let taken = timeout(SLOW_READER_TIMEOUT, room.acquire_many(size)).await;
            is_patient = taken.is_ok_and(|taken| taken.map(SemaphorePermit::forget).is_ok());
        }
    }
}

/// How much of the room a piece takes.
fn size(piece: &ContentPiece) -> usize {
    piece.as_ref().map_or(0, Bytes::len).min(ROOM)
}
