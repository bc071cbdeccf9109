//! Requests of which a part is refused: it is cut out, and the answer tells of it all the same.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::api::{CREATE_TOPICS, FETCH, METADATA, PRODUCE};
use crate::id::{ApiKey, ApiVersion};
use crate::policy::{Operation, Principal, Verdict};
use crate::shared::Shared;
use crate::wire::codec::{self, NotEncodable, RefusedTopic};
use crate::wire::edit::{self, Edits};
use crate::wire::header::RequestHead;
use crate::wire::rope::Rope;
use crate::wire::schema::{Role, Roles};
use crate::wire::walk::{Found, Step, Value};

/// `Errors.TOPIC_AUTHORIZATION_FAILED`.
const TOPIC_AUTHORIZATION_FAILED: i16 = 29;

/// `Errors.UNKNOWN_TOPIC_ID`: the same for an id that is unknown and one that is forbidden.
const UNKNOWN_TOPIC_ID: i16 = 100;

/// `FetchMetadata.FINAL_EPOCH`: a full Fetch that asks for no session.
const FINAL_EPOCH: i32 = -1;

/// What an API would do to the topics that its requests name, if its topics are judged.
pub(super) fn operation(api: ApiKey) -> Option<Operation> {
    match api {
        PRODUCE => Some(Operation::Write),
        FETCH => Some(Operation::Read),
        METADATA => Some(Operation::Describe),
        CREATE_TOPICS => Some(Operation::Create),
        _ => None,
    }
}

/// What must be read of a request whose topics are judged.
pub(super) const JUDGED: Roles = Roles::of(&[
    Role::Topics,
    Role::TopicName,
    Role::TopicId,
    Role::PartitionIndex,
    Role::SessionId,
    Role::SessionEpoch,
]);

/// What must be read of an answer that has to tell of a refusal.
pub(super) const TOLD: Roles = Roles::of(&[Role::Topics, Role::TopicName, Role::ErrorCode]);

/// The topics of one request, as they are read.
#[derive(Debug)]
pub(super) struct Topics {
    count: Option<Counted>,
    elements: Vec<Element>,
    inside: bool,
    session_id: Option<(Range<usize>, i64)>,
    session_epoch: Option<(Range<usize>, i64)>,
}

#[derive(Debug)]
struct Counted {
    at: Range<usize>,
    /// Nothing for null, which asks for all topics.
    count: Option<usize>,
    compact: bool,
}

#[derive(Debug, Default)]
struct Element {
    span: Range<usize>,
    name: Range<usize>,
    id: Option<[u8; 16]>,
    partitions: Vec<i32>,
}

/// What becomes of a request whose topics were judged.
#[derive(Debug)]
pub(super) enum Judgement {
    /// It goes up, changed or not; the answer is told what was refused.
    Pass(Edits, Option<Box<Refused>>),
    /// All of it is refused: this is the answer.
    Answer(Bytes),
}

impl Topics {
    pub(super) fn new() -> Self {
        Self {
            count: None,
            elements: Vec::new(),
            inside: false,
            session_id: None,
            session_epoch: None,
        }
    }

    /// Whether topics are named by their ids.
    pub(super) fn names_ids(&self) -> bool {
        self.elements.iter().any(|element| element.id.is_some())
    }

    /// Whether a Fetch goes on in a session that it has.
    pub(super) fn continues_session(&self) -> bool {
        self.session_epoch
            .as_ref()
            .is_some_and(|(_, epoch)| *epoch > 0)
    }

    /// Takes in one step of the walk; `base` is where the body begins in the frame.
    pub(super) fn step(&mut self, step: &Step, base: usize) {
        match step {
            Step::Array {
                field,
                start,
                end,
                count,
                compact,
            } if field.role == Role::Topics => {
                let at = base + start..base + end;
                let count = count.map(|count| count as usize);
                self.count = Some(Counted {
                    at,
                    count,
                    compact: *compact,
                });
            }
            Step::Element { field, at, .. } if field.role == Role::Topics => {
                self.inside = true;
                let span = base + at..base + at;
                self.elements.push(Element {
                    span,
                    ..Element::default()
                });
            }
            Step::ElementEnd { field, at, .. } if field.role == Role::Topics => {
                self.inside = false;
                if let Some(element) = self.elements.last_mut() {
                    element.span.end = base + at;
                }
            }
            Step::Value(found) => self.found(found, base),
            Step::More
            | Step::Begin { .. }
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

    fn found(&mut self, found: &Found, base: usize) {
        let at = base + found.start..base + found.end;
        if let Value::Int(int) = found.value {
            if found.role == Role::SessionId {
                self.session_id = Some((at, int));
            } else if found.role == Role::SessionEpoch {
                self.session_epoch = Some((at, int));
            }
        }
        // Topics that leave a fetch session have names of their own, outside the array. In
        // Metadata 0 each element is the name itself.
        if found.field.role == Role::TopicName && !self.inside {
            return;
        }
        let Some(element) = self.elements.last_mut().filter(|_| self.inside) else {
            return;
        };
        match (found.role, found.value) {
            (Role::TopicName, Value::Span) => element.name = base + found.data..base + found.end,
            (Role::TopicId, Value::Uuid(id)) if id != [0; 16] => element.id = Some(id),
            (Role::PartitionIndex, Value::Int(int)) => {
                element.partitions.extend(i32::try_from(int));
            }
            (_, Value::Int(_) | Value::Float(_) | Value::Uuid(_) | Value::Span | Value::Null) => {}
        }
    }

    /// Whether the value read last was what names the last topic.
    pub(super) fn is_last_named(&self) -> bool {
        let count = self.count.as_ref().and_then(|count| count.count);
        let last = self.elements.last().filter(|last| {
            self.inside && last.partitions.is_empty() && (last.id.is_some() || last.name.end > 0)
        });
        last.is_some() && count == Some(self.elements.len())
    }

    /// Whether nothing that was named so far is refused.
    pub(super) fn are_all_allowed(
        &self,
        what: Operation,
        principal: &Principal,
        shared: &Shared,
        frame: &Rope,
    ) -> bool {
        let refused = |element: &Element| element.judge(what, principal, shared, frame);
        self.elements
            .iter()
            .all(|element| refused(element).is_none())
    }

    /// Judges a request that has been read whole.
    pub(super) fn judge(
        self,
        head: RequestHead,
        what: Operation,
        principal: &Principal,
        shared: &Arc<Shared>,
        frame: &Rope,
    ) -> Result<Judgement, NotEncodable> {
        let mut edits = Edits::default();
        if head.api == FETCH
            && let Some(answer) = self.leave_session(head, &mut edits)
        {
            return answer.map(Judgement::Answer);
        }
        let mut topics = Vec::new();
        for element in &self.elements {
            if let Some(refused) = element.judge(what, principal, shared, frame) {
                edits.cut(element.span.clone());
                topics.push(refused);
            }
        }
        let left = self.elements.len() - topics.len();
        let lists = head.api == METADATA;
        if !topics.is_empty() && left == 0 && !lists {
            return codec::refusal(head, &topics).map(Judgement::Answer);
        }
        if let (false, Some(count)) = (topics.is_empty(), &self.count) {
            edits.replace(count.at.clone(), edit::count(left, count.compact));
        }
        let asks_for_all = self.count.as_ref().is_none_or(|count| {
            count.count.is_none() || (count.count == Some(0) && head.version == ApiVersion(0))
        });
        if topics.is_empty() && !(lists && asks_for_all) {
            return Ok(Judgement::Pass(edits, None));
        }
        let mut entries = BytesMut::new();
        for topic in &topics {
            entries.extend_from_slice(&codec::refused_topic(head.api, head.version, topic)?);
        }
        let refused = Refused {
            entries: entries.freeze(),
            count: topics.len(),
            filter: lists.then(|| Filter {
                by: Arc::clone(shared),
                principal: principal.clone(),
                // In version 0 no topics means all topics: whatever the broker lists then was
                // not asked for.
                all: !topics.is_empty() && left == 0,
            }),
        };
        Ok(Judgement::Pass(edits, Some(Box::new(refused))))
    }

    /// Where topics are judged, every Fetch is a full one without a session: a session at the
    /// broker would remember what was allowed once, and its id would serve whoever names it.
    fn leave_session(
        &self,
        head: RequestHead,
        edits: &mut Edits,
    ) -> Option<Result<Bytes, NotEncodable>> {
        let (Some((id_at, _)), Some((epoch_at, epoch))) = (&self.session_id, &self.session_epoch)
        else {
            return None;
        };
        if *epoch > 0 {
            return Some(codec::no_fetch_session(head));
        }
        edits.replace(id_at.clone(), vec![0; 4]);
        edits.replace(epoch_at.clone(), FINAL_EPOCH.to_be_bytes().to_vec());
        None
    }
}

impl Element {
    fn judge(
        &self,
        what: Operation,
        principal: &Principal,
        shared: &Shared,
        frame: &Rope,
    ) -> Option<RefusedTopic> {
        let refused = |name: String, id, error_code| {
            let partitions = self.partitions.clone();
            Some(RefusedTopic {
                name,
                id,
                partitions,
                error_code,
            })
        };
        if let Some(id) = self.id {
            // Nobody here knows the name behind an id, and what cannot be told is refused.
            return refused(String::new(), id, UNKNOWN_TOPIC_ID);
        }
        let name = frame.copy(self.name.clone());
        // Kafka decodes invalid UTF-8 to replacement characters; no rule names such a topic.
        let name = String::from_utf8_lossy(&name).into_owned();
        match shared.policy.topic(principal, what, &name) {
            Verdict::Allow => None,
            Verdict::Refuse => refused(name, [0; 16], TOPIC_AUTHORIZATION_FAILED),
        }
    }
}

/// What an answer has to tell besides what the broker says.
#[derive(Debug)]
pub(super) struct Refused {
    /// The entries of the refused topics, encoded.
    entries: Bytes,
    count: usize,
    filter: Option<Filter>,
}

impl Refused {
    /// Entries that are put before those of the broker.
    #[cfg(test)]
    pub(super) fn telling(entries: Bytes, count: usize) -> Self {
        Self {
            entries,
            count,
            filter: None,
        }
    }

    /// The memory that it keeps until the answer comes.
    pub(super) const fn held_bytes(&self) -> usize {
        self.entries.len()
    }
}

/// Which topics of a listing are left out, by the snapshot of its request.
#[derive(Debug)]
struct Filter {
    by: Arc<Shared>,
    principal: Principal,
    all: bool,
}

/// Edits the topics of one answer while it is walked.
#[derive(Debug)]
pub(super) struct Teller {
    refused: Box<Refused>,
    count: Option<(Range<usize>, usize, bool)>,
    element_at: Option<usize>,
    name: Range<usize>,
    cut: usize,
    /// The answer begins with an error that concerns all of it, and lists no topics then.
    failed: bool,
}

impl Teller {
    pub(super) fn new(refused: Box<Refused>) -> Self {
        Self {
            refused,
            count: None,
            element_at: None,
            name: 0..0,
            cut: 0,
            failed: false,
        }
    }

    /// Takes in one step of the walk; `base` is where the body begins in the frame. True once
    /// the length of the answer is certain.
    pub(super) fn step(
        &mut self,
        step: &Step,
        base: usize,
        frame: &Rope,
        edits: &mut Edits,
    ) -> bool {
        match step {
            Step::Array {
                field,
                start,
                end,
                count,
                compact,
            } if field.role == Role::Topics => {
                if self.failed {
                    return true;
                }
                let count = count.map_or(0, |count| count as usize);
                self.count = Some((base + start..base + end, count, *compact));
                edits.replace(base + end..base + end, self.refused.entries.clone());
                if self.refused.filter.is_none() {
                    self.set_count(edits);
                    return true;
                }
            }
            Step::Element { field, at, .. } if field.role == Role::Topics => {
                self.element_at = Some(base + at);
            }
            Step::Value(found) if found.role == Role::TopicName => {
                self.name = base + found.data..base + found.end;
            }
            // Before the topics stands only the error of the whole answer (Fetch).
            Step::Value(found) if found.role == Role::ErrorCode && self.count.is_none() => {
                self.failed |= found.value != Value::Int(0);
            }
            Step::ElementEnd { field, at, .. } if field.role == Role::Topics => {
                if let Some(from) = self.element_at.take()
                    && self.leaves_out(frame)
                {
                    edits.cut(from..base + at);
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
        false
    }

    fn set_count(&mut self, edits: &mut Edits) {
        if let Some((at, count, compact)) = self.count.take() {
            let count = (count + self.refused.count).saturating_sub(self.cut);
            edits.replace(at, edit::count(count, compact));
        }
    }

    fn leaves_out(&self, frame: &Rope) -> bool {
        let Some(filter) = &self.refused.filter else {
            return false;
        };
        let name = frame.copy(self.name.clone());
        let name = String::from_utf8_lossy(&name);
        let verdict = filter
            .by
            .policy
            .topic(&filter.principal, Operation::Describe, &name);
        filter.all || verdict == Verdict::Refuse
    }
}
