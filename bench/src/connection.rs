//! One client: a Socket.IO connection over a WebSocket.

use std::{
    cell::RefCell,
    io::{self, ErrorKind},
    net::SocketAddr,
};

use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::wire::{Incoming, write_text};

/// Size of the read buffer, in bytes.
const READ: usize = 256 * 1024;

thread_local! {
    // All connections of a thread share one buffer: only one reads at a time.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ]);
}

pub(crate) struct Connection {
    stream: TcpStream,
    incoming: RefCell<Incoming>,
}

impl Connection {
    /// Connects as a user. Returns when the server has answered CONNECT.
    pub(crate) async fn open(address: SocketAddr, user: &str) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        // Closing resets the connection, so that its port is free at once.
        stream.set_zero_linger()?;
        let request = format!(
            "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {address}\r\n\
             Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let rest = read_upgrade(&stream).await?;
        let connection = Self { stream, incoming: RefCell::default() };
        let mut texts = Vec::new();
        connection.take(&rest, &mut |text: &[u8]| texts.push(text.to_vec()))?;
        if texts.is_empty() {
            connection.wait_for(b"0").await?;
        }
        connection.send(format!("40{}", json!({ "userId": user })).as_bytes())?;
        connection.wait_for(b"40").await?;
        Ok(connection)
    }

    /// Joins a room; returns the answer.
    pub(crate) async fn join(&self, room: usize, since: Option<&Value>) -> io::Result<Value> {
        let mut request = json!({ "roomId": format!("room:{room}") });
        if let Some(since) = since {
            request["since"] = since.clone();
        }
        self.ask("dialogue:join", &request).await
    }

    /// Sends a request. Returns its acknowledgement, and drops messages that arrive before it.
    pub(crate) async fn ask(&self, name: &str, request: &Value) -> io::Result<Value> {
        // One request is in flight at a time, so every request has the same id.
        self.send(format!("420{}", json!([name, request])).as_bytes())?;
        let answer = self.wait_for(b"430").await?;
        let mut answer: Vec<Value> = serde_json::from_slice(&answer[3..])?;
        let answer = answer.pop().unwrap_or_default();
        if answer["ok"] == true { Ok(answer) } else { Err(failure(&format!("{name}: {answer}"))) }
    }

    /// Sends a text in one write. A partial write is an error.
    pub(crate) fn send(&self, text: &[u8]) -> io::Result<()> {
        let mut frame = Vec::with_capacity(text.len() + 14);
        write_text(&mut frame, text);
        match self.stream.try_write(&frame) {
            Ok(written) if written == frame.len() => Ok(()),
            Ok(_) => Err(failure("the server does not read")),
            Err(error) => Err(error),
        }
    }

    /// Calls back for each message until the connection ends; answers pings.
    pub(crate) async fn listen(&self, mut on_text: impl FnMut(&[u8])) -> io::Result<()> {
        loop {
            self.read(&mut on_text).await?;
        }
    }

    /// Returns the next message that begins with `start`.
    async fn wait_for(&self, start: &[u8]) -> io::Result<Vec<u8>> {
        let mut found = None;
        loop {
            self.read(&mut |text: &[u8]| {
                if text.starts_with(b"44") {
                    found = Some(text.to_vec());
                }
                if found.is_none() && text.starts_with(start) {
                    found = Some(text.to_vec());
                }
            })
            .await?;
            match found {
                Some(text) if text.starts_with(b"44") => {
                    return Err(failure(&String::from_utf8_lossy(&text)));
                }
                Some(text) => return Ok(text),
                None => {}
            }
        }
    }

    /// Waits until the socket is readable, then reads once.
    async fn read(&self, on_text: &mut impl FnMut(&[u8])) -> io::Result<()> {
        self.stream.readable().await?;
        BUFFER.with_borrow_mut(|buffer| match self.stream.try_read(buffer) {
            Ok(0) => Err(failure("the server closed the connection")),
            Ok(read) => self.take(&buffer[..read], on_text),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        })
    }

    /// Parses bytes: answers pings, and passes on each other complete message.
    fn take(&self, bytes: &[u8], on_text: &mut impl FnMut(&[u8])) -> io::Result<()> {
        let mut pings = 0;
        self.incoming.borrow_mut().take(bytes, &mut |text| {
            if text == b"2" { pings += 1 } else { on_text(text) }
        });
        for _ in 0..pings {
            self.send(b"3")?;
        }
        Ok(())
    }
}

/// Reads the head of the answer to the upgrade. Returns the bytes after it.
async fn read_upgrade(stream: &TcpStream) -> io::Result<Vec<u8>> {
    const END: &[u8] = b"\r\n\r\n";
    let mut answer = Vec::new();
    loop {
        stream.readable().await?;
        match stream.try_read_buf(&mut answer) {
            Ok(0) => return Err(failure("the server closed the connection")),
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
        if let Some(end) = memchr::memmem::find(&answer, END) {
            if !answer.starts_with(b"HTTP/1.1 101") {
                return Err(failure(&String::from_utf8_lossy(&answer[..end])));
            }
            return Ok(answer.split_off(end + END.len()));
        }
    }
}

fn failure(text: &str) -> io::Error {
    io::Error::other(text)
}
