//! What the server refuses over a limit: counted, answered and warned of.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Json,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::network_prefix::{host, network};
use crate::protocol::ErrorCode;

/// How often the log has the same reason and address.
const WARNING_INTERVAL: Duration = Duration::from_mins(1);
/// Minimum time between removals of old warnings.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// Number of reasons and addresses that the server remembers. Warnings of further addresses share one
/// line for each reason.
const MAX_WARNED: usize = 1_024;

/// A limit that a client reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Limit {
    Connections,
    ConnectionsPerAddress,
    AddressBytes,
    ConnectsPerAddress,
    ConnectsInAll,
    TriggersPerAddress,
    TriggersInAll,
    CreationsPerAddress,
    AnswersPerAddress,
    /// Connections of one address that wait for a request.
    Waiting,
    OpenFiles,
}

impl Limit {
    /// The field of `Limits`, or what else is limited.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::ConnectionsPerAddress | Self::Waiting => "connections_per_address",
            Self::AddressBytes => "address_bytes",
            Self::ConnectsPerAddress => "connects_per_address",
            Self::ConnectsInAll => "connects_in_all",
            Self::TriggersPerAddress => "triggers_per_address",
            Self::TriggersInAll => "triggers_in_all",
            Self::CreationsPerAddress => "creations_per_address",
            Self::AnswersPerAddress => "answers_per_address",
            Self::OpenFiles => "open files",
        }
    }

    /// What happens to the client.
    fn effect(self) -> &'static str {
        match self {
            Self::Waiting => {
                "closed the connection of this address that waited longest for a request"
            }
            Self::OpenFiles => "a connection was answered 503; raise the limit with `ulimit -n`",
            _ => "a client was refused over a limit",
        }
    }

    /// The answer to a request that is refused.
    pub(crate) fn answer(self) -> Response {
        let name = self.name();
        let message = format!("the limit `{name}` is reached");
        let body = json!({ "code": ErrorCode::LimitExceeded, "message": message, "limit": name });
        let headers = [
            (header::RETRY_AFTER, "5"),
            (header::CONNECTION, "close"),
            (header::CACHE_CONTROL, "no-store"),
        ];
        (StatusCode::TOO_MANY_REQUESTS, headers, Json(body)).into_response()
    }
}

/// Where a request comes from.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Source {
    pub(crate) address: Option<IpAddr>,
    /// Whether it has `X-Forwarded-For`, but comes from no trusted proxy.
    pub(crate) forwarded: bool,
}

/// Counts refusals, and warns of them.
#[derive(Default)]
pub(crate) struct Refusals {
    count: AtomicU64,
    warned: Mutex<Warned>,
}

/// The last warnings, by limit and address.
#[derive(Default)]
struct Warned {
    last: HashMap<(Limit, Option<IpAddr>), Instant>,
    /// When old ones were last removed.
    swept: Option<Instant>,
}

impl Refusals {
    /// Counts a refusal. Warns of it once per minute, address and limit.
    pub(crate) fn note(&self, limit: Limit, source: Source) {
        self.count.fetch_add(1, Ordering::Relaxed);
        // An IPv6 /48 counts as one address: one customer may own all of it.
        let address = source.address.map(|address| network(address).unwrap_or(host(address)));
        let Some(known) = self.due(limit, address, Instant::now()) else { return };
        let (effect, limit) = (limit.effect(), limit.name());
        match address.filter(|_| known) {
            Some(address) if source.forwarded => tracing::warn!(
                %address,
                limit,
                "{effect}; its requests have `X-Forwarded-For`: if it is a proxy of yours, name it in \
                 `Builder::proxies`"
            ),
            Some(address) => tracing::warn!(%address, limit, "{effect}"),
            None => tracing::warn!(limit, "{effect}"),
        }
    }

    /// How many there were.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether a warning is due, and if so, whether it names the address.
    fn due(&self, limit: Limit, address: Option<IpAddr>, now: Instant) -> Option<bool> {
        // No code that can panic runs under the lock.
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        let Warned { last, swept } = &mut *warned;
        let recent = |last: &Instant| now.saturating_duration_since(*last) < WARNING_INTERVAL;
        let mut key = (limit, address);
        if last.len() >= MAX_WARNED && !last.contains_key(&key) {
            if swept.is_none_or(|swept| now.saturating_duration_since(swept) >= SWEEP_INTERVAL) {
                *swept = Some(now);
                last.retain(|_, last| recent(last));
            }
            if last.len() >= MAX_WARNED {
                // There are few limits: these entries are few, too.
                key = (limit, None);
            }
        }
        if last.get(&key).is_some_and(recent) {
            return None;
        }
        last.insert(key, now);
        Some(key.1 == address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warning_of_an_address_and_limit_is_due_once_a_minute() {
        let (refusals, now) = (Refusals::default(), Instant::now());
        let due = |limit, last: u8, after| {
            let address = IpAddr::from([192, 0, 2, last]);
            refusals.due(limit, Some(address), now + Duration::from_secs(after))
        };
        assert_eq!(due(Limit::Connections, 1, 0), Some(true));
        assert_eq!(due(Limit::Connections, 1, 59), None);
        assert_eq!(due(Limit::ConnectionsPerAddress, 1, 59), Some(true));
        assert_eq!(due(Limit::Connections, 2, 59), Some(true));
        assert_eq!(due(Limit::Connections, 1, 60), Some(true));
    }

    #[test]
    fn warning_of_an_ipv6_48_is_due_once_a_minute() {
        let refusals = Refusals::default();
        for network in 0..2_000 {
            let address = format!("2001:db8:0:{network:x}::1").parse().ok();
            refusals.note(Limit::Connections, Source { address, forwarded: false });
        }
        assert_eq!((refusals.count(), refusals.warned.lock().unwrap().last.len()), (2_000, 1));
        let network = network("2001:db8::1".parse().unwrap());
        assert_eq!(refusals.due(Limit::Connections, network, Instant::now()), None);
    }

    #[test]
    fn warnings_of_many_addresses_are_bounded_and_share_a_line() {
        let (refusals, now) = (Refusals::default(), Instant::now());
        let due = |n: usize, at| {
            let address = IpAddr::from(u32::try_from(n).unwrap().to_be_bytes());
            refusals.due(Limit::Connections, Some(address), at)
        };
        assert!((0..MAX_WARNED).all(|n| due(n, now) == Some(true)));
        assert_eq!(due(MAX_WARNED, now), Some(false));
        assert!((MAX_WARNED..2 * MAX_WARNED).all(|n| due(n, now).is_none()));
        assert_eq!(refusals.warned.lock().unwrap().last.len(), MAX_WARNED + 1);
        assert_eq!(due(MAX_WARNED, now + WARNING_INTERVAL), Some(true));
        assert_eq!(refusals.warned.lock().unwrap().last.len(), 1);
    }
}
