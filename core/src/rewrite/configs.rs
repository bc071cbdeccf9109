//! Hides values of a broker's configuration that say where the cluster is (DescribeConfigs).

use std::ops::Range;

use crate::rewrite::address_text::OVERWRITTEN;
use crate::rewrite::config_keys::{Content, content};
use crate::rewrite::{KnownHosts, Outcome};
use crate::wire::config_resource::may_be_of_brokers;
use crate::wire::edit;
use crate::wire::rope::Rope;
use crate::wire::schema::Role;
use crate::wire::walk::{FieldValue, Step, Value};

/// How a value is hidden.
#[derive(Clone, Copy, Debug)]
enum Hiding {
    /// By null.
    Null { compact: bool },
    /// In its place, because the length of the response has been sent.
    Overwritten,
}

/// Shows such values as Kafka shows sensitive ones: null, and marked as sensitive.
#[derive(Debug)]
pub(crate) struct Configs {
    how: Hiding,
    /// Whether the current resource is one whose configs may contain addresses.
    of_broker: bool,
    /// Whether the current config's own value has been hidden.
    hidden: bool,
    /// What the name read last, of a config or a synonym, stands for.
    content: Content,
    in_synonyms: bool,
}

impl Configs {
    pub(crate) fn new(compact: bool) -> Self {
        Self::hiding(Hiding::Null { compact })
    }

    /// For a response whose length has been sent. A text of it must be there as a whole when it is
    /// read.
    pub(crate) fn in_place() -> Self {
        Self::hiding(Hiding::Overwritten)
    }

    fn hiding(how: Hiding) -> Self {
        Self {
            how,
            of_broker: false,
            hidden: false,
            content: Content::Unlisted,
            in_synonyms: false,
        }
    }

    /// Takes in one step of the walk.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "a walk yields just the roles that were asked for"
    )]
    pub(crate) fn step(
        &mut self,
        step: &Step,
        frame: &Rope,
        known_hosts: &KnownHosts,
        out: &mut Outcome,
    ) {
        match step {
            Step::Element { field, .. } => match field.role {
                Role::ConfigResults => self.of_broker = false,
                Role::ConfigEntries => {
                    self.hidden = false;
                    self.in_synonyms = false;
                }
                Role::ConfigSynonyms => self.in_synonyms = true,
                _ => {}
            },
            Step::Value(found) => self.found(found, frame, known_hosts, out),
            Step::More
            | Step::Begin { .. }
            | Step::Array { .. }
            | Step::ElementEnd { .. }
            | Step::ArrayEnd { .. }
            | Step::Tags { .. }
            | Step::Tagged { .. }
            | Step::TaggedEnd { .. }
            | Step::Done { .. } => {}
        }
    }

    fn found(
        &mut self,
        found: &FieldValue,
        frame: &Rope,
        known_hosts: &KnownHosts,
        out: &mut Outcome,
    ) {
        let at = found.start..found.end;
        let data = found.data..found.end;
        match (found.field.role, &found.value) {
            (Role::ResourceType, Value::Int(kind)) => {
                self.of_broker = may_be_of_brokers(*kind);
            }
            (Role::ConfigName, _) if self.of_broker => {
                self.content = content(&frame.copy(data));
            }
            (Role::ConfigValue, Value::Span)
                if self.of_broker && self.is_address(&data, frame, known_hosts) =>
            {
                self.hide(at, data, out);
            }
            (Role::IsSensitive, _) if self.hidden => out.edits.replace(at, vec![1]),
            _ => {}
        }
    }

    fn is_address(&self, value: &Range<usize>, frame: &Rope, known_hosts: &KnownHosts) -> bool {
        match self.content {
            Content::Addresses => true,
            Content::NoAddresses => false,
            Content::Unlisted => known_hosts.occurs_in(&frame.copy(value.clone())),
        }
    }

    fn hide(&mut self, at: Range<usize>, data: Range<usize>, out: &mut Outcome) {
        match self.how {
            Hiding::Null { compact } => out.edits.replace(at, edit::null_string(compact)),
            Hiding::Overwritten => {
                let hidden = vec![OVERWRITTEN; data.len()];
                out.edits.replace(data, hidden);
            }
        }
        out.rewrites.blanked += 1;
        self.hidden |= !self.in_synonyms;
    }
}
