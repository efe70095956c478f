//! Rooms of a crate without the server, with handlers attached here.

use dialogue::{Client, Context, Deny, EventMessage};
use protocol::{Note, Wiped, board};
use serde_json::json;

use crate::{app::Test, server::Server};

#[dialogue::handlers(protocol::board, app = Test)]
mod board_handlers {
    use protocol::board::Room;

    use super::*;

    #[before_join]
    async fn team_only(cx: &Context<Test, Room>, client: &Client<Test>) -> Result<(), Deny> {
        let team = &cx.room().key().team;
        client.user_id().starts_with(team).then_some(()).ok_or_else(|| Deny::new("another team"))
    }

    #[before]
    async fn polish(_: &Context<Test, Room>, note: &mut Note) -> Result<(), Deny> {
        note.text.push('.');
        Ok(())
    }

    #[on]
    async fn wipe(cx: &Context<Test, Room>, _: &EventMessage<Wiped>) {
        cx.app().note("wiping".into());
        tokio::task::yield_now().await;
        cx.app().note("wiped".into());
    }

    #[on]
    async fn remember(cx: &Context<Test, Room>, note: &EventMessage<Note>) {
        cx.app().note(format!("{}: {}", cx.room().id(), note.data.text));
    }
}

#[tokio::test]
async fn a_foreign_room_runs_the_handlers_attached_to_it() {
    let app = Test::default();
    let server = Server::start(app.clone()).await;
    let mut red = server.join("red 1", "board:red").await;
    assert_eq!(red.join("board:blue").await["code"], "JOIN_DENIED");
    assert_eq!(red.trigger("board:red", "note", json!({ "text": "hi" })).await["ok"], true);
    assert_eq!(red.message().await["data"]["text"], "hi.");
    let room = server.dialogue.room(board::Room { team: "red".into() });
    room.trigger(Wiped).await.unwrap();
    assert_eq!(red.message().await["event"], "wiped");
    assert_eq!(app.noted(3).await, ["board:red: hi.", "wiping", "wiped"]);
}

#[tokio::test]
async fn a_value_of_any_characters_makes_an_id_that_comes_back() {
    let server = Server::start(Test::default()).await;
    let team = "caf\u{e9}: a/b";
    let mut peer = server.join(&format!("{team} 1"), "board:caf%C3%A9%3A%20a%2Fb").await;
    let room = server.dialogue.room(board::Room { team: team.into() });
    assert_eq!(room.id(), "board:caf%C3%A9%3A%20a%2Fb");
    assert_eq!(room.trigger(Wiped).await.unwrap().recipients, 1);
    assert_eq!(peer.message().await["event"], "wiped");
    // A key that makes no id is no room.
    for team in [String::new(), "x".repeat(1_100)] {
        let room = server.dialogue.room(board::Room { team });
        assert_eq!(room.trigger(Wiped).await, Err(dialogue::TriggerError::RoomNotFound));
    }
}
