//! The topics of one request, authorized while it is read: each when its name has been read, and
//! only denied topics are kept.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::api::TopicRule;
use crate::id::ApiVersion;
use crate::policy::{Decision, Operation, Principal};
use crate::session::topic_authorization::{DeniedTopics, Filter};
use crate::snapshot::Snapshot;
use crate::wire::codec::{self, DeniedTopic, NotEncodable, TopicEntry};
use crate::wire::edit::{self, Edits};
use crate::wire::header::RequestHead;
use crate::wire::rope::Rope;
use crate::wire::schema::Role;
use crate::wire::walk::{FieldValue, Step, Value};
use crate::work;

/// `Errors.TOPIC_AUTHORIZATION_FAILED`.
const TOPIC_AUTHORIZATION_FAILED: i16 = 29;

/// `Errors.UNKNOWN_TOPIC_ID`: the same for an id that is unknown and one that is forbidden.
const UNKNOWN_TOPIC_ID: i16 = 100;

/// `FetchMetadata.FINAL_EPOCH`: a full Fetch that asks for no session.
const FINAL_EPOCH: i32 = -1;

/// Who asks, by which rules, and where the names are.
#[derive(Clone, Copy, Debug)]
pub(in crate::session) struct Authorizer<'a> {
    pub(in crate::session) principal: &'a Principal,
    pub(in crate::session) snapshot: &'a Snapshot,
    pub(in crate::session) frame: &'a Rope,
}

/// The topics of one request, as they are read.
#[derive(Debug)]
pub(in crate::session) struct Topics {
    head: RequestHead,
    rule: TopicRule,
    count: Option<ArrayCount>,
    /// How many have begun.
    begun: usize,
    current: Option<Current>,
    /// The entries of the denied topics, encoded.
    entries: BytesMut,
    denied: usize,
    /// The denied topics, cut.
    edits: Edits,
    session_id: Option<Range<usize>>,
    session_epoch: Option<(Range<usize>, i64)>,
}

#[derive(Debug)]
struct ArrayCount {
    at: Range<usize>,
    /// Nothing for null, which asks for all topics.
    count: Option<usize>,
    compact: bool,
}

/// The topic that is being read.
#[derive(Debug)]
struct Current {
    from: usize,
    decision: TopicDecision,
}

#[derive(Debug)]
enum TopicDecision {
    /// Nothing has named it yet.
    Unnamed,
    Allowed,
    Denied {
        topic: DeniedTopic,
        /// Its partitions as the response names them, encoded.
        partitions: BytesMut,
        count: usize,
    },
}

/// What becomes of a request whose topics were authorized.
#[derive(Debug)]
pub(in crate::session) enum AuthorizedRequest {
    /// It goes up, changed or not; what was denied is added to the response.
    Pass(Edits, Option<Box<DeniedTopics>>),
    /// All of it is denied: this is the response.
    Response(Bytes),
}

impl Topics {
    pub(in crate::session) fn new(head: RequestHead, rule: TopicRule) -> Self {
        Self {
            head,
            rule,
            count: None,
            begun: 0,
            current: None,
            entries: BytesMut::new(),
            denied: 0,
            edits: Edits::default(),
            session_id: None,
            session_epoch: None,
        }
    }

    /// Whether nothing that decides stands behind the name of the last topic.
    pub(in crate::session) const fn end_with_names(&self) -> bool {
        self.rule.ends_with_names
    }

    /// Whether it is a Fetch that has a session or asks for one.
    pub(in crate::session) const fn has_session(&self) -> bool {
        self.session_id.is_some()
    }

    /// The memory that is kept of denied topics.
    pub(in crate::session) fn pinned(&self) -> usize {
        let current = self
            .current
            .as_ref()
            .map_or(0, |current| match &current.decision {
                TopicDecision::Denied { partitions, .. } => partitions.len(),
                TopicDecision::Unnamed | TopicDecision::Allowed => 0,
            });
        self.entries.len() + self.edits.pinned() + current
    }

    /// Whether the last topic has been named, and none is denied.
    pub(in crate::session) fn are_all_allowed(&self) -> bool {
        let count = self.count.as_ref().and_then(|count| count.count);
        let current = self.current.as_ref().map(|current| &current.decision);
        count == Some(self.begun)
            && matches!(current, Some(TopicDecision::Allowed))
            && self.denied == 0
    }

    /// Takes in one step of the walk.
    ///
    /// # Errors
    /// A denial cannot be encoded in the version of the request.
    pub(in crate::session) fn step(
        &mut self,
        step: &Step,
        authorizer: Authorizer<'_>,
    ) -> Result<(), NotEncodable> {
        match step {
            Step::Array {
                field,
                start,
                end,
                count,
                compact,
            } if field.role == Role::Topics => {
                self.count = Some(ArrayCount {
                    at: *start..*end,
                    count: count.map(|count| count as usize),
                    compact: *compact,
                });
            }
            Step::Element { field, at, .. } if field.role == Role::Topics => {
                self.begun += 1;
                self.current = Some(Current {
                    from: *at,
                    decision: TopicDecision::Unnamed,
                });
            }
            Step::ElementEnd { field, at, .. } if field.role == Role::Topics => {
                return self.settle(*at, authorizer);
            }
            Step::Value(found) => return self.found(found, authorizer),
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
        Ok(())
    }

    fn found(
        &mut self,
        found: &FieldValue,
        authorizer: Authorizer<'_>,
    ) -> Result<(), NotEncodable> {
        let at = found.start..found.end;
        if let Value::Int(int) = found.value {
            if found.role == Role::SessionId {
                self.session_id = Some(at);
            } else if found.role == Role::SessionEpoch {
                self.session_epoch = Some((at, int));
            }
        }
        // Topics that leave a fetch session have names of their own, outside the array.
        let Some(current) = &mut self.current else {
            return Ok(());
        };
        let is_unnamed = matches!(current.decision, TopicDecision::Unnamed);
        match (found.role, found.value) {
            (Role::TopicName, Value::Span) if is_unnamed => {
                let name = authorizer.frame.copy(found.data..found.end);
                current.decision = TopicDecision::of_name(&name, self.rule.operation, authorizer);
            }
            // Nobody here knows the name behind an id, and a topic without a name is denied.
            (Role::TopicId, Value::Uuid(id)) if id != [0; 16] => {
                current.decision = TopicDecision::denied(String::new(), id, UNKNOWN_TOPIC_ID);
            }
            (Role::PartitionIndex, Value::Int(index)) => {
                if is_unnamed {
                    current.decision = TopicDecision::of_name(b"", self.rule.operation, authorizer);
                }
                return current
                    .decision
                    .partition(self.rule.entry, self.head, index);
            }
            (_, Value::Int(_) | Value::Float(_) | Value::Uuid(_) | Value::Span | Value::Null) => {}
        }
        Ok(())
    }

    /// The current topic has been read to its end.
    fn settle(&mut self, end: usize, authorizer: Authorizer<'_>) -> Result<(), NotEncodable> {
        let Some(Current { from, decision }) = self.current.take() else {
            return Ok(());
        };
        let decision = match decision {
            TopicDecision::Unnamed => TopicDecision::of_name(b"", self.rule.operation, authorizer),
            TopicDecision::Allowed | TopicDecision::Denied { .. } => decision,
        };
        if let TopicDecision::Denied {
            topic,
            partitions,
            count,
        } = decision
        {
            let (entry, entries) = (self.rule.entry, &mut self.entries);
            codec::denied_topic(entry, self.head, topic, (count, &partitions), entries)?;
            work::copied(partitions.len());
            self.edits.cut(from..end);
            self.denied += 1;
        }
        Ok(())
    }

    /// Decides on a request that has been read whole.
    pub(in crate::session) fn decide(
        mut self,
        principal: &Principal,
        snapshot: &Arc<Snapshot>,
    ) -> Result<AuthorizedRequest, NotEncodable> {
        let head = self.head;
        if let Some(response) = self.leave_session() {
            return response.map(AuthorizedRequest::Response);
        }
        let (denied, left) = (self.denied, self.begun - self.denied);
        let TopicRule { entry, lists, .. } = self.rule;
        if denied > 0 && left == 0 && !lists {
            work::copied(self.entries.len());
            let response = codec::denial_of_topics(entry, head, denied, &self.entries);
            return response.map(AuthorizedRequest::Response);
        }
        let asks_for_all = self.count.as_ref().is_none_or(|count| {
            count.count.is_none() || (count.count == Some(0) && head.version == ApiVersion(0))
        });
        let mut edits = self.edits;
        if let (true, Some(count)) = (denied > 0, self.count) {
            edits.replace(count.at, edit::count(left, count.compact));
        }
        if denied == 0 && !(lists && asks_for_all) {
            return Ok(AuthorizedRequest::Pass(edits, None));
        }
        let denied = DeniedTopics {
            entries: codec::exact(self.entries),
            count: denied,
            filter: lists.then(|| Filter {
                by: Arc::clone(snapshot),
                principal: principal.clone(),
                // In version 0 no topics means all topics: whatever the broker lists then was
                // not asked for.
                all: denied > 0 && left == 0,
            }),
        };
        Ok(AuthorizedRequest::Pass(edits, Some(Box::new(denied))))
    }

    /// Where topics are authorized, every Fetch is a full one without a session: a session at the
    /// broker would remember what was allowed once, and its id would serve whoever names it.
    fn leave_session(&mut self) -> Option<Result<Bytes, NotEncodable>> {
        let (Some(id_at), Some((epoch_at, epoch))) =
            (self.session_id.take(), self.session_epoch.take())
        else {
            return None;
        };
        if epoch > 0 {
            return Some(codec::no_fetch_session(self.head));
        }
        self.edits.replace(id_at, vec![0; 4]);
        self.edits
            .replace(epoch_at, FINAL_EPOCH.to_be_bytes().to_vec());
        None
    }
}

impl TopicDecision {
    fn of_name(name: &[u8], what: Operation, authorizer: Authorizer<'_>) -> Self {
        // Kafka decodes invalid UTF-8 to replacement characters; no rule names such a topic.
        let name = String::from_utf8_lossy(name);
        match authorizer
            .snapshot
            .policy
            .topic(authorizer.principal, what, &name)
        {
            Decision::Allow => Self::Allowed,
            Decision::Deny => Self::denied(name.into_owned(), [0; 16], TOPIC_AUTHORIZATION_FAILED),
        }
    }

    fn denied(name: String, id: [u8; 16], error_code: i16) -> Self {
        Self::Denied {
            topic: DeniedTopic {
                name,
                id,
                error_code,
            },
            partitions: BytesMut::new(),
            count: 0,
        }
    }

    /// Notes a partition, if the topic is denied.
    fn partition(
        &mut self,
        entry: TopicEntry,
        head: RequestHead,
        index: i64,
    ) -> Result<(), NotEncodable> {
        let Self::Denied {
            topic,
            partitions,
            count,
        } = self
        else {
            return Ok(());
        };
        let Ok(index) = i32::try_from(index) else {
            return Ok(());
        };
        *count += 1;
        work::steps(1);
        codec::denied_partition(entry, head.version, index, topic.error_code, partitions)
    }
}
