//! Clients that all lost their connection, and come back.

use std::{
    io,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::*;
use crate::{connection::Connection, crowd::Layout};

pub(super) const KEY: &str = "storm";
const TITLE: &str = "1,000 clients of one room lost their connection and 30 messages of 150 bytes, and come back, 250 at a time";
const LAYOUT: Layout = Layout { rooms: 1, members: 1_000, rooms_per_client: 1 };
const AT_ONCE: usize = 250;
const MISSED: usize = 30;
const CONTENDERS: &[Contender] = &[
    SOCKETIOXIDE,
    DIALOGUE_HISTORY,
    DIALOGUE_SQLITE,
    DIALOGUE_POSTGRES,
    SOCKET_IO,
    NODE_HISTORY,
    BUN_HISTORY,
];
const FIGURES: &[Figure] =
    &[Figure::less("until all are back", "ms"), Figure::less("server CPU per client", "µs")];

pub(super) async fn compare(plan: &Plan) -> io::Result<Comparison> {
    let contenders = plan.present(CONTENDERS);
    let clients = plan.layout(LAYOUT).clients();
    let mut servers = Vec::new();
    for contender in &contenders {
        let server = plan.start(contender.program).await?;
        // A room that never held anything has no log to come back to.
        miss(&server, contender.event).await?;
        servers.push(server);
    }
    let mut measures = measures(FIGURES, &contenders);
    for round in 0..=plan.rounds(5) {
        for turn in turns(round, contenders.len()) {
            let (server, contender) = (&servers[turn], contenders[turn]);
            let resumes = matches!(contender.program, Program::Dialogue(_));
            let first = come(server, clients, None).await?;
            let since = first
                .first()
                .map(|(_, joined)| json!({ "epoch": joined["epoch"], "seq": joined["seq"] }));
            drop(first);
            miss(server, contender.event).await?;
            let (began, cpu) = (Instant::now(), server.cpu()?);
            let back = come(server, clients, since.filter(|_| resumes)).await?;
            let (time, cpu) = (began.elapsed(), server.cpu()?.saturating_sub(cpu));
            let whole = |joined: &Value| {
                joined["recovered"] == true
                    && joined["events"].as_array().map(Vec::len) == Some(MISSED)
            };
            if resumes && let Some((_, joined)) = back.iter().find(|(_, joined)| !whole(joined)) {
                let name = contender.name;
                return Err(io::Error::other(format!("{name}: not all was recovered: {joined}")));
            }
            drop(back);
            sleep(Duration::from_millis(200)).await;
            if round > 0 {
                let values = [time.as_secs_f64() * 1e3, micros(cpu) / clients as f64];
                note(&mut measures, turn, &values);
            }
        }
    }
    for server in servers {
        server.stop().await?;
    }
    Ok(compared(KEY, TITLE, DIALOGUE_HISTORY, measures))
}

/// Everybody connects and joins. Returns what each was answered.
async fn come(
    server: &Server,
    clients: usize,
    since: Option<Value>,
) -> io::Result<Vec<(Connection, Value)>> {
    let since = since.as_ref();
    let one = async |client: usize| {
        let connection = Connection::open(server.address, &format!("user {client}")).await?;
        let joined = connection.join(0, since).await?;
        io::Result::Ok((connection, joined))
    };
    stream::iter(0..clients).map(one).buffer_unordered(AT_ONCE).try_collect().await
}

/// Somebody goes on.
async fn miss(server: &Server, event: &str) -> io::Result<()> {
    let other = Connection::open(server.address, "other").await?;
    other.join(0, None).await?;
    let data = json!({ "at": 0, "text": "x".repeat(150) });
    for _ in 0..MISSED {
        let request =
            json!(["dialogue:trigger", { "roomId": "room:0", "event": event, "data": data }]);
        other.send(format!("42{request}").as_bytes())?;
    }
    // Whoever answers this has done what was asked before.
    other.join(0, None).await.map(drop)
}
