//! Triggers: what is allowed, what is refused, who receives.

use dialogue::TriggerError;
use serde_json::{Value, json};

use crate::{
    app::{Message, Notice, Ping, Test, doc, general, news, open},
    server::{Server, unpaced},
};

#[tokio::test]
async fn subscribers_receive_the_event_and_the_sender_too() {
    let server = Server::start(Test::default()).await;
    let mut ann = server.join("ann", "general").await;
    let mut bob = server.join("bob", "general").await;
    let answer = ann
        .ask(
            "dialogue:trigger",
            json!({
                "roomId": "general", "event": "message",
                "data": { "text": "hi", "unknown": 1 },
                "meta": { "trace": "7c1" },
            }),
        )
        .await;
    assert_eq!(answer, json!({ "ok": true, "epoch": answer["epoch"], "seq": 1 }));
    for peer in [&mut ann, &mut bob] {
        let message = peer.message().await;
        assert!(message["timestamp"].as_u64().unwrap() > 1_700_000_000_000);
        // The parsed value: unknown keys are gone, defaults filled in.
        assert_eq!(message["data"], json!({ "text": "hi", "n": 0 }));
        assert_eq!(message["event"], "message");
        assert_eq!(message["roomId"], "general");
        assert_eq!(message["from"], "ann");
        assert_eq!(message["meta"], json!({ "trace": "7c1" }));
        let epoch = answer["epoch"].as_str().unwrap();
        assert_eq!(
            (&message["epoch"], &message["id"]),
            (&json!(epoch), &json!(format!("{epoch}-1")))
        );
        assert_eq!((&message["seq"], &message["prev"]), (&json!(1), &json!(0)));
    }
    // No event, no acknowledgement: a trigger that does not ask is not answered.
    ann.emit("dialogue:trigger", json!({ "roomId": "general", "event": "ping" })).await;
    ann.silent().await;
}

#[tokio::test]
async fn events_of_every_shape_pass() {
    let server = Server::start(Test::default()).await;
    let mut ann = server.connect("ann").await;
    let all = json!({ "roomId": "general", "subscribe": ["*"] });
    let joined = ann.ask("dialogue:join", all).await;
    let every = json!(["message", "typing", "ping", "count", "shape", "notice"]);
    assert_eq!(joined["subscriptions"], every);
    assert_eq!(joined["stored"], json!(["message", "notice"]));
    for (event, data) in [
        ("ping", Value::Null),
        ("count", json!(7)),
        ("shape", json!({ "circle": { "radius": 1.5 } })),
        ("shape", json!({ "square": 2.0 })),
        ("shape", json!("point")),
        ("typing", json!({ "isTyping": true })),
    ] {
        let answer = ann.trigger("general", event, data.clone()).await;
        assert_eq!(answer["ok"], true, "{event}: {answer}");
        let message = ann.message().await;
        assert_eq!((&message["event"], &message["data"]), (&json!(event), &data));
    }
}

#[tokio::test]
async fn without_membership_nothing_is_triggered_or_read() {
    let server = Server::start(Test::default()).await;
    let mut bob = server.join("bob", "general").await;
    let mut ann = server.connect("ann").await;
    for room in ["general", "doc:1"] {
        let answer = ann.trigger(room, "message", json!({ "text": "hi" })).await;
        assert_eq!(answer["code"], "NOT_IN_ROOM", "{answer}");
        let history = json!({ "roomId": room, "eventName": "message" });
        for request in ["dialogue:getHistory", "dialogue:subscribe", "dialogue:unsubscribe"] {
            assert_eq!(ann.ask(request, history.clone()).await["code"], "NOT_IN_ROOM", "{request}");
        }
        assert_eq!(
            ann.ask("dialogue:subscribeAll", json!({ "roomId": room })).await["code"],
            "NOT_IN_ROOM"
        );
    }
    let answer = ann.trigger("nowhere", "message", json!({ "text": "hi" })).await;
    assert_eq!(answer["code"], "ROOM_NOT_FOUND");
    ann.emit(
        "dialogue:trigger",
        json!({ "roomId": "general", "event": "message", "data": { "text": "hi" } }),
    )
    .await;
    let (name, error) = ann.event().await;
    assert_eq!(name, "dialogue:error");
    assert_eq!((&error["code"], &error["roomId"]), (&json!("NOT_IN_ROOM"), &json!("general")));
    bob.silent().await;
    assert_eq!(server.dialogue.stats().stored, 0);
}

#[tokio::test]
async fn events_that_the_room_does_not_take_are_refused() {
    let server = Server::start(Test::default()).await;
    let mut ann = server.join("ann", "general").await;
    for (event, message) in [
        ("notice", "only the server triggers this event"),
        ("wiped", "the room does not list event `wiped`"),
        ("__proto__", "the room does not list event `__proto__`"),
    ] {
        let answer = ann.trigger("general", event, json!({ "text": "x" })).await;
        assert_eq!(
            answer,
            json!({
                "ok": false, "code": "EVENT_NOT_ALLOWED", "message": message,
                "roomId": "general", "event": event,
            })
        );
    }
    for event in ["", "*", "dialogue:event", "a\nb", &"x".repeat(129)] {
        let answer = ann.trigger("general", event, Value::Null).await;
        assert_eq!(answer["code"], "INVALID_REQUEST", "{event:?}");
        assert_eq!(answer["event"], Value::Null);
    }
    ann.silent().await;
    assert_eq!(server.dialogue.stats().stored, 0);
}

#[tokio::test]
async fn meta_is_bounded() {
    let server = Server::start(Test::default()).await;
    let mut ann = server.join("ann", "general").await;
    let mut with_meta = async |meta: Value| {
        let trigger = json!({ "roomId": "general", "event": "ping", "meta": meta });
        ann.ask("dialogue:trigger", trigger).await["code"].clone()
    };
    assert_eq!(with_meta(json!({ "a": "x".repeat(4_000) })).await, Value::Null);
    assert_eq!(with_meta(json!({ "a": "x".repeat(4_100) })).await, "LIMIT_EXCEEDED");
    assert_eq!(with_meta(Value::Null).await, Value::Null);
    assert_eq!(with_meta(json!(["a"])).await, "INVALID_REQUEST");
}

#[tokio::test]
async fn server_trigger_with_65_entries_of_meta_fails_and_stores_nothing() {
    let server = Server::start(Test::default()).await;
    let room = server.dialogue.room(general::Room);
    let mut trigger = room.trigger(Message { text: "hi".into(), n: 1 });
    for n in 0..65 {
        trigger = trigger.meta(format!("key {n}"), n);
    }
    let error = trigger.await.unwrap_err();
    assert!(matches!(&error, TriggerError::InvalidMeta(why) if why.contains("64")), "{error:?}");
    let receipt = room.trigger(Message { text: "hi".into(), n: 1 }).await.unwrap();
    assert_eq!(receipt.position.unwrap().seq, 1);
}

#[tokio::test]
async fn subscriptions_are_to_names_that_events_can_have() {
    let server = Server::start(Test::default()).await;
    let mut ann = server.join("ann", "open").await;
    let long = "x".repeat(900_000);
    for name in ["", "dialogue:event", "a\nb", &long] {
        let join = json!({ "roomId": "open", "subscribe": [name] });
        let answer = ann.ask("dialogue:join", join).await;
        assert_eq!(answer["code"], "INVALID_REQUEST");
        assert!(answer.to_string().len() < 1_000);
        let one = json!({ "roomId": "open", "eventName": name });
        for request in ["dialogue:subscribe", "dialogue:unsubscribe"] {
            assert_eq!(ann.ask(request, one.clone()).await["code"], "INVALID_REQUEST");
        }
    }
    let join = json!({ "roomId": "general", "subscribe": ["message", "wiped"] });
    let answer = ann.ask("dialogue:join", join).await;
    assert_eq!(answer["unknownEvents"], json!(["wiped"]));
    let one = json!({ "roomId": "general", "eventName": "wiped" });
    let answer = ann.ask("dialogue:subscribe", one).await;
    assert_eq!((&answer["code"], &answer["event"]), (&json!("EVENT_NOT_ALLOWED"), &json!("wiped")));
}

#[tokio::test]
async fn a_sender_cannot_name_itself() {
    let server = Server::start(Test::default()).await;
    let mut ann = server.join("ann", "general").await;
    let mut forged = json!({ "roomId": "general", "event": "message", "data": { "text": "hi" } });
    for key in ["from", "userId", "timestamp", "__proto__"] {
        forged[key] = json!("bob");
    }
    assert_eq!(ann.ask("dialogue:trigger", forged).await["ok"], true);
    assert_eq!(ann.message().await["from"], "ann");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_to_a_subscription_says_after_what_its_events_come_and_is_before_them() {
    let server = Server::start(Test::default()).await;
    let mut ann = server.connect("ann").await;
    let none = json!({ "roomId": "general", "subscribe": [] });
    let epoch = ann.ask("dialogue:join", none).await["epoch"].clone();
    let room = server.dialogue.room(general::Room);
    let talking = tokio::spawn(async move {
        loop {
            room.trigger(Message::new("on and on")).await.unwrap();
            tokio::task::yield_now().await;
        }
    });
    let messages = json!({ "roomId": "general", "eventName": "message" });
    for _ in 0..50 {
        let answer = ann.ask("dialogue:subscribe", messages.clone()).await;
        assert!(!ann.has_heard());
        assert_eq!((&answer["ok"], &answer["epoch"]), (&json!(true), &epoch));
        let next = answer["seq"].as_u64().unwrap() + 1;
        assert_eq!(ann.message().await["seq"], next);
        ann.ask("dialogue:unsubscribe", messages.clone()).await;
        ann.caught_up().await;
    }
    talking.abort();
}

#[tokio::test]
async fn subscriptions_decide_what_arrives() {
    let server = Server::start(Test::default()).await;
    let mut ann = server.join("ann", "general").await;
    let mut bob = server.join("bob", "general").await;
    let on = |event: &str| json!({ "roomId": "general", "eventName": event });

    bob.trigger("general", "typing", json!({ "isTyping": true })).await;
    ann.silent().await;

    let answer = ann.ask("dialogue:subscribe", on("typing")).await;
    assert_eq!(answer["subscriptions"], json!(["message", "notice", "typing"]));
    bob.trigger("general", "typing", json!({ "isTyping": false })).await;
    assert_eq!(ann.message().await["data"]["isTyping"], false);

    let answer = ann.ask("dialogue:unsubscribe", on("typing")).await;
    assert_eq!(answer["subscriptions"], json!(["message", "notice"]));
    bob.trigger("general", "typing", json!({ "isTyping": true })).await;
    ann.silent().await;

    let answer = ann.ask("dialogue:subscribeAll", json!({ "roomId": "general" })).await;
    assert_eq!(answer["subscriptions"].as_array().unwrap().len(), 6);
    bob.trigger("general", "typing", json!({ "isTyping": true })).await;
    assert_eq!(ann.message().await["event"], "typing");

    let answer = ann.ask("dialogue:unsubscribe", on("*")).await;
    assert_eq!(answer["subscriptions"], json!([]));
    bob.trigger("general", "message", json!({ "text": "anyone?" })).await;
    ann.silent().await;

    let answer = ann.ask("dialogue:subscribe", on("wiped")).await;
    assert_eq!(answer["code"], "EVENT_NOT_ALLOWED");
    assert_eq!(answer["event"], "wiped");
}

#[tokio::test]
async fn invalid_payloads_are_told_where_and_why() {
    let server = Server::start(Test::default()).await;
    let mut ann = server.join("ann", "general").await;
    let answer = ann.trigger("general", "message", json!({ "text": "" })).await;
    assert_eq!(
        answer,
        json!({
            "ok": false, "code": "VALIDATION_FAILED",
            "message": "the payload is invalid: `text` must have a length of 1 to 2000",
            "roomId": "general", "event": "message",
            "issues": [{
                "path": "text", "code": "length",
                "message": "must have a length of 1 to 2000", "params": { "min": 1, "max": 2000 },
            }],
        })
    );
    for (data, path, code) in [
        (json!({ "text": 1 }), "text", "invalid_type"),
        (json!({}), "text", "missing_field"),
        (Value::Null, "", "invalid_type"),
        (json!({ "text": "x", "n": -1 }), "n", "invalid_value"),
        (json!({ "text": "x".repeat(2001) }), "text", "length"),
    ] {
        let answer = ann.trigger("general", "message", data).await;
        assert_eq!(answer["code"], "VALIDATION_FAILED");
        assert_eq!(answer["issues"][0]["path"], path, "{answer}");
        assert_eq!(answer["issues"][0]["code"], code, "{answer}");
    }
    ann.silent().await;
    assert_eq!(server.dialogue.stats().stored, 0);
}

#[tokio::test]
async fn the_server_triggers_into_any_room_it_hosts() {
    let server = Server::start(Test::default()).await;
    let mut ann = server.join("ann", "general").await;
    let room = server.dialogue.room(general::Room);
    let receipt = room.trigger(Notice { text: "noon".into() }).await.unwrap();
    assert_eq!(receipt.recipients, 1);
    let message = ann.message().await;
    assert_eq!((&message["from"], &message["data"]["text"]), (&json!("system"), &json!("noon")));
    assert_eq!(message["meta"], Value::Null);

    let mut doc = server.join("doc", "doc:5").await;
    let room = server.dialogue.room(doc::Room { id: 5 });
    assert_eq!((room.id(), room.name(), room.size()), ("doc:5", "doc:5", 1));
    let trigger =
        room.trigger(Message::new("edited")).from("api").meta("route", "edits").meta("n", 1);
    // A trigger owns what it needs, so it can go anywhere.
    let receipt = tokio::spawn(trigger).await.unwrap().unwrap();
    assert_eq!(receipt.recipients, 1);
    let message = doc.message().await;
    assert_eq!(message["from"], "api");
    assert_eq!(message["meta"], json!({ "route": "edits", "n": 1 }));

    // Nobody is there: fine.
    let receipt =
        server.dialogue.room(doc::Room { id: 6 }).trigger(Message::new("x")).await.unwrap();
    assert_eq!(receipt.recipients, 0);
}

#[tokio::test]
async fn the_servers_events_are_validated_too() {
    let server = Server::start(Test::default()).await;
    let room = server.dialogue.room(general::Room);
    match room.trigger(Message::new("")).await {
        Err(TriggerError::Invalid(issues)) => assert_eq!(issues[0].path, "text"),
        other => panic!("{other:?}"),
    }
    // What a hook makes of a payload is validated again.
    assert!(matches!(room.trigger(Message::new("empty")).await, Err(TriggerError::Invalid(_))));
    assert!(matches!(room.trigger(Message::new("deny")).await, Err(TriggerError::Denied(_))));
}

#[tokio::test]
async fn a_static_room_comes_before_a_family() {
    let server = Server::start(Test::default()).await;
    let mut ann = server.join("ann", "doc:7").await;
    assert_eq!(ann.trigger("doc:7", "ping", Value::Null).await["ok"], true);
    assert_eq!(ann.message().await["event"], "ping");
    // The family's key for that id is no room.
    let stolen = server.dialogue.room(doc::Room { id: 7 }).trigger(Message::new("x")).await;
    assert_eq!(stolen, Err(TriggerError::RoomNotFound));
}

#[tokio::test]
async fn anything_passes_where_anything_goes() {
    let app = Test::default();
    let server = Server::start(app.clone()).await;
    let mut ann = server.join("ann", "open").await;
    let mut bob = server.connect("bob").await;
    let some = json!({ "roomId": "open", "subscribe": ["whatever"] });
    assert_eq!(bob.ask("dialogue:join", some).await["subscriptions"], json!(["whatever"]));

    // Unlisted events as they came, listed ones typed and validated.
    let data = json!({ "b": [1, 2.50, null], "a": { "deep": "\u{e9}" } });
    assert_eq!(ann.trigger("open", "whatever", data.clone()).await["ok"], true);
    assert_eq!(ann.message().await["data"], data);
    assert_eq!(bob.message().await["data"], data);
    assert_eq!(
        ann.trigger("open", "message", json!({ "text": "" })).await["code"],
        "VALIDATION_FAILED"
    );
    assert_eq!(ann.trigger("open", "message", json!({ "text": "hi" })).await["ok"], true);
    assert_eq!(ann.message().await["data"], json!({ "text": "hi", "n": 0 }));
    assert_eq!(app.noted(1).await, ["open: hi"]);
    // What only the server may say is checked at run time here.
    let answer = ann.trigger("open", "notice", json!({ "text": "x" })).await;
    assert_eq!(answer["code"], "EVENT_NOT_ALLOWED");
    bob.silent().await;

    let room = server.dialogue.room(open::Room);
    assert_eq!(room.trigger(Ping).await.unwrap().recipients, 1);
    assert_eq!(ann.message().await["event"], "ping");
}

#[tokio::test]
async fn another_type_under_a_listed_name_is_refused_where_anything_goes() {
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize, JsonSchema, dialogue::Event)]
    #[event(name = "message")]
    struct Impostor;

    let server = Server::start(Test::default()).await;
    let room = server.dialogue.room(open::Room);
    assert_eq!(room.trigger(Impostor).await, Err(TriggerError::AnotherType));
}

#[tokio::test]
async fn subscriptions_where_anything_goes_are_bounded() {
    let mut limits = unpaced();
    limits.subscriptions_per_room = 3;
    let server = Server::with_limits(Test::default(), limits).await;
    let mut ann = server.connect("ann").await;
    let many: Vec<String> = (0..10_000).map(|n| format!("event {n}")).collect();
    let answer = ann.ask("dialogue:join", json!({ "roomId": "open", "subscribe": many })).await;
    assert_eq!(answer["code"], "LIMIT_EXCEEDED");
    assert_eq!(server.dialogue.stats().members, 0);
    let three = json!({ "roomId": "open", "subscribe": ["a", "b", "c"] });
    assert_eq!(ann.ask("dialogue:join", three).await["ok"], true);
    let on = |event: &str| json!({ "roomId": "open", "eventName": event });
    assert_eq!(ann.ask("dialogue:subscribe", on("d")).await["code"], "LIMIT_EXCEEDED");
    assert_eq!(ann.ask("dialogue:subscribe", on("a")).await["ok"], true);
    assert_eq!(ann.ask("dialogue:subscribe", on("*")).await["subscriptions"], json!(["*"]));
    assert_eq!(server.dialogue.stats().subscriptions, 1);
}

#[tokio::test]
async fn a_room_of_the_server_alone_takes_nothing_from_clients() {
    let server = Server::start(Test::default()).await;
    let mut ann = server.join("ann", "news").await;
    let answer = ann.trigger("news", "notice", json!({ "text": "x" })).await;
    assert_eq!(answer["code"], "EVENT_NOT_ALLOWED");
    // `subscribe()` subscribes to nothing.
    let room = server.dialogue.room(news::Room);
    assert_eq!(room.trigger(Notice { text: "x".into() }).await.unwrap().recipients, 0);
    ann.ask("dialogue:subscribeAll", json!({ "roomId": "news" })).await;
    assert_eq!(room.trigger(Notice { text: "x".into() }).await.unwrap().recipients, 1);
    assert_eq!(ann.message().await["event"], "notice");
}
