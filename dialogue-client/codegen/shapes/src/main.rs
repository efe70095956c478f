//! Events of every shape, for the tests of generated types.
//!
//! `contract` prints the contract, `asyncapi` prints it as `AsyncAPI` has it, `values` prints what the
//! server sends, by event, and `parse` reads what clients send, by event, and fails at the first that
//! is refused.

mod shapes;

use std::{collections::BTreeMap, env, error::Error, io};

use dialogue::{
    App, Contract, Deny, Event, Handshake,
    auth::{ClaimedUser, TrustClientUserId},
};
use serde_json::value::RawValue;

use crate::shapes::{Letter, all, strict};

struct Shapes;

#[dialogue::app(rooms(all, strict), direct(Letter))]
impl App for Shapes {
    type Credentials = TrustClientUserId;
    type Identity = ClaimedUser;

    async fn authenticate(
        &self,
        who: TrustClientUserId,
        handshake: &Handshake,
    ) -> Result<ClaimedUser, Deny> {
        who.or_client_id(handshake)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    match env::args().nth(1).as_deref() {
        Some("contract") => println!("{}", Contract::of::<Shapes>()),
        Some("asyncapi") => println!("{}", Contract::of::<Shapes>().asyncapi()),
        Some("values") => println!("{}", serde_json::to_string(&shapes::values()?)?),
        Some("parse") => {
            let values: BTreeMap<String, Vec<Box<RawValue>>> =
                serde_json::from_reader(io::stdin())?;
            for (event, value) in
                values.iter().flat_map(|(event, of)| of.iter().map(move |value| (event, value)))
            {
                shapes::parse(event, value.get())
                    .map_err(|why| format!("{event}: {why}: {value}"))?;
            }
        }
        _ => return Err("shapes contract | asyncapi | values | parse".into()),
    }
    Ok(())
}

/// Whether a value is one of an event's, and if not, why.
pub(crate) fn check<E: Event>(json: &str) -> Result<(), String> {
    match E::parse(json) {
        Ok(_) => Ok(()),
        Err(issues) => Err(issues.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")),
    }
}
