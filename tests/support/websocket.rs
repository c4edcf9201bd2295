//! A WebSocket peer that is not ours.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderName, HeaderValue, Response};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::http::{self as client, tcp};

/// The whole answer to a handshake at a `http://` URL that is to be refused.
pub async fn refusal(url: &str, origin: &str) -> client::Answer {
    let handshake = http::Request::builder()
        .header("origin", origin)
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    client::send(url, handshake).await
}

/// One end of an open WebSocket.
pub struct Peer {
    socket: WebSocketStream<TcpStream>,
    /// The answer to the handshake.
    pub handshake: Response<Option<Vec<u8>>>,
}

impl Peer {
    /// Opens a `ws://` URL with further request headers; a refusal comes back with its answer.
    pub async fn open(url: &str, headers: &[(&str, &str)]) -> Result<Self, Box<Response<Option<Vec<u8>>>>> {
        let mut request = url.into_client_request().unwrap();
        for (name, value) in headers {
            let name = HeaderName::try_from(*name).unwrap();
            request.headers_mut().append(name, HeaderValue::try_from(*value).unwrap());
        }
        let stream = tcp(request.uri()).await;
        match client_async(request, stream).await {
            Ok((socket, handshake)) => Ok(Self { socket, handshake }),
            Err(Error::Http(answer)) => Err(answer),
            Err(error) => panic!("{url}: {error}"),
        }
    }

    /// Sends a message and returns the next one that comes.
    pub async fn exchange(&mut self, message: Message) -> Message {
        self.socket.send(message).await.unwrap();
        self.next().await.expect("the WebSocket is open")
    }

    /// The next message, or nothing at the end.
    pub async fn next(&mut self) -> Option<Message> {
        self.socket.next().await.map(Result::unwrap)
    }

    /// Sends a message every `period` until it ends, which it must without a close.
    pub async fn talk_until_cut(mut self, period: Duration) {
        let mut next = tokio::time::interval(period);
        loop {
            tokio::select! {
                _ = next.tick() => drop(self.socket.send(Message::text("hello")).await), // it may have ended
                message = self.socket.next() => match message {
                    Some(Ok(Message::Text(text))) => assert_eq!(text, "hello"),
                    None | Some(Err(_)) => return,
                    Some(Ok(other)) => panic!("{other:?}"),
                },
            }
        }
    }

    /// Waits until it ends, which it must without a close.
    pub async fn until_cut(mut self) {
        match self.socket.next().await {
            None | Some(Err(_)) => {}
            Some(Ok(message)) => panic!("{message:?} instead of an end"),
        }
    }

    /// Closes it and waits for the other side to agree.
    pub async fn close(mut self) {
        self.socket.close(None).await.unwrap();
        while let Some(Ok(_)) = self.socket.next().await {}
    }
}
