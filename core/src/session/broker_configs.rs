//! AlterConfigs and IncrementalAlterConfigs where clients may not alter brokers: the resources that
//! are brokers, or may be, are cut out, and the response names them with an error all the same.
//!
//! Kafka's own admin client sends the resources of each broker in a request of their own, so most
//! requests are of brokers or of none.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use crate::api::Denial;
use crate::connection::Leg;
use crate::error::{ClientFault, CloseReason};
use crate::session::topic_authorization::DeniedTopics;
use crate::wire::body_walk::{BodyWalk, REQUEST_HEAD_END};
use crate::wire::codec::denial::denied_resource;
use crate::wire::codec::{NotEncodable, exact};
use crate::wire::config_resource::may_be_of_brokers;
use crate::wire::edit::{self, Edits};
use crate::wire::header::RequestHead;
use crate::wire::malformed::Malformed;
use crate::wire::schema::{Api, Role, Roles};
use crate::wire::walk::{Step, Value};

/// What becomes of such a request.
#[derive(Debug)]
pub(super) enum Decision {
    /// It alters brokers and nothing else.
    Deny,
    /// It goes up, with what it alters of brokers cut out, for which the response gives an error.
    Pass(Edits, Option<Box<DeniedTopics>>),
}

/// What was read of the resources; places are offsets in the frame.
#[derive(Debug)]
struct Resources<'a> {
    head: RequestHead,
    frame: &'a Bytes,
    denial: Denial,
    count: Option<(Range<usize>, usize, bool)>,
    begin: usize,
    kind: i64,
    name: Range<usize>,
    /// How many are brokers, or may be.
    brokers: usize,
    /// These, cut.
    edits: Edits,
    /// What the response says of them, encoded.
    entries: BytesMut,
}

/// Decides about a request that was read whole. What is kept of brokers may have `bytes_max`.
pub(super) fn decide(
    head: RequestHead,
    entry: &Api,
    frame: &Bytes,
    denial: &Denial,
    bytes_max: usize,
) -> Result<Decision, CloseReason> {
    let resources = Resources {
        head,
        frame,
        denial: *denial,
        count: None,
        begin: 0,
        kind: 0,
        name: 0..0,
        brokers: 0,
        edits: Edits::default(),
        entries: BytesMut::new(),
    };
    let Resources {
        count,
        brokers,
        mut edits,
        entries,
        ..
    } = resources.read(entry, bytes_max)?;
    let Some((count_at, total, compact)) = count.filter(|_| brokers > 0) else {
        return Ok(Decision::Pass(Edits::default(), None));
    };
    if brokers == total {
        return Ok(Decision::Deny);
    }
    edits.replace(count_at, edit::count(total - brokers, compact));
    let denied = DeniedTopics::new(exact(entries), brokers);
    Ok(Decision::Pass(edits, Some(Box::new(denied))))
}

impl Resources<'_> {
    fn read(mut self, entry: &Api, bytes_max: usize) -> Result<Self, CloseReason> {
        const INTEREST: Roles =
            Roles::of(&[Role::Resources, Role::ResourceType, Role::ResourceName]);
        let (head, frame) = (self.head, self.frame);
        let mut rest = frame.get(REQUEST_HEAD_END..).unwrap_or_default();
        let mut walk = BodyWalk::of_request(entry, head.version, INTEREST, frame.len());
        loop {
            let malformed = |why| ClientFault::Malformed(head.api, head.version, why);
            let step = walk.step(&mut rest).map_err(malformed)?;
            if let Step::Done { .. } = step {
                return Ok(self);
            }
            if let Step::More = step {
                return Err(malformed(Malformed::Truncated).into());
            }
            self.step(&step)
                .map_err(|NotEncodable| ClientFault::DenialNotEncodable(head.api, head.version))?;
            if self.entries.len() + self.edits.pinned() > bytes_max {
                return Err(CloseReason::BufferLimit(Leg::Client));
            }
        }
    }

    fn step(&mut self, step: &Step) -> Result<(), NotEncodable> {
        match step {
            Step::Array {
                start,
                end,
                count,
                compact,
                ..
            } => {
                let count = count.map_or(0, |count| count as usize);
                self.count = Some((*start..*end, count, *compact));
            }
            Step::Element { at, .. } => self.begin = *at,
            Step::Value(found) => match (found.role, found.value) {
                (Role::ResourceType, Value::Int(kind)) => self.kind = kind,
                (Role::ResourceName, Value::Span) => {
                    self.name = found.data..found.end;
                }
                (_, _) => {}
            },
            Step::ElementEnd { at, .. } if may_be_of_brokers(self.kind) => {
                let name = self.frame.get(self.name.clone()).unwrap_or_default();
                let resource = (self.kind, self.frame.slice_ref(name));
                denied_resource(self.head, self.denial, resource, &mut self.entries)?;
                self.edits.cut(self.begin..*at);
                self.brokers += 1;
            }
            Step::More
            | Step::Begin { .. }
            | Step::ElementEnd { .. }
            | Step::ArrayEnd { .. }
            | Step::Tags { .. }
            | Step::Tagged { .. }
            | Step::TaggedEnd { .. }
            | Step::Done { .. } => {}
        }
        Ok(())
    }
}
