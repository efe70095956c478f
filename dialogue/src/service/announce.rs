//! Telling clients of rooms that were created or deleted.

use std::collections::HashSet;

use crate::{
    App, ClientId, Dialogue,
    app::dialogue::WeakDialogue,
    connection::packet::Packet,
    engine::announcements::{News, What},
    protocol::{Membership, event},
};

/// How many clients are told before others have the thread.
const CLIENTS: usize = 1_024;

/// Starts the task that announces rooms.
pub(crate) fn start<A: App>(dialogue: &Dialogue<A>) {
    tokio::spawn(work(dialogue.downgrade()));
}

/// Announces rooms until none is left.
async fn work<A: App>(dialogue: WeakDialogue<A>) {
    loop {
        // What was begun together is told together.
        tokio::task::yield_now().await;
        let Some(dialogue) = Dialogue::upgrade(&dialogue) else { return };
        let batch = dialogue.hub().announcements().next();
        if batch.is_empty() {
            return;
        }
        tell(&dialogue, &batch).await;
    }
}

/// Sends to everyone who may see the rooms, and to those who were in them. Others that are too slow miss it.
async fn tell<A: App>(dialogue: &Dialogue<A>, batch: &[News]) {
    let packets: Vec<_> = batch.iter().map(News::packet).collect();
    let inside: Vec<_> = batch.iter().map(News::inside).collect();
    let clients = dialogue.clients();
    for clients in clients.chunks(CLIENTS) {
        for client in clients {
            let concerns = |(news, inside): (&News, &HashSet<ClientId>)| {
                if inside.contains(&client.id()) {
                    Concerns::Member
                } else if news.is_for_others() && dialogue.sees(client, &news.info) {
                    Concerns::Viewer
                } else {
                    Concerns::Nothing
                }
            };
            for (packet, told) in packets.iter().zip(batch.iter().zip(&inside)) {
                match concerns(told) {
                    Concerns::Member => client.member().tell_surely(packet.clone()),
                    Concerns::Viewer => client.member().tell(packet),
                    Concerns::Nothing => {}
                }
            }
        }
        tokio::task::yield_now().await;
    }
}

/// What an announcement is to a client.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Concerns {
    Member,
    Viewer,
    Nothing,
}

impl News {
    fn packet(&self) -> Packet {
        match self.what {
            What::Created => Packet::event(event::ROOM_CREATED, &self.info),
            What::Deleted { .. } => {
                let room_id = (&*self.info.id).into();
                Packet::event(event::ROOM_DELETED, &Membership::of(room_id))
            }
        }
    }

    fn inside(&self) -> HashSet<ClientId> {
        match &self.what {
            What::Created => HashSet::new(),
            What::Deleted { members, .. } => {
                members.iter().map(|participant| participant.member.id()).collect()
            }
        }
    }

    fn is_for_others(&self) -> bool {
        match self.what {
            What::Created => true,
            What::Deleted { others, .. } => others,
        }
    }
}
