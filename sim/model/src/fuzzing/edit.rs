//! The rope editor against a plain splice: the same bytes, wherever the slices end.

use std::ops::Range;

use bytes::Bytes;
use doorkeeper_core::wire::edit::Edits;
use doorkeeper_core::wire::rope::Rope;
use doorkeeper_core::work;

use super::chunks::chunks;

/// So many steps are allowed for each byte of the frame and each edit.
const STEPS_PER_PART: u64 = 8;

/// Input: how to cut, how many edits; four bytes each (gap, length, new length, order); the frame.
///
/// Edits of one frame never overlap, as those of a walk; some are reported behind those that
/// follow, as a count is behind the elements.
pub fn edit(data: &[u8]) {
    let Some((&[pattern, count, until], rest)) = data.split_first_chunk() else {
        return;
    };
    let (plan, frame) = rest.split_at(rest.len().min(usize::from(count) * 4));
    let changes = changes(plan, frame.len());
    let before = work::taken();
    let mut edits = reported(&changes);
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
    let steps = work::taken() - before;
    let allowed = STEPS_PER_PART * (frame.len() + changes.len() + 1) as u64;
    assert!(steps <= allowed, "{steps} steps, {allowed} are allowed");
}

/// The changes, in the order in which they are reported.
fn reported(changes: &[Change]) -> Edits {
    let mut edits = Edits::default();
    let mut late: Option<&Change> = None;
    for change in changes {
        let now = if change.late {
            late.replace(change)
        } else {
            Some(change)
        };
        now.into_iter().for_each(|it| it.report(&mut edits));
    }
    late.into_iter().for_each(|it| it.report(&mut edits));
    edits
}

struct Change {
    range: Range<usize>,
    with: Bytes,
    /// Reported behind those that follow, up to the next late one.
    late: bool,
}

impl Change {
    fn report(&self, edits: &mut Edits) {
        if self.with.is_empty() {
            edits.cut(self.range.clone());
        } else {
            edits.replace(self.range.clone(), self.with.clone());
        }
    }
}

/// In the order of the frame; a place where something is put in is a byte away from the next.
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
        let touches_next = order & 2 == 2 && len > 0;
        at = end + usize::from(!touches_next);
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
