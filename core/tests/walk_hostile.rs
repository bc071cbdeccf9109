//! The walker against bodies that lie: memory, work and errors stay bounded by the bytes received.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test may panic, and reads its frames from files"
)]
#![allow(
    unsafe_code,
    reason = "counting allocations takes an allocator of our own"
)]

mod walk_support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use doorkeeper_core::wire::malformed::Malformed;
use doorkeeper_core::wire::schema::{Direction, Message, Roles, message};
use doorkeeper_core::wire::walk::{Step, Walker};
use walk_support::{frames, messages, walk};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: both functions hand everything to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the contract of this very function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of this very function.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Walks to the end or the first error and returns that, with the number of steps.
fn run(
    message: &'static Message,
    version: i16,
    body: &[u8],
    interest: Roles,
) -> (Result<(), Malformed>, usize) {
    let mut walker = Walker::new(message, version, body.len(), interest).unwrap();
    let mut input = body;
    let mut steps = 0;
    loop {
        steps += 1;
        match walker.step(&mut input) {
            Ok(Step::Done { .. } | Step::More) => return (Ok(()), steps),
            Ok(_) => {}
            Err(malformed) => return (Err(malformed), steps),
        }
    }
}

#[test]
fn walking_allocates_nothing() {
    for frame in frames() {
        let before = ALLOCATIONS.get();
        let (result, _) = run(frame.message, frame.version, &frame.body, Roles::ALL);
        assert_eq!(ALLOCATIONS.get(), before, "{}", frame.name());
        assert_eq!(result, Ok(()), "{}", frame.name());
    }
}

#[test]
fn lies_allocate_nothing_and_take_few_steps() {
    let fills: [u8; 6] = [0x00, 0x01, 0x7f, 0x80, 0xfe, 0xff];
    for message in messages() {
        for version in message
            .editions
            .iter()
            .flat_map(|edition| edition.versions.iter())
        {
            for fill in fills {
                let body = [fill; 512];
                let before = ALLOCATIONS.get();
                let (_, steps) = run(message, version, &body, Roles::ALL);
                assert_eq!(
                    ALLOCATIONS.get(),
                    before,
                    "{} v{version} {fill:#x}",
                    message.name
                );
                // An element of one byte yields its beginning, a value and its end.
                assert!(
                    steps < 8 * body.len() + 64,
                    "{} v{version}: {steps}",
                    message.name
                );
            }
        }
    }
}

/// A Produce request v3 with one topic and one partition, up to the length of its records.
fn produce(records: &[u8]) -> Vec<u8> {
    let mut body = b"\xff\xff\0\x01\0\0\0\x05\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\0".to_vec();
    body.extend_from_slice(records);
    body
}

#[test]
fn each_lie_about_records_and_names_has_its_error() {
    use Malformed as M;
    let cases: &[(Vec<u8>, M)] = &[
        (vec![0xff, 0xfe], M::NegativeLength),
        (vec![0x7f, 0xff, b'x'], M::LengthExceedsFrame),
        (produce(&[0x7f, 0xff, 0xff, 0xff]), M::LengthExceedsFrame),
        (produce(&[0xff, 0xff, 0xff, 0xfe]), M::NegativeLength),
        (produce(&[0, 0, 0]), M::Truncated),
    ];
    let message = message(0, Direction::Request).unwrap();
    for (body, rule) in cases {
        let result = walk(message, 3, body, Roles::ALL);
        assert_eq!(result.err(), Some(*rule), "{body:x?}");
    }
}

#[test]
fn each_lie_in_a_varint_or_a_tag_has_its_error() {
    use Malformed as M;
    // Metadata requests v12: topics, two flags, tagged fields.
    let cases: &[(&[u8], M)] = &[
        (&[0xff, 0xff, 0xff, 0xff, 7], M::CountExceedsFrame),
        (&[0xff, 0xff, 0xff, 0xff, 8], M::Varint),
        (&[0x80; 64], M::Varint),
        (&[1, 0, 0, 0xff, 0x7f], M::CountExceedsFrame),
        (&[1, 0, 0, 1, 5, 0x80], M::Truncated),
        (&[1, 0, 0, 1, 5, 0x7f], M::LengthExceedsFrame),
        (&[1, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff], M::Varint),
    ];
    let message = message(3, Direction::Request).unwrap();
    for (body, rule) in cases {
        let result = walk(message, 12, body, Roles::ALL);
        assert_eq!(result.err(), Some(*rule), "{body:x?}");
    }
}

#[test]
fn a_bomb_of_tags_is_skipped_without_memory() {
    let message = message(3, Direction::Request).unwrap();
    // No topics, three flags, and as many empty tagged fields as fit, all with one number.
    let count = 500_000_u32;
    let mut body = vec![1, 0, 0, 0, 0xa0, 0xc2, 0x1e];
    body.extend(std::iter::repeat_n([9, 0], count as usize).flatten());
    let before = ALLOCATIONS.get();
    let (result, steps) = run(message, 9, &body, Roles::ALL);
    assert_eq!((ALLOCATIONS.get(), result), (before, Ok(())));
    assert!(steps < 16, "{steps}");
}

#[test]
fn a_million_empty_names_are_a_million_values() {
    let message = message(3, Direction::Request).unwrap();
    let count = 500_000_u32;
    let mut body = count.to_be_bytes().to_vec();
    body.resize(4 + 2 * count as usize, 0);
    let before = ALLOCATIONS.get();
    let (result, steps) = run(message, 0, &body, Roles::ALL);
    assert_eq!((ALLOCATIONS.get(), result), (before, Ok(())));
    assert!(steps as u64 <= 4 * u64::from(count) + 8, "{steps}");
}
