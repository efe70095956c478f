//! How many connections an address has.

use std::{net::IpAddr, sync::Arc};

use super::{RateLimited, rate::Pace, tally::Tally};
use crate::Rate;

/// Counts the connections of each address. Those of an IPv6 network of 64 bits, which one host may
/// choose from as it likes, count as one address's.
#[derive(Clone)]
pub(crate) struct Crowd {
    present: Arc<Tally<IpAddr>>,
    most: usize,
}

impl Crowd {
    pub(crate) fn new(most: usize) -> Self {
        Self { present: Arc::new(Tally::new()), most }
    }

    /// A place for one more connection, if the address may have one.
    pub(crate) fn enter(&self, address: IpAddr) -> Option<Place> {
        let address = network(address);
        let entered = self.present.add(address, self.most);
        entered.then(|| Place { crowd: self.clone(), address })
    }

    pub(crate) fn len(&self) -> usize {
        self.present.keys()
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & !u128::from(u64::MAX)).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// The place of one connection; dropping it gives it up.
pub(crate) struct Place {
    crowd: Crowd,
    address: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.crowd.present.remove(self.address);
    }
}

/// What is known of a transport for as long as it is there: an extension of the request that opened
/// it, which socketioxide keeps.
#[derive(Clone)]
pub(crate) struct Transport(Arc<Opened>);

struct Opened {
    _place: Option<Place>,
    connects: Pace,
}

impl Transport {
    pub(crate) fn new(place: Option<Place>, connects: Option<Rate>) -> Self {
        Self(Arc::new(Opened { _place: place, connects: Pace::new(connects) }))
    }

    /// Lets a session begin on it once more.
    pub(crate) fn check_connect(&self) -> Result<(), RateLimited> {
        self.0.connects.check()
    }
}

#[cfg(test)]
mod tests {
    use super::Crowd;

    #[test]
    fn an_address_has_so_many_places_and_gets_them_back() {
        let crowd = Crowd::new(2);
        let v4 = "192.0.2.1".parse().unwrap();
        let (first, _second) = (crowd.enter(v4).unwrap(), crowd.enter(v4).unwrap());
        assert!(crowd.enter(v4).is_none());
        assert!(crowd.enter("::ffff:192.0.2.1".parse().unwrap()).is_none());
        assert!(crowd.enter("192.0.2.2".parse().unwrap()).is_some());
        drop(first);
        assert!(crowd.enter(v4).is_some());
        let _v6 =
            ["2001:db8::1", "2001:db8::2"].map(|one| crowd.enter(one.parse().unwrap()).unwrap());
        assert!(crowd.enter("2001:db8::3".parse().unwrap()).is_none());
        assert!(crowd.enter("2001:db8:0:1::3".parse().unwrap()).is_some());
        assert_eq!(crowd.len(), 2);
    }
}
