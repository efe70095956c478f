//! The clients of one server, and the traffic between them.

use std::{
    cell::{Cell, RefCell},
    io,
    rc::Rc,
    sync::LazyLock,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, TryStreamExt, stream};
use hdrhistogram::Histogram;
use memchr::memmem::Finder;
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{sleep, sleep_until, timeout},
};

use crate::{connection::Connection, server::Server};

/// How many clients connect at the same time.
const AT_ONCE: usize = 64;
/// For how long deliveries may be under way when nothing more is sent.
const PATIENCE: Duration = Duration::from_secs(10);
/// What times begin with, so that all have as many digits: nanoseconds.
const FIRST_TIME: u64 = 1_000_000_000_000_000;
const TIME_DIGITS: usize = 16;

/// Who is in which room: each room has as many members, and each client is in as many rooms.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub(crate) rooms: usize,
    pub(crate) members: usize,
    pub(crate) rooms_per_client: usize,
}

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traffic {
    /// The name of the event.
    pub(crate) event: &'static str,
    /// Another one, sent every so many times.
    pub(crate) other: Option<(&'static str, u64)>,
    /// The length of the payload's text.
    pub(crate) bytes: usize,
    pub(crate) pace: Pace,
}

/// When it is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// As soon as one of so many was delivered to all.
    InFlight(usize),
    /// So many times a second, to each room.
    PerSecond(u32),
}

/// What came of a while of traffic.
pub(crate) struct Outcome {
    pub(crate) deliveries: u64,
    pub(crate) time: Duration,
    /// What the server used of its processors.
    pub(crate) cpu: Duration,
    /// From sending to each delivery, in nanoseconds.
    pub(crate) latency: Histogram<u64>,
}

/// Clients that are connected, and in their rooms.
pub(crate) struct Crowd {
    state: Rc<State>,
    _readers: JoinSet<()>,
}

struct State {
    rooms: Vec<Room>,
    traffic: Cell<Option<Traffic>>,
    next: Cell<usize>,
    triggers: Cell<u64>,
    deliveries: Cell<u64>,
    in_flight: Cell<usize>,
    arrived: Notify,
    latency: RefCell<Histogram<u64>>,
    failure: RefCell<Option<io::Error>>,
}

struct Room {
    publisher: Rc<Connection>,
    members: u64,
    delivered: Cell<u64>,
}

impl Layout {
    pub(crate) fn clients(self) -> usize {
        self.rooms * self.members / self.rooms_per_client
    }

    /// The rooms that a client is in.
    pub(crate) fn rooms_of(self, client: usize) -> impl Iterator<Item = usize> {
        let first = client * self.rooms_per_client;
        (first..first + self.rooms_per_client).map(move |place| place % self.rooms)
    }
}

impl Crowd {
    /// Connects all clients, and has them join their rooms.
    pub(crate) async fn gather(server: &Server, layout: Layout) -> io::Result<Self> {
        let connections: Vec<Rc<Connection>> = stream::iter(0..layout.clients())
            .map(|client| enter(server, layout, client))
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        let mut publishers = vec![None; layout.rooms];
        for (client, connection) in connections.iter().enumerate() {
            for room in layout.rooms_of(client) {
                publishers[room].get_or_insert_with(|| connection.clone());
            }
        }
        let room =
            |publisher| Room { publisher, members: layout.members as u64, delivered: Cell::new(0) };
        let state = Rc::new(State {
            rooms: publishers.into_iter().flatten().map(room).collect(),
            traffic: Cell::new(None),
            next: Cell::new(0),
            triggers: Cell::new(0),
            deliveries: Cell::new(0),
            in_flight: Cell::new(0),
            arrived: Notify::new(),
            latency: RefCell::new(histogram()),
            failure: RefCell::new(None),
        });
        let mut readers = JoinSet::new();
        for connection in connections {
            let state = state.clone();
            readers.spawn_local(async move {
                let ended = connection.listen(|text| state.receive(text)).await;
                state.fail(ended);
            });
        }
        Ok(Self { state, _readers: readers })
    }

    /// Sends for a while, and waits until everything was delivered.
    pub(crate) async fn exchange(
        &self,
        server: &Server,
        traffic: Traffic,
        time: Duration,
    ) -> io::Result<Outcome> {
        let state = &self.state;
        state.latency.replace(histogram());
        state.deliveries.set(0);
        let (began, cpu) = (Instant::now(), server.cpu()?);
        state.traffic.set(Some(traffic));
        match traffic.pace {
            Pace::InFlight(count) => {
                for _ in 0..count {
                    state.publish();
                }
                sleep(time).await;
            }
            Pace::PerSecond(times) => {
                let pause = Duration::from_secs(1) / times / state.rooms.len() as u32;
                for n in 0_u32.. {
                    let due = pause * n;
                    if due >= time {
                        break;
                    }
                    if due > began.elapsed() {
                        sleep_until((began + due).into()).await;
                    }
                    state.publish();
                }
            }
        }
        state.traffic.set(None);
        let all = async {
            while state.in_flight.get() > 0 && state.failure.borrow().is_none() {
                state.arrived.notified().await;
            }
        };
        let in_time = timeout(PATIENCE, all).await.is_ok();
        if let Some(failure) = state.failure.take() {
            return Err(failure);
        }
        if !in_time {
            let missing = format!("{} messages were not delivered to all", state.in_flight.get());
            return Err(io::Error::other(missing));
        }
        Ok(Outcome {
            deliveries: state.deliveries.get(),
            time: began.elapsed(),
            cpu: server.cpu()?.saturating_sub(cpu),
            latency: state.latency.replace(histogram()),
        })
    }
}

/// Connects a client, and has it join its rooms.
async fn enter(server: &Server, layout: Layout, client: usize) -> io::Result<Rc<Connection>> {
    let connection = Connection::open(server.address, &format!("user {client}")).await?;
    for room in layout.rooms_of(client) {
        connection.join(room, None).await?;
    }
    Ok(Rc::new(connection))
}

impl State {
    /// Sends the next message, to the next room.
    fn publish(&self) {
        let Some(Traffic { event, other, bytes, .. }) = self.traffic.get() else { return };
        let n = self.triggers.replace(self.triggers.get() + 1);
        let event =
            other.filter(|(_, every)| n.is_multiple_of(*every)).map_or(event, |(other, _)| other);
        let index = self.next.replace((self.next.get() + 1) % self.rooms.len());
        let text = "x".repeat(bytes);
        let message = format!(
            r#"42["dialogue:trigger",{{"roomId":"room:{index}","event":"{event}","data":{{"at":{},"text":"{text}"}}}}]"#,
            now(),
        );
        self.in_flight.set(self.in_flight.get() + 1);
        self.fail(self.rooms[index].publisher.send(message.as_bytes()));
    }

    fn receive(&self, text: &[u8]) {
        static ROOM: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new("\"room:"));
        static AT: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new("\"at\":"));
        if !text.starts_with(br#"42["dialogue:event""#) {
            return self.notice(text);
        }
        let number = |from: usize, most: usize| {
            let digits = text[from..].iter().take(most).take_while(|byte| byte.is_ascii_digit());
            digits.fold(0_u64, |number, digit| number * 10 + u64::from(digit - b'0'))
        };
        let (Some(room), Some(at)) = (ROOM.find(text), AT.find(text)) else { return };
        let (room, at) = (number(room + 6, 4), number(at + 5, TIME_DIGITS));
        let latency = now().saturating_sub(at);
        self.latency.borrow_mut().saturating_record(latency);
        self.deliveries.set(self.deliveries.get() + 1);
        let Some(room) = self.rooms.get(room as usize) else { return };
        room.delivered.set(room.delivered.get() + 1);
        if room.delivered.get().is_multiple_of(room.members) {
            self.in_flight.set(self.in_flight.get() - 1);
            match self.traffic.get() {
                Some(Traffic { pace: Pace::InFlight(_), .. }) => self.publish(),
                Some(_) => {}
                None => self.arrived.notify_one(),
            }
        }
    }

    /// A message that is no event: only refusals matter.
    fn notice(&self, text: &[u8]) {
        if text.starts_with(br#"42["dialogue:error""#) || text.starts_with(b"41") {
            self.fail(Err(io::Error::other(String::from_utf8_lossy(text))));
        }
    }

    fn fail(&self, ended: io::Result<()>) {
        if let Err(error) = ended {
            self.failure.borrow_mut().get_or_insert(error);
            self.arrived.notify_one();
        }
    }
}

pub(crate) fn histogram() -> Histogram<u64> {
    // Three digits are among what is allowed.
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("the bounds are sound")
}

fn now() -> u64 {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    FIRST_TIME + BEGAN.elapsed().as_nanos() as u64
}
