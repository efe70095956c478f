//! Messages between clients.

use std::{collections::HashMap, io, time::Duration};

use super::*;
use crate::crowd::{Crowd, Layout, Outcome, Pace, Traffic};

pub(super) struct Exchange {
    pub(super) key: &'static str,
    title: &'static str,
    layout: Layout,
    /// The length of the payload's text.
    bytes: usize,
    pace: Pace,
    /// Every so many messages, one is kept.
    kept: Option<u64>,
    contenders: &'static [Contender],
    baseline: Contender,
    rounds: usize,
    turn: Duration,
}

const EVERYBODY: &[Contender] = &[
    FLOOR,
    SOCKETIOXIDE,
    DIALOGUE,
    DIALOGUE_HOOKS,
    DIALOGUE_HISTORY,
    SOCKET_IO,
    NODE,
    NODE_HISTORY,
    BUN,
    BUN_HISTORY,
];
const WITHOUT_HISTORY: &[Contender] = &[FLOOR, SOCKETIOXIDE, DIALOGUE, SOCKET_IO, NODE, BUN];
const STORES: &[Contender] =
    &[DIALOGUE, DIALOGUE_HISTORY, DIALOGUE_SQLITE, DIALOGUE_POSTGRES, NODE_HISTORY];

const HALL: Layout = Layout { rooms: 1, members: 1_000, rooms_per_client: 1 };
/// How long a contender runs before it is measured, in each turn.
const LEAD: Duration = Duration::from_millis(60);
const TURN: Duration = Duration::from_millis(300);

pub(super) fn all() -> Vec<Exchange> {
    let hall = |key, title, in_flight, bytes| Exchange {
        key,
        title,
        layout: HALL,
        bytes,
        pace: Pace::InFlight(in_flight),
        kept: None,
        contenders: EVERYBODY,
        baseline: SOCKETIOXIDE,
        rounds: 7,
        turn: TURN,
    };
    let stores = |key, title, layout, in_flight| Exchange {
        key,
        title,
        layout,
        bytes: 150,
        pace: Pace::InFlight(in_flight),
        kept: None,
        contenders: STORES,
        baseline: DIALOGUE_HISTORY,
        rounds: 7,
        turn: Duration::from_millis(500),
    };
    vec![
        hall("hall-1-64", "One room of 1,000, one message of 64 bytes in flight", 1, 64),
        hall("hall-4-64", "One room of 1,000, four messages of 64 bytes in flight", 4, 64),
        hall("hall-1-8k", "One room of 1,000, one message of 8 KB in flight", 1, 8_000),
        hall("hall-4-8k", "One room of 1,000, four messages of 8 KB in flight", 4, 8_000),
        Exchange {
            layout: Layout { rooms: 250, members: 4, rooms_per_client: 1 },
            rounds: 11,
            ..hall("small-rooms", "250 rooms of 4, 50 messages of 150 bytes in flight", 50, 150)
        },
        Exchange {
            layout: Layout { rooms: 1_000, members: 10, rooms_per_client: 10 },
            kept: Some(10),
            contenders: WITHOUT_HISTORY,
            ..hall(
                "mixed",
                "1,000 rooms of 10, each client in ten of them; one message in ten is kept; 50 of 150 bytes in flight",
                50,
                150,
            )
        },
        Exchange {
            layout: Layout { rooms: 50, members: 8, rooms_per_client: 1 },
            pace: Pace::PerSecond(30),
            rounds: 11,
            turn: Duration::from_millis(1_500),
            ..hall("game", "50 rooms of 8, 30 messages of 200 bytes a second in each", 0, 200)
        },
        stores(
            "stores-1",
            "One room of 10, one kept message of 150 bytes in flight",
            Layout { rooms: 1, members: 10, rooms_per_client: 1 },
            1,
        ),
        stores(
            "stores-50",
            "50 rooms of 10, 50 kept messages of 150 bytes in flight",
            Layout { rooms: 50, members: 10, rooms_per_client: 1 },
            50,
        ),
    ]
}

const CPU: Figure = Figure::less("server CPU per delivery", "µs");
const RATE: Figure = Figure::more("deliveries", "/s");
const P50: Figure = Figure::less("latency, median", "ms");
const P99: Figure = Figure::less("latency, p99", "ms");
const P999: Figure = Figure::less("latency, p99.9", "ms");

pub(super) async fn compare(plan: &Plan, exchange: &Exchange) -> io::Result<Comparison> {
    let contenders = plan.present(exchange.contenders);
    let mut crowds = HashMap::new();
    for Contender { program, .. } in &contenders {
        if !crowds.contains_key(program) {
            let server = plan.start(*program).await?;
            let crowd = Crowd::gather(&server, plan.layout(exchange.layout)).await?;
            crowds.insert(*program, (server, crowd));
        }
    }
    let traffic = |event| Traffic {
        event,
        other: exchange.kept.map(|every| (DIALOGUE_HISTORY.event, every)),
        bytes: exchange.bytes,
        pace: exchange.pace,
    };
    let mut measures = measures(figures(exchange.pace), &contenders);
    // The first round is for compilers and caches to warm up.
    for round in 0..=plan.rounds(exchange.rounds) {
        for turn in turns(round, contenders.len()) {
            let Contender { program, event, name } = contenders[turn];
            let (server, crowd) = &crowds[&program];
            let time = plan.turn(exchange.turn);
            // Whoever had the turn before has filled the processor's caches.
            crowd.exchange(server, traffic(event), LEAD).await?;
            let outcome = crowd.exchange(server, traffic(event), time).await;
            let outcome = outcome.map_err(|error| io::Error::other(format!("{name}: {error}")))?;
            if round > 0 {
                note(&mut measures, turn, &values(exchange.pace, &outcome));
            }
        }
    }
    for (server, _) in crowds.into_values() {
        server.stop().await?;
    }
    Ok(compared(exchange.key, exchange.title, exchange.baseline, measures))
}

fn figures(pace: Pace) -> &'static [Figure] {
    match pace {
        Pace::InFlight(_) => &[CPU, RATE, P50],
        Pace::PerSecond(_) => &[P50, P99, P999, CPU],
    }
}

/// In the order of the figures.
fn values(pace: Pace, outcome: &Outcome) -> Vec<f64> {
    let latency = |quantile| millis(&outcome.latency, quantile);
    let deliveries = outcome.deliveries as f64;
    let cpu = micros(outcome.cpu) / deliveries;
    match pace {
        Pace::InFlight(_) => vec![cpu, deliveries / outcome.time.as_secs_f64(), latency(0.5)],
        Pace::PerSecond(_) => vec![latency(0.5), latency(0.99), latency(0.999), cpu],
    }
}
