//! The rope editor against a plain splice: the same bytes, wherever the slices end.

use std::ops::Range;

use bytes::Bytes;
use doorkeeper_core::wire::edit::Edits;
use doorkeeper_core::wire::rope::Rope;

use super::chunks::chunks;

/// Input: how to cut, how many edits; four bytes each (gap, length, new length, order); the frame.
///
/// Edits of one frame never overlap, as those of a walk; they may be told out of order.
pub fn edit(data: &[u8]) {
    let Some((&[pattern, count, until], rest)) = data.split_first_chunk() else {
        return;
    };
    let (plan, frame) = rest.split_at(rest.len().min(usize::from(count % 16) * 4));
    let changes = changes(plan, frame.len());
    let mut edits = Edits::default();
    let (late, early): (Vec<_>, Vec<_>) = changes.iter().partition(|it| it.late);
    for change in early.iter().chain(&late) {
        edits.replace(change.range.clone(), change.with.clone());
    }
    let expected = splice(frame, &changes);
    let growth = expected.len().cast_signed() - frame.len().cast_signed();
    assert_eq!(
        edits.growth(),
        growth,
        "the growth is not what the edits make"
    );

    let mut rope = Rope::default();
    for piece in chunks(frame, pattern) {
        rope.push(Bytes::copy_from_slice(piece));
        rope.settle(piece.len());
    }
    let mut out = Vec::new();
    // A frame may leave in two parts, cut at a place that no edit spans.
    let until = usize::from(until).min(frame.len());
    if !changes
        .iter()
        .any(|it| it.range.start <= until && until <= it.range.end)
    {
        edits.apply(&mut rope, until, |part| out.extend_from_slice(&part));
    }
    edits.apply(&mut rope, frame.len(), |part| out.extend_from_slice(&part));
    assert_eq!(out, expected, "edited another way than a plain splice");
    assert!(
        rope.is_empty() && edits.is_empty(),
        "something stayed behind"
    );
}

struct Change {
    range: Range<usize>,
    with: Bytes,
    /// Told after those that are not.
    late: bool,
}

/// In the order of the frame, at least a byte apart.
fn changes(plan: &[u8], frame_len: usize) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut at = 0;
    for step in plan.as_chunks::<4>().0 {
        let &[gap, len, new_len, order] = step;
        let start = at + usize::from(gap);
        let end = start + usize::from(len);
        if end > frame_len {
            break;
        }
        let with = Bytes::from(vec![order; new_len.into()]);
        changes.push(Change {
            range: start..end,
            with,
            late: order & 1 == 1,
        });
        at = end + 1;
    }
    changes
}

fn splice(frame: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    for change in changes {
        out.extend_from_slice(frame.get(at..change.range.start).unwrap_or_default());
        out.extend_from_slice(&change.with);
        at = change.range.end;
    }
    out.extend_from_slice(frame.get(at..).unwrap_or_default());
    out
}
