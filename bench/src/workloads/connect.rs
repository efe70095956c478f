//! Clients that come.

use std::{
    io,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use super::*;
use crate::crowd::{Crowd, Layout};

pub(super) const KEY: &str = "connect";
const TITLE: &str = "500 clients connect, 64 at a time, and join a room of 50 each";
const CONTENDERS: &[Contender] = &[FLOOR, SOCKETIOXIDE, DIALOGUE, SOCKET_IO, NODE, BUN];
const LAYOUT: Layout = Layout { rooms: 10, members: 50, rooms_per_client: 1 };
const FIGURES: &[Figure] =
    &[Figure::less("server CPU per client", "µs"), Figure::more("clients", "/s")];

pub(super) async fn compare(plan: &Plan) -> io::Result<Comparison> {
    let layout = plan.layout(LAYOUT);
    let mut servers = Vec::new();
    for contender in CONTENDERS {
        servers.push(plan.start(contender.program).await?);
    }
    let mut measures = measures(FIGURES, CONTENDERS);
    for round in 0..=plan.rounds(7) {
        for turn in turns(round, servers.len()) {
            let server = &servers[turn];
            let (began, cpu) = (Instant::now(), server.cpu()?);
            let crowd = Crowd::gather(server, layout).await?;
            let (time, cpu) = (began.elapsed(), server.cpu()?.saturating_sub(cpu));
            drop(crowd);
            // What the server does about those who left is not what is measured.
            sleep(Duration::from_millis(200)).await;
            let clients = layout.clients() as f64;
            if round > 0 {
                let values = [micros(cpu) / clients, clients / time.as_secs_f64()];
                note(&mut measures, turn, &values);
            }
        }
    }
    for server in servers {
        server.stop().await?;
    }
    Ok(compared(KEY, TITLE, SOCKETIOXIDE, measures))
}
