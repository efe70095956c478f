//! The order in which the requests of one connection are handled.
//!
//! Requests about one room are handled one after the other. Those about different rooms do not wait for each
//! other. A request about no room waits for all before it, and all after it wait for it.

use std::{
    collections::{HashMap, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
};

use tokio::time::Instant;

use super::{decode::Request, raw_request::RawRequest};

/// What a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// A room, by the hash of its id: rooms whose hashes are equal only wait for each other.
    Room(u64),
    /// No room, or nothing that is known.
    Everything,
}

impl Scope {
    pub(crate) fn of(frame: &RawRequest) -> Self {
        Request::room_of(frame).map_or(Self::Everything, |room_id| {
            let mut hasher = DefaultHasher::new();
            room_id.hash(&mut hasher);
            Self::Room(hasher.finish())
        })
    }
}

/// Names a request while it is handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestId(u64);

/// Requests that wait, and those that are handled.
#[derive(Default)]
pub(crate) struct Order {
    /// Requests in the order in which they came, without those in `behind`.
    queue: VecDeque<(Scope, RawRequest)>,
    /// Requests that wait for another one about their room, by room. They came before those in `queue`.
    behind: HashMap<u64, VecDeque<RawRequest>>,
    /// The rooms in `behind` about which no request is being handled.
    free: VecDeque<u64>,
    /// Number of requests in `behind`.
    number_behind: usize,
    /// Size of all that wait, in bytes.
    bytes: usize,
    /// What is being handled, the oldest first.
    running: Vec<Running>,
    last_id: u64,
}

struct Running {
    id: RequestId,
    scope: Scope,
    weight: usize,
    began: Instant,
}

impl Order {
    /// Adds a request after all others.
    pub(crate) fn push(&mut self, scope: Scope, frame: RawRequest) {
        self.bytes += frame.weight();
        self.queue.push_back((scope, frame));
    }

    /// Puts a request back before all others, of which none is handled.
    pub(crate) fn push_front(&mut self, scope: Scope, frame: RawRequest) {
        self.bytes += frame.weight();
        self.queue.push_front((scope, frame));
    }

    /// Notes a request that is handled and did not wait here.
    pub(crate) fn note(&mut self, scope: Scope, weight: usize, began: Instant) -> RequestId {
        self.last_id += 1;
        let id = RequestId(self.last_id);
        self.running.push(Running { id, scope, weight, began });
        id
    }

    /// Whether a request waits that may be handled now.
    pub(crate) fn has_next(&mut self) -> bool {
        if self.running.iter().any(|running| running.scope == Scope::Everything) {
            return false;
        }
        if !self.free.is_empty() {
            return true;
        }
        while let Some((scope, _)) = self.queue.front() {
            let Scope::Room(room) = *scope else {
                return self.running.is_empty() && self.behind.is_empty();
            };
            let is_busy = self.running.iter().any(|running| running.scope == *scope);
            if !is_busy && !self.behind.contains_key(&room) {
                return true;
            }
            let Some((_, frame)) = self.queue.pop_front() else { break };
            self.behind.entry(room).or_default().push_back(frame);
            self.number_behind += 1;
        }
        false
    }

    /// Begins with the oldest request that may be handled now.
    pub(crate) fn begin(&mut self, now: Instant) -> Option<(RequestId, RawRequest)> {
        if !self.has_next() {
            return None;
        }
        let (scope, frame) = match self.free.pop_front() {
            Some(room) => (Scope::Room(room), self.pop_behind(room)?),
            None => self.queue.pop_front()?,
        };
        self.bytes -= frame.weight();
        Some((self.note(scope, frame.weight(), now), frame))
    }

    /// Notes that a request is done. Returns when it began.
    pub(crate) fn done(&mut self, id: RequestId) -> Option<Instant> {
        let at = self.running.iter().position(|running| running.id == id)?;
        let Running { scope, began, .. } = self.running.remove(at);
        if let Scope::Room(room) = scope
            && self.behind.contains_key(&room)
        {
            self.free.push_back(room);
        }
        Some(began)
    }

    /// The oldest request that is being handled.
    pub(crate) fn first_running(&self) -> Option<RequestId> {
        self.running.first().map(|running| running.id)
    }

    /// Takes requests out, in an order that is right where no two are handled at once.
    pub(crate) fn pop(&mut self) -> Option<RawRequest> {
        let room = self.behind.keys().next().copied();
        let frame = match room {
            Some(room) => self.pop_behind(room)?,
            None => self.queue.pop_front()?.1,
        };
        self.bytes -= frame.weight();
        Some(frame)
    }

    fn pop_behind(&mut self, room: u64) -> Option<RawRequest> {
        let frames = self.behind.get_mut(&room)?;
        let frame = frames.pop_front();
        if frames.is_empty() {
            self.behind.remove(&room);
        }
        self.number_behind -= usize::from(frame.is_some());
        frame
    }

    /// Drops all that wait.
    pub(crate) fn clear(&mut self) {
        (self.queue, self.behind, self.free) = Default::default();
        (self.number_behind, self.bytes) = (0, 0);
    }

    /// Gives memory back, if nothing is left.
    pub(crate) fn shrink(&mut self) {
        if self.is_empty() && self.running.is_empty() {
            *self = Self { last_id: self.last_id, ..Self::default() };
        }
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of requests that wait.
    pub(crate) fn len(&self) -> usize {
        self.queue.len() + self.number_behind
    }

    /// Size of the requests that wait, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Number of requests that are handled.
    pub(crate) fn running(&self) -> usize {
        self.running.len()
    }

    /// Size of the requests that are handled, in bytes, without the first `skip`.
    pub(crate) fn running_bytes(&self, skip: usize) -> usize {
        self.running.iter().skip(skip).map(|running| running.weight).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(order: &mut Order, name: &str) {
        let text = match name.split_once(' ') {
            Some((room, n)) => {
                format!(r#"["dialogue:trigger",{{"roomId":"{room}","event":"{n}"}}]"#)
            }
            None => format!(r#"["{name}"]"#),
        };
        let frame = RawRequest::new(Some(text.into()), None);
        order.push(Scope::of(&frame), frame);
    }

    fn queue(names: &[&str]) -> Order {
        let mut order = Order::default();
        for name in names {
            push(&mut order, name);
        }
        order
    }

    /// Begins with all that may be; says which.
    fn begin(order: &mut Order) -> Vec<(RequestId, String)> {
        let begun = std::iter::from_fn(|| order.begin(Instant::now()));
        begun.map(|(id, frame)| (id, name(&frame))).collect()
    }

    fn name(frame: &RawRequest) -> String {
        let parts: Vec<_> = frame.text().unwrap().split('"').collect();
        match parts[..] {
            [_, _, _, _, _, room, _, _, _, event, _] => format!("{room} {event}"),
            _ => parts[1].to_owned(),
        }
    }

    fn names(begun: &[(RequestId, String)]) -> Vec<&str> {
        begun.iter().map(|(_, name)| &**name).collect()
    }

    #[test]
    fn requests_of_different_rooms_begin_beside_each_other_and_those_of_one_room_in_order() {
        let mut order = queue(&["a 1", "a 2", "b 1", "a 3", "c 1"]);
        let begun = begin(&mut order);
        assert_eq!(names(&begun), ["a 1", "b 1", "c 1"]);
        assert_eq!((order.len(), order.running()), (2, 3));
        push(&mut order, "b 2");
        assert!(begin(&mut order).is_empty());
        order.done(begun[1].0);
        assert_eq!(names(&begin(&mut order)), ["b 2"]);
        order.done(begun[0].0);
        let second = begin(&mut order);
        assert_eq!(names(&second), ["a 2"]);
        push(&mut order, "a 4");
        order.done(second[0].0);
        let third = begin(&mut order);
        assert_eq!(names(&third), ["a 3"]);
        order.done(third[0].0);
        assert_eq!(names(&begin(&mut order)), ["a 4"]);
        assert_eq!((order.len(), order.bytes()), (0, 0));
    }

    #[test]
    fn request_about_no_room_waits_for_all_before_it_and_holds_all_after_it() {
        let mut order = queue(&["a 1", "b 1", "a 2", "list", "c 1"]);
        let begun = begin(&mut order);
        assert_eq!(names(&begun), ["a 1", "b 1"]);
        assert!(begun.iter().all(|(id, _)| order.done(*id).is_some()));
        let begun = begin(&mut order);
        assert_eq!(names(&begun), ["a 2"]);
        order.done(begun[0].0);
        let begun = begin(&mut order);
        assert_eq!(names(&begun), ["list"]);
        order.done(begun[0].0);
        assert_eq!(names(&begin(&mut order)), ["c 1"]);
    }

    #[test]
    fn requests_that_are_left_keep_the_order_of_their_room() {
        let mut order = queue(&["a 1", "a 2", "b 1", "b 2", "a 3", "list", "a 4"]);
        assert_eq!(names(&begin(&mut order)), ["a 1", "b 1"]);
        let left: Vec<_> = std::iter::from_fn(|| order.pop()).map(|frame| name(&frame)).collect();
        let of = |room: &str| -> Vec<_> {
            left.iter().filter(|name| name.starts_with(room) || *name == "list").collect()
        };
        assert_eq!(of("a"), ["a 2", "a 3", "list", "a 4"]);
        assert_eq!(of("b"), ["b 2", "list"]);
        assert_eq!((order.len(), order.bytes()), (0, 0));
    }

    #[test]
    fn cleared_requests_hold_nothing() {
        let mut order = queue(&["a 1", "a 2", "b 1"]);
        let begun = begin(&mut order);
        order.clear();
        assert_eq!((order.len(), order.bytes(), order.running()), (0, 0, 2));
        for (id, _) in &begun {
            assert!(order.done(*id).is_some());
        }
        assert!(!order.has_next() && order.done(begun[0].0).is_none());
    }
}
