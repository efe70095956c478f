//! The requests of one connection that wait for their turn.
//!
//! A bounded `mpsc` channel counts messages, not bytes, and takes 2 KB for its first block while a
//! connection is idle; this queue takes nothing until the first request.

use std::{
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    time::Duration,
};

use futures_util::FutureExt;
use tokio::{sync::Notify, time::Instant};

use futures_util::future::BoxFuture;

use super::{
    budget::Holding,
    order::{Order, RequestId, Scope},
    raw_request::RawRequest,
};
use crate::{DisconnectReason, Limits};

/// How many requests of one connection are handled in a row before there is a pause. Whoever reads what
/// they broadcast, the connection itself included, has a bounded buffer (128 packets by default) and
/// nothing tells that one is nearly full: a client that asks for much at once would outrun everybody.
const TURN: usize = 16;
/// How long the pause is: readers that were not scheduled meanwhile are, then.
pub(crate) const PAUSE: Duration = Duration::from_millis(1);
/// Maximum number of requests of one connection that are handled at once, each about another room.
const MOST_AT_ONCE: usize = 16;
/// What a request that is handled beside another one takes, in bytes, besides its message.
const BESIDE: usize = 8_192;

pub(crate) struct Inbox {
    queue: Mutex<Queue>,
    ready: Notify,
    ended: Notify,
    session: OnceLock<Weak<dyn Session>>,
    max_frames: usize,
    max_bytes: usize,
}

struct Queue {
    order: Order,
    /// What the request weighs that the transport handles.
    in_place: usize,
    /// What waits and what is handled: against the budget of the client's address, too.
    held: Holding,
    worker: Worker,
    /// A request that the transport began, and that has to wait for something.
    begun: Option<(RequestId, BoxFuture<'static, ()>)>,
    /// What authentication proved ends at another time than the session knows.
    renewed: bool,
    recent: Recent,
    /// Whether nothing more is taken on.
    sealed: bool,
    closed: Option<DisconnectReason>,
}

/// Who handles a request.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Worker {
    /// None yet.
    #[default]
    Starting,
    /// The session, or it is about to.
    Session,
    /// The session, which waits for another one that it may handle beside those.
    Beside,
    /// None: the session waits for a request.
    Nobody,
    /// The task that reads from the transport.
    Transport,
}

/// How many requests were handled in a row: each sooner after the one before it than that one took.
/// Whoever waits for answers leaves more time.
#[derive(Default)]
struct Recent {
    requests: usize,
    ended: Option<Instant>,
    took: Duration,
    /// Whether they were as many as may be, and there was no pause since.
    enough: bool,
}

/// What handles a connection's requests.
pub(crate) trait Session: Send + Sync {
    /// Begins with a request, if now is the time for it.
    fn begin(&self, frame: RawRequest) -> Result<BoxFuture<'static, ()>, RawRequest>;
}

/// What a session does next.
pub(crate) enum Next {
    Request(RequestId, RawRequest),
    /// A request that the transport began.
    Begun(RequestId, BoxFuture<'static, ()>),
    /// Nothing, but what authentication proved ends at another time.
    Renewed,
    /// Nothing for a moment: many were handled in a row.
    Pause,
    /// The connection ended; some requests may be left.
    Last(DisconnectReason),
}

/// Why a request is not taken on.
#[derive(Clone, Copy)]
pub(crate) enum Untaken {
    /// Too many wait.
    Overflow,
    /// The server stops.
    Draining,
}

impl Inbox {
    /// An empty queue, whose bytes are charged to `held`.
    pub(crate) fn new(limits: &Limits, held: Holding) -> Self {
        Self {
            queue: Mutex::new(Queue::new(held)),
            ready: Notify::new(),
            ended: Notify::new(),
            session: OnceLock::new(),
            max_frames: limits.waiting_requests,
            max_bytes: limits.waiting_bytes,
        }
    }

    /// Has requests begun by the task that pushes them, once the session waits for some.
    pub(crate) fn attach(&self, session: &Arc<impl Session + 'static>) {
        let session: Weak<dyn Session> = Arc::downgrade(session) as _;
        // There is one session.
        let _ = self.session.set(session);
    }

    /// Takes a request on; after [`Inbox::close`], drops it. If the session waits for one, it is handled
    /// here, as far as that needs no waiting: no task has to be woken for it.
    pub(crate) fn push(&self, frame: RawRequest) -> Result<(), Untaken> {
        let now = Instant::now();
        let mut queue = self.lock();
        if queue.closed.is_some() {
            return Ok(());
        }
        if queue.sealed {
            return Err(Untaken::Draining);
        }
        if queue.worker == Worker::Nobody && !queue.recent.is_enough(now) {
            queue.worker = Worker::Transport;
            queue.in_place = frame.weight();
            queue.charge();
            drop(queue);
            self.handle(&frame, now);
            return Ok(());
        }
        self.has_room(&queue, &frame)?;
        drop(queue);
        // It may be long, and is read without the lock.
        let scope = Scope::of(&frame);
        let mut queue = self.lock();
        if queue.closed.is_some() {
            return Ok(());
        }
        if queue.sealed {
            return Err(Untaken::Draining);
        }
        self.has_room(&queue, &frame)?;
        let bytes = queue.bytes() + frame.weight();
        if !queue.held.set(bytes) {
            return Err(Untaken::Overflow);
        }
        queue.order.push(scope, frame);
        queue.wake(&self.ready);
        Ok(())
    }

    /// Whether one more may wait: besides the request that would be handled if all were about one room.
    fn has_room(&self, queue: &Queue, frame: &RawRequest) -> Result<(), Untaken> {
        let order = &queue.order;
        let waiting = order.len() + order.running().saturating_sub(1);
        let bytes = order.bytes() + order.running_bytes(1) + frame.weight();
        let full = waiting >= self.max_frames || (waiting > 0 && bytes > self.max_bytes);
        if full { Err(Untaken::Overflow) } else { Ok(()) }
    }

    /// Handles a request as far as that needs no waiting; the session does what is left.
    fn handle(&self, frame: &RawRequest, start: Instant) {
        /// Lets the session go on, whatever happens.
        struct Turn<'a>(&'a Inbox, Instant);

        impl Drop for Turn<'_> {
            fn drop(&mut self) {
                let mut queue = self.0.lock();
                queue.worker = Worker::Nobody;
                queue.in_place = 0;
                // What is left of it, the session notes.
                if queue.begun.is_none() {
                    queue.recent.note(self.1, Instant::now());
                }
                queue.charge();
                if queue.has_next() {
                    queue.wake(&self.0.ready);
                }
            }
        }

        let turn = Turn(self, start);
        // Without a session, the request is dropped.
        let Some(session) = self.session.get().and_then(Weak::upgrade) else { return };
        match session.begin(frame.clone()) {
            Ok(mut begun) => {
                if (&mut begun).now_or_never().is_none() {
                    let scope = Scope::of(frame);
                    let mut queue = self.lock();
                    let id = queue.order.note(scope, frame.weight(), start);
                    queue.begun = Some((id, begun));
                }
            }
            Err(frame) => {
                let scope = Scope::of(&frame);
                let mut queue = self.lock();
                if !queue.closed.is_some_and(DisconnectReason::is_servers) {
                    queue.order.push_front(scope, frame);
                }
            }
        }
        drop(turn);
    }

    /// Takes nothing more on. Returns whether nothing is left to do.
    pub(crate) fn seal(&self) -> bool {
        let mut queue = self.lock();
        queue.sealed = true;
        let idle = matches!(queue.worker, Worker::Starting | Worker::Nobody);
        idle && queue.order.is_empty() && queue.begun.is_none()
    }

    /// Ends the queue; the first reason stays, unless the server wants no more. What a client sent
    /// before it went is still its wish, what waits when the server closes the connection is not.
    pub(crate) fn close(&self, reason: DisconnectReason) {
        let mut queue = self.lock();
        if reason.is_servers() {
            queue.order.clear();
            queue.charge();
            queue.closed = queue.closed.filter(|first| first.is_servers());
        }
        queue.closed.get_or_insert(reason);
        drop(queue);
        self.ended.notify_waiters();
        self.ready.notify_one();
    }

    /// Has the session look anew when it ends.
    pub(crate) fn renew(&self) {
        let mut queue = self.lock();
        queue.renewed = true;
        queue.wake(&self.ready);
    }

    /// The next request, as soon as there is one, or why the connection ended. All requests before it are
    /// done.
    pub(crate) async fn next(&self) -> Next {
        self.wait_for(Worker::Nobody).await
    }

    /// The next request that may be handled beside those that are handled already, as soon as there is one.
    pub(crate) async fn beside(&self) -> Next {
        self.wait_for(Worker::Beside).await
    }

    async fn wait_for(&self, idle: Worker) -> Next {
        loop {
            if let Some(next) = self.lock().next(Instant::now(), idle) {
                return next;
            }
            self.ready.notified().await;
        }
    }

    /// Notes that a request is done.
    pub(crate) fn done(&self, id: RequestId) {
        let mut queue = self.lock();
        queue.done(id, Instant::now());
        if !queue.order.is_empty() {
            queue.wake(&self.ready);
        }
    }

    /// Whether no request is handled and none waits that the connection would still handle.
    pub(crate) fn is_at_rest(&self) -> bool {
        let queue = self.lock();
        queue.order.running() == 0 && (queue.order.is_empty() || queue.closed.is_some())
    }

    /// The next request, if one waits: after the end, too.
    pub(crate) fn rest(&self) -> Option<RawRequest> {
        let mut queue = self.lock();
        let frame = queue.order.pop();
        queue.in_place = frame.as_ref().map_or(0, RawRequest::weight);
        queue.charge();
        frame
    }

    /// Resolves when the server ends the connection.
    pub(crate) async fn ended_by_server(&self) {
        loop {
            let mut ended = pin!(self.ended.notified());
            // From here on, it is noticed; what came before is in the queue.
            ended.as_mut().enable();
            if self.is_closed_by_server() {
                return;
            }
            ended.await;
        }
    }

    /// Whether the server ended the connection.
    pub(crate) fn is_closed_by_server(&self) -> bool {
        self.lock().closed.is_some_and(DisconnectReason::is_servers)
    }

    /// Whether the connection has ended, for whatever reason.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed.is_some()
    }

    /// Number of requests that wait.
    pub(crate) fn len(&self) -> usize {
        self.lock().order.len()
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // No code that can panic runs under the lock.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn new(held: Holding) -> Self {
        Self {
            order: Order::default(),
            in_place: 0,
            held,
            worker: Worker::default(),
            begun: None,
            renewed: false,
            recent: Recent::default(),
            sealed: false,
            closed: None,
        }
    }

    /// What comes next. Without anything, the session is `idle` from now on.
    fn next(&mut self, now: Instant, idle: Worker) -> Option<Next> {
        if self.worker == Worker::Transport {
            return None;
        }
        if idle == Worker::Nobody && self.begun.is_none() {
            while let Some(id) = self.order.first_running() {
                self.done(id, now);
            }
        }
        let next = if let Some((id, begun)) = self.begun.take() {
            Some(Next::Begun(id, begun))
        } else if let Some(reason) = self.closed {
            Some(Next::Last(reason))
        } else if std::mem::take(&mut self.renewed) {
            Some(Next::Renewed)
        } else {
            self.next_request(now)
        };
        if next.is_none() {
            self.order.shrink();
        }
        self.worker = if next.is_some() { Worker::Session } else { idle };
        next
    }

    fn next_request(&mut self, now: Instant) -> Option<Next> {
        let running = self.order.running();
        if running >= MOST_AT_ONCE || !self.order.has_next() {
            return None;
        }
        if std::mem::take(&mut self.recent.enough) {
            return Some(Next::Pause);
        }
        // Without memory for it, it waits until another one is done.
        let bytes = self.bytes() + BESIDE;
        if running > 0 && !self.held.set(bytes) {
            return None;
        }
        let (id, frame) = self.order.begin(now)?;
        self.charge();
        Some(Next::Request(id, frame))
    }

    fn done(&mut self, id: RequestId, now: Instant) {
        if let Some(began) = self.order.done(id) {
            self.recent.note(began, now);
            self.charge();
        }
    }

    /// Size of what waits and of what is handled, in bytes.
    fn bytes(&self) -> usize {
        let beside = self.order.running().saturating_sub(1) * BESIDE;
        self.order.bytes() + self.in_place + self.order.running_bytes(0) + beside
    }

    /// Charges what there is.
    fn charge(&mut self) {
        self.held.set_anyway(self.bytes());
    }

    fn has_next(&self) -> bool {
        let closed = self.closed.is_some();
        closed || self.renewed || self.begun.is_some() || !self.order.is_empty()
    }

    /// Has the session go on, unless the transport is about something, and will.
    fn wake(&mut self, session: &Notify) {
        if matches!(self.worker, Worker::Nobody | Worker::Beside) {
            self.worker = Worker::Session;
            session.notify_one();
        }
    }
}

impl Recent {
    /// Whether one more would be too many without a pause.
    fn is_enough(&mut self, now: Instant) -> bool {
        self.enough &= self.ended.is_some_and(|ended| now - ended < PAUSE);
        self.enough
    }

    fn note(&mut self, began: Instant, ended: Instant) {
        if self.ended.is_none_or(|last| began - last >= self.took) {
            self.requests = 0;
        }
        self.requests += 1;
        (self.ended, self.took) = (Some(ended), ended - began);
        if self.requests == TURN {
            (self.requests, self.enough) = (0, true);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::connection::budget::Budget;

    /// How long a slow request takes.
    const SLOW: Duration = Duration::from_micros(100);

    /// Handles each request by what its text says, and keeps a list.
    #[derive(Default)]
    struct Script {
        inbox: OnceLock<Weak<Inbox>>,
        handled: Mutex<Vec<String>>,
        go_on: Arc<Notify>,
    }

    impl Session for Script {
        fn begin(&self, frame: RawRequest) -> Result<BoxFuture<'static, ()>, RawRequest> {
            let text = frame.text().unwrap_or_default().to_owned();
            if text == "late" {
                return Err(frame);
            }
            self.handled.lock().unwrap().push(text.clone());
            let (go_on, inbox) = (self.go_on.clone(), self.inbox.get().cloned());
            Ok(Box::pin(async move {
                match &*text {
                    "wait" => go_on.notified().await,
                    // As a request that takes time, without waiting for it.
                    "slow" => drop(tokio::time::advance(SLOW).now_or_never()),
                    "panic" => panic!("a request"),
                    "end" => inbox.unwrap().upgrade().unwrap().close(DisconnectReason::ClientLeft),
                    _ => {}
                }
            }))
        }
    }

    fn unbounded() -> Holding {
        Holding::new(Budget::new(usize::MAX, None))
    }

    /// A queue whose session waits.
    fn waiting() -> (Arc<Inbox>, Arc<Script>) {
        let (inbox, script) =
            (Arc::new(Inbox::new(&Limits::default(), unbounded())), Arc::new(Script::default()));
        script.inbox.set(Arc::downgrade(&inbox)).unwrap();
        inbox.attach(&script);
        assert_eq!(next(&inbox), "nothing");
        (inbox, script)
    }

    fn push(inbox: &Inbox, text: &str) {
        assert!(inbox.push(RawRequest::new(Some(text.to_owned().into()), None)).is_ok());
    }

    /// What the session would do now.
    fn next(inbox: &Inbox) -> String {
        match inbox.next().now_or_never() {
            None => "nothing".to_owned(),
            Some(Next::Request(_, frame)) => frame.text().unwrap_or_default().to_owned(),
            Some(Next::Begun(_, begun)) => {
                let done = begun.now_or_never().is_some();
                format!("begun, {}", if done { "done" } else { "not done" })
            }
            Some(Next::Renewed) => "renewed".to_owned(),
            Some(Next::Pause) => "pause".to_owned(),
            Some(Next::Last(reason)) => format!("{reason:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_is_handled_where_it_arrives_if_the_session_waits() {
        let (inbox, script) = waiting();
        push(&inbox, "a");
        push(&inbox, "b");
        assert_eq!(*script.handled.lock().unwrap(), ["a", "b"]);
        assert_eq!(next(&inbox), "nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn before_the_session_waits_and_while_it_works_requests_queue() {
        let script = Arc::new(Script::default());
        let inbox = Inbox::new(&Limits::default(), unbounded());
        inbox.attach(&script);
        push(&inbox, "a");
        assert_eq!(next(&inbox), "a");
        push(&inbox, "b");
        assert_eq!(*script.handled.lock().unwrap(), [""; 0]);
        assert_eq!(next(&inbox), "b");
        assert_eq!(next(&inbox), "nothing");
        push(&inbox, "c");
        assert_eq!(*script.handled.lock().unwrap(), ["c"]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_session_ends_what_has_to_wait_before_what_came_after_it() {
        let (inbox, script) = waiting();
        push(&inbox, "wait");
        push(&inbox, "after");
        assert!(!inbox.seal(), "something is left to do");
        assert_eq!(*script.handled.lock().unwrap(), ["wait"]);
        script.go_on.notify_one();
        assert_eq!(next(&inbox), "begun, done");
        assert_eq!(next(&inbox), "after");
        assert_eq!(next(&inbox), "nothing");
        assert!(inbox.seal());
    }

    #[tokio::test(start_paused = true)]
    async fn after_many_in_a_row_the_session_pauses() {
        let (inbox, script) = waiting();
        for _ in 0..TURN + 2 {
            push(&inbox, "slow");
        }
        assert_eq!(script.handled.lock().unwrap().len(), TURN);
        tokio::time::advance(PAUSE * 2).await;
        // Time alone lets nobody overtake.
        push(&inbox, "b");
        assert_eq!([next(&inbox), next(&inbox)], ["pause", "slow"]);
        assert_eq!([next(&inbox), next(&inbox), next(&inbox)], ["slow", "b", "nothing"]);
        push(&inbox, "c");
        assert_eq!(script.handled.lock().unwrap().len(), TURN + 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_session_pauses_as_well_after_many_in_a_row() {
        let (inbox, _script) = waiting();
        push(&inbox, "wait");
        for _ in 0..=TURN {
            push(&inbox, "a");
        }
        let slowly = async || {
            let next = next(&inbox);
            tokio::time::advance(SLOW).await;
            next
        };
        assert_eq!(slowly().await, "begun, not done");
        for _ in 1..TURN {
            assert_eq!(slowly().await, "a");
        }
        assert_eq!([slowly().await, slowly().await, slowly().await], ["pause", "a", "a"]);
        assert_eq!(slowly().await, "nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn no_pause_is_left_over_for_later() {
        let (inbox, script) = waiting();
        for _ in 0..TURN {
            push(&inbox, "slow");
        }
        tokio::time::advance(PAUSE).await;
        push(&inbox, "b");
        assert_eq!(script.handled.lock().unwrap().len(), TURN + 1);
        assert_eq!(next(&inbox), "nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_answers_is_not_in_a_rush() {
        let (inbox, script) = waiting();
        for _ in 0..10 * TURN {
            push(&inbox, "slow");
            tokio::time::advance(SLOW).await;
        }
        assert_eq!(script.handled.lock().unwrap().len(), 10 * TURN);
        assert_eq!(next(&inbox), "nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_to_be_begun_is_the_sessions() {
        let (inbox, _script) = waiting();
        push(&inbox, "late");
        push(&inbox, "later");
        assert_eq!([next(&inbox), next(&inbox)], ["late", "later"]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_session_learns_of_the_end_that_came_with_a_request() {
        let (inbox, _script) = waiting();
        push(&inbox, "end");
        assert_eq!(next(&inbox), "ClientLeft");
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewal_wakes_the_session_that_waits() {
        let (inbox, _script) = waiting();
        inbox.renew();
        assert_eq!([next(&inbox), next(&inbox)], ["renewed", "nothing"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_panics_leaves_the_queue_as_it_was() {
        let (inbox, script) = waiting();
        assert!(catch_unwind(AssertUnwindSafe(|| push(&inbox, "panic"))).is_err());
        push(&inbox, "a");
        assert_eq!(*script.handled.lock().unwrap(), ["panic", "a"]);
        assert_eq!(next(&inbox), "nothing");
    }

    fn trigger(inbox: &Inbox, room: &str) -> Result<(), Untaken> {
        let text = format!(r#"["dialogue:trigger",{{"roomId":"{room}"}}]"#);
        inbox.push(RawRequest::new(Some(text.into()), None))
    }

    /// Which requests the session may handle beside those that it handles.
    fn beside(inbox: &Inbox) -> Vec<RequestId> {
        let next = || match inbox.beside().now_or_never()? {
            Next::Request(id, _) => Some(id),
            _ => None,
        };
        std::iter::from_fn(next).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn requests_of_other_rooms_are_handled_beside_one_that_waits() {
        let (inbox, _script) = waiting();
        push(&inbox, "wait");
        assert_eq!(next(&inbox), "begun, not done");
        for room in ["a", "a", "b"] {
            assert!(trigger(&inbox, room).is_ok());
        }
        // What is about no room holds up the others.
        assert!(beside(&inbox).is_empty());
        let first = inbox.next().now_or_never().is_some();
        assert!(first && !inbox.is_at_rest());
        let other = beside(&inbox);
        assert_eq!((other.len(), inbox.len()), (1, 1));
        inbox.done(other[0]);
        assert!(beside(&inbox).is_empty(), "the room's first is not done");
        assert!(!inbox.seal());
    }

    #[tokio::test(start_paused = true)]
    async fn requests_that_are_handled_at_once_count_as_waiting_but_for_one() {
        let limits = Limits { waiting_requests: 4, ..Limits::default() };
        let inbox = Inbox::new(&limits, unbounded());
        for room in ["a", "b", "c", "d"] {
            assert!(trigger(&inbox, room).is_ok());
        }
        assert!(trigger(&inbox, "e").is_err());
        assert!(inbox.next().now_or_never().is_some());
        assert_eq!(beside(&inbox).len(), 3);
        assert!(trigger(&inbox, "e").is_ok());
        assert!(trigger(&inbox, "f").is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn at_most_so_many_requests_are_handled_at_once_and_within_the_budget() {
        let inbox = Inbox::new(&Limits::default(), unbounded());
        (0..2 * MOST_AT_ONCE).for_each(|room| assert!(trigger(&inbox, &room.to_string()).is_ok()));
        let first = inbox.next().now_or_never();
        assert!(matches!(first, Some(Next::Request(..))));
        assert_eq!(beside(&inbox).len(), MOST_AT_ONCE - 1);

        let budget = Budget::new(3 * BESIDE, None);
        let inbox = Inbox::new(&Limits::default(), Holding::new(budget.clone()));
        (0..MOST_AT_ONCE).for_each(|room| assert!(trigger(&inbox, &room.to_string()).is_ok()));
        assert!(inbox.next().now_or_never().is_some());
        let others = beside(&inbox);
        assert!((1..=3).contains(&others.len()), "{}", others.len());
        assert!(budget.held() <= 3 * BESIDE);
        inbox.done(others[0]);
        assert_eq!(beside(&inbox).len(), 1, "there is memory for another one");
        inbox.close(DisconnectReason::ServerClosed);
        drop(inbox);
        assert_eq!(budget.held(), 0);
    }
}
