//! The rule of resuming and of gaps, case by case.

use serde_json::value::RawValue;

use super::*;

const OLD: &str = "000000000000000a";
const NAMES: [&str; 2] = ["tick", "tock"];
const NEW: &str = "000000000000000b";

fn at(epoch: &str, seq: u64) -> At {
    At { epoch: epoch.parse().unwrap(), seq }
}

fn event(epoch: &str, name: &'static str, seq: u64, prev: u64) -> Arc<RawMessage> {
    let mut message = RawMessage::new(name, "room", RawValue::NULL.to_owned());
    message.position = Some(Position { epoch: epoch.parse().unwrap(), seq, prev });
    Arc::new(message)
}

fn tick(seq: u64, prev: u64) -> Arc<RawMessage> {
    event(OLD, "tick", seq, prev)
}

fn tock(seq: u64, prev: u64) -> Arc<RawMessage> {
    event(OLD, "tock", seq, prev)
}

fn page(epoch: &str, events: Vec<Arc<RawMessage>>, complete: bool, seq: u64) -> Range {
    Range { events, complete, end: at(epoch, seq) }
}

/// In short: `3` is handed over, `>2` is what comes after it asked for, `!5` is a reset,
/// `tick!5` one of an event.
fn told(steps: &[Step]) -> String {
    let steps = steps.iter().map(|step| match step {
        Step::Deliver(message) => {
            message.position.map_or("e".to_owned(), |position| position.seq.to_string())
        }
        Step::Fetch { after, later: false } => format!(">{after}"),
        Step::Fetch { after, later: true } => format!("later>{after}"),
        Step::Reset(at) => format!("!{}", at.seq),
        Step::Skip { event, at } => format!("{event}!{}", at.seq),
    });
    steps.collect::<Vec<_>>().join(" ")
}

/// Where the log ends, by the last of each name.
fn end(epoch: &str, last: &[(&'static str, u64)]) -> End {
    let seq = last.iter().map(|(_, seq)| *seq).max().unwrap_or(0);
    End {
        at: at(epoch, seq),
        last: last.iter().map(|(name, seq)| ((*name).into(), *seq)).collect(),
    }
}

/// What comes of a join that names what is followed already, and is told what was missed.
fn joined(place: &mut Place, seq: u64, missed: Vec<Arc<RawMessage>>) -> String {
    let end = End { at: at(OLD, seq), last: BTreeMap::new() };
    told(&place.joined(end, Some(all(missed)), []))
}

fn all(events: Vec<Arc<RawMessage>>) -> Missed {
    Missed { events, more: false }
}

/// What comes of one that is not.
fn joined_anew(place: &mut Place, end: End) -> String {
    told(&place.joined(end, None, []))
}

/// A place at 2 of the old log, which holds two messages at most.
fn place() -> Place {
    Place::new(at(OLD, 2), NAMES.map(Into::into), 2)
}

#[test]
fn what_is_next_is_handed_over() {
    let mut place = place();
    assert_eq!(told(&place.live(tick(3, 2))), "3");
    assert_eq!(told(&place.live(tock(4, 1))), "4");
    assert_eq!(told(&place.live(tick(5, 3))), "5");
    assert_eq!(place.at(), at(OLD, 5));
}

#[test]
fn what_a_name_had_before_it_was_subscribed_to_is_not_missing() {
    let mut place = Place::new(at(OLD, 2), ["tick".into()], 2);
    assert_eq!(told(&place.live(tick(9, 2))), "9");
    place.follow(["tock".into()], 13);
    assert_eq!(told(&place.live(tock(14, 12))), "14");
    // Nor does it hide what another name lacks.
    assert_eq!(told(&place.live(tick(15, 11))), ">9");
    let range = vec![tick(11, 9), tock(12, 1), tock(14, 12), tick(15, 11)];
    assert_eq!(told(&place.page(page(OLD, range, true, 15))), "11 15");
}

#[test]
fn a_name_that_is_followed_again_is_followed_from_there() {
    let mut place = place();
    place.follow(["tock".into()], 9);
    assert_eq!(told(&place.live(tock(11, 8))), "11");
    assert_eq!(told(&place.live(tock(13, 12))), ">11");
}

#[test]
fn a_name_that_nobody_asked_for_is_followed_from_its_first_event_on() {
    let mut place = place();
    assert_eq!(told(&place.end(end(OLD, &[("bell", 7)]))), "");
    assert_eq!(told(&place.live(event(OLD, "bell", 9, 8))), "9");
    assert_eq!(told(&place.live(event(OLD, "bell", 11, 10))), ">9");
}

#[test]
fn an_event_without_history_is_handed_over_at_any_time() {
    let blink = || Arc::new(RawMessage::new("blink", "room", RawValue::NULL.to_owned()));
    let mut place = place();
    assert_eq!(told(&place.live(blink())), "e");
    place.fall_behind(2);
    assert_eq!(told(&place.live(blink())), "e");
}

#[test]
fn a_duplicate_is_dropped() {
    let mut place = place();
    assert_eq!(told(&place.live(tick(2, 1))), "");
    assert_eq!(told(&place.live(tick(3, 2))), "3");
    assert_eq!(told(&place.live(tick(3, 2))), "");
}

#[test]
fn a_gap_is_fetched_before_what_is_behind_it() {
    let mut place = place();
    assert_eq!(told(&place.live(tick(4, 3))), ">2");
    assert_eq!(told(&place.live(tick(5, 4))), "");
    let missing = vec![tick(3, 2), tick(4, 3)];
    assert_eq!(told(&place.page(page(OLD, missing, true, 4))), "3 4 5");
    assert_eq!(told(&place.live(tick(6, 5))), "6");
}

#[test]
fn an_event_of_another_name_in_between_is_no_gap() {
    let mut place = place();
    // 3 is of a name that nobody is subscribed to.
    assert_eq!(told(&place.live(tick(4, 2))), "4");
    // 5 is of this name, though.
    assert_eq!(told(&place.live(tock(6, 5))), ">2");
}

#[test]
fn a_gap_in_one_name_is_fetched_from_before_what_came_of_others() {
    let mut place = place();
    // 3 is missing, and nothing says so yet.
    assert_eq!(told(&place.live(tock(4, 1))), "4");
    assert_eq!(told(&place.live(tick(5, 3))), ">2");
    let range = vec![tick(3, 2), tock(4, 1), tick(5, 3)];
    assert_eq!(told(&place.page(page(OLD, range, true, 5))), "3 5");
}

#[test]
fn a_gap_is_fetched_page_by_page() {
    let mut place = place();
    assert_eq!(told(&place.live(tick(6, 5))), ">2");
    assert_eq!(told(&place.page(page(OLD, vec![tick(3, 2), tick(4, 3)], false, 6))), "3 4 >4");
    assert_eq!(told(&place.page(page(OLD, vec![tick(5, 4), tick(6, 5)], true, 6))), "5 6");
    assert!(place.behind().is_none());
}

/// What comes of so many missing events, in pages of a hundred.
fn fetched(place: &mut Place, count: u64) -> String {
    let mut steps = place.live(tick(count, count - 1));
    let mut told_last = String::new();
    while let Some(Step::Fetch { after, .. }) = steps.pop() {
        let end = count.min(after + 100);
        let events = (after + 1..=end).map(|seq| tick(seq, seq - 1)).collect();
        steps = place.page(page(OLD, events, end == count, count));
        told_last = told(&steps[steps.len() - 1..]);
    }
    told_last
}

#[test]
fn gap_of_more_events_than_are_fetched_in_a_row_is_a_reset() {
    let place = || Place::new(at(OLD, 0), NAMES.map(Into::into), 2);
    assert_eq!(fetched(&mut place(), 10_000), "10000");
    let mut reset = place();
    assert_eq!(fetched(&mut reset, 10_001), "!10001");
    assert_eq!(told(&reset.live(tick(10_002, 10_001))), "10002");
    // Streams are read at their own pace.
    assert_eq!(fetched(&mut place().without_bound().anew(at(OLD, 0)), 10_001), "10001");
}

#[test]
fn events_that_are_fetched_again_from_before_a_gap_count_once() {
    let mut place = Place::new(at(OLD, 0), NAMES.map(Into::into), 2);
    let tocks =
        || (2..=6_001).map(|seq| tock(seq, seq - 1 - u64::from(seq == 2))).collect::<Vec<_>>();
    // The tick 1 is missing, and nothing says so yet.
    assert_eq!(told(&place.live(tock(2, 0))), "2");
    assert_eq!(told(&place.live(tock(6_002, 6_001))), ">2");
    place.page(page(OLD, tocks().split_off(1), false, 6_003));
    assert_eq!(place.behind(), Some(6_001));
    let late = vec![tock(6_002, 6_001), tick(6_003, 1)];
    assert_eq!(told(&place.page(page(OLD, late.clone(), true, 6_003))), "6002 >0");
    let range = [vec![tick(1, 0)], tocks()].concat();
    assert_eq!(told(&place.page(page(OLD, range, false, 6_003))), "1 >6001");
    assert_eq!(told(&place.page(page(OLD, late, true, 6_003))), "6003");
}

#[test]
fn page_that_ends_before_an_event_that_came_is_asked_for_again_later() {
    let mut place = place();
    assert_eq!(told(&place.live(tick(4, 3))), ">2");
    for _ in 0..2 {
        assert_eq!(told(&place.page(page(OLD, vec![], true, 2))), "later>2");
    }
    assert_eq!(told(&place.page(page(OLD, vec![tick(3, 2), tick(4, 3)], true, 4))), "3 4");
}

#[test]
fn what_does_not_fit_while_a_range_is_fetched_is_fetched_too() {
    let mut place = place();
    assert_eq!(told(&place.live(tick(4, 3))), ">2");
    for (seq, prev) in [(5, 4), (6, 5), (7, 6)] {
        assert_eq!(told(&place.live(tick(seq, prev))), "");
    }
    assert_eq!(told(&place.page(page(OLD, vec![tick(3, 2), tick(4, 3)], true, 4))), "3 4 5 >5");
    assert_eq!(told(&place.page(page(OLD, vec![tick(6, 5), tick(7, 6)], true, 7))), "6 7");
}

#[test]
fn an_end_ahead_is_fetched_and_one_that_was_reached_is_not() {
    let mut place = place();
    assert_eq!(told(&place.end(end(OLD, &[("tick", 2)]))), "");
    assert_eq!(told(&place.end(end(OLD, &[("tick", 3)]))), ">2");
    assert_eq!(told(&place.page(page(OLD, vec![tick(3, 2)], true, 3))), "3");
    assert_eq!(told(&place.end(end(OLD, &[("tick", 3)]))), "");
}

#[test]
fn an_end_ahead_while_a_range_is_fetched_is_fetched_after_it() {
    let mut place = place();
    assert_eq!(told(&place.live(tick(4, 3))), ">2");
    assert_eq!(told(&place.end(end(OLD, &[("tick", 6)]))), "");
    assert_eq!(told(&place.page(page(OLD, vec![tick(3, 2), tick(4, 3)], true, 4))), "3 4 >4");
}

#[test]
fn an_end_tells_what_is_missing_before_what_came_of_another_name() {
    let mut place = place();
    // 3 is missing.
    assert_eq!(told(&place.live(tock(4, 1))), "4");
    assert_eq!(told(&place.end(end(OLD, &[("tick", 3), ("tock", 4)]))), ">2");
    let range = vec![tick(3, 2), tock(4, 1)];
    assert_eq!(told(&place.page(page(OLD, range, true, 4))), "3");
    assert_eq!(told(&place.end(end(OLD, &[("tick", 3), ("tock", 4)]))), "");
}

#[test]
fn an_end_that_was_reached_accounts_for_all_names() {
    let mut place = place();
    assert_eq!(told(&place.live(tick(9, 2))), "9");
    assert_eq!(told(&place.end(end(OLD, &[("tick", 9)]))), "");
    assert_eq!(told(&place.live(tock(10, 8))), "10");
}

#[test]
fn what_is_fetched_from_after_a_hole_does_not_hide_it() {
    let mut place = place();
    // 3 is missing, and nothing says so yet.
    assert_eq!(told(&place.live(tock(4, 1))), "4");
    assert_eq!(told(&place.live(tock(6, 5))), ">4");
    assert_eq!(told(&place.page(page(OLD, vec![tock(5, 4), tock(6, 5)], true, 6))), "5 6");
    assert_eq!(told(&place.live(tick(7, 3))), ">2");
    let range = vec![tick(3, 2), tock(4, 1), tock(5, 4), tock(6, 5), tick(7, 3)];
    assert_eq!(told(&place.page(page(OLD, range, true, 7))), "3 7");
}

#[test]
fn a_page_that_begins_too_late_for_one_name_is_asked_for_from_before() {
    let mut place = place();
    assert_eq!(told(&place.live(tock(4, 1))), "4");
    assert_eq!(told(&place.live(tock(6, 5))), ">4");
    let late = vec![tock(5, 4), tock(6, 5), tick(7, 3)];
    assert_eq!(told(&place.page(page(OLD, late, true, 7))), "5 6 >2");
    let range = vec![tick(3, 2), tock(4, 1), tock(5, 4), tock(6, 5), tick(7, 3)];
    assert_eq!(told(&place.page(page(OLD, range, true, 7))), "3 7");
}

#[test]
fn an_answer_that_nobody_waits_for_changes_nothing() {
    let mut place = place();
    assert_eq!(told(&place.page(page(OLD, vec![tick(3, 2)], false, 9))), "");
    assert_eq!(told(&place.live(tick(3, 2))), "3");
}

#[test]
fn a_whole_page_accounts_for_names_that_it_does_not_have() {
    let mut place = place();
    assert_eq!(told(&place.end(end(OLD, &[("tick", 9)]))), ">2");
    assert_eq!(told(&place.page(page(OLD, vec![tick(9, 2)], true, 9))), "9");
    // Of its name, 8 was before it, and not subscribed to then.
    assert_eq!(told(&place.live(tock(10, 8))), "10");
}

#[test]
fn a_recovered_join_replays_in_order_and_drops_what_was_held() {
    let mut place = place();
    assert_eq!(told(&place.live(tick(5, 4))), ">2");
    let missed = vec![tick(3, 2), tock(4, 1), tick(5, 3)];
    assert_eq!(joined(&mut place, 6, missed), "3 4 5");
    assert_eq!((place.at(), place.behind()), (at(OLD, 6), None));
    assert_eq!(told(&place.live(tick(7, 5))), "7");
}

#[test]
fn a_join_goes_on_from_before_what_is_known_to_be_missing() {
    let mut place = place();
    // 3 is missing, which 5 tells.
    assert_eq!(told(&place.live(tock(4, 1))), "4");
    assert_eq!(told(&place.live(tick(5, 3))), ">2");
    assert_eq!(place.since(), at(OLD, 2));
    let missed = vec![tick(3, 2), tock(4, 1), tick(5, 3), tick(6, 5)];
    assert_eq!(joined(&mut place, 6, missed), "3 5 6");
    assert_eq!((place.since(), place.behind()), (at(OLD, 6), None));
}

#[test]
fn a_join_that_tells_what_was_missing_before_it_has_that_fetched() {
    let mut place = place();
    // 3 is missing, and nothing says so before the connection is lost.
    assert_eq!(told(&place.live(tock(4, 1))), "4");
    assert_eq!(place.since(), at(OLD, 4));
    assert_eq!(joined(&mut place, 5, vec![tick(5, 3)]), ">2");
    let range = vec![tick(3, 2), tock(4, 1), tick(5, 3)];
    assert_eq!(told(&place.page(page(OLD, range, true, 5))), "3 5");
}

#[test]
fn join_that_tells_what_two_names_were_missing_before_it_has_both_fetched() {
    let mut place = place();
    // The tock 3 and the tick 5 are missing, and nothing says so before the connection is lost.
    assert_eq!(told(&place.live(tick(4, 2))), "4");
    assert_eq!(told(&place.live(event(OLD, "bell", 6, 0))), "6");
    let end = end(OLD, &[("tick", 7), ("tock", 3), ("bell", 6)]);
    assert_eq!(told(&place.joined(end, Some(all(vec![tick(7, 5)])), [])), ">4");
    let range = vec![tick(5, 4), event(OLD, "bell", 6, 0), tick(7, 5)];
    assert_eq!(told(&place.page(page(OLD, range.clone(), true, 7))), "5 7 >2");
    let range = [vec![tock(3, 1), tick(4, 2)], range].concat();
    assert_eq!(told(&place.page(page(OLD, range, true, 7))), "3");
}

#[test]
fn join_that_brings_a_part_has_the_rest_fetched_from_there() {
    let mut place = place();
    assert_eq!(told(&place.live(tick(3, 2))), "3");
    let last = || end(OLD, &[("tick", 9), ("tock", 8)]);
    let missed = Missed { events: vec![tick(4, 3), tick(5, 4)], more: true };
    assert_eq!(told(&place.joined(last(), Some(missed), [])), "4 5 >5");
    assert_eq!(told(&place.live(tick(10, 9))), "");
    assert_eq!(told(&place.page(page(OLD, vec![tock(8, 1), tick(9, 5)], true, 9))), "8 9 10");
    // A part that has nothing.
    let mut place = self::place();
    let missed = Missed { events: Vec::new(), more: true };
    assert_eq!(told(&place.joined(last(), Some(missed), [])), ">2");
}

#[test]
fn a_join_that_names_more_than_before_lacks_nothing_of_it() {
    let mut place = Place::new(at(OLD, 2), ["tick".into()], 2);
    assert_eq!(told(&place.live(tick(9, 2))), "9");
    let missed = vec![tick(11, 9), tock(12, 5)];
    let end = end(OLD, &[("tick", 11), ("tock", 12)]);
    assert_eq!(told(&place.joined(end, Some(all(missed)), ["tock".into()])), "11 12");
}

#[test]
fn unrecovered_join_has_what_was_missed_fetched() {
    let mut place = place();
    assert_eq!(joined_anew(&mut place, end(OLD, &[("tick", 9)])), ">2");
    assert_eq!(told(&place.live(tick(10, 9))), "");
    let kept = vec![tick(8, 7), tick(9, 8)];
    assert_eq!(told(&place.page(page(OLD, kept, true, 9))), "tick!7 8 9 10");
}

#[test]
fn unrecovered_join_of_a_name_of_which_nothing_is_kept_is_a_reset_of_that_name() {
    let mut place = place();
    assert_eq!(joined_anew(&mut place, end(OLD, &[("tick", 9), ("tock", 8)])), ">2");
    // Of the ticks, the log keeps none.
    assert_eq!(told(&place.page(page(OLD, vec![tock(8, 1)], true, 9))), "8 tick!9");
    assert_eq!(told(&place.live(tick(10, 9))), "10");
    assert_eq!(place.at(), at(OLD, 10));
}

#[test]
fn unrecovered_join_resets_no_name_that_missed_nothing() {
    let mut place = place();
    assert_eq!(joined_anew(&mut place, end(OLD, &[("tick", 2), ("tock", 9)])), ">2");
    assert_eq!(told(&place.page(page(OLD, vec![tock(3, 1)], false, 9))), "3 >3");
    assert_eq!(told(&place.page(page(OLD, vec![tock(9, 3)], true, 9))), "9");
}

#[test]
fn unrecovered_join_with_a_name_that_lacks_something_before_it_has_that_fetched() {
    let mut place = place();
    // 3 is missing, and nothing says so before the connection is lost.
    assert_eq!(told(&place.live(tock(4, 1))), "4");
    assert_eq!(joined_anew(&mut place, end(OLD, &[("tick", 3), ("tock", 6)])), ">4");
    assert_eq!(told(&place.page(page(OLD, vec![tock(6, 4)], true, 6))), "6 >2");
    assert_eq!(told(&place.page(page(OLD, vec![tock(4, 1), tock(6, 4)], true, 6))), "tick!6");
}

#[test]
fn position_ahead_of_what_is_kept_no_more_is_a_reset_of_that_name() {
    let mut place = place();
    assert_eq!(told(&place.end(end(OLD, &[("tick", 9)]))), ">2");
    assert_eq!(told(&place.page(page(OLD, vec![], true, 9))), "tick!9");
    assert_eq!(told(&place.live(tick(10, 9))), "10");
}

#[test]
fn held_event_that_the_log_keeps_no_more_is_handed_over() {
    let mut place = place();
    assert_eq!(told(&place.live(tick(4, 3))), ">2");
    assert_eq!(told(&place.live(tock(5, 1))), "");
    assert_eq!(told(&place.page(page(OLD, vec![], true, 9))), "tick!3 4 5");
}

#[test]
fn event_that_was_not_held_and_is_kept_no_more_is_a_reset_of_that_name() {
    let mut place = place();
    assert_eq!(told(&place.live(tick(4, 3))), ">2");
    for (seq, prev) in [(5, 4), (6, 5)] {
        assert_eq!(told(&place.live(tick(seq, prev))), "");
    }
    assert_eq!(told(&place.page(page(OLD, vec![], true, 9))), "tick!3 4 5 tick!9");
}

#[test]
fn event_that_was_not_held_and_is_kept_no_more_on_the_second_page_is_a_reset_of_that_name() {
    let mut place = place();
    assert_eq!(told(&place.live(tick(4, 3))), ">2");
    for (seq, prev) in [(5, 4), (6, 5)] {
        assert_eq!(told(&place.live(tick(seq, prev))), "");
    }
    assert_eq!(told(&place.page(page(OLD, vec![tick(4, 3)], true, 4))), "tick!3 4 5 >5");
    assert_eq!(told(&place.page(page(OLD, vec![], true, 9))), "tick!9");
    assert_eq!(told(&place.live(tick(10, 9))), "10");
}

#[test]
fn event_that_was_not_held_is_not_expected_of_another_log() {
    let mut place = place();
    assert_eq!(told(&place.live(tick(4, 3))), ">2");
    for message in [tick(5, 4), tick(6, 5), event(NEW, "tick", 3, 2)] {
        assert_eq!(told(&place.live(message)), "");
    }
    assert_eq!(told(&place.page(page(NEW, vec![], true, 2))), "!2 >2");
    assert_eq!(told(&place.page(page(NEW, vec![event(NEW, "tick", 3, 2)], true, 7))), "3");
}

#[test]
fn unrecovered_join_goes_on_from_before_what_was_being_fetched() {
    let mut place = place();
    assert_eq!(told(&place.live(tock(4, 1))), "4");
    assert_eq!(told(&place.live(tick(5, 3))), ">2");
    assert_eq!(joined_anew(&mut place, end(OLD, &[("tick", 5), ("tock", 4)])), ">2");
    let range = vec![tick(3, 2), tock(4, 1), tick(5, 3)];
    assert_eq!(told(&place.page(page(OLD, range, true, 5))), "3 5");
}

#[test]
fn unrecovered_join_to_a_log_that_ends_before_what_was_seen_is_a_reset() {
    let mut place = place();
    assert_eq!(joined_anew(&mut place, end(OLD, &[("tick", 1)])), "!1");
    assert_eq!(told(&place.live(tick(2, 1))), "2");
}

#[test]
fn a_join_to_another_log_is_a_reset_even_to_a_smaller_seq() {
    let mut place = place();
    assert_eq!(joined_anew(&mut place, end(NEW, &[("tick", 1)])), "!1");
    assert_eq!(told(&place.live(event(NEW, "tick", 2, 1))), "2");
}

#[test]
fn a_join_to_another_log_that_lacks_nothing_is_no_reset() {
    let mut place = place();
    let end = End { at: at(NEW, 0), last: BTreeMap::new() };
    assert_eq!(told(&place.joined(end, Some(all(vec![])), [])), "");
    assert_eq!(place.since(), at(NEW, 0));
}

#[test]
fn a_join_tells_what_was_lost_before_its_place_and_has_it_fetched() {
    let mut place = place();
    // 3 is missing, and nothing says so before the connection is lost.
    assert_eq!(told(&place.live(tock(4, 1))), "4");
    let end = end(OLD, &[("tick", 3), ("tock", 4)]);
    assert_eq!(told(&place.joined(end, Some(all(vec![])), [])), ">2");
    assert_eq!(told(&place.page(page(OLD, vec![tick(3, 2), tock(4, 1)], true, 4))), "3");
}

#[test]
fn what_was_held_of_a_log_that_is_no_more_is_dropped() {
    let mut place = place();
    assert_eq!(told(&place.live(tick(4, 3))), ">2");
    assert_eq!(told(&place.live(event(NEW, "tick", 2, 1))), "");
    assert_eq!(told(&place.page(page(NEW, vec![], true, 1))), "!1 2");
    assert_eq!(place.behind(), None);
}

#[test]
fn another_log_is_found_out_about_by_fetching() {
    for hear in [
        |place: &mut Place| place.live(event(NEW, "tick", 1, 0)),
        |place: &mut Place| place.end(end(NEW, &[("tick", 1)])),
    ] {
        let mut place = place();
        assert_eq!(told(&hear(&mut place)), ">2");
        assert_eq!(told(&place.page(page(NEW, vec![], true, 1))), "!1");
        assert_eq!(told(&place.live(event(NEW, "tick", 2, 1))), "2");
    }
}

#[test]
fn page_with_a_gap_skips_to_the_first_event_that_is_kept() {
    let mut place = place();
    assert_eq!(told(&place.live(tick(9, 8))), ">2");
    assert_eq!(told(&place.page(page(OLD, vec![tick(8, 7), tick(9, 8)], true, 9))), "tick!7 8 9");
    assert_eq!(told(&place.live(tick(10, 9))), "10");
}

#[test]
fn page_with_a_gap_of_one_event_takes_nothing_from_others() {
    let mut place = place();
    // 3 is a tick that is missing, and nothing says so yet.
    assert_eq!(told(&place.live(tock(5, 1))), "5");
    assert_eq!(told(&place.live(tick(9, 7))), ">2");
    let kept = vec![tock(4, 1), tock(5, 4), tock(6, 5), tick(7, 3), tock(8, 6)];
    assert_eq!(told(&place.page(page(OLD, kept, false, 9))), "6 tick!6 7 8 >8");
    assert_eq!(told(&place.page(page(OLD, vec![tick(9, 7)], true, 9))), "9");
}

#[test]
fn position_before_what_was_seen_is_a_reset() {
    let mut place = place();
    assert_eq!(told(&place.live(tick(9, 2))), "9");
    assert_eq!(told(&place.end(end(OLD, &[("tick", 8)]))), "!8");
    assert_eq!(told(&place.live(tick(9, 8))), "9");
}

#[test]
fn recovered_join_before_what_was_seen_is_a_reset() {
    let mut place = place();
    assert_eq!(told(&place.live(tick(9, 2))), "9");
    assert_eq!(joined(&mut place, 5, vec![]), "!5");
    assert_eq!(told(&place.live(tick(6, 5))), "6");
}

#[test]
fn page_before_what_it_was_asked_after_is_a_reset() {
    let mut place = place();
    assert_eq!(told(&place.live(tick(4, 3))), ">2");
    // What was held has to be asked for once more.
    assert_eq!(told(&place.page(page(OLD, vec![], true, 1))), "!1 >1");
}

#[test]
fn position_from_before_a_page_is_no_reset() {
    let mut place = place();
    assert_eq!(told(&place.live(tick(4, 3))), ">2");
    assert_eq!(told(&place.end(end(OLD, &[("tick", 4)]))), "");
    let range = vec![tick(3, 2), tick(4, 3), tick(5, 4)];
    assert_eq!(told(&place.page(page(OLD, range, true, 5))), "3 4 5");
}
