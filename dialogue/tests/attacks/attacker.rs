//! Clients that send by hand, and do not read unless they want to.

use std::{net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

/// How long an attacker waits for what it wants to read.
const PATIENCE: Duration = Duration::from_secs(20);

/// A client's frame, masked with zeros.
pub fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match payload.len() {
        short @ ..=125 => frame.push(0x80 | u8::try_from(short).unwrap()),
        medium @ ..=65_535 => {
            frame.push(0xFE);
            frame.extend(u16::try_from(medium).unwrap().to_be_bytes());
        }
        long => {
            frame.push(0xFF);
            frame.extend((long as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

/// A request without acknowledgement.
pub fn event(name: &str, payload: &Value) -> String {
    format!("42{}", json!([name, payload]))
}

/// A request with one.
pub fn request(name: &str, id: usize, payload: &Value) -> String {
    format!("42{id}{}", json!([name, payload]))
}

pub struct Attacker {
    stream: TcpStream,
}

impl Attacker {
    /// Opens a WebSocket, and nothing more.
    pub async fn open(address: SocketAddr) -> Self {
        Self::with_head(address, "").await.1
    }

    /// Opens a WebSocket with a long header, if that is let in; says how long the head was.
    pub async fn with_head(address: SocketAddr, padding: &str) -> (usize, Self) {
        let socket = TcpSocket::new_v4().unwrap();
        // What it does not read, the server keeps.
        socket.set_recv_buffer_size(4_096).unwrap();
        let mut stream = socket.connect(address).await.unwrap();
        let head = format!(
            "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\n\
             connection: upgrade\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nx-padding: {padding}\r\n\r\n"
        );
        let _ = stream.write_all(head.as_bytes()).await;
        let mut attacker = Self { stream };
        attacker.read_until(b"\r\n\r\n").await;
        (head.len(), attacker)
    }

    /// Opens a connection, and sends nothing.
    pub async fn bare(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap() }
    }

    /// Sends bytes as they are; returns how many.
    pub async fn write(&mut self, text: &str) -> usize {
        let _ = timeout(Duration::from_secs(2), self.stream.write_all(text.as_bytes())).await;
        text.len()
    }

    pub async fn connect(address: SocketAddr, user: &str) -> Self {
        let mut attacker = Self::open(address).await;
        attacker.send(&format!(r#"40{{"userId":"{user}"}}"#)).await;
        attacker.read_until(b"dialogue:connected").await;
        attacker
    }

    pub async fn join(&mut self, room: &str) {
        self.send(&request("dialogue:join", 0, &json!({ "roomId": room }))).await;
        self.read_until(b"\"ok\":true").await;
    }

    /// Sends a text; returns how many bytes that took.
    pub async fn send(&mut self, text: &str) -> usize {
        self.send_for(text, Duration::from_secs(2)).await
    }

    /// The same, for at most `time`.
    pub async fn send_for(&mut self, text: &str, time: Duration) -> usize {
        let frame = frame(1, text.as_bytes());
        let _ = timeout(time, self.stream.write_all(&frame)).await;
        frame.len()
    }

    /// Sends the same again and again, as fast as the server takes it; returns how many bytes it took.
    pub async fn flood(&mut self, bytes: &[u8], most: usize, time: Duration) -> usize {
        let mut sent = 0;
        let flood = async {
            while sent < most {
                let mut left = bytes;
                while !left.is_empty() {
                    let Ok(written) = self.stream.write(left).await else { return };
                    left = &left[written..];
                    sent += written;
                }
            }
        };
        let _ = timeout(time, flood).await;
        sent
    }

    /// Reads whatever there is.
    pub async fn read_some(&mut self) {
        let mut buffer = vec![0; 65_536];
        while let Ok(Ok(1..)) = timeout(Duration::ZERO, self.stream.read(&mut buffer)).await {}
    }

    async fn read_until(&mut self, wanted: &[u8]) {
        let read = async {
            let (mut read, mut buffer) = (Vec::new(), vec![0; 65_536]);
            while let Ok(length @ 1..) = self.stream.read(&mut buffer).await {
                read.extend_from_slice(&buffer[..length]);
                if read.windows(wanted.len()).any(|window| window == wanted) {
                    break;
                }
            }
        };
        timeout(PATIENCE, read).await.expect("what is waited for arrives in time");
    }
}

/// A client on long polling.
pub struct Poller {
    address: SocketAddr,
    session_id: String,
}

impl Poller {
    /// Connects, unless the server has no more memory for this address.
    pub async fn connect(address: SocketAddr, user: &str) -> Option<Self> {
        let open = fetch(address, "GET", "/socket.io/?EIO=4&transport=polling", "").await;
        let open: Value = serde_json::from_str(open.strip_prefix('0')?).unwrap();
        let poller = Self { address, session_id: open["sid"].as_str().unwrap().to_owned() };
        let connect = format!(r#"40{{"userId":"{user}"}}"#);
        if fetch(address, "POST", &poller.path(), &connect).await != "ok" {
            return None;
        }
        let mut seen = String::new();
        while !seen.contains("dialogue:connected") {
            seen += &fetch(address, "GET", &poller.path(), "").await;
        }
        Some(poller)
    }

    pub fn path(&self) -> String {
        format!("/socket.io/?EIO=4&transport=polling&sid={}", self.session_id)
    }

    /// Reads what there is.
    pub async fn poll(&self) {
        fetch(self.address, "GET", &self.path(), "").await;
    }

    /// Begins to read, and stops after the head of the answer.
    pub async fn begin_poll(&self) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        let mut stream = socket.connect(self.address).await.unwrap();
        let head = format!("GET {} HTTP/1.1\r\nhost: x\r\n\r\n", self.path());
        stream.write_all(head.as_bytes()).await.unwrap();
        let _ = timeout(PATIENCE, stream.read(&mut [0; 100])).await;
        stream
    }

    /// Sends packets; returns how many bytes they are.
    pub async fn post(&self, body: &str) -> usize {
        fetch(self.address, "POST", &self.path(), body).await;
        body.len()
    }

    /// Begins to send packets, and stops after `sent` bytes.
    pub async fn begin_upload(&self, length: usize, sent: usize) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let path = self.path();
        let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n4");
        let _ = stream.write_all(head.as_bytes()).await;
        let _ = timeout(Duration::from_secs(2), stream.write_all(&vec![b'x'; sent])).await;
        stream
    }
}

async fn fetch(address: SocketAddr, method: &str, path: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    let mut answer = Vec::new();
    let _ = stream.write_all(request.as_bytes()).await;
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    let answer = String::from_utf8_lossy(&answer);
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body).to_owned()
}
