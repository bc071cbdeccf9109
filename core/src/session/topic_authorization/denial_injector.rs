//! Adds what was denied of a request to the broker's response to the rest.

use std::ops::Range;

use crate::policy::{Decision, Operation};
use crate::rewrite::Outcome;
use crate::session::topic_authorization::DeniedTopics;
use crate::wire::edit::{self, Edits};
use crate::wire::rope::Rope;
use crate::wire::schema::Role;
use crate::wire::walk::{Step, Value};

/// Edits the topics of one response while it is walked.
#[derive(Debug)]
pub(in crate::session) struct DenialInjector {
    denied: Box<DeniedTopics>,
    count: Option<(Range<usize>, usize, bool)>,
    /// Whether the topics or resources have begun.
    has_begun: bool,
    element_at: Option<usize>,
    name: Range<usize>,
    cut: usize,
    /// The response begins with an error that concerns all of it, and lists no topics then.
    failed: bool,
}

impl DenialInjector {
    pub(in crate::session) fn new(denied: Box<DeniedTopics>) -> Self {
        Self {
            denied,
            count: None,
            has_begun: false,
            element_at: None,
            name: 0..0,
            cut: 0,
            failed: false,
        }
    }

    /// The memory of the entries that have not been added yet.
    pub(in crate::session) const fn buffered_bytes(&self) -> usize {
        self.denied.buffered_bytes()
    }

    /// Takes in one step of the walk.
    #[cold]
    #[inline(never)]
    pub(in crate::session) fn step(&mut self, step: &Step, frame: &Rope, out: &mut Outcome) {
        let edits = &mut out.edits;
        match step {
            Step::Array {
                field,
                start,
                end,
                count,
                compact,
            } if matches!(field.role, Role::Topics | Role::Resources) => {
                if self.failed {
                    out.length_is_certain = true;
                    return;
                }
                self.has_begun = true;
                let count = count.map_or(0, |count| count as usize);
                self.count = Some((*start..*end, count, *compact));
                let entries = std::mem::take(&mut self.denied.entries);
                edits.replace(*end..*end, entries);
                if self.denied.filter.is_none() {
                    self.set_count(edits);
                    out.length_is_certain = true;
                }
            }
            Step::Element { field, at, .. } if field.role == Role::Topics => {
                self.element_at = Some(*at);
            }
            Step::Value(found) if found.role == Role::TopicName => {
                self.name = found.data..found.end;
            }
            // Before the topics stands only the error of the whole response (Fetch); what stands
            // among them is of one topic or resource.
            Step::Value(found) if found.role == Role::ErrorCode && !self.has_begun => {
                self.failed |= found.value != Value::Int(0);
            }
            Step::ElementEnd { field, at, .. } if field.role == Role::Topics => {
                if let Some(from) = self.element_at.take()
                    && self.leaves_out(frame)
                {
                    edits.cut(from..*at);
                    self.cut += 1;
                }
            }
            Step::ArrayEnd { field, .. } if field.role == Role::Topics => self.set_count(edits),
            Step::More
            | Step::Begin { .. }
            | Step::Value(_)
            | Step::Array { .. }
            | Step::Element { .. }
            | Step::ElementEnd { .. }
            | Step::ArrayEnd { .. }
            | Step::Tags { .. }
            | Step::Tagged { .. }
            | Step::TaggedEnd { .. }
            | Step::Done { .. } => {}
        }
    }

    fn set_count(&mut self, edits: &mut Edits) {
        if let Some((at, count, compact)) = self.count.take() {
            let count = (count + self.denied.count).saturating_sub(self.cut);
            edits.replace(at, edit::count(count, compact));
        }
    }

    fn leaves_out(&self, frame: &Rope) -> bool {
        let Some(filter) = &self.denied.filter else {
            return false;
        };
        let name = frame.copy(self.name.clone());
        let name = String::from_utf8_lossy(&name);
        let decision = filter
            .by
            .policy
            .topic(&filter.principal, Operation::Describe, &name);
        filter.all || decision == Decision::Deny
    }
}
