//! Byte budgets: they limit the memory that clients can make the server use.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

/// Bytes of each [`Holding`] that are not charged: an active client needs them briefly.
const FREE: usize = 4_096;
/// Charges are made in steps of this many bytes, so that a change of a few bytes costs nothing.
const STEP: usize = 4_096;

/// A limit of bytes for one address, one IPv6 /48 or the process. A budget also charges its parent.
#[derive(Debug)]
pub(crate) struct Budget {
    held: AtomicUsize,
    limit: usize,
    parent: Option<Arc<Budget>>,
}

impl Budget {
    pub(crate) fn new(limit: usize, parent: Option<Arc<Self>>) -> Arc<Self> {
        Arc::new(Self { held: AtomicUsize::new(0), limit, parent })
    }

    /// Takes bytes, or nothing if this budget or one above it has fewer left.
    fn take(&self, bytes: usize) -> bool {
        let taken = self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
            held.checked_add(bytes).filter(|held| *held <= self.limit)
        });
        if taken.is_err() {
            return false;
        }
        let parent = self.parent.as_ref().is_none_or(|parent| parent.take(bytes));
        if !parent {
            self.held.fetch_sub(bytes, Ordering::Relaxed);
        }
        parent
    }

    /// Takes bytes that exist already, whether or not they fit.
    pub(crate) fn take_anyway(&self, bytes: usize) {
        self.held.fetch_add(bytes, Ordering::Relaxed);
        if let Some(parent) = &self.parent {
            parent.take_anyway(bytes);
        }
    }

    /// Gives bytes back.
    pub(crate) fn give_back(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
        if let Some(parent) = &self.parent {
            parent.give_back(bytes);
        }
    }

    /// Whether the budget is used up.
    pub(crate) fn is_spent(&self) -> bool {
        self.held() >= self.limit
    }

    /// How many bytes are held.
    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

/// What one owner holds against one or two budgets; dropping it gives everything back.
#[derive(Debug)]
pub(crate) struct Holding {
    budget: Arc<Budget>,
    also: Option<Arc<Budget>>,
    charged: usize,
}

impl Holding {
    pub(crate) fn new(budget: Arc<Budget>) -> Self {
        Self { budget, also: None, charged: 0 }
    }

    /// Whether the budget is used up but for a sixteenth, which may be too little for what others wait for.
    pub(crate) fn is_nearly_spent(&self) -> bool {
        self.budget.held() >= self.budget.limit / 16 * 15
    }

    /// Charges another budget, too.
    pub(crate) fn and(mut self, also: Arc<Budget>) -> Self {
        self.also = Some(also);
        self
    }

    /// Sets how many bytes the owner holds. Returns false and changes nothing if that exceeds a budget.
    /// Shrinking always succeeds.
    pub(crate) fn set(&mut self, bytes: usize) -> bool {
        let charge = Self::charge(bytes);
        if charge > self.charged {
            let more = charge - self.charged;
            if !self.budget.take(more) {
                return false;
            }
            if self.also.as_ref().is_some_and(|also| !also.take(more)) {
                self.budget.give_back(more);
                return false;
            }
            self.charged = charge;
        } else {
            self.shrink(charge);
        }
        true
    }

    /// The same without free bytes, for one of many things of a client.
    pub(crate) fn set_whole(&mut self, bytes: usize) -> bool {
        self.set(bytes.saturating_add(FREE))
    }

    /// Sets how many bytes the owner holds, even over budget, for memory that is already in use.
    pub(crate) fn set_anyway(&mut self, bytes: usize) {
        let charge = Self::charge(bytes);
        if charge > self.charged {
            let more = charge - self.charged;
            self.budgets().for_each(|budget| budget.take_anyway(more));
            self.charged = charge;
        } else {
            self.shrink(charge);
        }
    }

    /// The charge for `bytes`: 0 up to [`FREE`], then rounded up to [`STEP`].
    fn charge(bytes: usize) -> usize {
        bytes.saturating_sub(FREE).div_ceil(STEP) * STEP
    }

    fn budgets(&self) -> impl Iterator<Item = &Arc<Budget>> {
        std::iter::once(&self.budget).chain(&self.also)
    }

    fn shrink(&mut self, charge: usize) {
        let less = self.charged - charge;
        if less > 0 {
            self.budgets().for_each(|budget| budget.give_back(less));
            self.charged = charge;
        }
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.shrink(0);
    }
}

/// What the server keeps for one connection: the connection itself, its memberships and subscriptions.
/// [`Charge`]s share it, because a budget counts in steps that are larger than most of them.
#[derive(Debug)]
pub(crate) struct Account(Mutex<(usize, Holding)>);

impl Account {
    /// An account with `bytes`, or `None` if a budget has fewer left.
    pub(crate) fn open(mut held: Holding, bytes: usize) -> Option<Arc<Self>> {
        held.set(bytes).then(|| Arc::new(Self(Mutex::new((bytes, held)))))
    }

    /// Changes a part of the account. Returns false, and changes nothing, if a budget has fewer bytes left.
    fn change(&self, before: usize, now: usize) -> bool {
        // No code that can panic runs under the lock.
        let mut account = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = account.0.saturating_sub(before) + now;
        let changed = account.1.set(bytes);
        if changed {
            account.0 = bytes;
        }
        changed
    }
}

/// A part of an [`Account`]. Dropping it gives its bytes back.
#[derive(Debug)]
pub(crate) struct Charge {
    account: Arc<Account>,
    bytes: usize,
}

impl Charge {
    pub(crate) fn new(account: Arc<Account>) -> Self {
        Self { account, bytes: 0 }
    }

    /// Changes the number of bytes. Returns false, and changes nothing, if a budget has fewer left. Fewer
    /// bytes than before always succeed.
    pub(crate) fn set(&mut self, bytes: usize) -> bool {
        let changed = self.account.change(self.bytes, bytes);
        if changed {
            self.bytes = bytes;
        }
        changed
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.account.change(self.bytes, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holding_beyond_its_free_bytes_is_charged_to_every_budget_above() {
        let process = Budget::new(10 * STEP, None);
        let address = Budget::new(6 * STEP, Some(process.clone()));
        let mut holding = Holding::new(address.clone());
        assert!(holding.set(FREE));
        assert_eq!((address.held(), process.held()), (0, 0));
        assert!(holding.set(FREE + 1));
        assert_eq!((address.held(), process.held()), (STEP, STEP));
        assert!(holding.set(FREE + 3 * STEP));
        assert_eq!((address.held(), process.held()), (3 * STEP, 3 * STEP));
        assert!(holding.set(0));
        assert_eq!((address.held(), process.held()), (0, 0));
    }

    #[test]
    fn holding_against_two_budgets_takes_from_both_or_from_none() {
        let [one, other] = [4, 2].map(|steps| Budget::new(steps * STEP, None));
        let mut holding = Holding::new(one.clone()).and(other.clone());
        assert!(!holding.set(FREE + 3 * STEP));
        assert_eq!((one.held(), other.held()), (0, 0));
        assert!(holding.set(FREE + 2 * STEP));
        assert_eq!((one.is_spent(), other.is_spent()), (false, true));
        drop(holding);
        assert_eq!((one.held(), other.held()), (0, 0));
    }

    #[test]
    fn holding_over_any_budget_is_refused_and_changes_nothing() {
        let process = Budget::new(4 * STEP, None);
        let [first, second] = [0; 2].map(|_| Budget::new(3 * STEP, Some(process.clone())));
        let (mut one, mut other) = (Holding::new(first.clone()), Holding::new(second.clone()));
        assert!(!one.set(FREE + 4 * STEP), "its own budget has fewer");
        assert!(one.set(FREE + 3 * STEP));
        assert!(!other.set(FREE + 2 * STEP), "the process has fewer");
        assert_eq!((first.held(), second.held(), process.held()), (3 * STEP, 0, 3 * STEP));
        drop(one);
        assert!(other.set(FREE + 2 * STEP));
        other.set_anyway(FREE + 9 * STEP);
        assert_eq!((second.held(), process.held()), (9 * STEP, 9 * STEP));
        drop(other);
        assert_eq!((first.held(), second.held(), process.held()), (0, 0, 0));
    }
}
