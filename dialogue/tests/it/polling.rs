//! A client on long polling, which receives only when it asks to.

use std::{net::SocketAddr, sync::Mutex};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// One request on a connection of its own; returns status line and headers, and body.
pub async fn request(address: SocketAddr, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut bytes = Vec::new();
    // A server that refuses a long body may close the connection while we write or read.
    let _ = stream.write_all(request.as_bytes()).await;
    let _ = stream.read_to_end(&mut bytes).await;
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    (head.to_owned(), body.to_owned())
}

pub async fn fetch(address: SocketAddr, path: &str, headers: &str) -> (String, String) {
    let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n");
    request(address, &head).await
}

pub struct Poller {
    pub address: SocketAddr,
    /// Where Socket.IO is.
    pub endpoint: String,
    pub session_id: String,
    /// What came with the CONNECT reply.
    early: Mutex<Vec<String>>,
}

impl Poller {
    /// Connects; an error is the connect error's JSON.
    pub async fn connect(address: SocketAddr, auth: &str, headers: &str) -> Result<Self, Value> {
        Self::connect_at(address, "/socket.io", auth, headers).await
    }

    /// Connects where Socket.IO has another path.
    pub async fn connect_at(
        address: SocketAddr,
        endpoint: &str,
        auth: &str,
        headers: &str,
    ) -> Result<Self, Value> {
        let path = format!("{endpoint}/?EIO=4&transport=polling");
        let (_, open) = fetch(address, &path, headers).await;
        let open: Value = serde_json::from_str(&open[1..]).unwrap();
        assert_eq!(open["maxPayload"], 1_000_000);
        let mut poller = Self::of(address, open["sid"].as_str().unwrap());
        poller.endpoint = endpoint.to_owned();
        poller.send(&format!("40{auth}")).await;
        let mut packets = poller.poll().await;
        let reply = packets.remove(0);
        *poller.early.lock().unwrap() = packets;
        match reply.split_at(2) {
            ("40", _) => Ok(poller),
            ("44", error) => {
                let error: Value = serde_json::from_str(error).unwrap();
                Err(serde_json::from_str(error["message"].as_str().unwrap()).unwrap())
            }
            _ => panic!("{reply}"),
        }
    }

    /// Whoever claims to have this session.
    pub fn of(address: SocketAddr, session_id: &str) -> Self {
        let endpoint = "/socket.io".to_owned();
        Self { address, endpoint, session_id: session_id.to_owned(), early: Mutex::default() }
    }

    fn path(&self) -> String {
        format!("{}/?EIO=4&transport=polling&sid={}", self.endpoint, self.session_id)
    }

    /// Sends packets; returns what the server makes of it.
    pub async fn post(&self, body: &str) -> (String, String) {
        self.post_with(body, "").await
    }

    pub async fn post_with(&self, body: &str, headers: &str) -> (String, String) {
        let (path, length) = (self.path(), body.len());
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n"
        );
        request(self.address, &format!("{head}{body}")).await
    }

    pub async fn send(&self, packet: &str) {
        let (head, body) = self.post(packet).await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}\n{body}");
    }

    /// Takes what waits, at least one Socket.IO packet.
    pub async fn poll(&self) -> Vec<String> {
        let early = std::mem::take(&mut *self.early.lock().unwrap());
        if !early.is_empty() {
            return early;
        }
        loop {
            let (head, body) = fetch(self.address, &self.path(), "").await;
            assert!(head.starts_with("HTTP/1.1 200"), "{head} {body}");
            let packets = body.split('\u{1e}').filter(|packet| *packet != "2");
            let packets: Vec<String> = packets.map(str::to_owned).collect();
            if !packets.is_empty() {
                return packets;
            }
        }
    }
}
