//! Whatever is asked for at the same time, the outcome is that of some order.
//!
//! Clients of one room, which takes two of them, join, leave, trigger and disconnect while the room
//! is created and deleted. Everything in a step happens at once, over real sockets; then there must
//! be an order in which a model, that does one thing at a time, gives all the answers that were
//! given, delivers what was delivered, and ends up with the same members.

use std::collections::BTreeSet;

use dialogue::{CreateError, DeleteError, Dialogue, RoomConfig};
use futures_util::future::{join, join_all};
use proptest::prelude::*;
use serde_json::json;

use crate::{
    lobby::{Lobby, Say},
    peer::Peer,
    server::Server,
};

const CLIENTS: usize = 4;
const PLACES: usize = 2;

/// What a client does in a step.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Act {
    Join,
    Leave,
    Trigger,
    Disconnect,
}

/// What the server's own code does in a step.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Host {
    Create,
    Delete,
}

#[derive(Clone, Debug)]
struct Step {
    clients: [Option<Act>; CLIENTS],
    host: Option<Host>,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let act = prop_oneof![
        4 => Just(Some(Act::Join)),
        2 => Just(Some(Act::Leave)),
        4 => Just(Some(Act::Trigger)),
        1 => Just(Some(Act::Disconnect)),
        1 => Just(None),
    ];
    let host = prop_oneof![
        2 => Just(Some(Host::Create)),
        1 => Just(Some(Host::Delete)),
        3 => Just(None),
    ];
    let step = (prop::array::uniform4(act), host);
    prop::collection::vec(step.prop_map(|(clients, host)| Step { clients, host }), 1..12)
}

/// A room that does one thing at a time.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    members: Option<BTreeSet<usize>>,
    /// Who heard whom in this step.
    heard: BTreeSet<(usize, usize)>,
}

/// One thing that was done, and its answer: an error's code, or nothing.
#[derive(Clone, Debug)]
enum Deed {
    Client(usize, Act, Option<String>),
    Host(Host, bool),
}

impl Model {
    /// Whether the deed can have been the next.
    fn allows(&mut self, deed: &Deed) -> bool {
        match deed {
            Deed::Host(Host::Create, done) => {
                let free = self.members.is_none();
                self.members.get_or_insert_default();
                *done == free
            }
            Deed::Host(Host::Delete, done) => *done == self.members.take().is_some(),
            Deed::Client(client, act, answer) => answer.as_deref() == self.act(*client, *act),
        }
    }

    fn act(&mut self, client: usize, act: Act) -> Option<&'static str> {
        let Some(members) = &mut self.members else {
            return (act != Act::Disconnect).then_some("ROOM_NOT_FOUND");
        };
        let present = members.contains(&client);
        match act {
            Act::Join if !present && members.len() == PLACES => Some("ROOM_FULL"),
            Act::Join => {
                members.insert(client);
                None
            }
            Act::Leave | Act::Trigger if !present => Some("NOT_IN_ROOM"),
            Act::Trigger => {
                self.heard.extend(members.iter().map(|member| (*member, client)));
                None
            }
            Act::Leave | Act::Disconnect => {
                members.remove(&client);
                None
            }
        }
    }
}

/// Whether some order of the deeds leads from one state to another, whatever those heard who are
/// gone: nobody can ask them.
fn explained(from: &Model, deeds: &[Deed], to: &Model, gone: &[usize]) -> bool {
    if deeds.is_empty() {
        let heard = from.heard.iter().filter(|(who, _)| !gone.contains(who)).copied().collect();
        return from.members == to.members && to.heard == heard;
    }
    (0..deeds.len()).any(|n| {
        let mut next = from.clone();
        let mut rest = deeds.to_vec();
        let deed = rest.remove(n);
        next.allows(&deed) && explained(&next, &rest, to, gone)
    })
}

async fn act(peer: &mut Option<Peer>, number: usize, act: Act) -> Option<Deed> {
    let connected = peer.as_mut()?;
    let answer = match act {
        Act::Join => connected.join("game").await,
        Act::Leave => connected.leave("game").await,
        Act::Trigger => {
            connected.trigger("game", "say", json!({ "text": number.to_string() })).await
        }
        Act::Disconnect => {
            peer.take()?.close().await;
            json!({ "ok": true })
        }
    };
    let code = answer["code"].as_str().map(str::to_owned);
    Some(Deed::Client(number, act, code))
}

async fn host(dialogue: &Dialogue<Lobby>, host: Host) -> Deed {
    let done = match host {
        Host::Create => {
            let config = RoomConfig::new("Game").event::<Say>().max_size(PLACES);
            let created = dialogue.create_room("game", config).await.map(drop);
            assert!(matches!(created, Ok(()) | Err(CreateError::Exists)), "{created:?}");
            created.is_ok()
        }
        Host::Delete => {
            let deleted = dialogue.delete_room("game").await;
            assert!(matches!(deleted, Ok(()) | Err(DeleteError::RoomNotFound)), "{deleted:?}");
            deleted.is_ok()
        }
    };
    Deed::Host(host, done)
}

/// What everybody heard since the last time.
async fn listen(peers: &mut [Option<Peer>]) -> BTreeSet<(usize, usize)> {
    let mut heard = BTreeSet::new();
    for (number, peer) in peers.iter_mut().enumerate() {
        for (name, body) in match peer {
            Some(peer) => peer.caught_up().await,
            None => Vec::new(),
        } {
            if name == "dialogue:event" {
                let by: usize = body["data"]["text"].as_str().unwrap().parse().unwrap();
                assert!(heard.insert((number, by)), "{number} heard {by} twice in one step");
            }
        }
    }
    heard
}

async fn run(steps: Vec<Step>) {
    let app = Lobby::default();
    let server = Server::start(app.clone()).await;
    let idle = server.dialogue.stats();
    let mut peers: Vec<Option<Peer>> = (0..CLIENTS).map(|_| None).collect();
    let mut model = Model::default();
    for step in steps {
        for (number, peer) in peers.iter_mut().enumerate() {
            if peer.is_none() {
                *peer = Some(server.guest(&number.to_string()).await);
            }
        }
        let acts = peers.iter_mut().enumerate().zip(step.clients);
        let acts = acts.map(async |((number, peer), what)| match what {
            Some(what) => act(peer, number, what).await,
            None => None,
        });
        let hosting = async {
            match step.host {
                Some(what) => Some(host(&server.dialogue, what).await),
                None => None,
            }
        };
        let (acted, hosted) = join(join_all(acts), hosting).await;
        let deeds: Vec<Deed> = acted.into_iter().chain([hosted]).flatten().collect();

        let present = peers.iter().flatten().count();
        server.settled(|stats| stats.connections == present).await;
        let gone = |deed: &Deed| match deed {
            Deed::Client(number, Act::Disconnect, _) => Some(*number),
            _ => None,
        };
        let gone: Vec<usize> = deeds.iter().filter_map(gone).collect();
        let heard = listen(&mut peers).await;
        let members = server.dialogue.find("game").map(|room| {
            let members = room.participants();
            assert_eq!(members.len(), room.size());
            members.iter().map(|client| client.user_id().parse().unwrap()).collect()
        });
        let before = Model { heard: BTreeSet::new(), ..model };
        model = Model { members, heard };
        let possible = explained(&before, &deeds, &model, &gone);
        assert!(possible, "{deeds:#?}\nfrom {before:?}\nto {model:?}");
    }
    drop(peers);
    if server.dialogue.find("game").is_some() {
        server.settled(|stats| stats.connections == 0).await;
        server.dialogue.delete_room("game").await.unwrap();
    }
    server.settled(|stats| *stats == idle).await;
    let notes = app.notes();
    let count = |what: &str| notes.iter().filter(|note| note.contains(what)).count();
    assert_eq!(count("joined game"), count("left game"), "{notes:#?}");
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 60,
        max_shrink_iters: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_happens_at_once_happens_in_some_order(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(run(steps));
    }
}

#[test]
fn the_model_finds_what_no_order_explains() {
    let joined = |client| Deed::Client(client, Act::Join, None);
    let room = |members: &[usize]| Model {
        members: Some(members.iter().copied().collect()),
        heard: BTreeSet::new(),
    };
    let full = Deed::Client(2, Act::Join, Some("ROOM_FULL".into()));
    let deeds = [joined(0), joined(1), full];
    assert!(explained(&room(&[]), &deeds, &room(&[0, 1]), &[]));
    // Three in a room for two; a member that is none; an event that was lost.
    assert!(!explained(&room(&[]), &[joined(0), joined(1), joined(2)], &room(&[0, 1, 2]), &[]));
    assert!(!explained(&room(&[]), &[joined(0)], &room(&[]), &[]));
    let said = Deed::Client(0, Act::Trigger, None);
    assert!(!explained(&room(&[0, 1]), std::slice::from_ref(&said), &room(&[0, 1]), &[]));
    let mut heard = room(&[0, 1]);
    heard.heard = BTreeSet::from([(0, 0), (1, 0)]);
    assert!(explained(&room(&[0, 1]), &[said], &heard, &[]));
}
