//! What a connection's task and its handles share.

use std::sync::Arc;

use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::sync::{Notify, watch};

use crate::{State, direct::Direct, error::ClientError, feed::Listeners, link::RoomId, who::Who};

/// What the task tells handles.
pub(crate) struct Hub {
    /// Somebody opened a stream, or dropped the last handle of a room.
    pub(crate) attention: Arc<Notify>,
    pub(crate) errors: Arc<Listeners<Arc<ClientError>>>,
    pub(crate) direct: Arc<Direct>,
    pub(crate) state: watch::Sender<State>,
    pub(crate) who: watch::Sender<Who>,
    /// Streams whose readers are slow, until there is room for more.
    slow: FuturesUnordered<BoxFuture<'static, (RoomId, u64)>>,
}

/// What handles want.
pub(crate) enum Wanted {
    /// Streams were opened, or handles dropped.
    Look,
    /// The reader of a stream has made room for more.
    More(RoomId, u64),
}

impl Hub {
    pub(crate) fn new(
        errors: Arc<Listeners<Arc<ClientError>>>,
        direct: Arc<Direct>,
        state: watch::Sender<State>,
        who: watch::Sender<Who>,
    ) -> Self {
        let (attention, slow) = (Arc::default(), FuturesUnordered::new());
        Self { attention, errors, direct, state, who, slow }
    }

    /// Waits for room in a stream.
    pub(crate) fn wait(&self, room: impl Future<Output = (RoomId, u64)> + Send + 'static) {
        self.slow.push(Box::pin(room));
    }

    /// What handles want next.
    pub(crate) async fn wanted(&mut self) -> Wanted {
        let Self { attention, slow, .. } = self;
        tokio::select! {
            () = attention.notified() => Wanted::Look,
            Some((room, stream)) = slow.next() => Wanted::More(room, stream),
        }
    }

    pub(crate) fn tell(&self, error: ClientError) {
        self.errors.tell(&Arc::new(error));
    }
}
