//! The walker on hostile bodies: one typed error or a walk, the same however the bytes are cut.
//! A quick_scan overlooks nothing that a walk reports, and sees nothing else in a sound body.

use std::iter;

use doorkeeper_core::wire::malformed::Malformed;
use doorkeeper_core::wire::quick_scan;
use doorkeeper_core::wire::schema::{Kind, Message, Role, Roles};
use doorkeeper_core::wire::walk::{FieldValue, Step, Value, Walker};
use doorkeeper_core::work;

use super::chunks::chunks;
use super::message;

/// So many steps are allowed for each byte,
const STEPS_PER_BYTE: u64 = 16;

/// and for each piece that they come in.
const STEPS_PER_PIECE: u64 = 64;

/// Input: API, version, flags, how to cut, how many bytes are claimed but never come; the body.
pub fn walk(data: &[u8]) {
    let Some((&[api, version, flags, pattern, missing], body)) = data.split_first_chunk() else {
        return;
    };
    let Some((message, version)) = message::named(api, version, flags) else {
        return;
    };
    let interest = interest(flags >> 1);
    let claimed = body.len().saturating_add(missing.into());
    let before = work::taken();
    let Some(whole) = run(message, version, claimed, interest, [body].into_iter()) else {
        return;
    };
    is_bounded(body, 1, before);
    let before = work::taken();
    let cut = run(message, version, claimed, interest, chunks(body, pattern));
    is_bounded(body, chunks(body, pattern).count(), before);
    assert_eq!(Some(&whole), cut.as_ref(), "chunking matters");
    // Being asked for less may end a walk sooner, and must never find more fault.
    let all = run(message, version, claimed, Roles::ALL, [body].into_iter());
    let is_sound = all.is_some_and(|it| matches!(it.end, Ok(Some(_))));
    if is_sound {
        assert!(
            matches!(whole.end, Ok(Some(_))),
            "less interest, more faults: {whole:?}"
        );
    }
    if missing == 0 {
        let before = work::taken();
        let bare = message
            .edition(version)
            .is_some_and(|edition| quick_scan::bare(edition, version, body, interest).is_some());
        is_bounded(body, 1, before);
        let told_nothing = whole.is_bare && matches!(whole.end, Ok(Some(_)));
        assert!(told_nothing || !bare, "a quick_scan overlooked something");
        // It does not look into tagged fields that nobody asked for.
        assert!(
            bare || !(told_nothing && is_sound),
            "a quick_scan saw something"
        );
    }
}

/// A byte costs a few steps, whatever it is, and so does a piece.
fn is_bounded(body: &[u8], pieces: usize, before: u64) {
    let steps = work::taken() - before;
    let allowed = STEPS_PER_BYTE * body.len() as u64 + STEPS_PER_PIECE * (pieces as u64 + 1);
    assert!(
        steps <= allowed,
        "{steps} steps for {} bytes in {pieces} pieces, {allowed} are allowed",
        body.len()
    );
}

/// Everything, what addresses are made of, what names topics, or one role alone.
fn interest(choice: u8) -> Roles {
    let addresses = [
        Role::EndpointId,
        Role::Host,
        Role::Port,
        Role::Endpoints,
        Role::Listeners,
    ];
    match choice {
        0 => Roles::ALL,
        1 => Roles::of(&addresses),
        2 => Roles::of(&[Role::TopicName, Role::TopicId, Role::Topics, Role::Records]),
        other => Role::ALL
            .get(usize::from(other) - 3)
            .map_or(Roles::NONE, |role| Roles::of(&[*role])),
    }
}

/// What a walk reported, small enough to compare for any input.
#[derive(Debug, PartialEq, Eq)]
struct WalkOutcome {
    steps: usize,
    hash: u64,
    /// Whether what was reported is null or empty.
    is_bare: bool,
    /// Where it ended; `None` when the bytes ran out first.
    end: Result<Option<usize>, Malformed>,
}

/// `None` when there is no such version.
fn run<'a>(
    message: &'static Message,
    version: i16,
    claimed: usize,
    interest: Roles,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> Option<WalkOutcome> {
    let mut walker = Walker::new(message, version, claimed, interest)?;
    let mut outcome = WalkOutcome {
        steps: 0,
        hash: 0xcbf2_9ce4_8422_2325,
        is_bare: true,
        end: Ok(None),
    };
    let mut given = 0;
    // An empty piece reports nothing, and lets the walk end in an empty body.
    for piece in iter::once(&[][..]).chain(pieces) {
        given += piece.len();
        let mut input = piece;
        loop {
            let before = (walker.offset(), input.len());
            let step = match walker.step(&mut input) {
                Ok(step) => step,
                Err(malformed) => {
                    assert_eq!(
                        walker.step(&mut input).err(),
                        Some(malformed),
                        "a fault vanished"
                    );
                    outcome.end = Err(malformed);
                    return Some(outcome);
                }
            };
            assert!(
                walker.offset() + input.len() == before.0 + before.1,
                "bytes lost count"
            );
            assert!(
                walker.offset() <= given.min(claimed),
                "read beyond what came"
            );
            match step {
                Step::More => {
                    assert!(input.is_empty(), "wants more and leaves some");
                    break;
                }
                Step::Done { at } => {
                    assert!(at <= given, "done beyond what came");
                    outcome.end = Ok(Some(at));
                    return Some(outcome);
                }
                Step::Begin { .. }
                | Step::Value(_)
                | Step::Array { .. }
                | Step::Element { .. }
                | Step::ElementEnd { .. }
                | Step::ArrayEnd { .. }
                | Step::Tags { .. }
                | Step::Tagged { .. }
                | Step::TaggedEnd { .. } => outcome.add(step, claimed),
            }
            // An element has a begin and an end, and an array of empty structures has no bytes.
            assert!(
                outcome.steps <= 8 * (given + 1) * 16,
                "reports more than the bytes can say"
            );
        }
    }
    Some(outcome)
}

/// Whether a step reports only places, a null or empty value, or a throttle.
fn is_bare(step: &Step) -> bool {
    match step {
        Step::Value(found) => match found.value {
            Value::Span => found.data == found.end,
            // A structure that is null could also be there.
            Value::Null => !matches!(found.field.kind, Kind::Struct(_)),
            // A quick_scan reports it as well.
            Value::Int(_) => found.role == Role::ThrottleTime,
            Value::Float(_) | Value::Uuid(_) => false,
        },
        Step::Array { count, .. } => count.is_none_or(|count| count == 0),
        Step::Element { .. } | Step::ElementEnd { .. } => false,
        Step::Tagged { .. } | Step::TaggedEnd { .. } => false,
        Step::More
        | Step::Begin { .. }
        | Step::ArrayEnd { .. }
        | Step::Tags { .. }
        | Step::Done { .. } => true,
    }
}

impl WalkOutcome {
    fn add(&mut self, step: Step, claimed: usize) {
        self.steps += 1;
        self.is_bare &= is_bare(&step);
        let ordered = |places: &[usize]| {
            assert!(places.is_sorted(), "places out of order: {places:?}");
            assert!(
                places.iter().all(|at| *at <= claimed),
                "places outside: {places:?}"
            );
        };
        match step {
            Step::Begin { field, at } => self.mix(1, field.name, &[at]),
            Step::Value(found) => self.value(&found, ordered),
            Step::Array {
                field,
                start,
                end,
                count,
                compact,
            } => {
                ordered(&[start, end]);
                // An element is at least one byte, so a count is bounded by what is left.
                let count = count.map_or(0, |it| usize::try_from(it).unwrap_or(usize::MAX));
                assert!(
                    count <= claimed - end,
                    "{count} elements in {} bytes",
                    claimed - end
                );
                self.mix(3, field.name, &[start, end, count, compact.into()]);
            }
            Step::Element { field, index, at } => {
                self.mix(4, field.name, &[at]);
                self.number(index.into());
            }
            Step::ElementEnd { field, index, at } => {
                self.mix(5, field.name, &[at]);
                self.number(index.into());
            }
            Step::ArrayEnd { field, at } => self.mix(6, field.name, &[at]),
            Step::Tags { at, end, count } => {
                ordered(&[at, end]);
                self.mix(7, "", &[at, end]);
                self.number(count.into());
            }
            Step::Tagged {
                field,
                at,
                size_start,
                content,
                end,
            } => {
                ordered(&[at, size_start, content, end]);
                self.mix(8, field.name, &[at, size_start, content, end]);
            }
            Step::TaggedEnd { field, at } => self.mix(9, field.name, &[at]),
            Step::More | Step::Done { .. } => {}
        }
    }

    fn value(&mut self, found: &FieldValue, ordered: impl Fn(&[usize])) {
        let places = [found.start, found.data, found.end];
        ordered(&places);
        self.mix(2, found.field.name, &places);
        match found.value {
            Value::Int(value) => self.number(value.cast_unsigned()),
            Value::Float(value) => self.number(value.to_bits()),
            Value::Uuid(value) => value.into_iter().for_each(|it| self.number(it.into())),
            Value::Span => self.number(3),
            Value::Null => self.number(4),
        }
    }

    fn mix(&mut self, kind: u64, name: &str, places: &[usize]) {
        self.number(kind);
        name.bytes().for_each(|it| self.number(it.into()));
        for place in places {
            self.number(u64::try_from(*place).unwrap_or(u64::MAX));
        }
    }

    /// FNV-1a over whole numbers.
    fn number(&mut self, number: u64) {
        self.hash = (self.hash ^ number).wrapping_mul(0x0100_0000_01b3);
    }
}
