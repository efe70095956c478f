//! Clients that read what was, while others go on.

use std::{
    io,
    rc::Rc,
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep},
};

use super::*;
use crate::{
    connection::Connection,
    crowd::{Crowd, Layout, Pace, Traffic, histogram},
};

pub(super) const KEY: &str = "history";
const TITLE: &str = "One room of 100, 100 kept messages of 150 bytes a second, while 10 clients read 200 pages of 50 a second";
const CONTENDERS: &[Contender] =
    &[DIALOGUE_HISTORY, DIALOGUE_SQLITE, DIALOGUE_POSTGRES, NODE_HISTORY, BUN_HISTORY];
const LAYOUT: Layout = Layout { rooms: 1, members: 100, rooms_per_client: 1 };
const READERS: usize = 10;
/// How often each reads.
const PAUSE: Duration = Duration::from_millis(50);
const FIGURES: &[Figure] = &[
    Figure::less("a page, median", "ms"),
    Figure::less("a page, p99", "ms"),
    Figure::less("a delivery, median", "ms"),
    Figure::less("a delivery, p99", "ms"),
    Figure::less("server CPU", "% of one"),
];

pub(super) async fn compare(plan: &Plan) -> io::Result<Comparison> {
    let contenders = plan.present(CONTENDERS);
    let layout = plan.layout(LAYOUT);
    let mut places = Vec::new();
    for contender in &contenders {
        let server = plan.start(contender.program).await?;
        let crowd = Crowd::gather(&server, layout).await?;
        let mut readers = Vec::new();
        for reader in 0..READERS {
            let reader = Connection::open(server.address, &format!("reader {reader}")).await?;
            reader.join(0, None).await?;
            readers.push(Rc::new(reader));
        }
        places.push((server, crowd, readers));
    }
    let mut measures = measures(FIGURES, &contenders);
    let time = plan.turn(Duration::from_millis(1_500));
    for round in 0..=plan.rounds(5) {
        for turn in turns(round, contenders.len()) {
            let (server, crowd, readers) = &places[turn];
            let traffic = Traffic {
                event: contenders[turn].event,
                other: None,
                bytes: 150,
                pace: Pace::PerSecond(100),
            };
            let (outcome, pages) =
                tokio::try_join!(crowd.exchange(server, traffic, time), read(readers, time))?;
            if round > 0 {
                let values = [
                    millis(&pages, 0.5),
                    millis(&pages, 0.99),
                    millis(&outcome.latency, 0.5),
                    millis(&outcome.latency, 0.99),
                    outcome.cpu.as_secs_f64() / outcome.time.as_secs_f64() * 100.0,
                ];
                note(&mut measures, turn, &values);
            }
        }
    }
    for (server, ..) in places {
        server.stop().await?;
    }
    Ok(compared(KEY, TITLE, DIALOGUE_HISTORY, measures))
}

/// Reads pages for a while. Returns how long each took, in nanoseconds.
async fn read(readers: &[Rc<Connection>], time: Duration) -> io::Result<Histogram<u64>> {
    let request = json!({ "roomId": "room:0", "eventName": "message", "start": 0, "end": 50 });
    let mut reading = JoinSet::new();
    let began = Instant::now();
    for (index, reader) in readers.iter().cloned().enumerate() {
        let request = request.clone();
        reading.spawn_local(async move {
            sleep(PAUSE / READERS as u32 * index as u32).await;
            let mut ticks = interval(PAUSE);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut latency = histogram();
            while began.elapsed() < time {
                ticks.tick().await;
                let asked = Instant::now();
                reader.ask("dialogue:getHistory", &request).await?;
                latency.saturating_record(asked.elapsed().as_nanos() as u64);
            }
            io::Result::Ok(latency)
        });
    }
    let mut all = histogram();
    while let Some(read) = reading.join_next().await {
        all += read??;
    }
    Ok(all)
}
