//! Hides addresses of the cluster in error messages from the broker.

use std::ops::Range;

use crate::rewrite::address_text::OVERWRITTEN;
use crate::rewrite::{KnownHosts, Outcome};
use crate::wire::edit;
use crate::wire::rope::Rope;
use crate::wire::schema::Role;
use crate::wire::walk::{Step, Value};

/// Edits the error messages of one response while it is walked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Texts {
    /// Each address is replaced.
    Replaced { compact: bool },
    /// Each is overwritten without a change of length, because the length of the frame has already
    /// been sent.
    Overwritten,
}

impl Texts {
    /// Takes in one step of the walk.
    pub(crate) fn step(
        self,
        step: &Step,
        frame: &Rope,
        known_hosts: &KnownHosts,
        out: &mut Outcome,
    ) {
        let Step::Value(found) = step else { return };
        if found.field.role != Role::ErrorMessage || !matches!(found.value, Value::Span) {
            return;
        }
        let text = frame.copy(found.data..found.end);
        match self {
            Self::Replaced { compact } => {
                let at = found.start..found.end;
                replace(at, &text, compact, known_hosts, out);
            }
            Self::Overwritten => overwrite(found.data, &text, known_hosts, out),
        }
    }
}

fn replace(
    at: Range<usize>,
    text: &[u8],
    compact: bool,
    known_hosts: &KnownHosts,
    out: &mut Outcome,
) {
    if let Some(redacted) = known_hosts.redacted(text) {
        out.edits.replace(at, edit::string(&redacted, compact));
        out.rewrites.blanked += 1;
    }
}

fn overwrite(from: usize, text: &[u8], known_hosts: &KnownHosts, out: &mut Outcome) {
    for address in known_hosts.addresses_in(text) {
        let hidden = vec![OVERWRITTEN; address.len()];
        out.edits
            .replace(from + address.start..from + address.end, hidden);
        out.rewrites.blanked += 1;
    }
}
