//! One WebSocket connection, from its handshake to its end.

use std::{
    collections::VecDeque,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use dialogue::protocol::{Connected, event};
use futures_util::{Sink, Stream};
use rustls::ClientConfig;
use serde_json::value::RawValue;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config,
    tungstenite::{self, Message, Utf8Bytes, error::CapacityError, protocol::WebSocketConfig},
};

use crate::{
    error::{ConnectError, Refusal, TooLarge},
    packet::{Frame, Packet},
    timers,
    who::Who,
};

/// For how long a server may be silent before it has said how often it pings.
const UNTIL_OPEN: Duration = Duration::from_mins(1);
/// How many replies wait for a server that reads nothing.
const REPLIES: usize = 1_024;

pub(crate) struct Socket {
    stream: Box<WebSocketStream<MaybeTlsStream<TcpStream>>>,
    outgoing: VecDeque<Message>,
    /// How many replies were added since everything had left.
    replies: usize,
    /// For how long nothing may be heard, and until when that is.
    patience: Duration,
    deadline: Instant,
    /// The message of the server that was too long, which ends the connection.
    pub(crate) too_long: Option<TooLarge>,
}

/// The connection is no more.
#[derive(Debug)]
pub(crate) struct Lost;

impl Socket {
    /// Connects and waits until the server has said who this is. Its messages may have `longest` bytes.
    pub(crate) async fn open(
        url: &str,
        tls: Option<&Arc<ClientConfig>>,
        auth: Option<&RawValue>,
        longest: usize,
    ) -> Result<(Self, Who), ConnectError> {
        let tls = tls.map_or(Connector::Plain, |tls| Connector::Rustls(tls.clone()));
        let config = WebSocketConfig::default();
        // A server may send a message in one frame.
        let config = config.max_message_size(Some(longest)).max_frame_size(Some(longest));
        let (stream, _) = connect_async_tls_with_config(url, Some(config), true, Some(tls)).await?;
        let (stream, deadline) = (Box::new(stream), timers::after(UNTIL_OPEN));
        let (outgoing, patience) = (VecDeque::new(), UNTIL_OPEN);
        let too_long = None;
        let mut socket = Self { stream, outgoing, replies: 0, patience, deadline, too_long };
        let who = socket.greet(auth).await?;
        Ok((socket, who))
    }

    async fn greet(&mut self, auth: Option<&RawValue>) -> Result<Who, ConnectError> {
        let open = self.text().await.map_err(|Lost| ConnectError::Handshake)?;
        let Frame::Open(heartbeat) = Frame::parse(&open) else {
            return Err(ConnectError::Handshake);
        };
        self.patience = heartbeat.patience();
        let connect = Packet::connect(auth);
        let (size, limit) = (connect.len(), heartbeat.longest());
        if size > limit {
            return Err(ConnectError::TooLarge { size, limit });
        }
        self.send(connect);
        loop {
            let text = self.next().await.map_err(|Lost| ConnectError::Handshake)?;
            match packet(&text) {
                Some(Packet::ConnectError(message)) => {
                    return Err(ConnectError::Refused(Refusal::parse(&message)));
                }
                Some(Packet::Disconnect) => return Err(ConnectError::Handshake),
                Some(Packet::Event { name, data, .. }) if name == event::CONNECTED => {
                    let connected = serde_json::from_str::<Connected<'_>>(data.get());
                    return connected.map(Who::from).map_err(|_| ConnectError::Handshake);
                }
                _ => {}
            }
        }
    }

    /// Sends, as soon as what was sent before has left.
    pub(crate) fn send(&mut self, frame: impl Into<Utf8Bytes>) {
        self.outgoing.push_back(Message::Text(frame.into()));
    }

    /// Sends what the server asks for by itself. One that asks and reads nothing is as good as gone.
    pub(crate) fn reply(&mut self, frame: impl Into<Utf8Bytes>) -> Result<(), Lost> {
        self.replies += 1;
        if self.replies > REPLIES {
            return Err(Lost);
        }
        self.send(frame);
        Ok(())
    }

    /// The next message that holds a packet, for [`packet`]. Nothing is lost if this is dropped.
    pub(crate) async fn next(&mut self) -> Result<Utf8Bytes, Lost> {
        loop {
            let text = self.text().await?;
            match Frame::parse(&text) {
                Frame::Message(_) => return Ok(text),
                Frame::Ping => self.reply(Frame::PONG)?,
                Frame::Close => return Err(Lost),
                Frame::Open(_) | Frame::Other => {}
            }
        }
    }

    /// Says goodbye, and waits until that has left.
    pub(crate) async fn close(mut self) {
        self.send(Packet::DISCONNECT);
        let close = async {
            while !self.outgoing.is_empty() {
                if poll_fn(|cx| self.poll_send(cx)).await.is_err() {
                    return;
                }
            }
            let _ = self.stream.close(None).await;
        };
        let _ = tokio::time::timeout(Duration::from_secs(1), close).await;
    }

    async fn text(&mut self) -> Result<Utf8Bytes, Lost> {
        loop {
            let deadline = self.deadline;
            let message = timeout_at(deadline, poll_fn(|cx| self.poll_next(cx))).await;
            let message = message.map_err(|_| Lost)??;
            self.deadline = timers::after(self.patience);
            match message {
                Message::Text(text) => return Ok(text),
                Message::Close(_) => return Err(Lost),
                _ => {}
            }
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Message, Lost>> {
        // Reading does not wait for a server that takes in nothing.
        if let Poll::Ready(Err(lost)) = self.poll_send(cx) {
            return Poll::Ready(Err(lost));
        }
        match ready!(Pin::new(&mut *self.stream).poll_next(cx)) {
            Some(Ok(message)) => Poll::Ready(Ok(message)),
            Some(Err(error)) => {
                if let tungstenite::Error::Capacity(CapacityError::MessageTooLong {
                    size,
                    max_size: limit,
                }) = error
                {
                    self.too_long = Some(TooLarge { size, limit });
                }
                Poll::Ready(Err(Lost))
            }
            None => Poll::Ready(Err(Lost)),
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        let lost = |_: tungstenite::Error| Lost;
        let mut stream = Pin::new(&mut *self.stream);
        while !self.outgoing.is_empty() {
            ready!(stream.as_mut().poll_ready(cx)).map_err(lost)?;
            if let Some(message) = self.outgoing.pop_front() {
                stream.as_mut().start_send(message).map_err(lost)?;
            }
        }
        self.replies = 0;
        stream.poll_flush(cx).map_err(lost)
    }
}

/// The packet in a message.
pub(crate) fn packet(text: &str) -> Option<Packet<'_>> {
    if let Frame::Message(packet) = Frame::parse(text) { Packet::parse(packet) } else { None }
}
