//! AlterConfigs and IncrementalAlterConfigs where clients may not alter brokers: the resources that
//! are brokers, or may be, are cut out, and the response names them with an error all the same.
//!
//! Kafka's own admin client sends the resources of each broker in a request of their own, so most
//! requests are of brokers or of none.

use std::ops::Range;

use bytes::Bytes;

use crate::api::Denial;
use crate::error::ClientFault;
use crate::session::names::walk;
use crate::session::refusal::Refused;
use crate::session::request::REQUEST_HEAD_END;
use crate::wire::codec::denial::denied_resources;
use crate::wire::config_resource::may_be_of_brokers;
use crate::wire::edit::{self, Edits};
use crate::wire::header::RequestHead;
use crate::wire::malformed::Malformed;
use crate::wire::schema::{Api, Role, Roles};
use crate::wire::walk::{Step, Value};

/// More brokers in one request, beside other resources, are not answered for.
const BROKERS_MAX: usize = 1000;

/// What becomes of such a request.
#[derive(Debug)]
pub(super) enum Decision {
    /// It alters brokers and nothing else.
    Deny,
    /// It goes up, with what it alters of brokers cut out, for which the response gives an error.
    Pass(Edits, Option<Box<Refused>>),
}

/// A resource that is a broker, or may be.
#[derive(Debug)]
struct Broker {
    span: Range<usize>,
    kind: i64,
    name: Range<usize>,
}

/// What was read of the resources; places are offsets in the frame.
#[derive(Debug, Default)]
struct Resources {
    count: Option<(Range<usize>, usize, bool)>,
    brokers: Vec<Broker>,
    begin: usize,
    kind: i64,
    name: Range<usize>,
}

/// Decides about a request that was read whole.
pub(super) fn decide(
    head: RequestHead,
    entry: &Api,
    frame: &Bytes,
    denial: &Denial,
) -> Result<Decision, ClientFault> {
    let untold = || ClientFault::RefusedUntold(head.api, head.version);
    let Resources { count, brokers, .. } = Resources::read(head, entry, frame)?;
    let Some((count_at, total, compact)) = count.filter(|_| !brokers.is_empty()) else {
        return Ok(Decision::Pass(Edits::default(), None));
    };
    if brokers.len() == total {
        return Ok(Decision::Deny);
    }
    let mut edits = Edits::default();
    let left = total.saturating_sub(brokers.len());
    edits.replace(count_at, edit::count(left, compact));
    for broker in &brokers {
        edits.cut(broker.span.clone());
    }
    let named = brokers.iter().filter_map(|broker| {
        let name = frame.get(broker.name.clone())?;
        let kind = i8::try_from(broker.kind).unwrap_or_default();
        Some((kind, frame.slice_ref(name)))
    });
    let entries = denied_resources(head, *denial, named).map_err(|_| untold())?;
    let refused = Refused::telling(entries, brokers.len());
    Ok(Decision::Pass(edits, Some(Box::new(refused))))
}

impl Resources {
    fn read(head: RequestHead, entry: &Api, frame: &[u8]) -> Result<Self, ClientFault> {
        const INTEREST: Roles =
            Roles::of(&[Role::Resources, Role::ResourceType, Role::ResourceName]);
        let mut resources = Self::default();
        let mut rest = frame.get(REQUEST_HEAD_END..).unwrap_or_default();
        let mut walk = walk(entry, head.version, frame, INTEREST);
        loop {
            let malformed = |why| ClientFault::Malformed(head.api, head.version, why);
            let step = walk.step(&mut rest).map_err(malformed)?;
            if let Step::Done { .. } = step {
                return Ok(resources);
            }
            if let Step::More = step {
                return Err(malformed(Malformed::Truncated));
            }
            resources.step(&step, walk.body_at());
            if resources.brokers.len() > BROKERS_MAX {
                return Err(ClientFault::RefusedUntold(head.api, head.version));
            }
        }
    }

    fn step(&mut self, step: &Step, base: usize) {
        match step {
            Step::Array {
                start,
                end,
                count,
                compact,
                ..
            } => {
                let count = count.map_or(0, |count| count as usize);
                self.count = Some((base + start..base + end, count, *compact));
            }
            Step::Element { at, .. } => self.begin = base + at,
            Step::Value(found) => match (found.role, found.value) {
                (Role::ResourceType, Value::Int(kind)) => self.kind = kind,
                (Role::ResourceName, Value::Span) => {
                    self.name = base + found.data..base + found.end
                }
                (_, _) => {}
            },
            Step::ElementEnd { at, .. } => {
                if may_be_of_brokers(self.kind) {
                    self.brokers.push(Broker {
                        span: self.begin..base + at,
                        kind: self.kind,
                        name: self.name.clone(),
                    });
                }
            }
            Step::More
            | Step::Begin { .. }
            | Step::ArrayEnd { .. }
            | Step::Tags { .. }
            | Step::Tagged { .. }
            | Step::TaggedEnd { .. }
            | Step::Done { .. } => {}
        }
    }
}
