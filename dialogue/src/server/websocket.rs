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
    time::Sleep,
};

use super::{
    budget::Holding,
    frames::{self, Incoming},
    outgoing::{Entry, Outgoing, is_greeting},
};

/// How many bytes are read at most while a write waits, beyond as many as the client has taken: enough
/// for the answers to heartbeats.
const GRACE: usize = 1_024;
/// How many bytes of the transport's own frames wait, at most, before it waits, too.
const OWN: usize = 65_536;
/// How many bytes a client may send before it is let in.
const BEFORE_SESSION: usize = 65_536;
/// How many parts of packets are written at once, at most.
const PARTS: usize = 48;
/// How many bytes are written at once where parts cannot be.
const TOGETHER: usize = 16_384;
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
    incoming: Incoming,
    /// What a message holds that has not ended.
    held: Holding,
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
    /// A connection that was opened by itself, or, if `upgrades`, for a client that polls. What it sends
    /// is held against `held` until a message is whole.
    pub(super) fn new(
        stream: S,
        outgoing: Arc<Outgoing>,
        held: Holding,
        write_time: Duration,
        upgrades: bool,
    ) -> Self {
        let inner = Inner {
            stream,
            outgoing,
            writing: VecDeque::new(),
            written: 0,
            phase: if upgrades { Phase::Probing } else { Phase::Open },
            incoming: Incoming::default(),
            held,
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
            if self.writing.is_empty() && !self.take_next(cx) {
                return Poll::Ready(Ok(()));
            }
            match self.write_once(cx) {
                Poll::Ready(Ok(0)) => return self.fail(io::ErrorKind::WriteZero.into()),
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
        self.outgoing.close();
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
        Poll::Ready(Err(error))
    }

    /// Takes what leaves next off the queue; returns whether there is anything.
    fn take_next(&mut self, cx: &Context<'_>) -> bool {
        self.outgoing.register(cx.waker());
        self.outgoing.take(&mut self.writing, self.phase == Phase::Open);
        if self.writing.is_empty() {
            self.stalled = None;
        }
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
        self.stalled = None;
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
        }
        if !self.outgoing.was_open() {
            self.early += bytes.len();
            if self.early > BEFORE_SESSION {
                return self.refuse("a client sent too much before it was let in");
            }
        }
        if !self.incoming.follow(bytes) {
            return self.refuse("a client named a namespace that is too long");
        }
        if !self.held.set(self.incoming.partial()) {
            return self.refuse("the clients of one address send more than may be held");
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
        self.outgoing.close();
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
