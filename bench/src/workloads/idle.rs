//! Clients that are there and do nothing.

use std::{io, time::Duration};

use tokio::time::sleep;

use super::*;
use crate::{
    crowd::{Crowd, Layout},
    number::count,
};

pub(super) const KEY: &str = "idle";
const CONTENDERS: &[Contender] = &[FLOOR, SOCKETIOXIDE, DIALOGUE, SOCKET_IO, NODE, BUN];
const FIGURES: &[Figure] = &[Figure::less("memory per connection", "KB")];
/// Some come before the others: what a server makes once is not theirs.
const FIRST: Layout = Layout { rooms: 10, members: 10, rooms_per_client: 1 };

pub(super) async fn compare(plan: &Plan) -> io::Result<Comparison> {
    let members = plan.many(100);
    let layout = Layout { rooms: 100, members, rooms_per_client: 1 };
    let title = format!("{} idle connections, in rooms of {members}", count(layout.clients()));
    let mut measures = measures(FIGURES, CONTENDERS);
    for round in 0..plan.rounds(2) {
        for turn in turns(round, CONTENDERS.len()) {
            let server = plan.start(CONTENDERS[turn].program).await?;
            let first = Crowd::gather(&server, FIRST).await?;
            let before = server.memory()?;
            let crowd = Crowd::gather(&server, layout).await?;
            sleep(plan.turn(Duration::from_millis(500))).await;
            let bytes = server.memory()?.saturating_sub(before) as f64;
            note(&mut measures, turn, &[bytes / 1_000.0 / layout.clients() as f64]);
            drop((first, crowd));
            server.stop().await?;
        }
    }
    Ok(compared(KEY, &title, SOCKETIOXIDE, measures))
}
