//! File descriptors that are kept back to answer connections when the process has no others left.

use std::{io, time::Duration};

use socket2::{Domain, Socket, Type};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

/// Number of connections that are answered at once when there are no other descriptors.
const RESERVED: usize = 8;
/// How long such a connection may take to read its answer and close.
const LINGER: Duration = Duration::from_millis(500);
/// How long to wait for a descriptor.
const WAIT: Duration = Duration::from_millis(100);

pub(crate) struct Reserve {
    free: mpsc::Receiver<Socket>,
    give: mpsc::Sender<Socket>,
}

impl Reserve {
    pub(crate) fn new() -> Self {
        let (give, free) = mpsc::channel(RESERVED);
        for spare in (0..RESERVED).map_while(|_| spare().ok()) {
            // There is room for each of them.
            let _ = give.try_send(spare);
        }
        Self { free, give }
    }

    /// Accepts a connection with a reserved descriptor, and sends `answer` on it. Waits for a moment if none
    /// is left.
    pub(crate) async fn refuse(&mut self, tcp: &TcpListener, answer: &'static [u8]) {
        let Ok(Some(spare)) = tokio::time::timeout(WAIT, self.free.recv()).await else { return };
        drop(spare);
        let accepted = tokio::time::timeout(WAIT, tcp.accept()).await;
        let give = self.give.clone();
        tokio::spawn(async move {
            if let Ok(Ok((stream, _))) = accepted {
                refuse(stream, answer).await;
            }
            refill(&give).await;
        });
    }
}

/// Sends an answer to a connection that finds no place, and closes it.
pub(crate) async fn refuse(stream: TcpStream, answer: &[u8]) {
    let _ = tokio::time::timeout(LINGER, send(stream, answer)).await;
}

/// A descriptor that does nothing.
fn spare() -> io::Result<Socket> {
    Socket::new(Domain::IPV4, Type::DGRAM, None)
}

/// Puts a descriptor back, once the process has one.
async fn refill(give: &mpsc::Sender<Socket>) {
    while !give.is_closed() {
        if let Ok(spare) = spare() {
            let _ = give.try_send(spare);
            return;
        }
        tokio::time::sleep(WAIT).await;
    }
}

/// Sends an answer and waits until the client has closed: closing before it has may discard the answer.
async fn send(mut stream: TcpStream, answer: &[u8]) -> io::Result<()> {
    stream.write_all(answer).await?;
    stream.shutdown().await?;
    let mut ignored = [0; 1_024];
    while stream.read(&mut ignored).await? > 0 {}
    Ok(())
}

/// Whether the process or the system has no file descriptor left: `ENFILE` and `EMFILE` on Unix, and
/// `WSAEMFILE` on Windows.
pub(crate) fn is_out_of_files(error: &io::Error) -> bool {
    let codes: &[i32] = if cfg!(windows) { &[10_024] } else { &[23, 24] };
    error.raw_os_error().is_some_and(|code| codes.contains(&code))
}
