//! What all fuzz targets share: an allocator that counts, and the bound on what it counts.

mod counting;

use doorkeeper_model::fuzzing::Target;

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;

/// Runs a target on one input, within its bound.
///
/// # Panics
/// When a rule is broken: libFuzzer keeps the input.
pub fn run(target: &Target, data: &[u8]) {
    bounded(data, target.body, target.bound.per_byte, target.bound.floor);
}

/// The same for a body that the model does not have.
///
/// # Panics
/// When a rule is broken.
pub fn bounded(data: &[u8], body: fn(&[u8]), per_byte: usize, floor: usize) {
    counting::bounded(data, body, per_byte, floor);
}
