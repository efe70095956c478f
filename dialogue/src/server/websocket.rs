//! The bytes of a WebSocket: between the connection and the transport, which decodes what comes in and
//! makes a few frames of its own. Packets leave from here, straight from their queue.
//!
//! One task drives both directions: the one that reads. While a write waits for the client, no more is
//! read from it than it has taken: nothing that it sends makes the server hold an answer that it does
//! not read.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use axum::body::Bytes;
use futures_util::future::poll_fn;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::oneshot,
    time::{Instant, Sleep},
};

use super::{
    budget::Holding,
    frames::{self, Incoming},
    outgoing::{BEFORE_SESSION, Entry, Outgoing, is_greeting},
};

/// How many bytes are read at most while a write waits, beyond as many as the client has taken: enough
/// for the answers to heartbeats.
const GRACE: usize = 1_024;
/// How many bytes of the transport's own frames wait, at most, before it waits, too.
const OWN: usize = 65_536;
/// How many parts of packets are written at once, at most.
const PARTS: usize = 48;
/// How many bytes are written at once where parts cannot be.
const TOGETHER: usize = 16_384;
/// How often a client whose address holds too much looks whether it may go on.
const LOOK: Duration = Duration::from_millis(50);
/// How long the last frames may take to leave a connection that has ended.
const LINGER: Duration = Duration::from_secs(2);

/// A connection, with the queue of what leaves by it.
pub(super) struct WebSocket<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> {
    /// None once it lingers in a task of its own.
    inner: Option<Inner<S>>,
}

struct Inner<S> {
    stream: S,
    outgoing: Arc<Outgoing>,
    /// What is being written, and how many bytes of its first entry were.
    writing: VecDeque<Entry>,
    written: usize,
    phase: Phase,
    /// Whom to tell that a client that polled goes on here.
    upgrades: Option<oneshot::Sender<()>>,
    incoming: Incoming,
    /// What a message holds that has not ended, or a large one that the transport's buffer was made for.
    held: Holding,
    /// The size of that buffer, as far as it is known to stay.
    retained: usize,
    /// Until when a client whose address holds too much may wait to send more, and when to look again.
    over: Option<(Instant, Pin<Box<Sleep>>)>,
    /// Whether what was written may not have left the stream.
    unflushed: bool,
    /// How many bytes were read before there was a session.
    early: usize,
    /// How many bytes may be read while a write waits.
    credit: usize,
    write_time: Duration,
    /// Until when the client has to take something of what is being written.
    stalled: Option<Pin<Box<Sleep>>>,
    /// The transport's task that waits for its own frames to leave.
    writer: Option<Waker>,
    broken: bool,
}

/// Who the connection belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Polls still take the packets: the client asks whether a WebSocket would do.
    Probing,
    /// The client was told that it does, and says something next: that it goes on here.
    Probed,
    Open,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> WebSocket<S> {
    /// A connection that was opened by itself or, with `upgrades`, for a client that polls, which is told
    /// when the client goes on by it. What the client sends is held against `held` until a message is whole.
    pub(super) fn new(
        stream: S,
        outgoing: Arc<Outgoing>,
        held: Holding,
        write_time: Duration,
        upgrades: Option<oneshot::Sender<()>>,
    ) -> Self {
        let inner = Inner {
            stream,
            outgoing,
            writing: VecDeque::new(),
            written: 0,
            phase: if upgrades.is_some() { Phase::Probing } else { Phase::Open },
            upgrades,
            incoming: Incoming::default(),
            held,
            retained: 0,
            over: None,
            unflushed: false,
            early: 0,
            credit: 0,
            write_time,
            stalled: None,
            writer: None,
            broken: false,
        };
        Self { inner: Some(inner) }
    }

    fn inner(&mut self) -> io::Result<&mut Inner<S>> {
        self.inner.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Inner<S> {
    /// Writes what waits. Ready once nothing does.
    fn write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let written = if !self.writing.is_empty() || self.take_next(cx) {
                self.write_once(cx)
            } else if self.unflushed {
                // A stream that encrypts keeps what the connection does not take.
                Pin::new(&mut self.stream).poll_flush(cx).map_ok(|()| usize::MAX)
            } else {
                self.stalled = None;
                return Poll::Ready(Ok(()));
            };
            match written {
                Poll::Ready(Ok(0)) => return self.fail(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(usize::MAX)) => self.unflushed = false,
                Poll::Ready(Ok(written)) => self.note_written(written),
                Poll::Ready(Err(error)) => return self.fail(error),
                Poll::Pending => {
                    ready!(self.poll_stalled(cx));
                    return self.fail(io::ErrorKind::TimedOut.into());
                }
            }
        }
    }

    fn fail<T>(&mut self, error: io::Error) -> Poll<io::Result<T>> {
        self.broken = true;
        self.close();
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
        Poll::Ready(Err(error))
    }

    /// Nothing leaves any more, unless it leaves by polls.
    fn close(&self) {
        if self.phase == Phase::Open {
            self.outgoing.close();
        }
    }

    /// Takes what leaves next off the queue; returns whether there is anything.
    fn take_next(&mut self, cx: &Context<'_>) -> bool {
        self.outgoing.register(cx.waker());
        self.outgoing.take(&mut self.writing, self.phase == Phase::Open);
        !self.writing.is_empty()
    }

    fn write_once(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut skip = self.written;
        let parts = self.writing.iter().flat_map(Entry::parts).filter_map(|part| {
            let skipped = skip.min(part.len());
            skip -= skipped;
            Some(&part[skipped..]).filter(|part| !part.is_empty())
        });
        let stream = Pin::new(&mut self.stream);
        if stream.is_write_vectored() {
            let mut slices = [IoSlice::new(&[]); PARTS];
            let mut length = 0;
            for (slice, part) in slices.iter_mut().zip(parts) {
                *slice = IoSlice::new(part);
                length += 1;
            }
            return stream.poll_write_vectored(cx, &slices[..length]);
        }
        let mut together = Vec::new();
        for part in parts {
            let room = TOGETHER - together.len();
            together.extend_from_slice(&part[..room.min(part.len())]);
            if together.len() == TOGETHER {
                break;
            }
        }
        stream.poll_write(cx, &together)
    }

    fn note_written(&mut self, bytes: usize) {
        (self.stalled, self.unflushed) = (None, true);
        self.credit = self.credit.saturating_add(bytes).min(OWN);
        self.written += bytes;
        let (mut packets, mut weight) = (0, 0);
        while let Some(first) = self.writing.front() {
            let length = first.len();
            if self.written < length {
                break;
            }
            let (packet, bytes) = first.weight();
            (packets, weight) = (packets + packet, weight + bytes);
            if self.phase == Phase::Probing && first.answers_probe() {
                self.phase = Phase::Probed;
            }
            self.written -= length;
            self.writing.pop_front();
        }
        if weight > 0 {
            self.outgoing.left(packets, weight, &mut self.writing);
            if let Some(writer) = self.writer.take() {
                writer.wake();
            }
        }
    }

    /// Ready once the client has taken nothing for as long as it may.
    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let time = self.write_time;
        if self.stalled.is_none() {
            self.credit = self.credit.max(GRACE);
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(time)));
        stalled.as_mut().poll(cx)
    }

    fn read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.broken {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        }
        // The transport has made room for the next message by now, in another buffer.
        if self.outgoing.forget_large() {
            self.retained = 0;
        }
        ready!(self.wait_for_budget(cx))?;
        let blocked = match self.write(cx) {
            Poll::Ready(Ok(())) => false,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => true,
        };
        let most = if blocked { buffer.remaining().min(self.credit) } else { buffer.remaining() };
        if most == 0 {
            return Poll::Pending;
        }
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(most));
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut part))?;
        let length = part.filled().len();
        let start = buffer.filled().len();
        buffer.advance(length);
        if blocked {
            self.credit -= length;
        }
        self.note_read(&buffer.filled()[start..])
    }

    fn note_read(&mut self, bytes: &[u8]) -> Poll<io::Result<()>> {
        if self.phase == Phase::Probed && !bytes.is_empty() {
            self.phase = Phase::Open;
            if let Some(upgrades) = self.upgrades.take() {
                let _ = upgrades.send(());
            }
        }
        if !self.outgoing.was_open() {
            self.early += bytes.len();
            if self.early > BEFORE_SESSION {
                return self.refuse("a client sent too much before it was let in");
            }
        }
        if !self.incoming.follow(bytes) {
            return self.refuse("a client sent a packet that no client needs to send");
        }
        self.retained = self.retained.max(self.incoming.partial());
        if !self.held.set(self.retained) {
            let look = Box::pin(tokio::time::sleep(LOOK));
            self.over = Some((Instant::now() + self.write_time, look));
        }
        Poll::Ready(Ok(()))
    }

    /// Waits while the clients of one address hold more than they may.
    fn wait_for_budget(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some((deadline, look)) = &mut self.over {
            if self.held.set(self.retained) {
                self.over = None;
                break;
            }
            if Instant::now() >= *deadline {
                return self.refuse("the clients of one address send more than may be held");
            }
            ready!(look.as_mut().poll(cx));
            look.as_mut().reset(Instant::now() + LOOK);
        }
        Poll::Ready(Ok(()))
    }

    fn refuse(&mut self, why: &'static str) -> Poll<io::Result<()>> {
        tracing::debug!(why, "a connection is closed");
        self.fail(io::Error::new(io::ErrorKind::InvalidData, why))
    }
}

/// Writes what is left of a connection that has ended.
async fn linger<S: AsyncRead + AsyncWrite + Unpin>(mut inner: Inner<S>) {
    let written = async {
        poll_fn(|cx| inner.write(cx)).await?;
        poll_fn(|cx| Pin::new(&mut inner.stream).poll_shutdown(cx)).await
    };
    if let Ok(Err(error)) = tokio::time::timeout(LINGER, written).await {
        tracing::trace!(%error, "a connection broke");
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Drop for WebSocket<S> {
    fn drop(&mut self) {
        let Some(inner) = self.inner.take() else { return };
        let left = !inner.writing.is_empty() || inner.outgoing.bytes() > 0;
        // Without a runtime, nothing leaves any more.
        if left
            && !inner.broken
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(linger(inner));
        }
    }
}

impl<S> Drop for Inner<S> {
    fn drop(&mut self) {
        if self.phase == Phase::Open {
            self.outgoing.close();
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> AsyncRead for WebSocket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.inner()?.read(cx, buffer)
    }
}

/// Frames of the transport's own: they join the queue.
impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> AsyncWrite for WebSocket<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        frames: &[u8],
    ) -> Poll<io::Result<usize>> {
        let inner = self.inner()?;
        if inner.broken {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        }
        if !inner.outgoing.has_room_for_frames(OWN) {
            // The task that reads goes on with it; without that, this one does.
            match inner.write(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    inner.writer = Some(cx.waker().clone());
                    return Poll::Pending;
                }
            }
        }
        let opens = frames::texts(frames).any(is_greeting);
        inner.outgoing.push_frames(Bytes::copy_from_slice(frames), opens);
        Poll::Ready(Ok(frames.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
        time::{advance, timeout},
    };

    use super::*;
    use crate::server::{Limits, budget::Budget, packet::Packet};

    const WRITE_TIME: Duration = Duration::from_secs(20);
    const ALMOST: Duration = Duration::from_secs(19);

    /// A connection whose client has its greeting, the queue and its session, and the client's end of a pipe
    /// that takes so many bytes.
    fn open(pipe: usize) -> (WebSocket<DuplexStream>, Arc<Outgoing>, u64, DuplexStream) {
        let budget = || Budget::new(usize::MAX, None);
        let outgoing = Arc::new(Outgoing::new(&Limits::default(), budget(), budget()));
        let (server, client) = duplex(pipe);
        let held = Holding::new(Budget::new(100_000, None));
        let socket = WebSocket::new(server, outgoing.clone(), held, WRITE_TIME, None);
        let session = outgoing.begin();
        outgoing.open();
        (socket, outgoing, session, client)
    }

    fn packet(length: usize) -> Packet {
        Packet::direct("a", &json!("x".repeat(length))).unwrap()
    }

    /// A client's text frame, masked with zeros.
    fn frame(text: &str) -> Vec<u8> {
        let (mut header, length) = frames::text_header(text.len());
        header[1] |= 0x80;
        [&header[..length], &[0; 4], text.as_bytes()].concat()
    }

    /// Reads once, if there is anything.
    async fn read(socket: &mut WebSocket<DuplexStream>) -> Option<io::Result<usize>> {
        let mut buffer = [0; 512];
        let read = timeout(Duration::from_millis(1), socket.read(&mut buffer));
        read.await.ok()
    }

    #[tokio::test(start_paused = true)]
    async fn packets_and_frames_leave_in_their_order_in_frames_of_any_length() {
        let (mut socket, outgoing, session, mut client) = open(1_000_000);
        let mut expected = Vec::new();
        for length in [1, 100, 200, 70_000] {
            let packet = packet(length);
            let text = packet.parts().concat();
            let (header, length) = frames::text_header(text.len());
            expected.extend([&header[..length], &text].concat());
            outgoing.push(session, packet).unwrap();
            socket.write_all(b"frame").await.unwrap();
            expected.extend(b"frame");
        }
        assert!(read(&mut socket).await.is_none(), "the client has sent nothing");
        let mut left = vec![0; expected.len()];
        client.read_exact(&mut left).await.unwrap();
        assert_eq!(left, expected);
        assert_eq!(outgoing.bytes(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn while_a_write_waits_no_more_is_read_than_the_client_takes() {
        let (mut socket, outgoing, session, mut client) = open(1_000);
        outgoing.push(session, packet(100_000)).unwrap();
        client.write_all(&frame(&"y".repeat(900))).await.unwrap();
        let mut total = 0;
        while let Some(read) = read(&mut socket).await {
            total += read.unwrap();
        }
        // What fits the pipe was taken.
        assert!(total <= 1_000 + GRACE, "{total}");
        for _ in 0..20 {
            let mut taken = [0; 100];
            client.read_exact(&mut taken).await.unwrap();
            let more = client.write(&frame(&"y".repeat(900))).await.unwrap_or(0);
            assert!(more > 0 || total > 0);
            if let Some(read) = read(&mut socket).await {
                let read = read.unwrap();
                total += read;
                assert!(total <= 4_000 + GRACE, "{total}");
            }
            if total > 3_000 {
                break;
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn client_that_takes_nothing_for_the_write_time_is_given_up() {
        let (mut socket, outgoing, session, mut client) = open(1_000);
        outgoing.push(session, packet(10_000)).unwrap();
        assert!(read(&mut socket).await.is_none());
        advance(ALMOST).await;
        assert!(read(&mut socket).await.is_none());
        let mut taken = [0; 500];
        client.read_exact(&mut taken).await.unwrap();
        assert!(read(&mut socket).await.is_none(), "it has taken something");
        advance(ALMOST).await;
        assert!(read(&mut socket).await.is_none());
        advance(Duration::from_secs(2)).await;
        let given_up = read(&mut socket).await.unwrap().unwrap_err();
        assert_eq!(given_up.kind(), io::ErrorKind::TimedOut);
        assert!(outgoing.push(session, packet(1)).is_err());
        assert!(socket.write(b"frame").await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn message_beyond_the_budget_of_its_address_waits_and_closes_the_connection_in_time() {
        let (mut socket, _outgoing, _session, mut client) = open(1_000_000);
        client.write_all(&frame(&"y".repeat(200_000))[..150_000]).await.unwrap();
        let mut total = 0;
        while let Some(read) = read(&mut socket).await {
            total += read.unwrap();
        }
        assert!((100_000..110_000).contains(&total), "{total}");
        advance(WRITE_TIME).await;
        let refused = read(&mut socket).await.unwrap().unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
    }

    #[tokio::test(start_paused = true)]
    async fn client_that_is_not_let_in_sends_little() {
        let budget = || Budget::new(usize::MAX, None);
        let outgoing = Arc::new(Outgoing::new(&Limits::default(), budget(), budget()));
        let (server, mut client) = duplex(1_000_000);
        let mut socket = WebSocket::new(server, outgoing, Holding::new(budget()), WRITE_TIME, None);
        client.write_all(&frame(&"y".repeat(BEFORE_SESSION))).await.unwrap();
        let refused = loop {
            if let Err(error) = read(&mut socket).await.unwrap() {
                break error;
            }
        };
        assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
    }

    #[tokio::test(start_paused = true)]
    async fn upgrade_sends_packets_once_the_client_goes_on_after_the_probe() {
        let budget = || Budget::new(usize::MAX, None);
        let outgoing = Arc::new(Outgoing::new(&Limits::default(), budget(), budget()));
        let session = outgoing.begin();
        outgoing.open();
        let (server, mut client) = duplex(1_000_000);
        let held = Holding::new(budget());
        let (told, mut opened) = oneshot::channel();
        let mut socket = WebSocket::new(server, outgoing.clone(), held, WRITE_TIME, Some(told));
        outgoing.push(session, packet(1)).unwrap();
        client.write_all(&frame("2probe")).await.unwrap();
        read(&mut socket).await.unwrap().unwrap();
        let (header, length) = frames::text_header(6);
        let probe = [&header[..length], b"3probe"].concat();
        socket.write_all(&probe).await.unwrap();
        assert!(read(&mut socket).await.is_none());
        let mut left = vec![0; 1_000];
        let length = client.read(&mut left).await.unwrap();
        assert_eq!(left[..length], probe);
        assert!(opened.try_recv().is_err());
        client.write_all(&frame("5")).await.unwrap();
        read(&mut socket).await.unwrap().unwrap();
        assert_eq!(opened.try_recv(), Ok(()));
        assert!(read(&mut socket).await.is_none());
        let length = client.read(&mut left).await.unwrap();
        assert!(left[..length].ends_with(br#"42["a","x"]"#));
    }

    #[tokio::test]
    async fn frames_of_a_connection_that_has_ended_still_leave() {
        let (mut socket, outgoing, session, mut client) = open(100);
        outgoing.push(session, packet(5_000)).unwrap();
        socket.write_all(b"close").await.unwrap();
        drop(socket);
        let mut left = Vec::new();
        client.read_to_end(&mut left).await.unwrap();
        assert!(left.len() > 5_000 && left.ends_with(b"close"));
    }
}
