//! How much an input makes core do, counted in steps: tests and fuzz targets compare it with
//! the bytes that came, as they do memory.
//!
//! A step is what takes about as long as any other: a slice that is looked at, a state of the
//! walker, a change of an edit, a rule that is asked, a few bytes that are copied. Nothing of it
//! is in a product build: steps are counted where assertions are on, for each thread, and decide
//! nothing.

#[cfg(debug_assertions)]
use std::cell::Cell;

/// So many bytes are copied in a step.
const COPIED_BYTES: usize = 64;

#[cfg(debug_assertions)]
thread_local! {
    static STEPS: Cell<u64> = const { Cell::new(0) };
}

/// Counts steps.
#[inline]
pub(crate) fn steps(count: usize) {
    #[cfg(debug_assertions)]
    STEPS.set(STEPS.get().saturating_add(count as u64));
    #[cfg(not(debug_assertions))]
    let _ = count;
}

/// Counts bytes that are copied.
#[inline]
pub(crate) fn copied(bytes: usize) {
    steps(1 + bytes / COPIED_BYTES);
}

/// The steps that core has taken on this thread so far; always 0 where assertions are off.
#[must_use]
pub fn taken() -> u64 {
    #[cfg(debug_assertions)]
    let taken = STEPS.get();
    #[cfg(not(debug_assertions))]
    let taken = 0;
    taken
}
