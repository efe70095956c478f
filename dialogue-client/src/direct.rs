//! Events that the server sends to this client alone, outside any room.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
};

use dialogue::Event;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use crate::{
    error::ClientError,
    feed::{Listeners, WAITING, is_heard, lock},
};

/// How many events are kept that nobody listens to yet: a server greets before anybody can.
const HELD: usize = 32;

#[derive(Default)]
pub(crate) struct Direct(Mutex<Listening>);

#[derive(Default)]
struct Listening {
    listeners: HashMap<&'static str, Vec<Listener>>,
    held: VecDeque<(String, Box<RawValue>)>,
    ended: bool,
}

/// Hands an event over; returns whether somebody listens still.
type Listener = Box<dyn Fn(&RawValue) -> bool + Send>;

impl Direct {
    pub(crate) fn listen<E: Event>(
        &self,
        errors: Arc<Listeners<Arc<ClientError>>>,
    ) -> mpsc::Receiver<E> {
        let (sender, receiver) = mpsc::channel(WAITING);
        let listener: Listener = Box::new(move |data| match E::parse_raw(data) {
            Ok(event) => is_heard(&sender.try_send(event)),
            Err(issues) => {
                let event = E::SPEC.name.to_owned();
                errors.tell(&Arc::new(ClientError::Unreadable { event, issues }));
                true
            }
        });
        let mut this = lock(&self.0);
        if !this.ended {
            let held = std::mem::take(&mut this.held);
            let (own, others): (VecDeque<_>, _) =
                held.into_iter().partition(|(name, _)| name == E::SPEC.name);
            this.held = others;
            for (_, data) in own {
                listener(&data);
            }
            this.listeners.entry(E::SPEC.name).or_default().push(listener);
        }
        receiver
    }

    pub(crate) fn tell(&self, name: String, data: &RawValue) {
        let mut this = lock(&self.0);
        if let Some(listeners) = this.listeners.get_mut(&*name) {
            listeners.retain(|listener| listener(data));
            return;
        }
        if this.held.len() == HELD {
            this.held.pop_front();
        }
        this.held.push_back((name, data.to_owned()));
    }

    /// Drops all listeners: the client is closed.
    pub(crate) fn end(&self) {
        *lock(&self.0) = Listening { ended: true, ..Listening::default() };
    }
}
