//! The byte stream between a WebSocket connection and socketioxide.
//!
//! socketioxide decodes incoming frames and writes a few frames of its own. This module writes Dialogue's
//! packets directly from [`Outgoing`].
//!
//! The reading task drives both directions. While a write is blocked, it reads only as many bytes as the
//! client has read (its credit). So a client that does not read cannot make the server queue more answers.

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

use super::frames::{Incoming, LARGE, Seen};
use crate::connection::{
    budget::Holding,
    intake::Intake,
    outgoing::{Entry, MAX_BEFORE_SESSION, Outgoing, is_greeting},
    text_frames::texts,
};

/// Read credit when a write begins to block, in bytes: enough for the answers to heartbeats.
const MIN_CREDIT: usize = 1_024;
/// Maximum read credit while a write is blocked, in bytes.
const MAX_CREDIT: usize = 65_536;
/// By how many bytes the transport's own frames may exceed the queue's limit.
const MAX_OWN_FRAMES: usize = 65_536;
/// Maximum number of slices in one vectored write.
const MAX_SLICES: usize = 48;
/// Up to how many bytes are copied into one slice, even for a stream with vectored writes.
const MAX_SHORT: usize = 2_048;
/// Maximum size of one write to a stream without vectored writes, in bytes.
const MAX_COPIED: usize = 16_384;
/// How often a connection over its byte budget checks the budget again.
const BUDGET_POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Number of frames, or of reads of a longer one, after which a connection lets other tasks run.
const FRAMES_IN_A_ROW: usize = 32;
/// Maximum number of bytes between two heartbeats, unless a packet is longer: a client that reads 1,000 bytes a
/// second answers within 16 s. The answers alone say that a client reads. What it has not read may be in the
/// buffers of a proxy, for minutes.
const BETWEEN_HEARTBEATS: usize = 16_384;
/// Number of bytes per second that a client reads at least.
const MIN_RATE: usize = 1_000;
/// How long a closed connection may take to write its last frames.
const LINGER: Duration = Duration::from_secs(2);

/// A WebSocket connection with its queue of outgoing packets.
pub(crate) struct WebSocket<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> {
    /// `None` after [`linger`] has taken it over.
    inner: Option<Inner<S>>,
}

struct Inner<S> {
    stream: S,
    outgoing: Arc<Outgoing>,
    /// Entries that are being written.
    writing: VecDeque<Entry>,
    /// Bytes of the first entry that are already written.
    written: usize,
    phase: Phase,
    /// Notified when a polling client has upgraded to this WebSocket.
    upgrades: Option<oneshot::Sender<()>>,
    incoming: Incoming,
    /// Charges `retained` to the budget of the client's address.
    held: Holding,
    /// Bytes that were read after the header of a large frame. socketioxide gets them by themselves: its buffer
    /// has room for the frame then, and for nothing after it, so that it allocates another one.
    ahead: Vec<u8>,
    /// What socketioxide's read buffer held since it was allocated.
    seen: Seen,
    /// Size of socketioxide's write buffer, in bytes: the most that it wrote at once.
    write_buffer: usize,
    /// Size of socketioxide's buffers, in bytes.
    retained: usize,
    intake: Arc<Intake>,
    /// While the client has sent more than its rate allows: until when.
    pause: Option<Pin<Box<Sleep>>>,
    /// How the stream ended, until it is this connection's turn to end.
    end: Option<io::Result<()>>,
    /// Number of frames and reads since other tasks last ran.
    in_a_row: usize,
    /// While over budget: the deadline, and the next check.
    over: Option<(Instant, Pin<Box<Sleep>>)>,
    /// Whether the stream may still buffer written bytes.
    unflushed: bool,
    /// Bytes read before the session began.
    early: usize,
    /// Bytes that may be read while a write is blocked.
    credit: usize,
    write_time: Duration,
    /// How long the client may take to answer the transport's own heartbeats.
    heartbeat_time: Duration,
    /// The deadline of a blocked write.
    stalled: Option<Pin<Box<Sleep>>>,
    /// Number of bytes after the last heartbeat among what is written or about to be.
    since_heartbeat: usize,
    /// Number of bytes that were written after the last heartbeat.
    unheard: usize,
    /// Heartbeats that the client has not answered, the oldest first.
    unanswered: VecDeque<Heartbeat>,
    /// When the client last answered a heartbeat.
    answered: Instant,
    /// Runs out when the oldest heartbeat should have been answered, or before.
    patience: Option<Pin<Box<Sleep>>>,
    /// socketioxide's task, while it waits to write its own frames.
    writer: Option<Waker>,
    broken: bool,
}

/// A heartbeat that was written.
struct Heartbeat {
    at: Instant,
    /// How long the client may take to answer it.
    time: Duration,
    /// Number of bytes before it, after the heartbeat before that.
    bytes: usize,
}

/// State of the upgrade from polling.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Polls still take the packets. The client probes this WebSocket.
    Probing,
    /// The server answered the probe. The client's next frame completes the upgrade.
    Probed,
    Open,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> WebSocket<S> {
    /// A connection. With `upgrades`, it belongs to a polling client, and `upgrades` is notified when the
    /// client completes the upgrade. `held` is charged for incoming messages until they are complete.
    pub(crate) fn new(
        stream: S,
        outgoing: Arc<Outgoing>,
        held: Holding,
        intake: Arc<Intake>,
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
            ahead: Vec::new(),
            seen: Seen::default(),
            write_buffer: 0,
            retained: 0,
            intake,
            pause: None,
            end: None,
            in_a_row: 0,
            over: None,
            unflushed: false,
            early: 0,
            credit: 0,
            write_time,
            heartbeat_time: write_time,
            stalled: None,
            since_heartbeat: 0,
            unheard: 0,
            unanswered: VecDeque::new(),
            answered: Instant::now(),
            patience: None,
            writer: None,
            broken: false,
        };
        Self { inner: Some(inner) }
    }

    /// How long the client may take to answer the transport's own heartbeats. Default: `write_time`.
    pub(crate) fn heartbeat_time(mut self, time: Duration) -> Self {
        if let Some(inner) = &mut self.inner {
            inner.heartbeat_time = time;
        }
        self
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
                // A TLS stream buffers what the socket does not accept.
                match Pin::new(&mut self.stream).poll_flush(cx) {
                    Poll::Ready(Ok(())) => {
                        self.unflushed = false;
                        continue;
                    }
                    Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                    Poll::Pending => Poll::Pending,
                }
            } else {
                self.stalled = None;
                return Poll::Ready(Ok(()));
            };
            match written {
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
        self.close();
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
        Poll::Ready(Err(error))
    }

    /// Takes what leaves next off the queue; returns whether there is anything.
    fn take_next(&mut self, cx: &Context<'_>) -> bool {
        self.outgoing.register(cx.waker());
        self.outgoing.take(&mut self.writing, self.phase == Phase::Open);
        if self.phase == Phase::Open {
            self.add_heartbeats();
        }
        !self.writing.is_empty()
    }

    /// Has the client say how far it reads.
    fn add_heartbeats(&mut self) {
        let mut at = 0;
        while let Some(entry) = self.writing.get(at) {
            if entry.is_heartbeat() {
                self.since_heartbeat = 0;
            } else if self.since_heartbeat > 0
                && self.since_heartbeat + entry.len() > BETWEEN_HEARTBEATS
            {
                self.writing.insert(at, Entry::heartbeat());
                self.since_heartbeat = 0;
            } else {
                self.since_heartbeat += entry.len();
            }
            at += 1;
        }
        if self.since_heartbeat > BETWEEN_HEARTBEATS {
            self.writing.push_back(Entry::heartbeat());
            self.since_heartbeat = 0;
        }
    }

    fn write_once(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let stream = Pin::new(&mut self.stream);
        // For the system, one short slice is less work than several.
        let mut short = [0; MAX_SHORT];
        if let Some(length) = copy_whole(unwritten(&self.writing, self.written), &mut short) {
            return stream.poll_write(cx, &short[..length]);
        }
        let parts = unwritten(&self.writing, self.written);
        if stream.is_write_vectored() {
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let mut length = 0;
            for (slice, part) in slices.iter_mut().zip(parts) {
                *slice = IoSlice::new(part);
                length += 1;
            }
            return stream.poll_write_vectored(cx, &slices[..length]);
        }
        let mut together = Vec::new();
        for part in parts {
            let room = MAX_COPIED - together.len();
            together.extend_from_slice(&part[..room.min(part.len())]);
            if together.len() == MAX_COPIED {
                break;
            }
        }
        stream.poll_write(cx, &together)
    }

    fn note_written(&mut self, bytes: usize) {
        (self.stalled, self.unflushed) = (None, true);
        self.credit = self.credit.saturating_add(bytes).min(MAX_CREDIT);
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
            self.unheard += length;
            if first.is_heartbeat() {
                let bytes = std::mem::take(&mut self.unheard);
                let own = first.is_transports_own();
                let time = if own { self.heartbeat_time } else { self.write_time };
                self.unanswered.push_back(Heartbeat { at: Instant::now(), time, bytes });
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

    /// Ready when a heartbeat is not answered in time: the client reads nothing, or too slowly.
    fn poll_unanswered(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let Some(Heartbeat { at, time, bytes }) = self.unanswered.front() else {
                return Poll::Pending;
            };
            let rest = bytes.saturating_sub(BETWEEN_HEARTBEATS) / MIN_RATE;
            let time = time.saturating_add(Duration::from_secs(rest as u64));
            let deadline = self.answered.max(*at) + time;
            let patience =
                self.patience.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
            // That of a long packet may be minutes later.
            if patience.deadline() > deadline {
                patience.as_mut().reset(deadline);
            }
            ready!(patience.as_mut().poll(cx));
            // There may have been answers since it was set.
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            patience.as_mut().reset(deadline);
        }
    }

    /// Notes answers to heartbeats. Returns how many were expected.
    fn note_answers(&mut self, answers: usize) -> usize {
        let expected = answers.min(self.unanswered.len());
        if expected > 0 {
            // It has read what was before them, however long its window stays closed.
            let read: usize =
                self.unanswered.drain(..expected).map(|heartbeat| heartbeat.bytes).sum();
            self.credit = self.credit.saturating_add(read).min(MAX_CREDIT);
            self.answered = Instant::now();
            if self.unanswered.is_empty() {
                (self.unanswered, self.patience) = (VecDeque::new(), None);
            }
            if let Some(stalled) = &mut self.stalled {
                stalled.as_mut().reset(self.answered + self.write_time);
            }
        }
        expected
    }

    /// Ready when the client has read nothing for `write_time`, as far as no answers to heartbeats tell.
    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let time = self.write_time;
        if self.stalled.is_none() {
            self.credit = self.credit.max(MIN_CREDIT);
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(time)));
        // A window that stays closed says nothing: a proxy opens it when it has sent much of what it holds.
        if self.unanswered.is_empty() { stalled.as_mut().poll(cx) } else { Poll::Pending }
    }

    fn read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.broken {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        }
        // socketioxide allocates another buffer if the message filled this one, which it did if it was the first
        // large one: for later ones, the buffer may have grown to twice what they need.
        if let Some(length) = self.outgoing.forget_large()
            && std::mem::take(&mut self.seen.fragments) == 0
            && self.seen.large == 1
            && length + LARGE >= self.seen.longest
        {
            self.seen = Seen::default();
            self.retained = self.buffers();
        }
        // Before anything that waits: the budget is freed by what is written.
        let blocked = match self.write(cx) {
            Poll::Ready(Ok(())) => false,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => true,
        };
        if self.poll_unanswered(cx).is_ready() {
            return self.fail(io::ErrorKind::TimedOut.into());
        }
        ready!(self.wait_for_turn(cx));
        if let Some(end) = self.end.take() {
            return Poll::Ready(end);
        }
        ready!(self.wait_for_budget(cx))?;
        let most = if blocked { buffer.remaining().min(self.credit) } else { buffer.remaining() };
        if most == 0 {
            return Poll::Pending;
        }
        let start = buffer.filled().len();
        if !self.ahead.is_empty() {
            let rest = self.ahead.split_off(self.ahead.len().min(buffer.remaining()));
            buffer.put_slice(&std::mem::replace(&mut self.ahead, rest));
            return self.hand_over(buffer, start);
        }
        let stream = Pin::new(&mut self.stream);
        let read = if blocked {
            let mut part = ReadBuf::new(buffer.initialize_unfilled_to(most));
            let read = ready!(stream.poll_read(cx, &mut part));
            let length = part.filled().len();
            buffer.advance(length);
            self.credit -= length;
            read
        } else {
            ready!(stream.poll_read(cx, buffer))
        };
        if read.is_err() || buffer.filled().len() == start {
            return self.end(cx, read);
        }
        self.hand_over(buffer, start)
    }

    /// Hands over what was read, up to where the payload of a large frame begins.
    fn hand_over(&mut self, buffer: &mut ReadBuf<'_>, start: usize) -> Poll<io::Result<()>> {
        let Some(rest) = self.incoming.follow(&buffer.filled()[start..]) else {
            return self.refuse("the client sent a packet that clients must not send");
        };
        let end = buffer.filled().len() - rest;
        // These come before what is left of an earlier read.
        self.ahead.splice(..0, buffer.filled()[end..].iter().copied());
        buffer.set_filled(end);
        self.note_read(end - start)
    }

    /// The client's end: now, or when it is its turn.
    fn end(&mut self, cx: &mut Context<'_>, end: io::Result<()>) -> Poll<io::Result<()>> {
        let Some(wait) = self.intake.ended() else { return Poll::Ready(end) };
        (self.end, self.pause) = (Some(end), Some(Box::pin(tokio::time::sleep(wait))));
        ready!(self.wait_for_turn(cx));
        Poll::Ready(self.end.take().unwrap_or(Ok(())))
    }

    /// Size of socketioxide's buffers, in bytes.
    fn buffers(&self) -> usize {
        let grown = if self.seen.large > 1 { 2 } else { 1 };
        let read = self.seen.longest.saturating_mul(grown);
        read.max(self.incoming.partial()) + self.write_buffer
    }

    fn note_read(&mut self, bytes: usize) -> Poll<io::Result<()>> {
        if self.phase == Phase::Probed && bytes > 0 {
            self.phase = Phase::Open;
            if let Some(upgrades) = self.upgrades.take() {
                let _ = upgrades.send(());
            }
        }
        if !self.outgoing.was_open() {
            self.early += bytes;
            if self.early > MAX_BEFORE_SESSION {
                return self.refuse("the client sent over 65,536 bytes before its session began");
            }
        }
        let frames = self.incoming.take_frames();
        // Reading a part of a long frame is work, too.
        self.in_a_row += frames.max(1);
        let answers = self.incoming.take_answers();
        // An answer that the server asked for is none of the client's messages.
        let messages = frames - self.note_answers(answers).min(frames);
        let wait = self.intake.received(bytes, messages);
        self.pause = wait.map(|wait| Box::pin(tokio::time::sleep(wait)));
        let Seen { longest, fragments, large } = self.incoming.take_seen();
        self.seen.longest = self.seen.longest.max(longest);
        self.seen.fragments += fragments;
        self.seen.large += large;
        self.retained = self.buffers();
        if !self.held.set(self.retained) {
            let look = Box::pin(tokio::time::sleep(BUDGET_POLL_INTERVAL));
            self.over = Some((Instant::now() + self.write_time, look));
        }
        Poll::Ready(Ok(()))
    }

    /// Waits while the client has sent more than its rate allows, and lets other tasks run now and then.
    fn wait_for_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        if self.in_a_row >= FRAMES_IN_A_ROW {
            self.in_a_row = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// Waits while the budget is spent. Closes the connection after `write_time`.
    fn wait_for_budget(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some((deadline, look)) = &mut self.over {
            if self.held.set(self.retained) {
                self.over = None;
                break;
            }
            if Instant::now() >= *deadline {
                return self.refuse("over `Limits::address_bytes` or `Limits::total_bytes`");
            }
            ready!(look.as_mut().poll(cx));
            look.as_mut().reset(Instant::now() + BUDGET_POLL_INTERVAL);
        }
        Poll::Ready(Ok(()))
    }

    fn refuse(&mut self, why: &'static str) -> Poll<io::Result<()>> {
        tracing::debug!(why, "closing the connection");
        self.fail(io::Error::new(io::ErrorKind::InvalidData, why))
    }
}

/// The bytes of `entries` after the first `written` ones, in order.
fn unwritten(entries: &VecDeque<Entry>, written: usize) -> impl Iterator<Item = &[u8]> {
    let mut skip = written;
    entries.iter().flat_map(Entry::parts).filter_map(move |part| {
        let skipped = skip.min(part.len());
        skip -= skipped;
        Some(&part[skipped..]).filter(|part| !part.is_empty())
    })
}

/// Copies all parts, or returns `None` if they do not fit. Returns their length.
fn copy_whole<'a>(parts: impl Iterator<Item = &'a [u8]>, target: &mut [u8]) -> Option<usize> {
    let mut length = 0;
    for part in parts {
        target.get_mut(length..length + part.len())?.copy_from_slice(part);
        length += part.len();
    }
    Some(length)
}

/// Writes the rest of a closed connection's queue, for up to [`LINGER`].
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
        // Without a runtime, the rest cannot be written.
        if left
            && !inner.broken
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(linger(inner));
        }
    }
}

impl<S> Inner<S> {
    /// Nothing leaves any more, unless it leaves by polls.
    fn close(&self) {
        if self.phase == Phase::Open {
            self.outgoing.close();
        }
    }
}

impl<S> Drop for Inner<S> {
    fn drop(&mut self) {
        self.close();
        let unwritten = self.writing.drain(..).map(|entry| entry.weight());
        let (packets, bytes) = unwritten.fold((0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
        if bytes > 0 {
            self.outgoing.left(packets, bytes, &mut VecDeque::new());
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

/// socketioxide writes its own frames here. They are queued.
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
        if !inner.outgoing.has_room_for_frames(MAX_OWN_FRAMES) {
            // The reading task usually writes the queue. If it is not running, this task does.
            match inner.write(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    inner.writer = Some(cx.waker().clone());
                    return Poll::Pending;
                }
            }
        }
        // Many answers at once are to many packets that the transport rejects.
        if frames.len() > MIN_CREDIT && inner.outgoing.is_over_budget() {
            let why = "rejected packets over `Limits::address_bytes`";
            return inner.fail(io::Error::new(io::ErrorKind::OutOfMemory, why));
        }
        inner.write_buffer = inner.write_buffer.max(frames.len().next_power_of_two());
        let opens = texts(frames).any(is_greeting);
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
    use crate::{
        Limits,
        connection::{
            budget::Budget, packet::Packet, rate_limiter::ByteRate, text_frames::text_header,
        },
    };

    const WRITE_TIME: Duration = Duration::from_secs(20);
    const ALMOST: Duration = Duration::from_secs(19);
    /// As it leaves.
    const HEARTBEAT: &[u8] = &[0x81, 1, b'2'];

    fn without_heartbeats(mut bytes: &[u8]) -> Vec<u8> {
        let mut rest = Vec::new();
        while let Some(at) = bytes.windows(HEARTBEAT.len()).position(|part| part == HEARTBEAT) {
            rest.extend(&bytes[..at]);
            bytes = &bytes[at + HEARTBEAT.len()..];
        }
        [&rest, bytes].concat()
    }

    /// A connection after the greeting, its queue and session, and the client's end of a pipe. The pipe
    /// buffers `pipe` bytes.
    fn open(pipe: usize) -> (WebSocket<DuplexStream>, Arc<Outgoing>, u64, DuplexStream) {
        let budget = || Budget::new(usize::MAX, None);
        let outgoing = Arc::new(Outgoing::new(&Limits::default(), budget(), budget()));
        let (server, client) = duplex(pipe);
        let held = Holding::new(Budget::new(100_000, None));
        let socket = WebSocket::new(server, outgoing.clone(), held, unlimited(), WRITE_TIME, None);
        let session = outgoing.begin();
        outgoing.open();
        (socket, outgoing, session, client)
    }

    fn unlimited() -> Arc<Intake> {
        Arc::new(Intake::new(Vec::new(), Arc::new(ByteRate::new(None))))
    }

    fn packet(length: usize) -> Packet {
        Packet::direct("a", &json!("x".repeat(length))).unwrap()
    }

    /// A client's text frame, masked with zeros.
    fn frame(text: &str) -> Vec<u8> {
        let (mut header, length) = text_header(text.len());
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
    async fn packets_and_frames_of_every_header_size_are_written_in_order() {
        let (mut socket, outgoing, session, mut client) = open(1_000_000);
        let mut expected = Vec::new();
        for length in [1, 100, 200, 70_000] {
            let packet = packet(length);
            let text = packet.parts().concat();
            let (header, length) = text_header(text.len());
            expected.extend([&header[..length], &text].concat());
            outgoing.push(session, packet).unwrap();
            socket.write_all(b"frame").await.unwrap();
            expected.extend(b"frame");
        }
        assert!(read(&mut socket).await.is_none(), "the client has sent nothing");
        // One before the long packet, and one after it.
        let mut left = vec![0; expected.len() + 2 * HEARTBEAT.len()];
        client.read_exact(&mut left).await.unwrap();
        let parts = left.windows(HEARTBEAT.len()).filter(|part| *part == HEARTBEAT).count();
        assert_eq!(parts, 2);
        assert_eq!(without_heartbeats(&left), expected);
        assert_eq!(outgoing.bytes(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn read_during_blocked_write_is_limited_to_what_the_client_reads() {
        let (mut socket, outgoing, session, mut client) = open(1_000);
        outgoing.push(session, packet(100_000)).unwrap();
        client.write_all(&frame(&"y".repeat(900))).await.unwrap();
        let mut total = 0;
        while let Some(read) = read(&mut socket).await {
            total += read.unwrap();
        }
        // What fits the pipe was taken.
        assert!(total <= 1_000 + MIN_CREDIT, "{total}");
        for _ in 0..20 {
            let mut taken = [0; 100];
            client.read_exact(&mut taken).await.unwrap();
            let more = client.write(&frame(&"y".repeat(900))).await.unwrap_or(0);
            assert!(more > 0 || total > 0);
            if let Some(read) = read(&mut socket).await {
                let read = read.unwrap();
                total += read;
                assert!(total <= 4_000 + MIN_CREDIT, "{total}");
            }
            if total > 3_000 {
                break;
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn blocked_write_without_progress_for_write_time_closes_the_connection() {
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
    async fn heartbeats_that_are_answered_keep_a_connection_whose_write_is_blocked() {
        let (mut socket, outgoing, session, mut client) = open(40_000);
        for _ in 0..10 {
            outgoing.push(session, packet(10_000)).unwrap();
        }
        assert!(read(&mut socket).await.is_none());
        // Three heartbeats were written. As far as the write goes, the client reads nothing.
        for _ in 0..2 {
            advance(ALMOST).await;
            client.write_all(&frame("3")).await.unwrap();
            read(&mut socket).await.unwrap().unwrap();
            assert!(read(&mut socket).await.is_none());
        }
        advance(ALMOST).await;
        assert!(read(&mut socket).await.is_none());
        advance(Duration::from_secs(2)).await;
        let given_up = read(&mut socket).await.unwrap().unwrap_err();
        assert_eq!(given_up.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn heartbeat_that_is_not_answered_in_time_closes_the_connection() {
        let (mut socket, outgoing, session, _client) = open(1_000_000);
        for _ in 0..3 {
            outgoing.push(session, packet(10_000)).unwrap();
        }
        assert!(read(&mut socket).await.is_none());
        assert_eq!(outgoing.bytes(), 0, "everything was written");
        advance(ALMOST).await;
        assert!(read(&mut socket).await.is_none());
        advance(Duration::from_secs(2)).await;
        let given_up = read(&mut socket).await.unwrap().unwrap_err();
        assert_eq!(given_up.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn heartbeat_after_a_long_packet_may_be_answered_later() {
        let (mut socket, outgoing, session, mut client) = open(1_000_000);
        outgoing.push(session, packet(100_000)).unwrap();
        assert!(read(&mut socket).await.is_none());
        // At 1,000 bytes a second.
        advance(Duration::from_secs(100)).await;
        assert!(read(&mut socket).await.is_none());
        client.write_all(&frame("3")).await.unwrap();
        read(&mut socket).await.unwrap().unwrap();
        advance(2 * WRITE_TIME).await;
        assert!(read(&mut socket).await.is_none(), "nothing is unanswered");
    }

    #[tokio::test(start_paused = true)]
    async fn message_over_the_address_budget_closes_the_connection_after_write_time() {
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
    async fn client_over_the_byte_limit_before_its_session_is_closed() {
        let budget = || Budget::new(usize::MAX, None);
        let outgoing = Arc::new(Outgoing::new(&Limits::default(), budget(), budget()));
        let (server, mut client) = duplex(1_000_000);
        let mut socket =
            WebSocket::new(server, outgoing, Holding::new(budget()), unlimited(), WRITE_TIME, None);
        client.write_all(&frame(&"y".repeat(MAX_BEFORE_SESSION))).await.unwrap();
        let refused = loop {
            if let Err(error) = read(&mut socket).await.unwrap() {
                break error;
            }
        };
        assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
    }

    #[tokio::test(start_paused = true)]
    async fn upgrade_writes_packets_after_the_client_completes_the_probe() {
        let budget = || Budget::new(usize::MAX, None);
        let outgoing = Arc::new(Outgoing::new(&Limits::default(), budget(), budget()));
        let session = outgoing.begin();
        outgoing.open();
        let (server, mut client) = duplex(1_000_000);
        let held = Holding::new(budget());
        let (told, mut opened) = oneshot::channel();
        let mut socket =
            WebSocket::new(server, outgoing.clone(), held, unlimited(), WRITE_TIME, Some(told));
        outgoing.push(session, packet(1)).unwrap();
        client.write_all(&frame("2probe")).await.unwrap();
        read(&mut socket).await.unwrap().unwrap();
        let (header, length) = text_header(6);
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

    #[tokio::test(start_paused = true)]
    async fn connection_that_ends_after_another_of_its_address_waits_for_its_turn() {
        let ends = Arc::new(ByteRate::new(Some(crate::Rate::per_second(10).burst(1))));
        let mut sockets = Vec::new();
        for _ in 0..2 {
            let (mut socket, _, _, client) = open(1_000);
            let intake = Intake::new(Vec::new(), ends.clone());
            socket.inner.as_mut().unwrap().intake = Arc::new(intake);
            drop(client);
            sockets.push(socket);
        }
        // The next one waits for 0.6 s.
        ends.pay(5);
        for socket in &mut sockets {
            assert!(read(socket).await.is_none(), "it waits");
        }
        advance(Duration::from_millis(610)).await;
        assert_eq!(read(&mut sockets[0]).await.unwrap().unwrap(), 0);
        assert!(read(&mut sockets[1]).await.is_none(), "it waits for the other");
        advance(Duration::from_millis(100)).await;
        assert_eq!(read(&mut sockets[1]).await.unwrap().unwrap(), 0);
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
