//! Hides addresses of the cluster in error messages from the broker.

use crate::rewrite::address_text::OVERWRITTEN;
use crate::rewrite::{KnownHosts, Outcome};
use crate::wire::edit;
use crate::wire::rope::Rope;
use crate::wire::schema::Role;
use crate::wire::walk::{Found, Step, Value};

/// Replaces the addresses of the cluster in one error message.
pub(crate) fn step(
    step: &Step,
    frame: &Rope,
    known_hosts: &KnownHosts,
    compact: bool,
    out: &mut Outcome,
) {
    let Step::Value(found) = step else { return };
    if let Some(text) = message(found, frame)
        && let Some(redacted) = known_hosts.redacted(&text)
    {
        let at = found.start..found.end;
        out.edits.replace(at, edit::string(&redacted, compact));
        out.rewrites.blanked += 1;
    }
}

/// Overwrites the addresses of the cluster in one error message without a change of length, because
/// the length of the frame has already been sent.
pub(crate) fn step_in_place(
    step: &Step,
    frame: &Rope,
    known_hosts: &KnownHosts,
    out: &mut Outcome,
) {
    let Step::Value(found) = step else { return };
    let Some(text) = message(found, frame) else {
        return;
    };
    for address in known_hosts.addresses_in(&text) {
        let data = found.data;
        let hidden = vec![OVERWRITTEN; address.len()];
        out.edits
            .replace(data + address.start..data + address.end, hidden);
        out.rewrites.blanked += 1;
    }
}

fn message(found: &Found, frame: &Rope) -> Option<Vec<u8>> {
    let is_text = found.field.role == Role::ErrorMessage && matches!(found.value, Value::Span);
    is_text.then(|| frame.copy(found.data..found.end))
}
