//! Takes a guard or an order rule out, so that a test can prove that the model test would notice.
//!
//! Each rule asks for its switch at the one place where it is kept. In a plain build the answer is always no, and
//! the compiler removes the question.

#[cfg(any(test, feature = "testing"))]
use std::cell::Cell;

/// A guard or an order rule that can be taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// A new object is written with `If-None-Match: *`.
    PutAbsent,
    /// A changed object is written with `If-Match`.
    PutMatches,
    /// An object is deleted with `If-Match`.
    DeleteMatches,
    /// The source of a copy must be as it was seen.
    CopySourceMatches,
    /// What was read must have the content id that the source told.
    ContentChecked,
    /// Only an object with a mark of a known run is ours to replace.
    OwnershipMark,
    /// Deletes go after all writes.
    DeletesAfterPuts,
    /// Nothing is deleted once something failed.
    NoDeletesAfterFailure,
    /// What points at data goes after it.
    LastRulesOrder,
    /// Intents are written before anything else.
    IntentsBeforeDirty,
    /// The root is dirty before any object changes.
    DirtyBeforeObjects,
    /// `creating` is said before any object changes.
    CreatingBeforeObjects,
    /// `success` is said after everything else.
    SuccessLast,
    /// Old files of the ledger go only after the root names them no more.
    CleanupAfterSwap,
    /// What dead runs left is looked at.
    SettleDeadRuns,
    /// Uploads of dead runs are aborted.
    AbortDeadUploads,
    /// Dead runs are kept in mind until nothing of them can land any more.
    UnsettledKept,
    /// A failed run of which nobody knows what it did is named in the root like a dead one.
    DoubtfulRunNamed,
    /// There is something to do as long as a dead run was not looked at for the last time.
    OverdueIsWork,
    /// The lease is taken only as it was seen.
    LeaseGuard,
    /// Nothing is sent that the lease does not outlive.
    FenceByLease,
    /// The root is swapped only as it was seen.
    RootGuard,
    /// After a lost swap a run goes on under another id.
    NewRunIdAfterLostSwap,
}

#[cfg(any(test, feature = "testing"))]
thread_local! {
    // Tests run on threads of their own, each with a runtime of one thread: no other test sees it.
    static OUT: Cell<Option<Switch>> = const { Cell::new(None) };
}

/// Whether a rule is taken out on this thread.
#[cfg(any(test, feature = "testing"))]
pub(crate) fn is_out(switch: Switch) -> bool {
    OUT.get() == Some(switch)
}

/// Whether a rule is taken out: never.
#[cfg(not(any(test, feature = "testing")))]
pub(crate) const fn is_out(_: Switch) -> bool {
    false
}

/// Keeps a rule out, on the thread that made it, until it is dropped.
#[cfg(any(test, feature = "testing"))]
#[derive(Debug)]
pub struct TakenOut(());

#[cfg(any(test, feature = "testing"))]
impl TakenOut {
    /// Takes a rule out; one at a time.
    pub fn new(switch: Switch) -> Self {
        OUT.set(Some(switch));
        Self(())
    }
}

#[cfg(any(test, feature = "testing"))]
impl Drop for TakenOut {
    fn drop(&mut self) {
        OUT.set(None);
    }
}
