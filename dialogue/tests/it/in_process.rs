//! Clients in the process of the server.

use std::time::Duration;

use dialogue::{
    App, Dialogue,
    protocol::ErrorCode,
    testing::{TestClient, TestError},
};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    app::{Message, Test, general},
    server::{Server, unpaced},
};

async fn start() -> Dialogue<Test> {
    Dialogue::builder(Test::default()).limits(unpaced()).build().await.unwrap()
}

async fn connect<A: App>(server: &Dialogue<A>, user: &str) -> TestClient {
    TestClient::connect(server, json!({ "userId": user })).await.unwrap()
}

async fn join(client: &mut TestClient, room: &str) -> Result<Value, TestError> {
    client.request("dialogue:join", json!({ "roomId": room })).await
}

async fn trigger(client: &mut TestClient, text: &str) -> Result<Value, TestError> {
    let data = json!({ "text": text });
    let payload = json!({ "roomId": "general", "event": "message", "data": data });
    client.request("dialogue:trigger", payload).await
}

/// The text of the next message.
async fn message(client: &mut TestClient) -> String {
    let next = timeout(Duration::from_secs(10), client.next_event());
    let (name, event) = next.await.unwrap().unwrap();
    assert_eq!(name, "dialogue:event");
    event["data"]["text"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn client_in_the_process_joins_triggers_receives_and_leaves() {
    let server = start().await;
    let (mut ann, mut bob) = (connect(&server, "ann").await, connect(&server, "bob").await);
    assert_eq!((ann.user_id(), server.stats().connections), ("ann", 2));
    assert_eq!(join(&mut ann, "general").await.unwrap()["roomName"], "General");
    join(&mut bob, "general").await.unwrap();

    let answer = trigger(&mut ann, " hi ").await.unwrap();
    assert_eq!(answer["seq"], 1);
    assert_eq!((message(&mut ann).await, message(&mut bob).await), ("hi".into(), "hi".into()));
    server.room(general::Room).trigger(Message::new("all")).await.unwrap();
    assert_eq!(message(&mut bob).await, "all");

    bob.request("dialogue:leave", json!({ "roomId": "general" })).await.unwrap();
    assert_eq!(server.room(general::Room).size(), 1);
    assert!(server.app().notes().contains(&"general: left bob size 1".to_owned()));
    let rejected = trigger(&mut bob, "too late").await;
    assert!(
        matches!(&rejected, Err(TestError::Rejected(failure)) if failure.code == ErrorCode::NotInRoom),
        "{rejected:?}"
    );
}

#[tokio::test]
async fn client_in_the_process_is_in_one_room_with_clients_on_sockets() {
    let server = Server::start(Test::default()).await;
    let mut ann = server.join("ann", "general").await;
    let mut bob = connect(&server.dialogue, "bob").await;
    join(&mut bob, "general").await.unwrap();
    ann.trigger("general", "message", json!({ "text": "from a socket" })).await;
    assert_eq!(message(&mut bob).await, "from a socket");
    assert_eq!(ann.message().await["data"]["text"], "from a socket");
    trigger(&mut bob, "from the process").await.unwrap();
    assert_eq!(ann.message().await["data"]["text"], "from the process");
    let client = server.dialogue.clients_of("bob").remove(0);
    assert!(client.socket().is_none() && client.handshake().address().is_none());
    assert!(server.dialogue.clients_of("ann").remove(0).socket().is_some());
}

#[tokio::test]
async fn client_in_the_process_whose_credentials_are_rejected_is_not_connected() {
    let server = start().await;
    let rejected = TestClient::connect(&server, json!({ "userId": "nobody" })).await;
    let Err(TestError::Rejected(failure)) = rejected else { panic!("connected") };
    assert_eq!(failure.code, ErrorCode::Unauthenticated);
    assert_eq!(server.stats().connections, 0);
}

#[tokio::test]
async fn client_in_the_process_that_is_dropped_or_disconnects_leaves_its_rooms() {
    let server = start().await;
    for disconnects in [true, false] {
        let mut client = connect(&server, "noted").await;
        join(&mut client, "general").await.unwrap();
        server.app().notes();
        if disconnects {
            client.disconnect();
        } else {
            drop(client);
        }
        let notes = server.app().noted(3).await;
        assert!(notes[0].starts_with("disconnected ClientLeft in [\"general\"]"), "{notes:?}");
        timeout(Duration::from_secs(10), async {
            while server.stats().connections > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await
        .unwrap();
        assert_eq!(server.room(general::Room).size(), 0);
    }
}

#[tokio::test]
async fn client_in_the_process_that_the_server_disconnects_reads_what_was_sent_and_then_the_end() {
    let server = start().await;
    let mut ann = connect(&server, "ann").await;
    join(&mut ann, "general").await.unwrap();
    server.room(general::Room).trigger(Message::new("last")).await.unwrap();
    server.clients_of("ann").remove(0).disconnect();
    assert_eq!(message(&mut ann).await, "last");
    let end = timeout(Duration::from_secs(10), ann.next_event()).await.unwrap();
    assert_eq!(end, None);
    assert!(matches!(trigger(&mut ann, "gone").await, Err(TestError::Closed)));
}

#[tokio::test]
async fn server_with_a_client_in_the_process_stops_in_time() {
    let server = start().await;
    let mut ann = connect(&server, "ann").await;
    assert!(server.stop(Duration::from_secs(5)).await);
    let (name, _) = ann.next_event().await.unwrap();
    assert_eq!(name, "dialogue:draining");
    assert_eq!(timeout(Duration::from_secs(10), ann.next_event()).await.unwrap(), None);
    let late = TestClient::connect(&server, json!({ "userId": "bob" })).await;
    assert!(
        matches!(&late, Err(TestError::Rejected(failure)) if failure.code == ErrorCode::Draining)
    );
}

#[tokio::test]
async fn client_in_the_process_counts_towards_the_limit_of_connections() {
    let mut limits = unpaced();
    limits.connections = 1;
    let server = Dialogue::builder(Test::default()).limits(limits).build().await.unwrap();
    let ann = connect(&server, "ann").await;
    let refused = TestClient::connect(&server, json!({ "userId": "bob" })).await;
    let Err(TestError::Rejected(failure)) = refused else { panic!("connected") };
    assert_eq!(failure.code, ErrorCode::LimitExceeded);
    drop(ann);
}
