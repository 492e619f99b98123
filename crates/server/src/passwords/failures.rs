//! Delays after failed attempts to sign in.
//!
//! Failures are counted for an account from one network, for a network, and for an account from everywhere. The last
//! counter slows guesses from many networks. The delays of the last two stay short, because otherwise anyone could keep
//! a user out, or all users behind one proxy. Counters go down again with time.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Largest number of counters. Beyond it, the one whose last failure is the oldest is forgotten.
const MAX_COUNTERS: usize = 10_000;
/// The first delay, in seconds.
const FIRST_DELAY: u64 = 4;
/// Largest exponent of a delay.
const MAX_EXPONENT: u32 = 20;

/// The owner of a counter.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Counted {
    /// An account from one network.
    Pair(String, IpAddr),

    /// A network.
    Network(IpAddr),

    /// An account from everywhere.
    Account(String),
}

impl Counted {
    /// Number of failures without a delay.
    const fn free(&self) -> u32 {
        match self {
            Self::Pair(..) => 5,
            Self::Network(_) => 30,
            Self::Account(_) => 50,
        }
    }

    /// The longest delay.
    const fn longest(&self) -> Duration {
        match self {
            Self::Pair(..) => Duration::from_secs(15 * 60),
            Self::Network(_) | Self::Account(_) => Duration::from_secs(60),
        }
    }

    /// The time in which the counter goes down by one.
    const fn recovery(&self) -> Duration {
        match self {
            Self::Pair(..) => Duration::from_secs(10 * 60),
            Self::Network(_) | Self::Account(_) => Duration::from_secs(60),
        }
    }

    /// The delay after a number of failures: it begins after the free ones, and doubles after each further one.
    fn delay(&self, failures: u32) -> Duration {
        let Some(further) = failures.checked_sub(self.free()) else {
            return Duration::ZERO;
        };

        let seconds = Duration::from_secs(FIRST_DELAY << further.min(MAX_EXPONENT));
        seconds.min(self.longest())
    }
}

#[derive(Clone, Copy)]
struct Counter {
    failures: u32,

    /// Time of the last failure.
    last: Instant,

    /// Time until which the counter went down.
    recovered: Instant,
}

impl Counter {
    const fn new(now: Instant) -> Self {
        Self {
            failures: 0,
            last: now,
            recovered: now,
        }
    }

    /// Lets the counter go down, by one for each whole period since it did so last.
    fn recover(&mut self, period: Duration, now: Instant) {
        let passed = now.saturating_duration_since(self.recovered);
        let periods = u32::try_from(passed.as_secs() / period.as_secs()).unwrap_or(u32::MAX);

        if periods >= self.failures {
            self.failures = 0;
            self.recovered = now;
        } else {
            self.failures -= periods;
            self.recovered += period * periods;
        }
    }
}

/// The recent failures on this node.
#[derive(Default)]
pub(super) struct Failures(Mutex<HashMap<Counted, Counter>>);

/// An attempt, which counts as a failure until its result is known.
#[must_use]
pub(super) struct Attempt<'a> {
    failures: &'a Failures,
    counted: [Counted; 3],
}

impl Failures {
    /// Begins an attempt, or returns the time to wait before the next one.
    pub(super) fn begin(&self, account: String, network: IpAddr, now: Instant) -> Result<Attempt<'_>, Duration> {
        let counted = [
            Counted::Pair(account.clone(), network),
            Counted::Network(network),
            Counted::Account(account),
        ];

        let mut counters = self.0.lock();
        let mut longest = Duration::ZERO;

        for one in &counted {
            let Some(counter) = counters.get_mut(one) else { continue };
            counter.recover(one.recovery(), now);

            let passed = now.saturating_duration_since(counter.last);
            longest = longest.max(one.delay(counter.failures).saturating_sub(passed));
        }

        if !longest.is_zero() {
            return Err(longest);
        }

        for one in &counted {
            if !counters.contains_key(one) {
                make_room(&mut counters, now);
            }

            let counter = counters.entry(one.clone()).or_insert_with(|| Counter::new(now));
            counter.failures = counter.failures.saturating_add(1);
            counter.last = now;
        }

        Ok(Attempt {
            failures: self,
            counted,
        })
    }
}

/// Forgets old counters if there are too many.
fn make_room(counters: &mut HashMap<Counted, Counter>, now: Instant) {
    if counters.len() < MAX_COUNTERS {
        return;
    }

    counters.retain(|counted, counter| {
        counter.recover(counted.recovery(), now);
        counter.failures > 0
    });

    if counters.len() < MAX_COUNTERS {
        return;
    }

    let oldest = counters.iter().min_by_key(|(_, counter)| counter.last);
    if let Some(oldest) = oldest.map(|(counted, _)| counted.clone()) {
        counters.remove(&oldest);
    }
}

impl Attempt<'_> {
    /// The attempt succeeded. The account has no failures from this network any more. The failures of the network and
    /// of the account from elsewhere stay, because somebody else can have made them.
    pub(super) fn succeed(self) {
        self.uncount();
        self.failures.0.lock().remove(&self.counted[0]);
    }

    /// The attempt failed at this time, from which the delay counts.
    pub(super) fn fail(self, now: Instant) {
        let mut counters = self.failures.0.lock();
        for one in &self.counted {
            if let Some(counter) = counters.get_mut(one) {
                counter.last = now;
            }
        }
    }

    /// The attempt could not be checked, so it does not count.
    pub(super) fn withdraw(self) {
        self.uncount();
    }

    fn uncount(&self) {
        let mut counters = self.failures.0.lock();
        for one in &self.counted {
            if let Some(counter) = counters.get_mut(one) {
                counter.failures = counter.failures.saturating_sub(1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    /// Makes failures as fast as they are allowed, and returns how many there are until the time is over.
    fn fail(failures: &Failures, account: &str, from: IpAddr, start: Instant, seconds: u64) -> usize {
        let mut count = 0;
        for second in 0..seconds {
            let now = start + Duration::from_secs(second);
            while failures.begin(account.to_owned(), from, now).is_ok() {
                count += 1;
                assert!(count < 10_000, "there is a limit");
            }
        }

        count
    }

    #[test]
    fn an_account_from_one_network_is_slowed_after_five_failures() {
        let (failures, start) = (Failures::default(), Instant::now());
        assert_eq!(fail(&failures, "ida", network(1), start, 1), 5);

        assert_eq!(
            failures.begin("ida".to_owned(), network(1), start).err(),
            Some(Duration::from_secs(FIRST_DELAY))
        );

        // An hour has room for the delays of 4, 8, 16, … 512 s, and then for about one attempt in ten minutes.
        assert!(fail(&failures, "ida", network(1), start, 3600) < 20);
        assert!(failures.begin("olga".to_owned(), network(1), start).is_ok());
        assert!(failures.begin("ida".to_owned(), network(2), start).is_ok());
    }

    #[test]
    fn a_network_is_slowed_although_it_changes_the_account() {
        let (failures, start) = (Failures::default(), Instant::now());
        let mut allowed = 0;
        for account in 0..100 {
            allowed += usize::from(failures.begin(account.to_string(), network(1), start).is_ok());
        }

        assert_eq!(allowed, 30);
    }

    #[test]
    fn an_account_is_slowed_from_everywhere_for_a_short_time_only() {
        let (failures, start) = (Failures::default(), Instant::now());
        let mut allowed = 0;
        for last in 0..100 {
            allowed += usize::from(failures.begin("ida".to_owned(), network(last), start).is_ok());
        }

        assert_eq!(allowed, 50);

        let later = start + Duration::from_secs(60);
        assert!(failures.begin("ida".to_owned(), network(200), later).is_ok());
    }

    #[test]
    fn a_success_forgets_the_failures_of_the_account_from_this_network() {
        let (failures, start) = (Failures::default(), Instant::now());
        for _ in 0..40 {
            for _ in 0..4 {
                let _ = failures.begin("ida".to_owned(), network(1), start);
            }

            match failures.begin("ida".to_owned(), network(1), start) {
                Ok(attempt) => attempt.succeed(),
                // The failures of the network stay.
                Err(_) => return,
            }
        }

        panic!("the network is not slowed");
    }

    #[test]
    fn an_attempt_that_was_not_checked_does_not_count() {
        let (failures, start) = (Failures::default(), Instant::now());
        for _ in 0..100 {
            let attempt = failures.begin("ida".to_owned(), network(1), start);
            attempt.expect("no delay").withdraw();
        }
    }

    #[test]
    fn failures_are_forgotten_with_time() {
        let (failures, start) = (Failures::default(), Instant::now());
        assert_eq!(fail(&failures, "ida", network(1), start, 1), 5);

        let after = |minutes: u64| start + Duration::from_secs(60 * minutes);
        assert_eq!(fail(&failures, "ida", network(1), after(20), 1), 2);
        assert_eq!(fail(&failures, "ida", network(1), after(100), 1), 5);
    }

    #[test]
    fn the_number_of_counters_is_bounded() {
        let (failures, start) = (Failures::default(), Instant::now());
        for number in 0..20_000_u32 {
            let from = IpAddr::from(std::net::Ipv4Addr::from(number));
            let _ = failures.begin(number.to_string(), from, start);
        }

        assert!(failures.0.lock().len() <= MAX_COUNTERS);
    }
}
