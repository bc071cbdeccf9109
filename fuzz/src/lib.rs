//! A bound on memory for every fuzz target: what is allocated may grow with the bytes that came,
//! never with a length that they claim.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many bytes may be allocated at once for each byte of input.
const PEAK_PER_BYTE: usize = 64;

/// What may be allocated whatever the input is.
const PEAK_FLOOR_BYTES: usize = 256 * 1024;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[expect(
    unsafe_code,
    reason = "an allocator is unsafe by its trait; this one passes all on"
)]
// SAFETY: every call goes to the system's allocator unchanged; counting touches atomics only.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW
            .fetch_add(layout.size(), Ordering::Relaxed)
            .wrapping_add(layout.size());
        PEAK.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise about `pointer` and `layout` is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Runs a body and panics when it held more memory at once than its input justifies.
///
/// # Panics
/// That is the point: libFuzzer keeps the input.
pub fn bounded(data: &[u8], body: fn(&[u8])) {
    let before = NOW.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    body(data);
    let grown = PEAK.load(Ordering::Relaxed).saturating_sub(before);
    let allowed = PEAK_FLOOR_BYTES.saturating_add(data.len().saturating_mul(PEAK_PER_BYTE));
    assert!(
        grown <= allowed,
        "{grown} bytes allocated for {} bytes of input",
        data.len()
    );
}
