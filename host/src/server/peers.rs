//! How many connections each address has.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

/// Counts connections by address.
pub(super) struct Peers {
    /// 0 for no bound.
    limit: usize,
    counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// A connection that is counted, until it is dropped.
pub(super) struct Counted {
    address: IpAddr,
    counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Peers {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            counts: Arc::default(),
        }
    }

    /// Counts one more connection of `peer`; `None` if it has as many as it may. Unix sockets have no
    /// addresses, and are not counted.
    pub(super) fn enter(&self, peer: Option<IpAddr>) -> Option<Option<Counted>> {
        let Some(address) = peer.filter(|_| self.limit > 0).map(network) else {
            return Some(None);
        };
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_insert(0);
        if *count >= self.limit {
            return None;
        }
        *count = count.saturating_add(1);
        Some(Some(Counted {
            address,
            counts: self.counts.clone(),
        }))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = counts.entry(self.address) {
            *count.get_mut() = count.get().saturating_sub(1);
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// What one subscriber has: an IPv4 address, or an IPv6 network of 64 bits.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "constants of the test")]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_connections_and_no_more() {
        let peers = Peers::new(2);
        let enter = |text: &str| peers.enter(Some(text.parse().unwrap()));
        let (first, second) = (enter("192.0.2.1"), enter("::ffff:192.0.2.1"));
        assert!(first.is_some() && second.is_some());
        assert!(enter("192.0.2.1").is_none());
        assert!(enter("192.0.2.2").is_some());
        drop(first);
        assert!(enter("192.0.2.1").is_some());
        // A subscriber has all addresses of a network.
        let kept = [enter("2001:db8::1"), enter("2001:db8::ffff:1")];
        assert!(enter("2001:db8::2").is_none() && enter("2001:db8:0:1::1").is_some());
        drop((kept, second));
        assert!(peers.counts.lock().unwrap().is_empty());
        assert!((0..9).all(|_| matches!(peers.enter(None), Some(None))));
    }
}
