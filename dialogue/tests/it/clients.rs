//! Clients as the server's own code finds them.

use crate::{
    app::{Test, doc, general, special},
    server::Server,
};

#[tokio::test]
async fn a_user_with_several_connections_is_found_by_one_id() {
    let server = Server::start(Test::default()).await;
    let dialogue = &server.dialogue;
    assert!(dialogue.clients().is_empty() && dialogue.clients_of("ann").is_empty());

    let first = server.connect("ann").await;
    let second = server.connect("ann").await;
    let bob = server.connect("bob").await;
    let ids: Vec<String> =
        dialogue.clients_of("ann").iter().map(|client| client.id().to_string()).collect();
    assert_eq!(ids, [&*first.client_id, &*second.client_id]);
    assert_eq!(dialogue.clients().len(), 3);
    assert_eq!((dialogue.stats().connections, dialogue.stats().users), (3, 2));
    let found = &dialogue.clients_of("bob")[0];
    assert_eq!(dialogue.client(found.id()).unwrap().user_id(), "bob");
    let gone = found.id();

    drop((first, bob));
    server.settled(|stats| stats.connections == 1 && stats.users == 1).await;
    assert_eq!(dialogue.clients_of("ann")[0].id().to_string(), second.client_id);
    assert!(dialogue.client(gone).is_none() && dialogue.clients_of("bob").is_empty());
}

#[tokio::test]
async fn a_user_is_in_the_rooms_of_all_its_connections() {
    let app = Test::default();
    let server = Server::start(app.clone()).await;
    let dialogue = &server.dialogue;
    let mut first = server.join("ann", "general").await;
    first.join("doc:1").await;
    let mut second = server.join("ann", "general").await;
    let mut bob = server.join("bob", "general").await;
    bob.join("doc:7").await;

    assert!(dialogue.is_in_room("ann", general::Room));
    assert!(dialogue.is_in_room("ann", doc::Room { id: 1 }));
    assert!(!dialogue.is_in_room("ann", doc::Room { id: 2 }));
    assert!(!dialogue.is_in_room("nobody", general::Room));
    // `doc:7` is the id of a static room, too, and that is the one that Bob is in.
    assert!(dialogue.is_in_room("bob", special::Room));
    assert!(!dialogue.is_in_room("bob", doc::Room { id: 7 }));
    let clients = dialogue.clients_of("ann");
    assert!(clients[0].is_in(doc::Room { id: 1 }) && !clients[1].is_in(doc::Room { id: 1 }));

    let rooms = dialogue.rooms_of("ann");
    assert_eq!(rooms.ids().collect::<Vec<_>>(), ["doc:1", "general"]);
    let mut visited = Vec::new();
    rooms
        .for_each(|room| {
            visited.push((room.id().to_owned(), room.size()));
            std::future::ready(())
        })
        .await;
    assert_eq!(visited, [("doc:1".to_owned(), 1), ("general".to_owned(), 3)]);
    assert!(dialogue.is_in_room("ann", general::Room));

    // The user is still there when it is said to leave.
    let mut sizes = Vec::new();
    rooms
        .leave_all(|room| {
            sizes.push(room.size());
            std::future::ready(())
        })
        .await;
    assert_eq!(sizes, [1, 3]);
    assert_eq!(first.event().await.0, "dialogue:left");
    assert_eq!(first.event().await.0, "dialogue:left");
    assert_eq!(second.event().await.0, "dialogue:left");
    assert_eq!(dialogue.rooms_of("ann").ids().count(), 0);
    assert_eq!(dialogue.room(general::Room).size(), 1);
    let left = app.noted(6).await;
    let left: Vec<&String> = left.iter().filter(|note| note.starts_with("general: left")).collect();
    assert_eq!(left, ["general: left ann size 2", "general: left ann size 1"]);
}
