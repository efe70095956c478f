//! How often a client may ask, and how much memory its answers take.

use crate::{
    App, Client, JoinError,
    connection::budget::Holding,
    protocol::{Failure, event},
};

/// Checks the rate limits of a request, by its name. A transport calls this before it decodes the request.
pub(crate) fn check<A: App>(client: &Client<A>, request: &str) -> Result<(), Failure> {
    let (rates, transport) = (client.rates(), client.connection().transport());
    let long = matches!(request, event::JOIN | event::GET_HISTORY | event::LIST_ROOMS);
    if long {
        client.connection().check_answers()?;
    }
    let checked = match request {
        event::TRIGGER => rates.triggers.check().and_then(|()| transport.check_trigger()),
        event::AUTHENTICATE => rates.requests.check().and_then(|()| transport.check_authenticate()),
        event::JOIN => rates.joins.check(),
        event::GET_HISTORY => client.dialogue().check_history(client.user_id()),
        event::CREATE_ROOM | event::DELETE_ROOM => {
            rates.creations.check().and_then(|()| transport.check_creation())
        }
        _ => rates.requests.check(),
    };
    checked.map_err(Failure::from)
}

/// Reserves memory for an answer that may be long. `None` if the connection is gone.
pub(super) async fn reserve<A: App>(client: &Client<A>) -> Result<Option<Holding>, Failure> {
    let limits = client.dialogue().limits();
    match client.connection().reserve(limits.answer_bytes(), limits.join_time).await {
        Ok(reserved) => Ok(Some(reserved)),
        Err(JoinError::Closed) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
