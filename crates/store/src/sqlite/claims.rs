//! Leases in memory. One process owns the file, so nobody else can hold one; the batch that was claimed is on disk all
//! the same (table `leases`), so that a crash leaves attempts of unknown outcome and no silence.

mod on_disk;

use std::collections::HashMap;

use quickdraw_domain::delivery::Tally;
use quickdraw_domain::{DeliveryId, HookId, Timestamp};
use uuid::Uuid;

pub(super) use on_disk::{adopt, forget_claim, unknown, write_claim};

/// A lease.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lease {
    pub(super) claim: i64,
    pub(super) hook: HookId,
    pub(super) until: Timestamp,
    pub(super) tally: Tally,
}

#[derive(Default)]
pub(super) struct Claims {
    leases: HashMap<DeliveryId, Lease>,

    /// Deliveries of a claim that are not settled yet.
    open: HashMap<i64, usize>,
    in_flight: HashMap<HookId, usize>,

    /// Whether claims of an earlier life have been looked for. Nothing may be claimed before that: a delivery that was
    /// sent and not recorded would be sent again without a trace of the first time.
    pub(super) adopted: bool,

    /// How far retention has looked; it goes on there.
    pub(super) pruned_to: Uuid,

    /// Where the walk over hooks goes on, so that none is always first.
    pub(super) next_hook: [i64; 2],
}

impl Claims {
    pub(super) fn holds(&self, delivery: DeliveryId) -> bool {
        self.leases.contains_key(&delivery)
    }

    pub(super) fn in_flight(&self, hook: HookId) -> usize {
        self.in_flight.get(&hook).copied().unwrap_or(0)
    }

    pub(super) fn add(&mut self, delivery: DeliveryId, lease: Lease) {
        *self.in_flight.entry(lease.hook).or_default() += 1;
        *self.open.entry(lease.claim).or_default() += 1;
        self.leases.insert(delivery, lease);
    }

    /// Ends a lease if its number is still this one. Gives the lease, and whether its claim is now settled as a whole.
    pub(super) fn end(&mut self, delivery: DeliveryId, fence: i64) -> Option<(Lease, bool)> {
        let lease = *self.leases.get(&delivery)?;
        if lease.claim != fence {
            return None;
        }

        self.leases.remove(&delivery);

        if let Some(count) = self.in_flight.get_mut(&lease.hook) {
            *count -= 1;
            if *count == 0 {
                self.in_flight.remove(&lease.hook);
            }
        }

        let count = self.open.get_mut(&lease.claim)?;
        *count -= 1;

        let settled = *count == 0;
        if settled {
            self.open.remove(&lease.claim);
        }

        Some((lease, settled))
    }

    pub(super) fn lapsed(&self, now: Timestamp) -> Vec<(DeliveryId, Lease)> {
        self.leases
            .iter()
            .filter(|(_, lease)| lease.until <= now)
            .map(|(id, lease)| (*id, *lease))
            .collect()
    }

    pub(super) fn knows(&self, claim: i64) -> bool {
        self.open.contains_key(&claim)
    }
}
