//! What becomes of a room whose store fails.

use axum::Router;
use dialogue::{DeleteError, Dialogue, HistoryError, RoomConfig, TriggerError, store::Sqlite};
use serde_json::json;

use crate::{
    app::{Message, Notice, Test, doc, general},
    peer::Peer,
    polling::fetch,
    server::{Server, unpaced},
    shaky::Shaky,
};

async fn start() -> (Server<Test>, Shaky) {
    let store = Shaky::default();
    let mut limits = unpaced();
    limits.store_time = std::time::Duration::from_millis(500);
    let builder = Dialogue::builder(Test::default()).limits(limits).store(store.clone());
    (Server::built(builder, Router::new()).await, store)
}

fn hi() -> serde_json::Value {
    json!({ "text": "hi" })
}

#[tokio::test]
async fn while_the_store_is_down_ephemeral_events_go_on_and_nothing_else() {
    let (server, store) = start().await;
    let mut ann = server.join("ann", "general").await;
    assert_eq!(ann.trigger("general", "message", hi()).await["seq"], 1);
    assert_eq!(ann.message().await["seq"], 1);
    store.set_down(true);
    let failed = ann.trigger("general", "message", hi()).await;
    assert_eq!(
        (&failed["code"], &failed["roomId"], &failed["event"]),
        (&json!("STORE_UNAVAILABLE"), &json!("general"), &json!("message"))
    );
    // Its cause is nobody's business.
    assert!(!failed.to_string().contains("told to"), "{failed}");
    assert_eq!(ann.trigger("general", "ping", json!(null)).await, json!({ "ok": true }));
    let page = json!({ "roomId": "general", "eventName": "message" });
    assert_eq!(ann.ask("dialogue:getHistory", page).await["code"], "STORE_UNAVAILABLE");
    let mut bob = server.connect("bob").await;
    assert_eq!(bob.join("doc:1").await["code"], "STORE_UNAVAILABLE");
    // A room without history needs no store.
    assert_eq!(bob.join("single").await["ok"], true);
    let room = server.dialogue.room(general::Room);
    assert_eq!(room.trigger(Message::new("hi")).await, Err(TriggerError::StoreUnavailable));
    assert_eq!(room.history::<Message>(0..1).await.err(), Some(HistoryError::StoreUnavailable));

    store.set_down(false);
    // Whoever is in the room is told that nothing was missed.
    let (name, position) = ann.event().await;
    assert_eq!((&*name, &position["seq"]), ("dialogue:position", &json!(1)));
    assert_eq!(ann.trigger("general", "message", hi()).await["seq"], 2);
    assert_eq!(bob.join("general").await["seq"], 2);
    let stats = server.dialogue.stats();
    assert_eq!((stats.members, stats.queued), (3, 0));
}

#[tokio::test]
async fn what_was_stored_after_all_is_told_in_its_order() {
    let (server, store) = start().await;
    let (mut ann, mut bob) =
        (server.join("ann", "general").await, server.join("bob", "general").await);
    let keyed = json!({ "roomId": "general", "event": "message", "data": hi(), "key": "k" });
    store.set_deaf(true);
    assert_eq!(ann.ask("dialogue:trigger", keyed.clone()).await["code"], "STORE_UNAVAILABLE");
    store.set_deaf(false);
    // The retry finds it; nobody has heard of it before, and everybody does now, once.
    assert_eq!(ann.ask("dialogue:trigger", keyed).await["seq"], 1);
    assert_eq!(ann.trigger("general", "message", hi()).await["seq"], 2);
    for peer in [&mut ann, &mut bob] {
        let mut heard = Vec::new();
        while heard.last() != Some(&json!(2)) {
            let (name, body) = peer.event().await;
            if name == "dialogue:event" {
                heard.push(body["seq"].clone());
            }
        }
        assert_eq!(heard, [1, 2]);
    }
}

#[tokio::test]
async fn what_was_stored_after_all_is_told_even_if_nobody_asks_again() {
    let (server, store) = start().await;
    let mut ann = server.join("ann", "general").await;
    store.set_deaf(true);
    assert_eq!(ann.trigger("general", "message", hi()).await["code"], "STORE_UNAVAILABLE");
    store.set_deaf(false);
    assert_eq!(ann.message().await["seq"], 1);
    let (name, position) = ann.event().await;
    assert_eq!((&*name, &position["seq"]), ("dialogue:position", &json!(1)));
    // Nothing is left of it.
    assert_eq!(server.settled(|stats| stats.queued == 0).await.members, 1);
}

#[tokio::test]
async fn nothing_is_told_over_what_was_stored_after_all_and_cannot_be_read_yet() {
    let (server, store) = start().await;
    let mut ann = server.join("ann", "general").await;
    let room = server.dialogue.room(general::Room);
    store.set_deaf(true);
    store.set_blind(true);
    let notice = || Notice { text: "noon".into() };
    assert_eq!(room.trigger(notice()).await, Err(TriggerError::StoreUnavailable));
    store.set_deaf(false);
    // It is appended, but what is before it is not known: nobody knows what became of it either.
    assert_eq!(room.trigger(Message::new("hi")).await, Err(TriggerError::StoreUnavailable));
    store.set_blind(false);
    assert_eq!(room.trigger(Message::new("bye")).await.unwrap().position.unwrap().seq, 3);
    for seq in 1..=3 {
        loop {
            let (name, body) = ann.event().await;
            if name == "dialogue:event" {
                assert_eq!(body["seq"], seq);
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_log_that_is_gone_is_another_one_from_then_on() {
    let (server, store) = start().await;
    let mut ann = server.join("ann", "general").await;
    for _ in 0..3 {
        ann.trigger("general", "message", hi()).await;
    }
    let joined = ann.join("general").await;
    // Another server deletes it.
    dialogue::store::Store::delete(&store, &"general".into()).await.unwrap();
    let first = ann.trigger("general", "message", hi()).await;
    assert_eq!(first["seq"], 1);
    assert_ne!(first["epoch"], joined["epoch"]);
    let since = json!({ "epoch": joined["epoch"], "seq": 1 });
    let back = json!({ "roomId": "general", "since": since });
    let back = ann.ask("dialogue:join", back).await;
    assert_eq!((&back["recovered"], &back["epoch"]), (&json!(false), &first["epoch"]));
}

#[tokio::test]
async fn who_waits_for_a_store_that_hangs_waits_once() {
    let (server, store) = start().await;
    store.set_open(false);
    let mut joins = Vec::new();
    for _ in 0..20 {
        let mut ann = server.connect("ann").await;
        joins.push(tokio::spawn(async move { ann.join("doc:1").await }));
    }
    for join in joins {
        assert_eq!(join.await.unwrap()["code"], "STORE_UNAVAILABLE");
    }
    // Not one attempt for each, one after the other.
    assert!(store.asked().0 <= 3, "{:?}", store.asked());
    store.set_open(true);
    let mut ann = server.connect("ann").await;
    while ann.join("doc:1").await["ok"] != true {}
}

#[tokio::test]
async fn a_store_that_hangs_or_panics_costs_the_request() {
    let (server, store) = start().await;
    let mut ann = server.join("ann", "general").await;
    store.set_open(false);
    assert_eq!(ann.trigger("general", "message", hi()).await["code"], "STORE_UNAVAILABLE");
    store.set_open(true);
    store.set_panics(true);
    assert_eq!(ann.trigger("general", "message", hi()).await["code"], "STORE_UNAVAILABLE");
    store.set_panics(false);
    assert_eq!(ann.trigger("general", "message", hi()).await["seq"], 1);
}

#[tokio::test]
async fn a_room_whose_log_cannot_be_deleted_stays() {
    let (server, store) = start().await;
    let mut ann = server.join("ann", "doc:1").await;
    ann.trigger("doc:1", "message", hi()).await;
    ann.message().await;
    store.set_down(true);
    let deleted = server.dialogue.delete_room("doc:1").await;
    assert_eq!(deleted, Err(DeleteError::StoreUnavailable));
    ann.silent().await;
    store.set_down(false);
    assert_eq!(ann.trigger("doc:1", "message", hi()).await["seq"], 2);
    assert_eq!(server.dialogue.delete_room("doc:1").await, Ok(()));
    let room = server.dialogue.room(doc::Room { id: 1 });
    assert_eq!(room.history::<Message>(0..10).await.unwrap().events, []);
}

#[tokio::test]
async fn a_trigger_that_waits_while_its_room_is_deleted_goes_nowhere() {
    let (server, store) = start().await;
    let room = server.dialogue.room(doc::Room { id: 1 });
    room.trigger(Message::new("first")).await.unwrap();
    let mut ann = server.join("ann", "doc:1").await;
    store.set_open(false);
    let dialogue = server.dialogue.clone();
    let deleted = tokio::spawn(async move { dialogue.delete_room("doc:1").await });
    server.settled(|stats| stats.queued == 0).await;
    tokio::task::yield_now().await;
    let waiting = tokio::spawn(async move { ann.trigger("doc:1", "message", hi()).await });
    server.settled(|stats| stats.queued > 0).await;
    store.set_open(true);
    assert_eq!(deleted.await.unwrap(), Ok(()));
    assert_eq!(waiting.await.unwrap()["code"], "NOT_IN_ROOM");
}

#[tokio::test]
async fn what_a_user_creates_has_nothing_of_what_was_there_before() {
    let (server, store) = start().await;
    let notice = || Notice { text: "secret".into() };
    let config = || RoomConfig::new("Game").event::<Notice>().sync_history(10);
    let game = server.dialogue.create_room("game", config()).await.unwrap();
    game.trigger(notice()).await.unwrap();

    // Another process: code creates its rooms again, and their logs go on.
    let builder = Dialogue::builder(Test::default()).limits(unpaced()).store(store.clone());
    let next = Server::built(builder, Router::new()).await;
    let game = next.dialogue.create_room("game", config()).await.unwrap();
    assert_eq!(game.history_raw("notice", 0..10).await.unwrap().len(), 1);
    assert_eq!(game.trigger(notice()).await.unwrap().position.unwrap().seq, 2);
}

#[tokio::test]
async fn members_are_told_where_the_log_ends_after_a_while() {
    let mut limits = unpaced();
    limits.quiet_time = std::time::Duration::from_millis(50);
    let server = Server::with_limits(Test::default(), limits).await;
    let mut ann = server.join("ann", "general").await;
    let notices = json!({ "roomId": "general", "subscribe": ["notice"] });
    let mut bob = server.connect("bob").await;
    let epoch = bob.ask("dialogue:join", notices).await["epoch"].clone();
    let mut eve = server.connect("eve").await;
    eve.ask("dialogue:join", json!({ "roomId": "general", "subscribe": ["typing"] })).await;
    let room = server.dialogue.room(general::Room);
    room.trigger(Notice { text: "noon".into() }).await.unwrap();
    room.trigger(Message::new("hi")).await.unwrap();
    assert_eq!(ann.message().await["seq"], 1);
    assert_eq!(ann.message().await["seq"], 2);
    assert_eq!(bob.message().await["seq"], 1);
    // As far as each is subscribed.
    let lasts = [json!({ "message": 2, "notice": 1 }), json!({ "notice": 1 })];
    for ((peer, seq), last) in [(&mut ann, 2), (&mut bob, 1)].into_iter().zip(lasts) {
        let position = json!({ "roomId": "general", "epoch": epoch, "seq": seq, "last": last });
        assert_eq!(peer.event().await, ("dialogue:position".into(), position));
    }
    eve.silent().await;
}

/// The next event by that name, with its body.
async fn hear(peer: &mut Peer, wanted: &str) -> serde_json::Value {
    loop {
        let (name, body) = peer.event().await;
        if name == wanted {
            return body;
        }
    }
}

#[tokio::test]
async fn append_to_a_log_that_went_back_ends_its_epoch() {
    let (server, store) = start().await;
    let mut ann = server.join("ann", "general").await;
    for _ in 0..5 {
        ann.trigger("general", "message", hi()).await;
        hear(&mut ann, "dialogue:event").await;
    }
    let before = ann.join("general").await;
    store.take_back("general", 2, &["message"]).await;
    let mut bob = server.connect("bob").await;
    bob.join("general").await;

    let keyed = json!({ "roomId": "general", "event": "message", "data": hi(), "key": "k" });
    let third = ann.ask("dialogue:trigger", keyed.clone()).await;
    assert_eq!((&third["ok"], &third["seq"]), (&json!(true), &json!(3)));
    assert_ne!(third["epoch"], before["epoch"], "number 3 was another event in that epoch");
    for peer in [&mut ann, &mut bob] {
        let position = hear(peer, "dialogue:position").await;
        assert_eq!((&position["epoch"], &position["seq"]), (&third["epoch"], &json!(2)));
        let event = hear(peer, "dialogue:event").await;
        assert_eq!((&event["epoch"], &event["seq"]), (&third["epoch"], &json!(3)));
    }
    assert_eq!(ann.ask("dialogue:trigger", keyed).await["epoch"], third["epoch"]);
    // From where the clients were, nothing is recovered, now and when the log has passed that.
    for seq in 4..=8 {
        for since in [2, 3, 5] {
            let since = json!({ "epoch": before["epoch"], "seq": since });
            let back = json!({ "roomId": "general", "since": since });
            let back = ann.ask("dialogue:join", back).await;
            assert_eq!((&back["recovered"], &back["epoch"]), (&json!(false), &third["epoch"]));
        }
        assert_eq!(ann.trigger("general", "message", hi()).await["seq"], seq);
    }
    let page = json!({ "roomId": "general", "eventName": "message", "after": 0 });
    let page = ann.ask("dialogue:getHistory", page).await;
    assert_eq!((&page["epoch"], page["events"].as_array().unwrap().len()), (&third["epoch"], 8));
}

#[tokio::test]
async fn log_that_went_back_while_its_store_was_down_ends_its_epoch() {
    let (server, store) = start().await;
    let mut ann = server.join("ann", "general").await;
    for _ in 0..5 {
        ann.trigger("general", "message", hi()).await;
    }
    let before = ann.join("general").await;
    store.set_down(true);
    let failed = ann.trigger("general", "message", hi()).await;
    assert_eq!(failed["code"], "STORE_UNAVAILABLE");
    store.take_back("general", 2, &["message"]).await;
    store.set_down(false);
    let position = hear(&mut ann, "dialogue:position").await;
    assert_ne!(position["epoch"], before["epoch"]);
    assert_eq!(position["seq"], 2);
    let third = ann.trigger("general", "message", hi()).await;
    assert_eq!((&third["epoch"], &third["seq"]), (&position["epoch"], &json!(3)));
}

#[tokio::test]
async fn epoch_that_cannot_be_ended_yet_ends_once_the_store_is_back() {
    let (server, store) = start().await;
    let mut ann = server.join("ann", "general").await;
    for _ in 0..3 {
        ann.trigger("general", "message", hi()).await;
    }
    let before = ann.join("general").await;
    store.take_back("general", 2, &["message"]).await;
    // What is appended lands where another event was, and then nothing more can be asked.
    store.set_blind(true);
    assert_eq!(ann.trigger("general", "message", hi()).await["code"], "STORE_UNAVAILABLE");
    // By now the log ends where the room believes that it ends.
    store.set_blind(false);
    let position = hear(&mut ann, "dialogue:position").await;
    assert_ne!(position["epoch"], before["epoch"]);
    assert_eq!(ann.trigger("general", "message", hi()).await["seq"], 4);
}

/// Waits until `/dialogue/ready` is answered with this status and this text.
async fn answers(server: &Server<Test>, status: &str, text: &str) {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        let (head, body) = fetch(server.address, "/dialogue/ready", "").await;
        if head.starts_with(&format!("HTTP/1.1 {status}")) && body == text {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "{head} {body}");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[cfg(unix)]
#[tokio::test]
async fn server_whose_database_was_replaced_is_not_ready_and_resets_clients_when_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    // An older copy of the same log.
    let serve = async || {
        let store = Sqlite::open(path("chat.db")).await.unwrap();
        let builder = Dialogue::builder(Test::default()).limits(unpaced()).store(store);
        Server::built(builder, Router::new()).await
    };
    let server = serve().await;
    server.dialogue.room(general::Room).trigger(Message::new("old")).await.unwrap();
    assert!(server.dialogue.stop(std::time::Duration::from_secs(10)).await);
    drop(server);
    std::fs::copy(path("chat.db"), path("copy.db")).unwrap();

    let server = serve().await;
    answers(&server, "200", "ready").await;
    let mut ann = server.join("ann", "general").await;
    let lost = ann.trigger("general", "message", hi()).await;
    assert_eq!(lost["seq"], 2);
    assert_eq!(ann.message().await["seq"], 2);
    std::fs::rename(path("chat.db"), path("away.db")).unwrap();
    assert_eq!(ann.trigger("general", "message", hi()).await["code"], "STORE_UNAVAILABLE");
    answers(&server, "503", "store unavailable").await;
    assert_eq!(ann.trigger("general", "ping", json!(null)).await, json!({ "ok": true }));

    std::fs::rename(path("copy.db"), path("chat.db")).unwrap();
    answers(&server, "200", "ready").await;
    let next = ann.trigger("general", "message", hi()).await;
    assert_eq!((&next["ok"], &next["seq"]), (&json!(true), &json!(2)));
    assert_ne!(next["epoch"], lost["epoch"], "no number is two events'");
    let since = json!({ "epoch": lost["epoch"], "seq": 2 });
    let mut bob = server.connect("bob").await;
    let joined = bob.ask("dialogue:join", json!({ "roomId": "general", "since": since })).await;
    assert_eq!(joined["recovered"], false, "{joined}");
}
