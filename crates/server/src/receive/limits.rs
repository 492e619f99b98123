//! Rate limits of a source. Requests without a valid credential are counted by address, and requests with a valid one
//! by source, so that neither kind can use up the limit of the other.
//!
//! `governor` limits requests. Log lines about refusals have a small counter of their own: it takes the time as an
//! argument, and it reports how many refusals it left out. The rest is logged when the next line is due, even if no
//! further request is refused.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};
use parking_lot::Mutex;
use quickdraw_domain::source::{Source, client_network};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::telemetry::SOURCE_LIMITED;

/// Number of clients per source above which idle ones are forgotten.
const MAX_CLIENTS: usize = 50_000;

/// Shortest time between two log lines about requests over a rate limit.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Number of bodies that a source reads at the same time for addresses over their limit, and the longest wait for one.
const MAX_DOUBTFUL: usize = 8;
const DOUBTFUL_WAIT: Duration = Duration::from_secs(5);

/// The two kinds of clients, each with a limit of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Client {
    /// A client without a valid credential.
    Stranger,

    /// A client with a valid credential.
    Sender,
}

impl Client {
    const ALL: [Self; 2] = [Self::Stranger, Self::Sender];

    /// Label of the metric.
    const fn label(self) -> &'static str {
        match self {
            Self::Stranger => "stranger",
            Self::Sender => "sender",
        }
    }
}

/// Refusals that no log line has counted yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Unlogged {
    count: u64,

    /// The address of the last refused request.
    address: IpAddr,
}

/// Counts requests over a rate limit between two log lines.
#[derive(Default)]
struct Refusals {
    logged_at: Option<Instant>,
    unlogged: Option<Unlogged>,
}

impl Refusals {
    /// Counts a refusal. Returns the refusals since the last log line if the next one is due.
    fn count(&mut self, address: IpAddr, now: Instant) -> Option<Unlogged> {
        let earlier = self.unlogged.map_or(0, |unlogged| unlogged.count);
        self.unlogged = Some(Unlogged {
            count: earlier + 1,
            address,
        });

        self.take_due(now)
    }

    /// Returns the refusals since the last log line if there are some and the next line is due.
    fn take_due(&mut self, now: Instant) -> Option<Unlogged> {
        let is_recent = |logged_at: Instant| now.duration_since(logged_at) < LOG_INTERVAL;
        if self.logged_at.is_some_and(is_recent) {
            return None;
        }

        let unlogged = self.unlogged.take()?;
        self.logged_at = Some(now);
        Some(unlogged)
    }

    /// Returns the refusals since the last log line, whether the next one is due or not.
    const fn take_rest(&mut self) -> Option<Unlogged> {
        self.unlogged.take()
    }
}

/// The limit on requests without a valid credential.
pub(crate) struct StrangerLimit {
    counts: DefaultKeyedRateLimiter<IpAddr>,

    /// Addresses over their limit, and the time at which each may fail again. `governor` cannot be asked without
    /// counting a request.
    over: Mutex<HashMap<IpAddr, Instant>>,
}

impl StrangerLimit {
    pub(crate) fn new(quota: Quota) -> Self {
        Self {
            counts: RateLimiter::keyed(quota),
            over: Mutex::default(),
        }
    }

    /// Counts a request of an address. If the limit is reached, returns the time to wait.
    pub(crate) fn count(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        if self.counts.len() > MAX_CLIENTS {
            self.counts.retain_recent();
            self.counts.shrink_to_fit();
        }

        let network = client_network(address);
        let Err(until) = self.counts.check_key(&network) else {
            return Ok(());
        };
        let wait = until.wait_time_from(DefaultClock::default().now());

        let mut over = self.over.lock();
        if over.len() >= MAX_CLIENTS {
            over.retain(|_, until| *until > now);
        }

        if over.len() < MAX_CLIENTS {
            over.insert(network, now + wait);
        }

        Err(wait)
    }

    /// Returns the time to wait if an address is over its limit.
    fn wait(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let until = *self.over.lock().get(&client_network(address))?;
        let wait = until.saturating_duration_since(now);
        (!wait.is_zero()).then_some(wait)
    }
}

/// The rate limits of a source.
pub(super) struct Limits {
    strangers: Option<StrangerLimit>,
    senders: Option<DefaultDirectRateLimiter>,

    /// Permits to read bodies for addresses over their limit.
    doubtful: Semaphore,
    refused_strangers: Mutex<Refusals>,
    refused_senders: Mutex<Refusals>,
}

impl Limits {
    pub(super) fn new(source: &Source) -> Self {
        let quota = |number: Option<u32>| number.and_then(NonZeroU32::new).map(Quota::per_minute);
        let strangers = quota(source.per_minute).map(StrangerLimit::new);

        Self {
            strangers,
            senders: quota(source.sender_per_minute).map(RateLimiter::direct),
            doubtful: Semaphore::new(MAX_DOUBTFUL),
            refused_strangers: Mutex::default(),
            refused_senders: Mutex::default(),
        }
    }

    /// Counts a request without a valid credential. If the limit is reached, returns the time to wait.
    pub(super) fn count_stranger(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let strangers = self.strangers.as_ref();
        strangers.map_or(Ok(()), |strangers| strangers.count(address, now))
    }

    /// Counts a request with a valid credential. If the limit is reached, returns the time to wait.
    pub(super) fn count_sender(&self) -> Result<(), Duration> {
        let refused = self.senders.as_ref().and_then(|senders| senders.check().err());
        refused.map_or(Ok(()), |until| Err(until.wait_time_from(DefaultClock::default().now())))
    }

    /// Waits until the body of a request may be read whose credential can only be verified with the body. An address
    /// within its limit does not wait.
    ///
    /// A right signature must be accepted even if strangers behind the same address (NAT, a reverse proxy) use up its
    /// limit, so an address over its limit is not simply refused. A few bodies at a time are read for such addresses,
    /// which bounds the work that strangers can cause. If no permit is free in time, returns the time to wait.
    pub(super) async fn body_permit(&self, address: IpAddr) -> Result<Option<SemaphorePermit<'_>>, Duration> {
        let strangers = self.strangers.as_ref();
        let Some(wait) = strangers.and_then(|strangers| strangers.wait(address, Instant::now())) else {
            return Ok(None);
        };

        match tokio::time::timeout(DOUBTFUL_WAIT, self.doubtful.acquire()).await {
            Ok(Ok(permit)) => Ok(Some(permit)),
            Ok(Err(_)) | Err(_) => Err(wait),
        }
    }

    /// Counts a refusal in the metric and logs it, or counts it for the next log line.
    pub(super) fn note_refusal(&self, client: Client, source: &Source, address: IpAddr, now: Instant) {
        let name = source.name.clone();
        metrics::counter!(SOURCE_LIMITED, "source" => name, "kind" => client.label()).increment(1);

        let unlogged = self.refusals(client).lock().count(address, now);
        if let Some(unlogged) = unlogged {
            log(client, source, unlogged);
        }
    }

    /// Logs refusals that are not logged yet and whose log line is due.
    pub(super) fn log_due(&self, source: &Source, now: Instant) {
        for client in Client::ALL {
            let unlogged = self.refusals(client).lock().take_due(now);
            if let Some(unlogged) = unlogged {
                log(client, source, unlogged);
            }
        }
    }

    /// Logs all refusals that are not logged yet.
    pub(super) fn log_rest(&self, source: &Source) {
        for client in Client::ALL {
            let unlogged = self.refusals(client).lock().take_rest();
            if let Some(unlogged) = unlogged {
                log(client, source, unlogged);
            }
        }
    }

    const fn refusals(&self, client: Client) -> &Mutex<Refusals> {
        match client {
            Client::Stranger => &self.refused_strangers,
            Client::Sender => &self.refused_senders,
        }
    }
}

/// Writes the log line about refused requests.
fn log(client: Client, source: &Source, refused: Unlogged) {
    let name = &source.name;
    let Unlogged { count, address } = refused;

    match client {
        Client::Stranger => {
            let limit = source.per_minute.unwrap_or_default();
            tracing::warn!(
                source.name = %name, %address, count,
                "refused {count} requests without a valid credential to source {name} with 429, the last from \
                 {address}: one address can send {limit} a minute (rate_limit)"
            );
        }
        Client::Sender => {
            let limit = source.sender_per_minute.unwrap_or_default();
            tracing::error!(
                source.name = %name, %address, count,
                "refused {count} events with a valid credential to source {name} with 429, the last from \
                 {address}: the source accepts {limit} a minute (sender_rate_limit). GitLab does not send them \
                 again; raise the limit"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn limit(per_minute: u32) -> StrangerLimit {
        StrangerLimit::new(Quota::per_minute(NonZeroU32::new(per_minute).expect("not zero")))
    }

    const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

    #[test]
    fn refusals_are_logged_at_once_and_then_once_a_minute_with_their_count() {
        let (mut refusals, start) = (Refusals::default(), Instant::now());
        let mut count = |seconds| {
            let unlogged = refusals.count(ADDRESS, start + Duration::from_secs(seconds));
            unlogged.map(|unlogged| unlogged.count)
        };

        assert_eq!(count(0), Some(1));
        assert_eq!([count(1), count(59)], [None, None]);
        assert_eq!(count(60), Some(3));
        assert_eq!(count(61), None);
    }

    #[test]
    fn refusals_are_logged_without_a_further_refusal() {
        let (mut refusals, start) = (Refusals::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let rest = Unlogged {
            count: 2,
            address: ADDRESS,
        };

        assert_eq!(refusals.take_due(at(0)), None);
        refusals.count(ADDRESS, at(0));
        refusals.count(ADDRESS, at(1));
        refusals.count(ADDRESS, at(2));

        assert_eq!(refusals.take_due(at(59)), None);
        assert_eq!(refusals.take_due(at(60)), Some(rest));
        assert_eq!(refusals.take_due(at(120)), None);
        assert_eq!(refusals.take_rest(), None);
    }

    #[test]
    fn the_rest_of_the_refusals_is_logged_at_a_stop() {
        let (mut refusals, now) = (Refusals::default(), Instant::now());
        refusals.count(ADDRESS, now);
        assert_eq!(refusals.take_rest(), None);

        refusals.count(ADDRESS, now);
        assert_eq!(refusals.take_rest().map(|rest| rest.count), Some(1));
        assert_eq!(refusals.take_rest(), None);
    }

    #[test]
    fn an_address_is_over_its_limit_until_it_may_fail_again() {
        let (limit, now) = (limit(2), Instant::now());
        let [one, other] = [1, 2].map(|last| IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)));
        let counted: Vec<bool> = (0..4).map(|_| limit.count(one, now).is_ok()).collect();
        assert_eq!(counted, [true, true, false, false]);

        let wait = limit.wait(one, now).expect("over the limit");
        assert!(wait <= Duration::from_secs(30), "{wait:?}");
        assert_eq!(limit.wait(one, now + wait), None);
        assert_eq!(limit.wait(other, now), None);
    }
}
