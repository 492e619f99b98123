//! Kept-alive connections. An idle connection is used again only if everything that was checked about it is the same:
//! scheme, host, port, TLS settings, and an address that the look-up of this attempt returned too. Otherwise a kept
//! connection would be a way around the guard.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::link::{Key, Link};

/// Maximum number of idle connections with one key and in total, and the time for which they are kept.
const PER_KEY: usize = 64;
const IN_ALL: usize = 1024;
const IDLE: Duration = Duration::from_secs(20);

#[derive(Default)]
pub(crate) struct Pool {
    idle: Mutex<Idle>,
}

#[derive(Default)]
struct Idle {
    links: HashMap<Key, Vec<(SocketAddr, Instant, Link)>>,
    count: usize,
}

impl Pool {
    /// Removes the most recently used idle connection to one of the approved addresses.
    pub(crate) fn take(&self, key: &Key, addresses: &[SocketAddr]) -> Option<(Link, SocketAddr)> {
        let mut idle = self.idle.lock();
        let links = idle.links.get_mut(key)?;
        let at = links
            .iter()
            .rposition(|(address, since, _)| addresses.contains(address) && since.elapsed() < IDLE)?;
        let (address, _, link) = links.remove(at);

        if links.is_empty() {
            idle.links.remove(key);
        }

        idle.count -= 1;
        Some((link, address))
    }

    pub(crate) fn give(&self, key: Key, address: SocketAddr, link: Link) {
        let mut idle = self.idle.lock();
        if idle.count >= IN_ALL {
            return;
        }

        let links = idle.links.entry(key).or_default();
        if links.len() < PER_KEY {
            links.push((address, Instant::now(), link));
            idle.count += 1;
        }
    }

    /// Closes connections that have been idle for too long.
    pub(crate) fn sweep(&self) {
        let mut idle = self.idle.lock();
        idle.links.retain(|_, links| {
            links.retain(|(_, since, _)| since.elapsed() < IDLE);
            !links.is_empty()
        });

        idle.count = idle.links.values().map(Vec::len).sum();
    }
}
