//! Kept-alive connections. An idle one is taken up again only when everything that was judged about it is the same:
//! scheme, host, port, TLS setting, and an address that this attempt's look-up gave too. Otherwise keeping connections
//! would be a way around the guard.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::call::Call;
use crate::connect::Link;

/// Idle connections that are kept for one key, and in all.
const PER_KEY: usize = 64;
const IN_ALL: usize = 1024;
const IDLE: Duration = Duration::from_secs(20);

/// What makes two connections interchangeable, but for the address.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Key {
    pub(crate) https: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) verify_tls: bool,
    /// Digest of the client certificate, if it is not the usual one.
    pub(crate) certificate: Option<[u8; 32]>,
}

impl Key {
    pub(crate) fn of(call: &Call<'_>) -> Self {
        Self {
            https: call.https,
            host: call.host.to_owned(),
            port: call.port,
            verify_tls: call.verify_tls,
            certificate: call.certificate.as_ref().map(|certificate| certificate.digest),
        }
    }
}

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
    /// The most recently used idle connection to one of the judged addresses.
    pub(crate) fn take(&self, key: &Key, addresses: &[SocketAddr]) -> Option<(Link, SocketAddr)> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let links = idle.links.get_mut(key)?;
        let at = links.iter().rposition(|(address, since, _)| addresses.contains(address) && since.elapsed() < IDLE)?;
        let (address, _, link) = links.remove(at);
        if links.is_empty() {
            idle.links.remove(key);
        }
        idle.count -= 1;
        Some((link, address))
    }

    pub(crate) fn give(&self, key: Key, address: SocketAddr, link: Link) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.count >= IN_ALL {
            return;
        }
        let links = idle.links.entry(key).or_default();
        if links.len() < PER_KEY {
            links.push((address, Instant::now(), link));
            idle.count += 1;
        }
    }

    /// Closes what has been idle for too long.
    pub(crate) fn sweep(&self) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.links.retain(|_, links| {
            links.retain(|(_, since, _)| since.elapsed() < IDLE);
            !links.is_empty()
        });
        idle.count = idle.links.values().map(Vec::len).sum();
    }
}
