//! When the hash of a contract is another one.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU32, Ordering},
};

use super::*;

/// The same parcels, by other words, under other limits.
mod reworded {
    use super::{Deserialize, Event, Item, JsonSchema, Serialize, Validate};
    use std::collections::BTreeMap;

    #[derive(Serialize, Deserialize, JsonSchema, Validate, Event)]
    #[serde(rename_all = "camelCase")]
    #[event(name = "parcel", history = 7)]
    pub struct Package {
        #[validate(length(min = 1, max = 80))]
        to: String,
        /// At once.
        #[serde(default)]
        urgent: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<String>,
        items: BTreeMap<String, Item>,
    }
}

/// The same, but a rule.
mod roomier {
    use super::{Deserialize, Event, Item, JsonSchema, Serialize, Validate};
    use std::collections::BTreeMap;

    #[derive(Serialize, Deserialize, JsonSchema, Validate, Event)]
    #[serde(rename_all = "camelCase")]
    #[event(name = "parcel", history = 20)]
    pub struct Parcel {
        #[validate(length(min = 1, max = 81))]
        to: String,
        #[serde(default)]
        urgent: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<String>,
        items: BTreeMap<String, Item>,
    }
}

/// Parcels with a rule that JSON Schema cannot say, with one in other words, and without.
mod ruled {
    use super::{Deserialize, Event, JsonSchema, Serialize, Validate};

    #[derive(Serialize, Deserialize, JsonSchema, Validate, Event)]
    pub struct Parcel {
        #[validate(non_control_character)]
        to: String,
    }

    #[derive(Serialize, Deserialize, JsonSchema, Validate, Event)]
    #[event(name = "parcel")]
    pub struct Reworded {
        #[validate(non_control_character(message = "only what can be printed"))]
        to: String,
    }

    #[derive(Serialize, Deserialize, JsonSchema, Event)]
    #[event(name = "parcel")]
    pub struct Unruled {
        to: String,
    }
}

/// An app with a room of parcels.
macro_rules! post {
    ($module:ident, $event:ty) => {
        pub(super) mod $module {
            use super::*;

            #[dialogue::room("street", events($event), server_events(Arrived))]
            pub mod street {}
            #[dialogue::room("attic", events(Arrived))]
            pub mod attic {}

            pub struct Post;

            #[dialogue::app(rooms(street, attic))]
            impl App for Post {
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
        }
    };
}

post!(first, Parcel);
post!(second, reworded::Package);
post!(third, roomier::Parcel);
post!(ruled_post, ruled::Parcel);
post!(reworded_post, ruled::Reworded);
post!(unruled_post, ruled::Unruled);

#[test]
fn its_hash_changes_with_the_shape_alone() {
    let hashes = [
        Contract::of::<first::Post>().hash,
        Contract::of::<second::Post>().hash,
        Contract::of::<third::Post>().hash,
    ];
    assert!(hashes.iter().all(|hash| hash.len() == 32), "{hashes:?}");
    assert_eq!(hashes[0], hashes[1]);
    assert_ne!(hashes[0], hashes[2]);
    // The same wherever it is built: a change here makes all clients look out of date.
    assert_eq!(hashes[0], "1d7f5ffe8d2cd431cda1eaf5e7ae2f9e");
}

#[test]
fn its_hash_changes_with_rules_and_not_with_their_words() {
    let ruled = Contract::of::<ruled_post::Post>().hash;
    assert_eq!(ruled, Contract::of::<reworded_post::Post>().hash);
    assert_ne!(ruled, Contract::of::<unruled_post::Post>().hash);
}

/// An app with a room of one event, whose module and declaration are given.
macro_rules! town {
    ($town:ident, [$($room:tt)*], [$($direct:tt)*], $($event:item)*) => {
        mod $town {
            use super::*;

            $($event)*

            #[dialogue::room("square", $($room)*)]
            mod square {}

            pub struct Town;

            #[dialogue::app(rooms(square), direct($($direct)*))]
            impl App for Town {
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
        }
    };
}

static CALLS: AtomicU32 = AtomicU32::new(0);

fn differs() -> u32 {
    CALLS.fetch_add(1, Ordering::Relaxed)
}

town! { plain, [events(Said)], [],
    #[derive(Serialize, Deserialize, JsonSchema)]
    enum Mood { Calm, Merry }

    #[derive(Serialize, Deserialize, JsonSchema)]
    enum Tone { Loud, Pitch(u8) }

    #[derive(Serialize, Deserialize, JsonSchema, Event)]
    #[event(history = 9)]
    struct Said {
        #[serde(default = "differs")]
        n: u32,
        mood: Mood,
        tone: Tone,
        other: Option<Tone>,
    }
}

town! { documented, [events(Said)], [],
    /// How it sounds.
    #[derive(Serialize, Deserialize, JsonSchema)]
    enum Mood {
        /// Not at all merry.
        Calm,
        Merry,
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    enum Tone {
        /// Not at all soft.
        Loud,
        /// In hertz.
        Pitch(u8),
    }

    #[derive(Serialize, Deserialize, JsonSchema, Event)]
    #[event(history = 9)]
    struct Said {
        /// How many.
        #[serde(default = "differs")]
        n: u32,
        /// How it is meant.
        mood: Mood,
        /// How it sounds.
        #[deprecated]
        tone: Tone,
        /// Or so.
        other: Option<Tone>,
    }
}

town! { reordered, [events(Said)], [],
    #[derive(Serialize, Deserialize, JsonSchema, Event)]
    #[event(history = 7)]
    struct Said {
        other: Option<Tone>,
        tone: Tone,
        mood: Mood,
        #[serde(default = "differs")]
        n: u32,
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    enum Tone { Pitch(u8), Loud }

    #[derive(Serialize, Deserialize, JsonSchema)]
    enum Mood { Merry, Calm }
}

town! { renamed, [events(Said)], [],
    #[derive(Serialize, Deserialize, JsonSchema)]
    enum Temper { Calm, Merry }

    #[derive(Serialize, Deserialize, JsonSchema)]
    enum Tone { Loud, Pitch(u8) }

    #[derive(Serialize, Deserialize, JsonSchema, Event)]
    #[event(history = 9)]
    struct Said {
        #[serde(default = "differs")]
        n: u32,
        mood: Temper,
        tone: Tone,
        other: Option<Tone>,
    }
}

#[test]
fn its_hash_is_the_same_at_every_start_and_in_whatever_words_and_order() {
    let plain = Contract::of::<plain::Town>().hash;
    assert_eq!(plain, Contract::of::<plain::Town>().hash);
    assert_eq!(plain, Contract::of::<documented::Town>().hash);
    assert_eq!(plain, Contract::of::<reordered::Town>().hash);
    // Generated types have the names of types.
    assert_ne!(plain, Contract::of::<renamed::Town>().hash);
}

macro_rules! said {
    ($town:ident, [$($room:tt)*], [$($direct:tt)*], $history:meta) => {
        town! { $town, [$($room)*], [$($direct)*],
            #[derive(Serialize, Deserialize, JsonSchema, Event)]
            #[$history]
            struct Said;
        }
    };
}

said!(ephemeral, [events(Said)], [], event());
said!(stored, [events(Said)], [], event(history = 1));
said!(one_way, [server_events(Said)], [], event());
said!(open, [events(Said, any)], [], event());
said!(with_direct, [events(Said)], [Welcome], event());

#[dialogue::room("square:{id}", events(Welcome))]
mod family {
    #[derive(Clone)]
    pub struct Room {
        pub id: u32,
    }
}

#[dialogue::room("square:{id}", events(Welcome), create = "explicit")]
mod explicit_family {
    #[derive(Clone)]
    pub struct Room {
        pub id: u32,
    }
}

macro_rules! families {
    ($town:ident, $room:ident) => {
        struct $town;

        #[dialogue::app(rooms($room))]
        impl App for $town {
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
    };
}

families!(Implicit, family);
families!(Explicit, explicit_family);

#[test]
fn its_hash_changes_with_what_clients_may_do() {
    let hashes = [
        Contract::of::<ephemeral::Town>().hash,
        Contract::of::<stored::Town>().hash,
        Contract::of::<one_way::Town>().hash,
        Contract::of::<open::Town>().hash,
        Contract::of::<with_direct::Town>().hash,
        Contract::of::<Implicit>().hash,
        Contract::of::<Explicit>().hash,
    ];
    let distinct: BTreeSet<&String> = hashes.iter().collect();
    assert_eq!(distinct.len(), hashes.len(), "{hashes:?}");
}
