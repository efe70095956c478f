//! Rooms that are created and deleted at run time.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use dialogue::{
    CreateError, DeleteError, EventConfig, EventMessage, Flow, HistoryError, Limits, Rate,
    RawMessage, Room, RoomConfig, RoomEvent, SyncHistory, TriggerError,
};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::{
    lobby::{Lobby, Poke, Say, Score, desk, hall, playground, table},
    peer::Peer,
    server::{Server, unpaced},
};

fn game() -> RoomConfig {
    let dice = json!({ "type": "integer", "minimum": 1, "maximum": 6 });
    RoomConfig::new("Game")
        .description("A quick round")
        .event::<Say>()
        .server_event::<Score>()
        .event_with(EventConfig::new("roll").schema(dice).history(3).description("A throw"))
        .subscribe(["say", "roll"])
        .max_size(2)
        .sync_history(2)
        .created_by("ann")
}

fn ids(rooms: &Value) -> Vec<&str> {
    let rooms = rooms["rooms"].as_array().unwrap().iter();
    rooms.map(|room| room["id"].as_str().unwrap()).collect()
}

async fn create(peer: &mut Peer, id: &str, name: &str) -> Value {
    peer.ask("dialogue:createRoom", json!({ "id": id, "name": name })).await
}

async fn delete(peer: &mut Peer, id: &str) -> Value {
    peer.ask("dialogue:deleteRoom", json!({ "roomId": id })).await
}

/// The event that the room does not list.
fn not_listed(result: Result<dialogue::Receipt, TriggerError>) -> String {
    match result {
        Err(TriggerError::EventNotListed(error)) => error.event,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_created_room_has_everything_that_its_configuration_says() {
    let app = Lobby::default();
    let server = Server::start(app.clone()).await;
    let mut ann = server.guest("ann").await;
    app.notes();
    let room = server.dialogue.create_room("game-1", game()).await.unwrap();
    assert_eq!(app.noted(1).await, [r#"room_created game-1 by Some("ann")"#]);
    let info = json!({
        "id": "game-1",
        "name": "Game",
        "description": "A quick round",
        "size": 0,
        "maxSize": 2,
        "createdById": "ann",
    });
    assert_eq!(ann.event().await, ("dialogue:roomCreated".into(), info.clone()));
    assert_eq!(ann.ask("dialogue:listRooms", json!(null)).await["rooms"][2], info);

    assert_eq!(
        (room.id(), room.name(), room.description()),
        ("game-1", "Game", Some("A quick round"))
    );
    assert_eq!((room.max_size(), room.size(), room.is_full()), (Some(2), 0, false));
    assert_eq!(room.created_by(), Some("ann"));
    let spec = room.spec();
    assert_eq!(spec.default_subscriptions().collect::<Vec<_>>(), ["say", "roll"]);
    assert_eq!(spec.sync_history, SyncHistory::Last(2.try_into().unwrap()));
    let roll = spec.event("roll").unwrap();
    assert_eq!((roll.description(), roll.history()), (Some("A throw"), 3.try_into().ok()));
    assert_eq!(roll.schema(Flow::Sent).get("maximum"), Some(&json!(6)));
    assert!(spec.allows("say") && !spec.allows("score") && !spec.allows("nothing"));

    let joined = ann.join("game-1").await;
    assert_eq!(
        (&joined["roomName"], &joined["subscriptions"]),
        (&json!("Game"), &json!(["say", "roll"]))
    );
    let mut bob = server.guest("bob").await;
    assert_eq!(bob.join("game-1").await["ok"], true);
    assert!(room.is_full());
    let mut names: Vec<_> =
        room.participants().iter().map(|one| one.user_id().to_owned()).collect();
    names.sort();
    assert_eq!(names, ["ann", "bob"]);
    assert_eq!(server.guest("eve").await.join("game-1").await["code"], "ROOM_FULL");

    assert_eq!(ann.trigger("game-1", "say", json!({ "text": "hi", "x": 1 })).await["ok"], true);
    assert_eq!(bob.message().await["data"], json!({ "text": "hi" }));
    assert_eq!(
        ann.trigger("game-1", "score", json!({ "points": 1 })).await["code"],
        "EVENT_NOT_ALLOWED"
    );
    assert_eq!(ann.trigger("game-1", "other", json!(1)).await["code"], "EVENT_NOT_ALLOWED");
}

#[tokio::test]
async fn a_created_room_lists_what_a_module_does() {
    let server = Server::start(Lobby::default()).await;
    let config = RoomConfig::new("Annex").events_of::<hall::Room>();
    let annex = server.dialogue.create_room("annex", config).await.unwrap();
    let names = annex.spec().events.iter().map(RoomEvent::name);
    assert!(names.eq(hall::Room::SPEC.events.iter().map(RoomEvent::name)));
    assert!(annex.spec().allows("say") && !annex.spec().allows("score"));
    // What else the module says is about its own room.
    assert_eq!((annex.name(), annex.spec().sync_history), ("Annex", SyncHistory::Nothing));

    let config = RoomConfig::new("Garden").events_of::<playground::Room>();
    let garden = server.dialogue.create_room("garden", config).await.unwrap();
    assert!(garden.spec().allows("anything"));
    assert_eq!(garden.spec().default_subscriptions().collect::<Vec<_>>(), ["*"]);
}

#[tokio::test]
async fn a_schema_given_at_run_time_is_kept_to() {
    let server = Server::start(Lobby::default()).await;
    let order = json!({
        "type": "object",
        "properties": {
            "items": { "type": "array", "items": { "type": "object", "properties": { "price": { "minimum": 0 } } } },
            "note": { "type": "string", "maxLength": 3 },
        },
        "required": ["items"],
        "additionalProperties": false,
    });
    let config = RoomConfig::new("Shop").event_with_schema("order", order);
    let room = server.dialogue.create_room("shop", config).await.unwrap();
    let mut ann = server.guest("ann").await;
    ann.join("shop").await;
    let secret = "S3CRET";
    let wrong = json!({ "items": [{ "price": 1 }, { "price": -1 }], "note": secret });
    let answer = ann.trigger("shop", "order", wrong).await;
    assert_eq!(answer["code"], "VALIDATION_FAILED");
    let issues = answer["issues"].as_array().unwrap();
    let found: Vec<_> = issues.iter().map(|issue| (&issue["path"], &issue["code"])).collect();
    assert_eq!(
        found,
        [(&json!("items[1].price"), &json!("minimum")), (&json!("note"), &json!("maxLength"))]
    );
    assert!(!answer.to_string().contains(secret), "{answer}");
    for wrong in [json!(null), json!({}), json!({ "items": [], "more": 1 })] {
        assert_eq!(ann.trigger("shop", "order", wrong).await["code"], "VALIDATION_FAILED");
    }
    ann.silent().await;
    let right = json!({ "items": [{ "price": 1.5 }] });
    assert_eq!(ann.trigger("shop", "order", right.clone()).await["ok"], true);
    assert_eq!(ann.message().await["data"], right);
    room.trigger_raw("order", &right).await.unwrap();
    assert_eq!(ann.message().await["from"], "system");
    let refused = room.trigger_raw("order", json!({ "items": 1 })).await.unwrap_err();
    assert!(matches!(refused, TriggerError::Invalid(issues) if issues[0].path == "items"));
}

/// Either alternative may have a child, which may be either.
fn doubling() -> Value {
    let child = json!({ "type": "object", "properties": { "child": { "$ref": "#/$defs/node" } } });
    json!({ "$ref": "#/$defs/node", "$defs": { "node": { "anyOf": [child, child, { "type": "null" }] } } })
}

#[tokio::test]
async fn payload_of_a_recursive_union_is_checked_up_to_its_depth() {
    let server = Server::start(Lobby::default()).await;
    let event = EventConfig::new("node").schema(doubling()).depth(6);
    let config = RoomConfig::new("Tree").event_with(event);
    let room = server.dialogue.create_room("tree", config).await.unwrap();
    assert_eq!(room.spec().event("node").unwrap().depth(), Some(6));
    let mut ann = server.guest("ann").await;
    ann.join("tree").await;
    let deep = |levels, leaf: Value| (0..levels).fold(leaf, |held, _| json!({ "child": held }));
    assert_eq!(ann.trigger("tree", "node", deep(6, json!(null))).await["ok"], true);
    ann.message().await;
    for (data, code) in [(deep(7, json!(null)), "depth"), (deep(6, json!(false)), "anyOf")] {
        let answer = ann.trigger("tree", "node", data).await;
        assert_eq!(answer["code"], "VALIDATION_FAILED");
        let issues = answer["issues"].as_array().unwrap();
        assert_eq!((issues.len(), &issues[0]["code"]), (1, &json!(code)), "{answer}");
    }
    // What the server's own code triggers is checked as well.
    let refused = room.trigger_raw("node", deep(7, json!(null))).await.unwrap_err();
    assert!(matches!(refused, TriggerError::Invalid(issues) if issues[0].code == "depth"));
}

#[tokio::test]
async fn what_a_dynamic_handle_triggers_is_checked_at_run_time() {
    let server = Server::start(Lobby::default()).await;
    server.dialogue.create_room("game-1", game()).await.unwrap();
    let room = server.dialogue.find("game-1").unwrap();
    let mut ann = server.guest("ann").await;
    ann.ask("dialogue:join", json!({ "roomId": "game-1", "subscribe": ["*"] })).await;

    room.trigger(Say::new("typed")).from("host").meta("round", 1).await.unwrap();
    let message = ann.message().await;
    assert_eq!((&message["from"], &message["meta"]), (&json!("host"), &json!({ "round": 1 })));
    room.trigger(Score { points: 7 }).await.unwrap();
    assert_eq!(ann.message().await["data"]["points"], 7);
    room.trigger_raw("say", json!({ "text": "raw" })).await.unwrap();
    assert_eq!(ann.message().await["data"]["text"], "raw");
    room.trigger_raw("roll", 6).await.unwrap();
    assert_eq!(ann.message().await["data"], 6);

    assert_eq!(not_listed(room.trigger(Poke).await), "poke");
    assert_eq!(not_listed(room.trigger_raw("poke", ()).await), "poke");
    assert_eq!(not_listed(room.trigger_raw("dialogue:joined", ()).await), "dialogue:joined");
    for wrong in
        [room.trigger(Say::new("")), room.trigger_raw("say", 1), room.trigger_raw("roll", 7)]
    {
        assert!(matches!(wrong.await, Err(TriggerError::Invalid(_))));
    }
    ann.silent().await;

    let rolls = room.history_raw("roll", 0..9).await.unwrap();
    assert_eq!(rolls.iter().map(|roll| roll.data.get()).collect::<Vec<_>>(), ["6"]);
    let error = room.history_raw("poke", 0..9).await.unwrap_err();
    assert!(matches!(&error, HistoryError::EventNotListed(error) if error.event == "poke"));
    assert_eq!(error.to_string(), "the room does not list event `poke`");
    assert!(server.dialogue.find("no such room").is_none());
    let open: Vec<_> = server.dialogue.rooms().iter().map(|room| room.id().to_owned()).collect();
    assert_eq!(open, ["hall", "staff", "playground", "game-1"]);
}

#[tokio::test]
async fn handlers_at_run_time_run_before_and_after() {
    let server = Server::start(Lobby::default()).await;
    let room = server.dialogue.create_room("game-1", game()).await.unwrap();
    let (sender, mut seen) = mpsc::unbounded_channel();
    let calm = room.before(async |mut message: EventMessage<Say>| {
        if message.data.text == "shut up" {
            return Err(dialogue::Deny::new("be kind"));
        }
        message.data.text = message.data.text.to_lowercase();
        message.meta.get_or_insert_default().insert("calmed", true).unwrap();
        Ok(message)
    });
    let empty = room.before(async |mut message: EventMessage<Say>| {
        if message.data.text == "hush" {
            message.data.text.clear();
        }
        Ok(message)
    });
    let raw = sender.clone();
    let _all = room.on_raw("*", move |message: Arc<RawMessage>| {
        let _ = raw.send(format!("{} {}", message.event, message.data));
        async {}
    });
    let _say = room.on(move |message: Arc<EventMessage<Say>>| {
        let _ = sender.send(format!("say {}", message.data.text));
        async {}
    });
    let mut ann = server.guest("ann").await;
    ann.join("game-1").await;
    assert_eq!(ann.trigger("game-1", "say", json!({ "text": "HELLO" })).await["ok"], true);
    let message = ann.message().await;
    assert_eq!(
        (&message["data"]["text"], &message["meta"]),
        (&json!("hello"), &json!({ "calmed": true }))
    );
    assert_eq!(seen.recv().await.unwrap(), r#"say {"text":"hello"}"#);
    assert_eq!(seen.recv().await.unwrap(), "say hello");
    let answer = ann.trigger("game-1", "say", json!({ "text": "shut up" })).await;
    assert_eq!((&answer["code"], &answer["message"]), (&json!("EVENT_DENIED"), &json!("be kind")));
    let answer = ann.trigger("game-1", "say", json!({ "text": "HUSH" })).await;
    assert_eq!(answer["code"], "VALIDATION_FAILED");
    ann.trigger("game-1", "roll", json!(3)).await;
    assert_eq!(seen.recv().await.unwrap(), "roll 3");

    drop((calm, empty));
    ann.trigger("game-1", "say", json!({ "text": "HUSH" })).await;
    ann.message().await;
    assert_eq!(ann.message().await["data"]["text"], "HUSH");
}

#[tokio::test]
async fn an_id_or_a_configuration_that_will_not_do_is_refused() {
    let server = Server::start(Lobby::default()).await;
    let create = |id: &str, config| {
        let (dialogue, id) = (server.dialogue.clone(), id.to_owned());
        async move { dialogue.create_room(&id, config).await.map(drop).unwrap_err() }
    };
    for id in ["", "a\nb", "game-{n}", &"x".repeat(1_025)] {
        assert_eq!(create(id, game()).await, CreateError::InvalidId, "{id:?}");
    }
    // The pattern counts, whether or not a key can be made of the id.
    for id in ["hall", "desk:ann", "desk:", "table:1", "table:one", "table:01"] {
        assert_eq!(create(id, game()).await, CreateError::Declared, "{id:?}");
    }
    let room = server.dialogue.create_room("game-1", game()).await.unwrap();
    assert_eq!(create("game-1", game()).await, CreateError::Exists);
    for (config, mistake) in [
        (RoomConfig::new(""), "name"),
        (RoomConfig::new("x").description("x".repeat(2_049)), "description"),
        (RoomConfig::new("x").event::<Say>().event::<Say>(), "two events"),
        (RoomConfig::new("x").subscribe(["say"]), "not listed"),
        (RoomConfig::new("x").event_with_schema("*", json!({})), "invalid event name"),
        (
            RoomConfig::new("x").event_with_schema("y", json!({ "type": "nothing" })),
            "schema of event `y`",
        ),
        (
            RoomConfig::new("x").event_with_schema("y", json!({ "$ref": "https://x.org/y" })),
            "schema of event `y`",
        ),
        (RoomConfig::new("x").event_with_schema("y", doubling()), "parts of `#/$defs/node`"),
        (
            RoomConfig::new("x").event_with(EventConfig::new("y").schema(doubling()).depth(7)),
            "to 6 levels",
        ),
        (
            RoomConfig::new("x").event_with_schema("y", json!({ "$ref": "#" })),
            "refers to itself for one and the same value",
        ),
        (RoomConfig::new("x").created_by("system"), "creator"),
    ] {
        let refused = create("game-2", config).await;
        assert!(
            matches!(&refused, CreateError::InvalidConfig(text) if text.contains(mistake)),
            "{refused}"
        );
    }
    room.delete().await.unwrap();
    server.dialogue.create_room("game-1", game()).await.unwrap();
}

#[tokio::test]
async fn deletion_ends_everything_and_tells_everyone() {
    let app = Lobby::default();
    let server = Server::start(app.clone()).await;
    let idle = server.dialogue.stats();
    let room = server.dialogue.create_room("game-1", game()).await.unwrap();
    let handler = room.on(async |_: Arc<EventMessage<Say>>| {});
    let mut ann = server.guest("ann").await;
    let mut bob = server.guest("bob").await;
    let mut eve = server.guest("eve").await;
    ann.join("game-1").await;
    bob.join("game-1").await;
    ann.trigger("game-1", "roll", json!(1)).await;
    ann.message().await;
    bob.message().await;
    app.notes();

    server.dialogue.delete_room("game-1").await.unwrap();
    let mut notes = app.notes();
    notes[..2].sort();
    assert_eq!(notes, ["ann left game-1", "bob left game-1", "room_deleted game-1"]);
    for peer in [&mut ann, &mut bob, &mut eve] {
        // Members hear it once, like everyone else, and no `left`.
        assert_eq!(
            peer.event().await,
            ("dialogue:roomDeleted".into(), json!({ "roomId": "game-1" }))
        );
        peer.silent().await;
    }
    assert_eq!(
        ann.trigger("game-1", "say", json!({ "text": "hi" })).await["code"],
        "ROOM_NOT_FOUND"
    );
    assert_eq!(ann.join("game-1").await["code"], "ROOM_NOT_FOUND");
    assert_eq!(room.trigger(Say::new("hi")).await, Err(TriggerError::RoomNotFound));
    assert_eq!((room.size(), room.participants().len()), (0, 0));
    assert_eq!(room.delete().await, Err(DeleteError::RoomNotFound));
    assert_eq!(server.dialogue.delete_room("game-1").await, Err(DeleteError::RoomNotFound));
    assert_eq!(server.dialogue.delete_room("hall").await, Err(DeleteError::Declared));
    drop(handler);

    // The next room of the id is another one: no member, no history, no handle is left over.
    let next = server.dialogue.create_room("game-1", game()).await.unwrap();
    assert!(next.history_raw("roll", 0..9).await.unwrap().is_empty());
    next.trigger(Say::new("hi")).await.unwrap();
    assert_eq!(room.trigger(Say::new("hi")).await, Err(TriggerError::RoomNotFound));
    for peer in [&mut ann, &mut bob, &mut eve] {
        assert_eq!(peer.event().await.0, "dialogue:roomCreated");
        peer.silent().await;
    }
    next.delete().await.unwrap();
    drop((ann, bob, eve));
    server.settled(|stats| *stats == idle).await;
}

#[tokio::test]
async fn only_who_may_see_a_room_hears_of_it() {
    let server = Server::start(Lobby::default()).await;
    let mut ann = server.guest("ann").await;
    let mut boss = server.with_ticket(r#"{"userId":"boss","staff":true}"#).await;
    let room = server.dialogue.create_room("plan", RoomConfig::new("Secret plan")).await.unwrap();
    assert_eq!(boss.event().await.1["id"], "plan");
    ann.silent().await;
    room.delete().await.unwrap();
    assert_eq!(boss.event().await.1["roomId"], "plan");
    ann.silent().await;
}

#[tokio::test]
async fn rooms_of_a_family_may_have_to_be_created_first() {
    let app = Lobby::default();
    let server = Server::start(app.clone()).await;
    let mut ann = server.guest("ann").await;
    let room = server.dialogue.room(table::Room { number: 1 });
    assert_eq!(ann.join("table:1").await["code"], "ROOM_NOT_FOUND");
    assert_eq!(room.trigger(Say::new("hi")).await, Err(TriggerError::RoomNotFound));
    app.notes();

    room.create().await.unwrap();
    assert_eq!(room.create().await, Err(CreateError::Exists));
    assert_eq!(app.notes(), ["room_created table:1 by None"]);
    // The family says `listed`.
    assert_eq!(ann.event().await.1["id"], "table:1");
    assert_eq!(
        ids(&ann.ask("dialogue:listRooms", json!(null)).await),
        ["hall", "playground", "table:1"]
    );
    // It stays, empty as it is, with what it keeps.
    room.trigger(Say::new("hi")).await.unwrap();
    let joined = ann.join("table:1").await;
    assert_eq!(joined["events"][0]["data"]["text"], "hi");
    assert_eq!(ann.join("table:2").await["code"], "ROOM_NOT_FOUND");
    assert_eq!(ann.join("table:01").await["code"], "ROOM_NOT_FOUND");
    app.notes();

    room.delete().await.unwrap();
    assert_eq!(app.notes(), ["ann left table 1 of 0", "ann left table:1", "room_deleted table:1"]);
    assert_eq!(ann.event().await.0, "dialogue:roomDeleted");
    assert_eq!(ann.join("table:1").await["code"], "ROOM_NOT_FOUND");
    room.create().await.unwrap();
    assert_eq!(ann.event().await.0, "dialogue:roomCreated");
    assert_eq!(ann.join("table:1").await["events"], json!([]));

    // What opens when it is used is not created, but may be deleted.
    let desk = server.dialogue.room(desk::Room { name: "ann".into() });
    assert_eq!(desk.create().await, Err(CreateError::Declared));
    assert_eq!(server.dialogue.room(hall::Room).create().await, Err(CreateError::Declared));
    assert_eq!(ann.join("desk:ann").await["ok"], true);
    ann.trigger("desk:ann", "say", json!({ "text": "mine" })).await;
    ann.message().await;
    server.dialogue.delete_room("desk:ann").await.unwrap();
    // It is not listed, so only its member hears of the end.
    assert_eq!(ann.event().await, ("dialogue:roomDeleted".into(), json!({ "roomId": "desk:ann" })));
    assert_eq!(ann.trigger("desk:ann", "say", json!({ "text": "?" })).await["code"], "NOT_IN_ROOM");
    assert_eq!(desk.history::<Say>(0..9).await.unwrap().events, []);
    assert_eq!(ann.join("desk:ann").await["ok"], true);
}

#[tokio::test]
async fn clients_create_and_delete_rooms_as_far_as_the_app_lets_them() {
    let server = Server::start(Lobby::default()).await;
    let mut ann = server.guest("ann").await;
    let mut bob = server.guest("bob").await;
    let request = json!({ "id": "den", "name": "Den", "description": "Cosy", "maxSize": 3 });
    let created = ann.ask("dialogue:createRoom", request).await;
    let info = json!({
        "id": "den", "name": "Den", "description": "Cosy", "size": 0, "maxSize": 3, "createdById": "ann",
    });
    assert_eq!(created, json!({ "ok": true, "room": info }));
    for peer in [&mut ann, &mut bob] {
        assert_eq!(peer.event().await, ("dialogue:roomCreated".into(), info.clone()));
    }
    assert_eq!(bob.join("den").await["ok"], true);
    assert_eq!(bob.trigger("den", "roll", json!(2)).await["ok"], true);

    assert_eq!(delete(&mut bob, "den").await["code"], "PERMISSION_DENIED");
    assert_eq!(delete(&mut ann, "den").await, json!({ "ok": true }));
    assert_eq!(delete(&mut ann, "den").await["code"], "ROOM_NOT_FOUND");
    assert_eq!(delete(&mut ann, "hall").await["code"], "PERMISSION_DENIED");

    // Without an acknowledgement, the answer is what everyone is told.
    ann.emit("dialogue:createRoom", json!({ "id": "den", "name": "Den" })).await;
    assert_eq!(ann.event().await.0, "dialogue:roomDeleted");
    assert_eq!(ann.event().await.0, "dialogue:roomCreated");
    ann.emit("dialogue:deleteRoom", json!({ "roomId": "den" })).await;
    assert_eq!(ann.event().await, ("dialogue:roomDeleted".into(), json!({ "roomId": "den" })));
    ann.emit("dialogue:deleteRoom", json!({ "roomId": "den" })).await;
    let (name, failure) = ann.event().await;
    assert_eq!((&*name, &failure["code"]), ("dialogue:error", &json!("ROOM_NOT_FOUND")));

    for (id, name, code) in [
        ("hall", "Hall", "ROOM_EXISTS"),
        ("desk:x", "Desk", "PERMISSION_DENIED"),
        ("desk:", "Desk", "PERMISSION_DENIED"),
        ("", "Nothing", "INVALID_REQUEST"),
        ("a{b}", "Braces", "INVALID_REQUEST"),
        ("nameless", "", "INVALID_REQUEST"),
        ("line", "a\nb", "INVALID_REQUEST"),
    ] {
        let refused = create(&mut ann, id, name).await;
        assert_eq!(refused["code"], code, "{id} {refused}");
    }
    for request in [
        json!({ "id": "x" }),
        json!({ "id": "x", "name": "x", "maxSize": 0 }),
        json!({ "id": "x", "name": "x", "maxSize": -1 }),
        json!({ "id": "x", "name": "x", "description": "x".repeat(2_049) }),
    ] {
        let refused = ann.ask("dialogue:createRoom", request).await;
        assert_eq!(refused["code"], "INVALID_REQUEST", "{refused}");
    }
    for (user, code) in
        [("banned", "PERMISSION_DENIED"), ("broken", "INTERNAL"), ("careless", "INTERNAL")]
    {
        let refused = create(&mut server.guest(user).await, "x", "X").await;
        assert_eq!(refused["code"], code, "{refused}");
        assert!(!refused.to_string().contains("two events"), "{refused}");
    }
}

#[tokio::test]
async fn creation_under_the_id_of_a_hidden_room_is_refused_like_any_id_that_cannot_be_used() {
    let server = Server::start(Lobby::default()).await;
    let secret = RoomConfig::new("Secret").event::<Say>();
    server.dialogue.create_room("plans", secret).await.unwrap();
    server.dialogue.create_room("open", game()).await.unwrap();
    let mut eve = server.guest("eve").await;
    // An open room of a family, one that is not open, what only looks like one, and a declared room.
    server.guest("ann").await.join("desk:taken").await;
    for id in ["plans", "staff", "desk:taken", "desk:free", "desk:", "table:1"] {
        let refused = create(&mut eve, id, "Mine").await;
        let expected = json!({
            "ok": false,
            "code": "PERMISSION_DENIED",
            "message": "this id cannot be used; choose another one",
            "roomId": id,
        });
        assert_eq!(refused, expected);
    }
    for id in ["open", "hall"] {
        assert_eq!(create(&mut eve, id, "Mine").await["code"], "ROOM_EXISTS", "{id}");
    }
    // Who sees the rooms is told.
    let mut boss = server.with_ticket(r#"{"userId":"boss","staff":true}"#).await;
    for id in ["plans", "staff"] {
        assert_eq!(create(&mut boss, id, "Mine").await["code"], "ROOM_EXISTS", "{id}");
    }
    // None of these counted.
    assert_eq!(create(&mut eve, "own", "Own").await["ok"], true);
}

#[tokio::test]
async fn creation_beyond_the_quota_tells_nothing_of_ids() {
    let mut limits = unpaced();
    limits.rooms_per_user = 1;
    let server = Server::with_limits(Lobby::default(), limits).await;
    let secret = RoomConfig::new("Secret").event::<Say>();
    server.dialogue.create_room("plans", secret).await.unwrap();
    let mut eve = server.guest("eve").await;
    assert_eq!(create(&mut eve, "own", "Own").await["ok"], true);
    for id in ["plans", "free", "own", "hall", "staff", "desk:1"] {
        assert_eq!(create(&mut eve, id, "Mine").await["code"], "LIMIT_EXCEEDED", "{id}");
    }
    assert_eq!(delete(&mut eve, "own").await["ok"], true);
    assert_eq!(create(&mut eve, "plans", "Mine").await["code"], "PERMISSION_DENIED");
    assert_eq!(create(&mut eve, "free", "Mine").await["ok"], true);
}

#[tokio::test]
async fn by_default_clients_create_no_rooms() {
    let server = Server::start(crate::app::Test::default()).await;
    let mut ann = server.connect("ann").await;
    assert_eq!(create(&mut ann, "den", "Den").await["code"], "PERMISSION_DENIED");
    assert!(server.dialogue.find("den").is_none());
}

#[tokio::test]
async fn a_user_has_only_so_many_rooms() {
    let mut limits: Limits = unpaced();
    limits.rooms_per_user = 2;
    let server = Server::with_limits(Lobby::default(), limits).await;
    let mut first = server.guest("ann").await;
    let mut second = server.guest("ann").await;
    assert_eq!(create(&mut first, "a", "A").await["ok"], true);
    assert_eq!(create(&mut second, "b", "B").await["ok"], true);
    assert_eq!(create(&mut first, "c", "C").await["code"], "LIMIT_EXCEEDED");
    assert_eq!(create(&mut second, "c", "C").await["code"], "LIMIT_EXCEEDED");
    assert_eq!(create(&mut server.guest("bob").await, "c", "C").await["ok"], true);
    assert_eq!(delete(&mut second, "a").await["ok"], true);
    assert_eq!(create(&mut first, "d", "D").await["ok"], true);
    // They stay when their creator goes, and are still his.
    drop((first, second));
    server.settled(|stats| stats.users == 0).await;
    let mut ann = server.guest("ann").await;
    assert_eq!(create(&mut ann, "e", "E").await["code"], "LIMIT_EXCEEDED");
    assert_eq!(delete(&mut ann, "b").await["ok"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn joins_and_triggers_may_race_deletion() {
    let server = Server::start(Lobby::default()).await;
    let idle = server.dialogue.stats();
    let refusals = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = Vec::new();
    for n in 0..4 {
        let (mut peer, refusals) = (server.guest(&format!("user-{n}")).await, refusals.clone());
        tasks.push(tokio::spawn(async move {
            for _ in 0..60 {
                for answer in [
                    peer.join("game-1").await,
                    peer.trigger("game-1", "say", json!({ "text": "hi" })).await,
                    peer.leave("game-1").await,
                ] {
                    if let Some(code) = answer["code"].as_str() {
                        refusals.lock().unwrap().push(code.to_owned());
                    }
                }
            }
        }));
    }
    let dialogue = server.dialogue.clone();
    tasks.push(tokio::spawn(async move {
        for _ in 0..120 {
            let config = RoomConfig::new("Game").event::<Say>().sync_history(3);
            let room = dialogue.create_room("game-1", config).await.unwrap();
            room.trigger(Say::new("open")).await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            room.delete().await.unwrap();
            assert_eq!((room.size(), room.participants().len()), (0, 0));
        }
    }));
    for task in tasks {
        task.await.unwrap();
    }
    for code in refusals.lock().unwrap().iter() {
        assert!(["ROOM_NOT_FOUND", "NOT_IN_ROOM"].contains(&&**code), "{code}");
    }
    server.settled(|stats| *stats == idle).await;
}

#[tokio::test]
async fn a_created_room_may_take_anything_and_limit_what_it_lists() {
    let server = Server::start(Lobby::default()).await;
    let hourly = Rate::new(1, Duration::from_hours(1));
    let config = RoomConfig::new("Yard")
        .event::<Say>()
        .event_with(EventConfig::new("bell").server_only())
        .event_with(EventConfig::new("shout").rate(hourly))
        .events_any()
        .subscribe_all()
        .sync_all_history();
    let room = server.dialogue.create_room("yard", config).await.unwrap();
    for n in 0..12 {
        room.trigger(Say::new(&n.to_string())).await.unwrap();
    }
    let mut ann = server.guest("ann").await;
    let joined = ann.join("yard").await;
    assert_eq!(joined["subscriptions"], json!(["*"]));
    assert_eq!(joined["events"].as_array().unwrap().len(), 10);

    assert_eq!(ann.trigger("yard", "whatever", json!([1])).await["ok"], true);
    assert_eq!(ann.message().await["data"], json!([1]));
    assert_eq!(ann.trigger("yard", "say", json!([1])).await["code"], "VALIDATION_FAILED");
    assert_eq!(ann.trigger("yard", "bell", json!(1)).await["code"], "EVENT_NOT_ALLOWED");
    room.trigger_raw("bell", 1).await.unwrap();
    assert_eq!(ann.message().await["event"], "bell");
    assert_eq!(ann.trigger("yard", "shout", json!("hey")).await["ok"], true);
    assert_eq!(ann.message().await["event"], "shout");
    assert_eq!(ann.trigger("yard", "shout", json!("hey")).await["code"], "RATE_LIMITED");

    // Without a word on it, a joiner is subscribed to what is listed, and to nothing if told so.
    let quiet = RoomConfig::new("Library").event::<Say>().subscribe([""; 0]);
    server.dialogue.create_room("library", quiet).await.unwrap();
    assert_eq!(ann.event().await.0, "dialogue:roomCreated");
    assert_eq!(ann.join("library").await["subscriptions"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn creation_and_deletion_are_heard_in_their_order() {
    let mut limits = unpaced();
    limits.outgoing_packets = 4_096;
    let server = Server::with_limits(Lobby::default(), limits).await;
    let mut ann = server.guest("ann").await;
    let mut others = Vec::new();
    for n in 0..20 {
        others.push(server.guest(&format!("user-{n}")).await);
    }
    // Until enough is heard: a room that is deleted before anybody is told of it is announced to nobody.
    let enough = Arc::new(AtomicBool::new(false));
    let tasks: Vec<_> = (0..4)
        .map(|task| {
            let (dialogue, enough) = (server.dialogue.clone(), enough.clone());
            tokio::spawn(async move {
                while !enough.load(Ordering::Relaxed) {
                    if task % 2 == 0 {
                        let _ = dialogue.create_room("door", RoomConfig::new("Door")).await;
                    } else {
                        let _ = dialogue.delete_room("door").await;
                    }
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for n in 0..60 {
        let (name, _) = ann.event().await;
        assert_eq!(name, ["dialogue:roomCreated", "dialogue:roomDeleted"][n % 2], "{n}");
    }
    enough.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test]
async fn room_list_in_pages_has_each_visible_room_once() {
    let mut limits = unpaced();
    limits.page_rooms = 4;
    let server = Server::with_limits(Lobby::default(), limits).await;
    for n in 0..10 {
        // Guests see every second one.
        let name = if n % 2 == 0 { format!("Room {n}") } else { format!("Secret {n}") };
        server.dialogue.create_room(&format!("room-{n}"), RoomConfig::new(name)).await.unwrap();
    }
    let mut guest = server.guest("ann").await;
    for limit in [None, Some(0), Some(1), Some(2), Some(1_000_000)] {
        let (mut seen, mut after, mut pages) = (Vec::new(), Value::Null, 0);
        loop {
            let mut asked = json!({});
            if let Some(limit) = limit {
                asked["limit"] = limit.into();
            }
            if !after.is_null() {
                asked["after"] = after;
            }
            let page = guest.ask("dialogue:listRooms", asked).await;
            assert_eq!(page["ok"], true, "{page}");
            assert!(ids(&page).len() <= limit.unwrap_or(4).clamp(1, 4), "{page}");
            seen.extend(ids(&page).into_iter().map(str::to_owned));
            after = page["next"].clone();
            pages += 1;
            if after.is_null() {
                break;
            }
        }
        let expected = ["hall", "playground", "room-0", "room-2", "room-4", "room-6", "room-8"];
        assert_eq!(seen, expected, "limit {limit:?}");
        assert!(pages > 3, "{pages} pages");
    }
    // A room that is deleted between two pages is missing, and no other.
    let first = guest.ask("dialogue:listRooms", json!({ "limit": 4 })).await;
    server.dialogue.delete_room("room-2").await.unwrap();
    let rest = guest.ask("dialogue:listRooms", json!({ "after": first["next"] })).await;
    assert!(!ids(&rest).contains(&"room-2"), "{rest}");
}

#[tokio::test]
async fn room_list_page_without_visible_rooms_has_a_next() {
    let mut limits = unpaced();
    limits.page_rooms = 2;
    let server = Server::with_limits(Lobby::default(), limits).await;
    for n in 0..6 {
        let secret = RoomConfig::new(format!("Secret {n}"));
        server.dialogue.create_room(&format!("room-{n}"), secret).await.unwrap();
    }
    server.dialogue.create_room("last", RoomConfig::new("Last")).await.unwrap();
    let mut guest = server.guest("ann").await;
    let (mut pages, mut after) = (Vec::new(), Value::Null);
    loop {
        let asked = if after.is_null() { json!({}) } else { json!({ "after": after }) };
        let page = guest.ask("dialogue:listRooms", asked).await;
        pages.push(ids(&page).len());
        after = page["next"].clone();
        if after.is_null() {
            assert_eq!(ids(&page).last(), Some(&"last"));
            break;
        }
    }
    assert!(pages.contains(&0), "{pages:?}");
}

#[tokio::test]
async fn room_list_after_an_invalid_cursor_is_rejected() {
    let server = Server::start(Lobby::default()).await;
    let mut ann = server.guest("ann").await;
    for after in ["", "x", "-1", "1.5", "99999999999999999999999"] {
        let refused = ann.ask("dialogue:listRooms", json!({ "after": after })).await;
        assert_eq!(refused["code"], "INVALID_REQUEST", "{after}: {refused}");
    }
    for malformed in [json!({ "limit": "x" }), json!({ "limit": -1 }), json!({ "after": 7 })] {
        let refused = ann.ask("dialogue:listRooms", malformed.clone()).await;
        assert_eq!(refused["code"], "INVALID_REQUEST", "{malformed}: {refused}");
    }
    for anything in [json!(7), json!("x"), json!([{}])] {
        let listed = ann.ask("dialogue:listRooms", anything).await;
        assert_eq!(listed["ok"], true, "{listed}");
    }
    let past_the_end =
        ann.ask("dialogue:listRooms", json!({ "after": "18446744073709551615" })).await;
    assert_eq!(past_the_end, json!({ "ok": true, "rooms": [] }));
}
