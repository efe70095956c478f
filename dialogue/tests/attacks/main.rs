//! Attacks by the clients of one address: how much memory they make a server hold, and what they cost its
//! honest clients. Each attack has a server in a process of its own.
#![cfg(target_os = "linux")]
#![allow(missing_docs, unreachable_pub)]

mod attack;
mod attacker;
mod honest;
#[path = "../support/process.rs"]
mod process;
mod town;

use std::time::Duration;

use crate::{
    attack::Attack,
    process::{Process, command},
    town::{Site, serves},
};

/// How much resident memory the clients of one address may add with the default limits, in bytes. The
/// server counts up to 30 MB of it (`Limits::address_bytes`). Up to 1,000 connections, which have a limit of
/// their own, take 26 KB each. The allocator and the first bytes of each connection, which do not count,
/// take the rest.
const MAX_HELD: usize = 64_000_000;

/// Attacks a server. Prints how much memory that took, and panics if it is over [`MAX_HELD`].
async fn assert_held_within_bounds(attack: Attack) {
    let server = Process::start(
        command(&serves())
            // The allocator returns freed memory to the system where it can.
            .env("MALLOC_ARENA_MAX", "2")
            .env("MALLOC_TRIM_THRESHOLD_", "65536")
            .env("MALLOC_MMAP_THRESHOLD_", "65536"),
    )
    .await;
    let site = Site { address: server.address };
    attack.prepare(site).await;
    let before = server.resident();
    let done = attack.run(site).await;
    wait_for_steady_memory(&server).await;

    let (sent, held) = (done.sent, server.resident().saturating_sub(before));
    println!("FIGURE {attack:?}: {sent} bytes sent, {held} held, {} % of them", held * 100 / sent);
    assert!(held < MAX_HELD, "{attack:?}: {held} bytes are held for {sent}");
    site.assert_alive().await;
}

/// Waits until the server's resident memory changed by less than 200 KB ten times in a row, 50 ms apart.
/// Returns after 10 s in any case.
async fn wait_for_steady_memory(server: &Process) {
    let (mut last, mut same) = (0, 0);
    for _ in 0..200 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = server.resident();
        same = if now.abs_diff(last) < 200_000 { same + 1 } else { 0 };
        last = now;
        if same >= 10 {
            break;
        }
    }
}

#[tokio::test]
async fn memory_with_unread_joins_stays_bounded() {
    assert_held_within_bounds(Attack::UnreadJoins { event: 2_500 }).await;
    assert_held_within_bounds(Attack::UnreadJoins { event: 240_000 }).await;
}

#[tokio::test]
async fn memory_with_unread_room_lists_stays_bounded() {
    assert_held_within_bounds(Attack::UnreadLists).await;
}

#[tokio::test]
async fn memory_with_unread_pongs_stays_bounded_before_login_and_after() {
    assert_held_within_bounds(Attack::UnreadPings { login: false }).await;
    assert_held_within_bounds(Attack::UnreadPings { login: true }).await;
}

#[tokio::test]
async fn memory_with_echoed_namespaces_stays_bounded() {
    assert_held_within_bounds(Attack::Namespaces).await;
}

#[tokio::test]
async fn memory_with_unfinished_messages_stays_bounded() {
    assert_held_within_bounds(Attack::Messages).await;
}

#[tokio::test]
async fn memory_with_unfinished_uploads_stays_bounded() {
    assert_held_within_bounds(Attack::Uploads).await;
}

#[tokio::test]
async fn memory_with_long_request_heads_stays_bounded() {
    assert_held_within_bounds(Attack::Heads).await;
}

#[tokio::test]
async fn memory_with_begun_requests_stays_bounded() {
    assert_held_within_bounds(Attack::NextRequests).await;
}

#[tokio::test]
async fn memory_with_three_requests_of_each_session_stays_bounded() {
    assert_held_within_bounds(Attack::SessionRequests).await;
}

#[tokio::test]
async fn memory_with_waiting_requests_stays_bounded() {
    assert_held_within_bounds(Attack::WaitingRequests).await;
}

#[tokio::test]
async fn memory_with_unread_events_stays_bounded() {
    assert_held_within_bounds(Attack::UnreadEvents).await;
}

#[tokio::test]
async fn memory_of_an_event_to_many_slow_consumers_is_shared() {
    assert_held_within_bounds(Attack::Idlers).await;
}

#[tokio::test]
async fn memory_with_unread_announcements_stays_bounded() {
    assert_held_within_bounds(Attack::Announcements).await;
}

#[tokio::test]
async fn memory_with_unread_history_of_many_sessions_stays_bounded() {
    assert_held_within_bounds(Attack::Histories).await;
}

#[tokio::test]
async fn memory_with_unread_small_answers_stays_bounded() {
    assert_held_within_bounds(Attack::SmallAnswers).await;
}

#[tokio::test]
async fn memory_with_long_subscription_lists_stays_bounded() {
    assert_held_within_bounds(Attack::LongSubscribes).await;
}

#[tokio::test]
async fn memory_with_many_invalid_parts_stays_bounded() {
    assert_held_within_bounds(Attack::Issues).await;
}

#[tokio::test]
async fn memory_of_memberships_stays_bounded() {
    assert_held_within_bounds(Attack::Memberships).await;
}

#[tokio::test]
async fn memory_of_subscriptions_stays_bounded() {
    assert_held_within_bounds(Attack::Subscriptions).await;
}

#[tokio::test]
async fn memory_with_unfinished_fragments_and_idle_connections_stays_bounded() {
    assert_held_within_bounds(Attack::Fragments).await;
}

#[tokio::test]
async fn memory_with_floods_of_heartbeats_stays_bounded() {
    assert_held_within_bounds(Attack::Heartbeats).await;
}

#[tokio::test]
async fn memory_of_stored_meta_stays_bounded() {
    assert_held_within_bounds(Attack::Contexts).await;
}

#[tokio::test]
async fn memory_with_large_messages_before_small_ones_stays_bounded() {
    assert_held_within_bounds(Attack::LargeMessages { namespace: false }).await;
    assert_held_within_bounds(Attack::LargeMessages { namespace: true }).await;
}

#[tokio::test]
async fn memory_of_polls_of_closed_sessions_stays_bounded() {
    assert_held_within_bounds(Attack::ClosedPolls).await;
}

#[tokio::test]
async fn memory_of_ended_subscriptions_stays_bounded() {
    assert_held_within_bounds(Attack::Unsubscribes).await;
}

#[tokio::test]
async fn memory_of_events_that_wait_for_handlers_stays_bounded() {
    assert_held_within_bounds(Attack::Jobs).await;
}

#[tokio::test]
async fn memory_with_namespaces_beside_unread_joins_stays_bounded() {
    assert_held_within_bounds(Attack::NamespacesOverBudget).await;
}
