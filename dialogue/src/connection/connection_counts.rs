//! Limits on the number of connections, of one address and of all.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{
    counter::Counter,
    network_prefix::{ADDRESSES_PER_NETWORK, host, network},
    refusals::Limit,
};

/// Counts connections in total and per address. IPv6 addresses are counted per /64, because one host can
/// use any address in it, and per /48, with [`ADDRESSES_PER_NETWORK`] times the limit.
#[derive(Clone)]
pub(crate) struct ConnectionCounts {
    present: Arc<Present>,
    most: usize,
    total: usize,
}

#[derive(Default)]
struct Present {
    addresses: Counter<IpAddr>,
    networks: Counter<IpAddr>,
    total: AtomicUsize,
}

impl ConnectionCounts {
    /// Allows up to `most` connections per address and `total` connections.
    pub(crate) fn new(most: usize, total: usize) -> Self {
        Self { present: Arc::default(), most, total }
    }

    /// Counts one more connection. Fails with the limit that is reached.
    pub(crate) fn enter(&self, address: Option<IpAddr>) -> Result<ConnectionSlot, Limit> {
        let Present { addresses, networks, total } = &*self.present;
        let count = |n: usize| n.checked_add(1).filter(|n| *n <= self.total);
        total
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, count)
            .map_err(|_| Limit::Connections)?;
        let mut slot =
            ConnectionSlot { present: self.present.clone(), address: None, network: None };
        if let Some(address) = address {
            let (address, network) = (host(address), network(address));
            if !addresses.add(address, self.most) {
                return Err(Limit::ConnectionsPerAddress);
            }
            slot.address = Some(address);
            if let Some(network) = network {
                if !networks.add(network, self.most.saturating_mul(ADDRESSES_PER_NETWORK as usize))
                {
                    return Err(Limit::ConnectionsPerAddress);
                }
                slot.network = Some(network);
            }
        }
        Ok(slot)
    }

    /// How many addresses have connections.
    pub(crate) fn len(&self) -> usize {
        self.present.addresses.keys()
    }
}

/// Counts one connection until it is dropped.
pub(crate) struct ConnectionSlot {
    present: Arc<Present>,
    address: Option<IpAddr>,
    network: Option<IpAddr>,
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.present.total.fetch_sub(1, Ordering::Relaxed);
        if let Some(address) = self.address {
            self.present.addresses.remove(address);
        }
        if let Some(network) = self.network {
            self.present.networks.remove(network);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::unnecessary_wraps, reason = "an address that is known")]
    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn connection_over_the_limit_of_its_address_is_rejected_until_another_closes() {
        let counts = ConnectionCounts::new(2, 100);
        let v4 = ip("192.0.2.1");
        let (first, _second) = (counts.enter(v4).unwrap(), counts.enter(v4).unwrap());
        assert_eq!(counts.enter(v4).err(), Some(Limit::ConnectionsPerAddress));
        assert!(counts.enter(ip("::ffff:192.0.2.1")).is_err());
        assert!(counts.enter(ip("192.0.2.2")).is_ok());
        drop(first);
        assert!(counts.enter(v4).is_ok());
        let _v6 = ["2001:db8::1", "2001:db8::2"].map(|one| counts.enter(ip(one)).unwrap());
        assert!(counts.enter(ip("2001:db8::3")).is_err());
        assert!(counts.enter(ip("2001:db8:0:1::3")).is_ok());
        assert_eq!(counts.len(), 2);
    }

    #[test]
    fn ipv6_48_has_four_times_the_connections_of_a_64() {
        let counts = ConnectionCounts::new(2, 100);
        let of = |network: u32, n: u32| ip(&format!("2001:db8:0:{network:x}::{n}"));
        let places: Vec<_> = (0..5).flat_map(|network| (0..2).map(move |n| (network, n))).collect();
        let entered: Vec<_> =
            places.iter().filter_map(|(network, n)| counts.enter(of(*network, *n)).ok()).collect();
        assert_eq!(entered.len(), 8);
        assert!(counts.enter(ip("2001:db8:1::1")).is_ok(), "another network");
        drop(entered);
        assert!(counts.enter(of(9, 9)).is_ok());
        assert_eq!(counts.present.total.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn connection_over_the_total_limit_is_rejected_for_every_address() {
        let counts = ConnectionCounts::new(10, 2);
        let _held = [counts.enter(ip("192.0.2.1")).unwrap(), counts.enter(None).unwrap()];
        assert!(counts.enter(ip("192.0.2.2")).is_err());
        assert_eq!(counts.len(), 1);
    }
}
