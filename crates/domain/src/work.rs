//! A budget of work for expressions, wildcards and filters that users write. Work is counted in steps and not in time,
//! so that the same input always has the same result. A step takes about 5 to 10 ns in a release build.

/// The budget is used up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("it takes more work than is allowed")]
pub struct Exhausted;

/// A budget of steps.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Work {
    left: u64,
    taken: u64,
}

impl Work {
    /// A budget with this number of steps.
    #[must_use]
    pub const fn new(steps: u64) -> Self {
        Self { left: steps, taken: 0 }
    }

    /// Takes steps out of the budget.
    ///
    /// # Errors
    /// When fewer are left. The budget is then empty.
    pub fn spend(&mut self, steps: usize) -> Result<(), Exhausted> {
        let steps = u64::try_from(steps).unwrap_or(u64::MAX);
        self.taken = self.taken.saturating_add(steps.min(self.left));

        match self.left.checked_sub(steps) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                self.left = 0;
                Err(Exhausted)
            }
        }
    }

    /// Steps taken so far.
    #[must_use]
    pub const fn taken(&self) -> u64 {
        self.taken
    }

    /// Steps that are left.
    #[must_use]
    pub const fn left(&self) -> u64 {
        self.left
    }
}
