//! What rooms say of themselves.

use dialogue::{Event, Flow, Room, SyncHistory};
use serde_json::{Value, json};

use crate::{
    app::{Message, Notice, Test, Typing, doc, general, open},
    server::Server,
};

#[tokio::test]
async fn static_rooms_are_listed_in_order_and_families_are_not() {
    let server = Server::start(Test::default()).await;
    let mut ann = server.join("ann", "general").await;
    ann.join("doc:1").await;
    let rooms = ann.ask("dialogue:listRooms", Value::Null).await;
    let expected = json!([
        { "id": "general", "name": "General", "description": "Where most happens.", "size": 1 },
        { "id": "single", "name": "single", "size": 0, "maxSize": 1 },
        { "id": "doc:7", "name": "doc:7", "size": 0 },
        { "id": "open", "name": "open", "size": 0 },
        { "id": "news", "name": "news", "size": 0 },
    ]);
    assert_eq!(rooms, json!({ "ok": true, "rooms": expected }));
    // socket.io clients send no payload at all.
    ann.send_text(r#"42["dialogue:listRooms"]"#).await;
    assert_eq!(ann.event().await, ("dialogue:rooms".into(), expected));
}

#[test]
fn a_room_declares() {
    let spec = general::Room::SPEC;
    assert_eq!(spec.pattern, "general");
    assert_eq!(spec.name, Some("General"));
    assert_eq!(spec.description, Some("Where most happens."));
    assert_eq!(spec.sync_history, SyncHistory::Last(5.try_into().unwrap()));
    assert!(spec.allows("message") && spec.allows("typing"));
    assert!(!spec.allows("notice") && !spec.allows("wiped"));
    let message = spec.event("message").unwrap();
    assert!(message.from_clients() && message.subscribed());
    assert!(!spec.event("typing").unwrap().subscribed());
    assert!(!spec.event("notice").unwrap().from_clients());
    assert_eq!((message.name(), message.history()), (Message::SPEC.name, Message::SPEC.history));
    assert_eq!(message.schema(Flow::Sent).get("properties").unwrap()["text"]["maxLength"], 2000);
    assert!(open::Room::SPEC.allows("whatever") && !open::Room::SPEC.allows("notice"));
    assert!(doc::Room::SPEC.is_family() && !spec.is_family());
}

#[test]
fn an_event_declares() {
    assert_eq!(Message::SPEC.history.map(Into::into), Some(100_usize));
    assert_eq!((Typing::SPEC.name, Typing::SPEC.history), ("typing", None));
    assert_eq!(Notice::SPEC.description, Some("Only the server says so."));
}

#[test]
fn a_familys_key_and_id_are_one_to_one() {
    assert_eq!(doc::Room { id: 42 }.id(), "doc:42");
    assert_eq!(doc::Room::parse("doc:42"), Some(doc::Room { id: 42 }));
    for id in ["doc:042", "doc:+42", "doc:%34%32", "doc:", "doc:42:", "general"] {
        assert_eq!(doc::Room::parse(id), None, "{id}");
    }
}
