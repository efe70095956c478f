//! The app's hooks, all of them in their order.

use dialogue::TriggerError;
use serde_json::json;

use crate::{
    lobby::{Lobby, Say, Score, desk, hall},
    peer::{Incoming, Peer},
    server::Server,
};

#[tokio::test]
async fn all_hooks_run_in_their_order() {
    let app = Lobby::default();
    let server = Server::start(app.clone()).await;
    let mut ann = Peer::reply_only(server.address, r#"{"userId":"ann"}"#).await.unwrap();
    // What the socket's hook sends comes before anything that a client is told.
    assert_eq!(
        ann.incoming().await,
        Incoming::Event("server-info".into(), json!({ "version": "1.0.0" }))
    );
    assert_eq!(ann.event().await.0, "dialogue:connected");
    assert_eq!(ann.join("hall").await["ok"], true);
    assert_eq!(ann.trigger("hall", "say", json!({ "text": " hi " })).await["ok"], true);
    assert_eq!(
        app.noted(13).await,
        [
            "authenticate",
            "socket_connected",
            "connected",
            "hall: before_join",
            "before_join hall",
            "hall: joined",
            "joined hall",
            "hall: before 1",
            "hall: before 2",
            "before_each say",
            "after_each say to 1",
            r#"triggered say {"text":"hi"}"#,
            "hall: on hi from ann",
        ][..]
            .iter()
            .map(|note| (*note).to_owned())
            .collect::<Vec<_>>()
    );
    ann.close().await;
    assert_eq!(
        app.noted(4).await,
        [
            r#"disconnected in ["hall"]"#,
            "hall: left",
            "ann left hall",
            "socket_disconnected, connected: false"
        ]
    );
}

#[tokio::test]
async fn before_each_may_change_data_meta_and_sender_and_nothing_else() {
    let server = Server::start(Lobby::default()).await;
    let mut ann = server.guest("ann").await;
    ann.join("hall").await;
    ann.trigger("hall", "say", json!({ "text": "oh darn" })).await;
    let message = ann.message().await;
    assert_eq!(
        (&message["data"], &message["from"]),
        (&json!({ "text": "oh ****" }), &json!("ann"))
    );

    ann.trigger("hall", "say", json!({ "text": "in disguise" })).await;
    let message = ann.message().await;
    assert_eq!(message["from"], "somebody");
    assert_eq!(message["meta"], json!({ "disguised": true }));
    assert_eq!((&message["event"], &message["roomId"]), (&json!("say"), &json!("hall")));
}

#[tokio::test]
async fn what_before_each_refuses_or_spoils_goes_nowhere() {
    let app = Lobby::default();
    let server = Server::start(app.clone()).await;
    let mut ann = server.guest("ann").await;
    ann.join("hall").await;
    for (text, code) in [
        ("deny each", "EVENT_DENIED"),
        ("void each", "VALIDATION_FAILED"),
        ("panic each", "INTERNAL"),
    ] {
        let answer = ann.trigger("hall", "say", json!({ "text": text })).await;
        assert_eq!(answer["code"], code, "{text}");
    }
    ann.silent().await;
    // The server's own code meets the same hook.
    let room = server.dialogue.room(hall::Room);
    let refused = room.trigger(Say::new("deny each")).await.unwrap_err();
    assert!(matches!(refused, TriggerError::Denied(deny) if deny.message() == "not in any room"));

    // What follows a broadcast costs nothing if it fails.
    app.notes();
    room.trigger(Say::new("panic after")).await.unwrap();
    room.trigger(Score { points: 1 }).await.unwrap();
    assert_eq!(ann.message().await["data"]["text"], "panic after");
    assert_eq!(ann.message().await["data"]["points"], 1);
    let notes = app.noted(9).await;
    assert!(notes.contains(&r#"triggered say {"text":"panic after"}"#.into()), "{notes:?}");
    assert!(notes.contains(&"after_each score to 1".into()), "{notes:?}");
}

#[tokio::test]
async fn who_does_not_see_a_room_finds_none() {
    let server = Server::start(Lobby::default()).await;
    let mut ann = server.guest("ann").await;
    let mut boss = server.with_ticket(r#"{"userId":"boss","staff":true}"#).await;
    let say = json!({ "text": "hi" });
    for answer in [
        ann.join("staff").await,
        ann.ask("dialogue:join", json!({ "roomId": "staff", "subscribe": ["unlisted"] })).await,
        ann.leave("staff").await,
        ann.trigger("staff", "say", say.clone()).await,
        ann.ask("dialogue:getHistory", json!({ "roomId": "staff", "eventName": "say" })).await,
        ann.ask("dialogue:subscribeAll", json!({ "roomId": "staff" })).await,
        ann.ask("dialogue:deleteRoom", json!({ "roomId": "staff" })).await,
    ] {
        assert_eq!(answer["code"], "ROOM_NOT_FOUND");
        assert_eq!(answer, {
            let mut unknown = ann.join("no such room").await;
            unknown["roomId"] = json!("staff");
            unknown
        });
    }
    assert_eq!(boss.join("staff").await["ok"], true);
    assert_eq!(boss.trigger("staff", "say", say).await["ok"], true);

    let listed = |rooms: serde_json::Value| -> Vec<String> {
        let rooms = rooms["rooms"].as_array().unwrap().iter();
        rooms.map(|room| room["id"].as_str().unwrap().to_owned()).collect()
    };
    let rooms = ann.ask("dialogue:listRooms", json!(null)).await;
    assert_eq!(listed(rooms), ["hall", "playground"]);
    let rooms = boss.ask("dialogue:listRooms", json!(null)).await;
    assert_eq!(listed(rooms), ["hall", "staff", "playground"]);

    // The hook that panics says no, and the server's own joins ask it, too.
    let mut crossed = server.guest("cross-eyed").await;
    assert_eq!(crossed.join("hall").await["code"], "ROOM_NOT_FOUND");
    let client = &server.dialogue.clients_of("ann")[0];
    assert!(client.join_id("staff").await.is_err());
    client.join(desk::Room { name: "ann".into() }).await.unwrap();
}
