//! `History`, which goes through no room.

use dialogue::{RawMessage, store::History};
use serde_json::value::to_raw_value;

const NONE: [u32; 0] = [];

fn message(room: &str, event: &'static str, n: u32) -> RawMessage {
    RawMessage::new(event, room, to_raw_value(&n).unwrap())
}

fn numbers<'a>(messages: impl IntoIterator<Item = &'a std::sync::Arc<RawMessage>>) -> Vec<u32> {
    messages.into_iter().map(|message| message.data.get().parse().unwrap()).collect()
}

#[test]
fn the_newest_of_each_event_are_kept_and_what_goes_comes_back() {
    let history = History::new().per_event(3);
    let mut evicted = Vec::new();
    for n in 1..=5 {
        evicted.extend(history.push(message("one", "a", n)));
        assert!(history.push(message("one", &*format!("b{n}").leak(), n)).is_empty());
    }
    assert_eq!(numbers(&evicted), [1, 2]);
    assert_eq!(numbers(&history.get("one", "a", 0..10)), [5, 4, 3]);
    assert_eq!(numbers(&history.get("one", "a", 1..2)), [4]);
    assert_eq!(numbers(&history.get("one", "a", 3..10)), NONE);
    assert_eq!(numbers(&history.get("one", "c", 0..10)), NONE);
    assert_eq!(numbers(&history.get("two", "a", 0..10)), NONE);
    assert_eq!(history.remove("one").len(), 8);
    assert_eq!(numbers(&history.get("one", "a", 0..10)), NONE);
    assert!(history.remove("one").is_empty());
}

#[test]
fn the_room_that_nothing_was_pushed_to_for_longest_goes() {
    let history = History::new().rooms(2);
    history.push(message("one", "a", 1));
    history.push(message("two", "a", 2));
    history.push(message("one", "a", 3));
    assert_eq!(numbers(&history.push(message("three", "a", 4))), [2]);
    assert_eq!(numbers(&history.get("one", "a", 0..10)), [3, 1]);
    assert_eq!(numbers(&history.get("two", "a", 0..10)), NONE);
}

#[test]
fn by_default_a_hundred_of_each_in_a_thousand_rooms() {
    let history = History::default();
    for n in 0..=100 {
        let evicted = history.push(message("room", "a", n));
        assert_eq!(numbers(&evicted), if n == 100 { vec![0] } else { vec![] });
    }
    for n in 1..1_000 {
        assert!(history.push(message(&format!("room {n}"), "a", n)).is_empty());
    }
    assert_eq!(history.push(message("one more", "a", 0)).len(), 100);
}
