//! The byte stream behind a `101`, and what whoever answered puts around it.

use std::sync::Arc;

use http::Response;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use super::byte_stream::ByteStream;

/// A stream that is not there before the answer has been read to its end.
pub struct PendingStream {
    upgrade: OnUpgrade,
    wrapper: Option<StreamWrapper>,
}

/// What is to be around the stream of a `101`: an extension of the answer.
#[derive(Clone)]
struct StreamWrapper(Arc<dyn Fn(ByteStream) -> ByteStream + Send + Sync>);

/// Puts `wrap` around the stream of `response`, which is a `101`, once it is there.
pub(crate) fn wrap_stream<B>(
    response: &mut Response<B>,
    wrap: impl Fn(ByteStream) -> ByteStream + Send + Sync + 'static,
) {
    response.extensions_mut().insert(StreamWrapper(Arc::new(wrap)));
}

/// Takes the stream out of `response`, which is a `101`.
pub fn take_stream<B>(response: &mut Response<B>) -> PendingStream {
    let wrapper = response.extensions_mut().remove();
    PendingStream { upgrade: hyper::upgrade::on(response), wrapper }
}

impl PendingStream {
    /// Waits for the stream.
    ///
    /// # Errors
    /// When the connection broke, or the answer had none.
    pub async fn stream(self) -> Result<ByteStream, hyper::Error> {
        let stream: ByteStream = Box::new(TokioIo::new(self.upgrade.await?));
        Ok(match self.wrapper {
            Some(StreamWrapper(wrap)) => wrap(stream),
            None => stream,
        })
    }
}
