//! What counts as one address.

use std::net::IpAddr;

/// An IPv6 /48 has the limits of this many addresses, because one customer of a provider may own all of its
/// 65,536 /64 networks.
pub(crate) const ADDRESSES_PER_NETWORK: u32 = 4;
/// The first `bits` bits of an IPv6 address. IPv4 addresses stay as they are.
fn prefix(address: IpAddr, bits: u32) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            IpAddr::V6((u128::from(address) & (u128::MAX << (128 - bits))).into())
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// The unit of limits per address: an IPv4 address or an IPv6 /64.
pub(crate) fn host(address: IpAddr) -> IpAddr {
    prefix(address, 64)
}

/// The /48 of an IPv6 address.
pub(crate) fn network(address: IpAddr) -> Option<IpAddr> {
    address.to_canonical().is_ipv6().then(|| prefix(address, 48))
}
