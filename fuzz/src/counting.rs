//! An allocator that counts, so that every target has a bound on its memory: exact, the same on
//! every machine, and without a sanitizer.
//!
//! The tests that replay `corpus/` include this file by its path: they keep the same bounds.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// Bytes that this thread has allocated less those that it has freed, its own or not.
    static NOW: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

/// Counts what each thread allocates.
pub(crate) struct Counting;

#[expect(
    unsafe_code,
    reason = "an allocator is unsafe by its trait; this one passes all on"
)]
// SAFETY: every call goes to the system's allocator unchanged; counting touches cells only, which
// have no destructor and need no memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.get() + layout.size().cast_signed();
        NOW.set(now);
        PEAK.set(PEAK.get().max(now));
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.set(NOW.get() - layout.size().cast_signed());
        // SAFETY: the caller's promise about `pointer` and `layout` is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Runs a body and panics when it used more memory at once than its input justifies.
///
/// # Panics
/// That is the point: libFuzzer keeps the input.
pub(crate) fn bounded(data: &[u8], body: fn(&[u8]), per_byte: usize, floor: usize) {
    let before = NOW.get();
    PEAK.set(before);
    body(data);
    let grown = (PEAK.get() - before).unsigned_abs();
    let allowed = floor.saturating_add(data.len().saturating_mul(per_byte));
    assert!(
        grown <= allowed,
        "{grown} bytes allocated for {} bytes of input, {allowed} are allowed",
        data.len()
    );
}
