//! A connected client, as hooks and handlers see it. What it does is in `handle/client.rs`.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::{SystemTime, UNIX_EPOCH},
};

use super::{
    dialogue::Dialogue,
    identity::{Identity, Proven},
};
use crate::{
    ClientId, DisconnectReason, Handshake,
    connection::{Connection, client_rates::ClientRates},
    engine::{
        definition::Definition,
        live::Live,
        member::{Member, Participant},
    },
    protocol::Authenticated,
};

/// One connection and who it belongs to. Cheap to clone.
///
/// A user with several connections is several clients. A clone that outlives the connection keeps
/// some memory of it, and does nothing else.
pub struct Client<A>(Arc<Inner<A>>);

struct Inner<A> {
    dialogue: Dialogue<A>,
    member: Arc<Member>,
    proof: RwLock<Proof>,
    rates: ClientRates,
}

/// What authentication proved last.
struct Proof {
    identity: Arc<dyn Identity>,
    expires_at: Option<SystemTime>,
}

impl<A> Clone for Client<A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<A> fmt::Debug for Client<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("id", &self.id()).field("user_id", &self.user_id()).finish()
    }
}

impl<A> Client<A> {
    pub(crate) fn new(dialogue: Dialogue<A>, connection: Connection, proven: Proven) -> Self {
        let Proven { identity, user_id, expires_at } = proven;
        let rates = ClientRates::new(dialogue.limits());
        Self(Arc::new(Inner {
            dialogue,
            member: Arc::new(Member::new(connection, user_id)),
            proof: RwLock::new(Proof { identity, expires_at }),
            rates,
        }))
    }

    /// The connection's id.
    pub fn id(&self) -> ClientId {
        self.0.member.id()
    }

    /// Who the client was proven to be.
    pub fn user_id(&self) -> &str {
        &self.0.member.user_id
    }

    pub(crate) fn shared_user_id(&self) -> &Arc<str> {
        &self.0.member.user_id
    }

    /// The server that the client is connected to.
    pub fn dialogue(&self) -> &Dialogue<A> {
        &self.0.dialogue
    }

    /// What authentication proved last.
    pub(crate) fn proven(&self) -> Arc<dyn Identity> {
        self.0.proof.read().unwrap_or_else(PoisonError::into_inner).identity.clone()
    }

    /// When what authentication proved ends.
    pub(crate) fn expires_at(&self) -> Option<SystemTime> {
        self.0.proof.read().unwrap_or_else(PoisonError::into_inner).expires_at
    }

    /// The same as clients are told it, at this moment.
    pub(crate) fn expiry(&self) -> Authenticated {
        let expires_at = self.expires_at();
        let since = |start| {
            let since = expires_at?.duration_since(start).unwrap_or_default();
            u64::try_from(since.as_millis()).ok()
        };
        Authenticated { expires_at: since(UNIX_EPOCH), expires_in_ms: since(SystemTime::now()) }
    }

    /// Replaces the identity by another one of the same user.
    pub(crate) fn renew(&self, identity: Arc<dyn Identity>, expires_at: Option<SystemTime>) {
        let proof = Proof { identity, expires_at };
        let mut present = self.0.proof.write().unwrap_or_else(PoisonError::into_inner);
        let replaced = std::mem::replace(&mut *present, proof);
        drop(present);
        self.connection().inbox.renew();
        // An identity is the user's, and is dropped without the lock.
        drop(replaced);
    }

    /// The HTTP request that opened the connection.
    pub fn handshake(&self) -> Handshake {
        Handshake::new(self.id(), self.connection().wire().head(), self.dialogue().proxies())
    }

    pub(crate) fn end(&self, reason: DisconnectReason) {
        self.connection().inbox.close(reason);
        if reason.is_servers() {
            self.connection().deafen();
        }
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.0.member.connection
    }

    pub(crate) fn rates(&self) -> &ClientRates {
        &self.0.rates
    }

    /// The client as rooms know it.
    pub(crate) fn member(&self) -> &Arc<Member> {
        &self.0.member
    }

    /// The same room, if the client is a member: not another one that happens to have its id.
    pub(crate) fn member_of_same(&self, room: &dyn Definition) -> Option<Arc<Live>> {
        self.member().member_of(room.id()).filter(|live| live.is(room))
    }
}

impl<A: Send + Sync + 'static> Client<A> {
    /// What a room keeps of the client.
    pub(crate) fn participant(&self) -> Participant {
        Participant { member: self.0.member.clone(), handle: self.0.clone() }
    }

    /// The client that a room keeps.
    ///
    /// # Panics
    ///
    /// If it is another app's: an engine holds the clients of one app.
    pub(crate) fn of(participant: &Participant) -> Self {
        let inner = participant.handle.clone().downcast();
        Self(inner.expect("an engine holds the clients of one app"))
    }
}
