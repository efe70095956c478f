//! A client that speaks Socket.IO frame by frame, so that a test sees exactly what is on the wire.

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest},
};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub struct Peer {
    socket: Socket,
    events: VecDeque<(String, Value)>,
    next_ack: u64,
    pub user_id: String,
    pub client_id: String,
    pub session_id: String,
}

/// What arrives.
#[derive(Debug, PartialEq)]
pub enum Incoming {
    Event(String, Value),
    Ack(u64, Value),
    Connected,
    ConnectError(Value),
    Disconnected,
}

impl Peer {
    /// Opens the transport, and nothing more.
    pub async fn open(address: SocketAddr) -> Socket {
        let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket");
        let (mut socket, _) = connect_async(url).await.unwrap();
        let open = socket.next().await.unwrap().unwrap();
        assert!(open.to_text().unwrap().starts_with('0'), "{open}");
        socket
    }

    /// Connects; an error is the connect error's JSON. `auth` may be empty.
    pub async fn connect(address: SocketAddr, auth: &str) -> Result<Self, Value> {
        let mut peer = Self::reply_only(address, auth).await?;
        peer.greeting().await;
        Ok(peer)
    }

    /// Always the first thing that a client hears.
    pub async fn greeting(&mut self) {
        let (name, connected) = self.event().await;
        assert_eq!(name, "dialogue:connected");
        self.user_id = connected["userId"].as_str().unwrap().into();
        let client_id = connected["clientId"].as_str().unwrap();
        // The transport's session id is a secret between the two ends.
        assert_ne!(client_id, self.session_id);
        self.client_id = client_id.into();
    }

    /// Connects and returns as soon as the CONNECT reply is read.
    pub async fn reply_only(address: SocketAddr, auth: &str) -> Result<Self, Value> {
        Self::connect_on(Self::open(address).await, auth).await
    }

    /// Connects as a client of a proxy does; an error may be the status of the HTTP response, too.
    pub async fn via(address: SocketAddr, client: &str, auth: &str) -> Result<Self, Value> {
        let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket");
        let mut request = url.into_client_request().unwrap();
        request.headers_mut().insert("x-forwarded-for", client.parse().unwrap());
        let (mut socket, _) = match connect_async(request).await {
            Err(Error::Http(response)) => return Err(response.status().as_u16().into()),
            opened => opened.unwrap(),
        };
        socket.next().await.unwrap().unwrap();
        Self::connect_on(socket, auth).await
    }

    pub async fn connect_on(mut socket: Socket, auth: &str) -> Result<Self, Value> {
        socket.send(Message::text(format!("40{auth}"))).await.unwrap();
        let mut peer = Self {
            socket,
            events: VecDeque::new(),
            next_ack: 0,
            user_id: String::new(),
            client_id: String::new(),
            session_id: String::new(),
        };
        let text = peer.text().await.expect("a reply to CONNECT");
        match text.split_at(2) {
            ("40", body) => {
                let body: Value = serde_json::from_str(body).unwrap();
                peer.session_id = body["sid"].as_str().unwrap().into();
                Ok(peer)
            }
            ("44", body) => {
                let body: Value = serde_json::from_str(body).unwrap();
                Err(serde_json::from_str(body["message"].as_str().unwrap()).unwrap())
            }
            _ => panic!("unexpected {text}"),
        }
    }

    pub async fn send_text(&mut self, text: impl Into<String>) {
        self.socket.send(Message::text(text.into())).await.unwrap();
    }

    /// Sends what the server may refuse before it has arrived.
    pub async fn try_send_text(&mut self, text: impl Into<String>) {
        let _ = self.socket.send(Message::text(text.into())).await;
    }

    pub async fn send_binary(&mut self, bytes: &'static [u8]) {
        self.socket.send(Message::binary(bytes)).await.unwrap();
    }

    /// Queues a frame without sending it yet.
    pub async fn feed(&mut self, text: impl Into<String>) {
        self.socket.feed(Message::text(text.into())).await.unwrap();
    }

    pub async fn flush(&mut self) {
        self.socket.flush().await.unwrap();
    }

    /// Emits an event, asking for no acknowledgement.
    pub async fn emit(&mut self, name: &str, payload: Value) {
        self.send_text(format!("42{}", json!([name, payload]))).await;
    }

    /// Emits an event and waits for its acknowledgement; events that arrive meanwhile are kept.
    pub async fn ask(&mut self, name: &str, payload: Value) -> Value {
        let id = self.next_ack;
        self.next_ack += 1;
        self.send_text(format!("42{id}{}", json!([name, payload]))).await;
        loop {
            match self.incoming().await {
                Incoming::Ack(found, body) if found == id => return body,
                Incoming::Event(name, body) => self.events.push_back((name, body)),
                other => panic!("waiting for acknowledgement {id} of {name}: {other:?}"),
            }
        }
    }

    pub async fn join(&mut self, room: &str) -> Value {
        self.ask("dialogue:join", json!({ "roomId": room })).await
    }

    pub async fn leave(&mut self, room: &str) -> Value {
        self.ask("dialogue:leave", json!({ "roomId": room })).await
    }

    pub async fn trigger(&mut self, room: &str, event: &str, data: Value) -> Value {
        self.ask("dialogue:trigger", json!({ "roomId": room, "event": event, "data": data })).await
    }

    /// Whether events arrived that nobody has asked for yet.
    pub fn has_heard(&self) -> bool {
        !self.events.is_empty()
    }

    /// The next event.
    pub async fn event(&mut self) -> (String, Value) {
        if let Some(event) = self.events.pop_front() {
            return event;
        }
        match self.incoming().await {
            Incoming::Event(name, body) => (name, body),
            other => panic!("waiting for an event: {other:?}"),
        }
    }

    /// The next event that is a `dialogue:event`.
    pub async fn message(&mut self) -> Value {
        let (name, body) = self.event().await;
        assert_eq!(name, "dialogue:event", "{body}");
        body
    }

    /// Everything that arrived so far: asks for something harmless, whose answer comes after it.
    pub async fn caught_up(&mut self) -> Vec<(String, Value)> {
        let rooms = self.ask("dialogue:listRooms", Value::Null).await;
        assert_eq!(rooms["ok"], true);
        self.events.drain(..).collect()
    }

    /// Asserts that nothing arrived.
    pub async fn silent(&mut self) {
        assert_eq!(self.caught_up().await, [], "expected silence");
    }

    /// The next thing that arrives, whatever it is.
    pub async fn incoming(&mut self) -> Incoming {
        let Some(text) = self.text().await else {
            return Incoming::Disconnected;
        };
        let (kind, rest) = text.split_at(2);
        let start = rest.find(['[', '{']).unwrap_or(rest.len());
        let (id, body) = rest.split_at(start);
        match kind {
            "42" => {
                let mut body: Vec<Value> = serde_json::from_str(body).unwrap();
                let payload = if body.len() > 1 { body.remove(1) } else { Value::Null };
                Incoming::Event(body[0].as_str().unwrap().into(), payload)
            }
            "43" => {
                let mut body: Vec<Value> = serde_json::from_str(body).unwrap();
                Incoming::Ack(id.parse().unwrap(), body.remove(0))
            }
            "40" => Incoming::Connected,
            "44" => Incoming::ConnectError(serde_json::from_str(body).unwrap()),
            "41" => Incoming::Disconnected,
            _ => panic!("unexpected {text}"),
        }
    }

    /// The next Socket.IO packet; answers pings. None when the connection is closed.
    async fn text(&mut self) -> Option<String> {
        loop {
            let next = tokio::time::timeout(Duration::from_secs(20), self.socket.next());
            match next.await.expect("something within 20 s") {
                Some(Ok(Message::Text(text))) if text == "2" => self.try_send_text("3").await,
                Some(Ok(Message::Text(text))) if text == "1" => return None,
                Some(Ok(Message::Text(text))) => return Some(text.to_string()),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    pub async fn close(mut self) {
        self.socket.close(None).await.ok();
    }
}
