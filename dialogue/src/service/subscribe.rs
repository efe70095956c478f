//! Changing what a member receives.

use super::{rejections, visibility};
use crate::{
    App, Client, SubscribeError,
    connection::outgoing::Unsent,
    engine::admission::Change,
    protocol::{Failure, Subscriptions},
};

/// Changes a client's subscriptions. `hand_over` gives the answer to the connection, and is called again while its
/// queue is full.
pub(crate) async fn subscribe<A: App>(
    client: &Client<A>,
    room_id: &str,
    change: Change<'_>,
    hand_over: impl Fn(&Subscriptions<'_>) -> Result<(), Unsent>,
) -> Result<(), Failure> {
    let (Change::Add(event) | Change::Remove(event)) = change;
    rejections::event_or_every(room_id, event)?;
    let live = visibility::member(client, room_id)?;
    let (limits, member) = (client.dialogue().limits(), client.member());
    let changed = client.connection().retry(|| live.change(limits, member, change, &hand_over));
    // Without an outcome, the connection has ended.
    changed.await.unwrap_or(Ok(())).map_err(|error| match error {
        SubscribeError::NotInRoom => visibility::no_member(client, room_id),
        error => Failure::from(error).in_room(room_id).of_event(event),
    })
}
