//! Created rooms that nobody needs, and how many there may be.

use axum::Router;
use dialogue::{Dialogue, store::Memory};
use serde_json::json;

use crate::{
    lobby::{Lobby, Say, desk},
    server::{Server, unpaced},
};

#[tokio::test]
async fn missed_events_that_gave_way_to_others_are_not_recovered() {
    // Ten events are kept, if there is memory for them.
    for (bytes, recovered) in [(64_000_000, true), (4_000, false)] {
        let store = Memory::new().bytes(bytes);
        let builder = Dialogue::builder(Lobby::default()).limits(unpaced()).store(store);
        let server = Server::built(builder, Router::new()).await;
        // Empty, it remembers nothing of its own.
        let desk = server.dialogue.room(desk::Room { name: "ann".into() });
        desk.trigger(Say::new("seen")).await.unwrap();
        let mut ann = server.guest("ann").await;
        let joined = ann.join("desk:ann").await;
        let since = json!({ "epoch": joined["epoch"], "seq": joined["seq"] });
        ann.leave("desk:ann").await;
        for n in 0..8 {
            desk.trigger(Say::new(&format!("{n} {}", "x".repeat(90)))).await.unwrap();
        }
        let again = ann.ask("dialogue:join", json!({ "roomId": "desk:ann", "since": since })).await;
        assert_eq!(again["recovered"], recovered, "{again}");
    }
}
