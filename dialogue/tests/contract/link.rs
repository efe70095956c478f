//! A connection that may break at any moment.

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::Message};

/// For how long nothing may happen before a connection counts as broken.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Link {
    socket: WebSocketStream<TcpStream>,
    events: VecDeque<(String, Value)>,
    next_ack: u64,
}

/// The connection is no more.
#[derive(Debug)]
pub struct Gone;

impl Link {
    /// Connects as a user. With a `buffer`, the system takes in only so many bytes that are not read.
    pub async fn open(address: SocketAddr, user: &str, buffer: Option<u32>) -> Result<Self, Gone> {
        tokio::time::timeout(PATIENCE, Self::connect(address, user, buffer))
            .await
            .unwrap_or(Err(Gone))
    }

    async fn connect(address: SocketAddr, user: &str, buffer: Option<u32>) -> Result<Self, Gone> {
        let tcp = TcpSocket::new_v4().map_err(|_| Gone)?;
        if let Some(bytes) = buffer {
            tcp.set_recv_buffer_size(bytes).map_err(|_| Gone)?;
        }
        let tcp = tcp.connect(address).await.map_err(|_| Gone)?;
        tcp.set_nodelay(true).map_err(|_| Gone)?;
        let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket");
        let (socket, _) = client_async(url, tcp).await.map_err(|_| Gone)?;
        let mut link = Self { socket, events: VecDeque::new(), next_ack: 0 };
        link.text().await?;
        link.send(format!("40{}", json!({ "userId": user }))).await?;
        if !link.text().await?.starts_with("40") {
            return Err(Gone);
        }
        Ok(link)
    }

    /// Asks and waits for the answer; what arrives meanwhile is kept.
    pub async fn ask(&mut self, name: &str, payload: Value) -> Result<Value, Gone> {
        let id = self.next_ack;
        self.next_ack += 1;
        self.send(format!("42{id}{}", json!([name, payload]))).await?;
        let answer = format!("43{id}[");
        loop {
            let text = self.text().await?;
            if text.starts_with(&answer) {
                let mut body: Vec<Value> =
                    serde_json::from_str(&text[answer.len() - 1..]).map_err(|_| Gone)?;
                return Ok(body.remove(0));
            }
            self.keep(&text)?;
        }
    }

    /// The next event, of the protocol's own or another.
    pub async fn event(&mut self) -> Result<(String, Value), Gone> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            let text = self.text().await?;
            self.keep(&text)?;
        }
    }

    fn keep(&mut self, text: &str) -> Result<(), Gone> {
        let Some(body) = text.strip_prefix("42") else { return Err(Gone) };
        let mut body: Vec<Value> = serde_json::from_str(body).map_err(|_| Gone)?;
        let payload = if body.len() > 1 { body.remove(1) } else { Value::Null };
        self.events.push_back((body[0].as_str().unwrap_or_default().to_owned(), payload));
        Ok(())
    }

    async fn send(&mut self, text: String) -> Result<(), Gone> {
        let sent = self.socket.send(Message::text(text));
        tokio::time::timeout(PATIENCE, sent).await.map_err(|_| Gone)?.map_err(|_| Gone)
    }

    /// The next Socket.IO packet; answers pings.
    async fn text(&mut self) -> Result<String, Gone> {
        loop {
            let next =
                tokio::time::timeout(PATIENCE, self.socket.next()).await.map_err(|_| Gone)?;
            match next {
                Some(Ok(Message::Text(text))) if text == "2" => self.send("3".into()).await?,
                Some(Ok(Message::Text(text))) if text == "1" || text.starts_with("41") => {
                    return Err(Gone);
                }
                Some(Ok(Message::Text(text))) => return Ok(text.to_string()),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(Gone),
                Some(Ok(_)) => {}
            }
        }
    }
}
