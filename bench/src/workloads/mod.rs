//! What servers are put to.

mod connect;
mod exchange;
mod history;
mod idle;
mod storm;

use std::{io, time::Duration};

use hdrhistogram::Histogram;

use crate::{
    crowd::Layout,
    results::{Comparison, Measure, Row},
    server::{Logs, Program, Server},
};

/// Who is compared: a program, and which of its events.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    pub(crate) program: Program,
    pub(crate) event: &'static str,
}

const fn contender(name: &'static str, program: Program, event: &'static str) -> Contender {
    Contender { name, program, event }
}

// An event `tick` is not kept, `message` is, `move` is seen by hooks; some do not tell them apart.
const FLOOR: Contender = contender("tokio, WebSocket only", Program::Floor, "tick");
const SOCKETIOXIDE: Contender = contender("socketioxide", Program::Socketioxide, "tick");
const DIALOGUE: Contender = contender("Dialogue", Program::Dialogue(Logs::Memory), "tick");
const DIALOGUE_HOOKS: Contender =
    contender("Dialogue, hooks", Program::Dialogue(Logs::Memory), "move");
const DIALOGUE_HISTORY: Contender =
    contender("Dialogue, history", Program::Dialogue(Logs::Memory), "message");
const DIALOGUE_SQLITE: Contender =
    contender("Dialogue, SQLite", Program::Dialogue(Logs::Sqlite), "message");
const DIALOGUE_POSTGRES: Contender =
    contender("Dialogue, PostgreSQL", Program::Dialogue(Logs::Postgres), "message");
const SOCKET_IO: Contender = contender("Socket.IO on Node", Program::SocketIoOnNode, "tick");
const NODE: Contender = contender("dialogue-ts on Node", Program::ReferenceOnNode, "tick");
const NODE_HISTORY: Contender =
    contender("dialogue-ts on Node, history", Program::ReferenceOnNode, "message");
const BUN: Contender = contender("dialogue-ts on Bun", Program::ReferenceOnBun, "tick");
const BUN_HISTORY: Contender =
    contender("dialogue-ts on Bun, history", Program::ReferenceOnBun, "message");

/// How much of everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Ten minutes.
    Whole,
    /// Two minutes: the same, with less certain figures.
    Quick,
    /// As little as shows that everything works; the figures mean nothing.
    Smoke,
}

/// What is run.
pub(crate) struct Plan {
    pub(crate) effort: Effort,
    /// The URL of a database server, if there is one.
    pub(crate) postgres: Option<String>,
    /// The keys of the only workloads to run, if it is not all of them.
    pub(crate) only: Vec<String>,
}

impl Plan {
    /// How many times everybody takes a turn.
    fn rounds(&self, rounds: usize) -> usize {
        match self.effort {
            Effort::Whole => rounds,
            Effort::Quick => 2,
            Effort::Smoke => 1,
        }
    }

    /// How long a turn takes.
    fn turn(&self, time: Duration) -> Duration {
        match self.effort {
            Effort::Whole => time,
            Effort::Quick => time / 3,
            Effort::Smoke => time / 20,
        }
    }

    /// Who is there.
    fn layout(&self, layout: Layout) -> Layout {
        let Layout { rooms, members, rooms_per_client } = layout;
        match self.effort {
            Effort::Whole | Effort::Quick => layout,
            Effort::Smoke => {
                let rooms = rooms.div_ceil(50).max(rooms_per_client);
                Layout { rooms, members: members.div_ceil(10), rooms_per_client }
            }
        }
    }

    /// How many of many.
    fn many(&self, many: usize) -> usize {
        match self.effort {
            Effort::Whole => many,
            Effort::Quick => many / 5,
            Effort::Smoke => many / 50,
        }
    }

    async fn start(&self, program: Program) -> io::Result<Server> {
        Server::start(program, self.postgres.as_deref()).await
    }

    /// Those who can take part.
    fn present(&self, contenders: &[Contender]) -> Vec<Contender> {
        let has_postgres = self.postgres.is_some();
        let needs = |contender: &&Contender| contender.program == Program::Dialogue(Logs::Postgres);
        contenders.iter().filter(|one| has_postgres || !needs(one)).copied().collect()
    }

    fn wants(&self, key: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| key.starts_with(only))
    }
}

/// What all workloads are called.
pub(crate) fn keys() -> Vec<&'static str> {
    let others = [connect::KEY, idle::KEY, history::KEY, storm::KEY];
    exchange::all().iter().map(|exchange| exchange.key).chain(others).collect()
}

/// Runs all workloads; hands on each comparison as soon as it is made.
pub(crate) async fn run(
    plan: &Plan,
    mut compared: impl FnMut(Comparison) -> io::Result<()>,
) -> io::Result<()> {
    for exchange in exchange::all().iter().filter(|exchange| plan.wants(exchange.key)) {
        compared(exchange::compare(plan, exchange).await?)?;
    }
    if plan.wants(connect::KEY) {
        compared(connect::compare(plan).await?)?;
    }
    if plan.wants(idle::KEY) {
        compared(idle::compare(plan).await?)?;
    }
    if plan.wants(history::KEY) {
        compared(history::compare(plan).await?)?;
    }
    if plan.wants(storm::KEY) {
        compared(storm::compare(plan).await?)?;
    }
    Ok(())
}

/// What is measured, under its name.
#[derive(Clone, Copy)]
struct Figure {
    name: &'static str,
    unit: &'static str,
    more_is_better: bool,
}

impl Figure {
    const fn less(name: &'static str, unit: &'static str) -> Self {
        Self { name, unit, more_is_better: false }
    }

    const fn more(name: &'static str, unit: &'static str) -> Self {
        Self { name, unit, more_is_better: true }
    }
}

/// A measure of each figure, with a row for each contender.
fn measures(figures: &[Figure], contenders: &[Contender]) -> Vec<Measure> {
    let rows = || {
        let names = contenders.iter().map(|contender| contender.name.to_owned());
        names.map(|contender| Row { contender, values: Vec::new() }).collect()
    };
    let measure = |figure: &Figure| Measure {
        name: figure.name.to_owned(),
        unit: figure.unit.to_owned(),
        more_is_better: figure.more_is_better,
        rows: rows(),
    };
    figures.iter().map(measure).collect()
}

/// Notes what a contender's turn came to, in the order of the figures.
fn note(measures: &mut [Measure], contender: usize, values: &[f64]) {
    for (measure, value) in measures.iter_mut().zip(values) {
        measure.rows[contender].values.push(*value);
    }
}

fn compared(key: &str, title: &str, baseline: Contender, measures: Vec<Measure>) -> Comparison {
    let baseline = baseline.name.to_owned();
    Comparison { key: key.to_owned(), title: title.to_owned(), baseline, measures }
}

/// A quantile of a latency, in milliseconds.
fn millis(latency: &Histogram<u64>, quantile: f64) -> f64 {
    latency.value_at_quantile(quantile) as f64 / 1e6
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// Who goes when: another order in each round, and those who are listed next to each other, which may
/// share a server, mostly not one after the other.
fn turns(round: usize, contenders: usize) -> impl Iterator<Item = usize> {
    // With a stride that shares no factor, everybody is met once.
    let meets_all = |stride: &usize| greatest_common_divisor(*stride, contenders) == 1;
    let strides: Vec<usize> = (2..contenders.max(4) - 1).filter(meets_all).collect();
    let stride = strides.get(round % strides.len().max(1)).copied().unwrap_or(1);
    (0..contenders).map(move |turn| (turn * stride + round) % contenders)
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::turns;

    #[test]
    fn everybody_has_one_turn_in_each_round() {
        for contenders in 1..12 {
            for round in 0..20 {
                let mut met: Vec<usize> = turns(round, contenders).collect();
                met.sort_unstable();
                assert!(met.into_iter().eq(0..contenders), "{contenders} in round {round}");
            }
        }
    }
}
