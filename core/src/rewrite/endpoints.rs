//! Endpoints of brokers: an id, a host and a port that belong together.

use std::ops::Range;

use crate::id::{BrokerId, HostPort};
use crate::rewrite::{Addresses, Outcome};
use crate::wire::edit;
use crate::wire::rope::Rope;
use crate::wire::schema::Role;
use crate::wire::walk::{FieldValue, Step, Value};

/// `MetadataResponse.NO_CONTROLLER_ID`: clients ask again, or another broker.
const NO_CONTROLLER_ID: i32 = -1;

/// `Errors.COORDINATOR_NOT_AVAILABLE`: clients ask again.
const COORDINATOR_NOT_AVAILABLE: i16 = 15;

/// Edits the endpoints of one response while it is walked.
#[derive(Debug)]
pub(crate) struct Endpoints {
    compact: bool,
    /// An endpoint of FindCoordinator cannot be left out: its error code says what the client
    /// waits to hear about its key.
    coordinator: bool,
    array: Option<Counted>,
    /// Where the array of a controller's listeners begins.
    listeners_at: Option<usize>,
    /// Where the size and the content of a tagged field with endpoints stand, while it is read.
    tagged: Option<(Range<usize>, Range<usize>)>,
    current: Current,
}

/// The array that the current endpoint stands in.
#[derive(Debug)]
struct Counted {
    count_at: Range<usize>,
    count: usize,
    dropped: usize,
}

/// What has been read of the current endpoint.
#[derive(Debug, Default)]
struct Current {
    from: usize,
    id: Option<(Range<usize>, i64)>,
    host: Option<Range<usize>>,
    host_data: usize,
    port: Option<(Range<usize>, i64)>,
    error: Option<(Range<usize>, i64)>,
}

impl Endpoints {
    pub(crate) fn new(compact: bool, coordinator: bool) -> Self {
        Self {
            compact,
            coordinator,
            array: None,
            listeners_at: None,
            tagged: None,
            current: Current::default(),
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
        with: &Addresses<'_>,
        out: &mut Outcome,
    ) {
        match step {
            Step::Value(found) => self.found(found, with, out),
            Step::Array {
                field,
                start,
                end,
                count,
                ..
            } => match field.role {
                Role::Endpoints => {
                    let count = count.map_or(0, |count| count as usize);
                    let count_at = *start..*end;
                    self.array = Some(Counted {
                        count_at,
                        count,
                        dropped: 0,
                    });
                }
                Role::Listeners => {
                    self.listeners_at = Some(*start);
                    let listeners = count.unwrap_or(0);
                    out.rewrites.dropped = out.rewrites.dropped.saturating_add(listeners);
                }
                _ => {}
            },
            Step::Element { at, .. } => {
                self.current = Current {
                    from: *at,
                    ..Current::default()
                };
            }
            Step::ElementEnd { field, at, .. } if field.role == Role::Endpoints => {
                self.settle(Some(*at), frame, with, out);
            }
            Step::ArrayEnd { field, at, .. } => self.array_end(field.role, *at, out),
            // FindCoordinator 0-3 has one endpoint, without an array around it.
            Step::Done { .. } if self.array.is_none() => self.settle(None, frame, with, out),
            Step::Tagged {
                field,
                size_start,
                content,
                end,
                ..
            } if field.role == Role::Endpoints => {
                let content_at = *content..*end;
                self.tagged = Some((*size_start..content_at.start, content_at));
            }
            Step::TaggedEnd { field, .. } if field.role == Role::Endpoints => {
                if let Some((size, content)) = self.tagged.take() {
                    out.edits.resize(size, content);
                }
            }
            Step::ElementEnd { .. }
            | Step::Done { .. }
            | Step::More
            | Step::Begin { .. }
            | Step::Tags { .. }
            | Step::Tagged { .. }
            | Step::TaggedEnd { .. } => {}
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "a walk yields just the roles that were asked for"
    )]
    fn found(&mut self, found: &FieldValue, with: &Addresses<'_>, out: &mut Outcome) {
        let at = found.start..found.end;
        let int = match found.value {
            Value::Int(int) => int,
            Value::Uuid(_) | Value::Float(_) | Value::Span | Value::Null => 0,
        };
        match found.field.role {
            Role::ControllerId => controller(found, with, out),
            Role::EndpointId => self.current.id = Some((at, int)),
            Role::Port => self.current.port = Some((at, int)),
            Role::ErrorCode => self.current.error = Some((at, int)),
            Role::Host => {
                self.current.host = Some(at);
                self.current.host_data = found.data;
            }
            _ => {}
        }
    }

    fn array_end(&mut self, role: Role, at: usize, out: &mut Outcome) {
        if role == Role::Listeners
            && let Some(from) = self.listeners_at.take()
        {
            out.edits.replace(from..at, edit::count(0, self.compact));
        }
        if role == Role::Endpoints
            && let Some(array) = self.array.take()
        {
            if array.dropped > 0 {
                let left = array.count.saturating_sub(array.dropped);
                out.edits
                    .replace(array.count_at, edit::count(left, self.compact));
            }
            // Nothing that follows may be taken for the endpoint of FindCoordinator 0-3.
            self.current = Current::default();
        }
    }

    /// Decides on the current endpoint; `end` is where its element ends.
    fn settle(
        &mut self,
        end: Option<usize>,
        frame: &Rope,
        with: &Addresses<'_>,
        out: &mut Outcome,
    ) {
        let current = std::mem::take(&mut self.current);
        let (Some(id), Some(host_at), Some(port)) = (&current.id, &current.host, &current.port)
        else {
            return;
        };
        let host = frame.copy(current.host_data..host_at.end);
        if host.is_empty() {
            // An error response: node -1, no host, port -1. It says nothing about any broker.
            return;
        }
        let broker = i32::try_from(id.1).ok().filter(|id| *id >= 0).map(BrokerId);
        if let Some(broker) = broker {
            note_move(broker, &host, port.1, with, out);
        }
        if let Some(ours) = broker.and_then(|broker| with.advertised.address(broker)) {
            let host = edit::string(ours.host().as_bytes(), self.compact);
            out.edits.replace(host_at.clone(), host);
            out.edits
                .replace(port.0.clone(), int32(i32::from(ours.port())));
            out.rewrites.rewritten += 1;
        } else if let (Some(end), false) = (end, self.coordinator) {
            out.edits.cut(current.from..end);
            out.rewrites.dropped += 1;
            if let Some(array) = &mut self.array {
                array.dropped += 1;
            }
        } else {
            self.blank(&current, out);
        }
    }

    /// Makes an endpoint that must stay in its place the one of an error response.
    fn blank(&self, current: &Current, out: &mut Outcome) {
        let (Some(id), Some(host), Some(port)) = (&current.id, &current.host, &current.port) else {
            return;
        };
        out.edits.replace(id.0.clone(), int32(-1));
        out.edits
            .replace(host.clone(), edit::string(b"", self.compact));
        out.edits.replace(port.0.clone(), int32(-1));
        if let Some((at, 0)) = &current.error {
            out.edits
                .replace(at.clone(), COORDINATOR_NOT_AVAILABLE.to_be_bytes().to_vec());
        }
        out.rewrites.dropped += 1;
    }
}

/// A controller that clients cannot reach is none: the broker of this id is not in the list.
fn controller(found: &FieldValue, with: &Addresses<'_>, out: &mut Outcome) {
    let Value::Int(id) = found.value else { return };
    let broker = i32::try_from(id).ok().filter(|id| *id >= 0).map(BrokerId);
    if broker.is_some_and(|broker| !with.advertised.has(broker)) {
        let at = found.start..found.end;
        out.edits.replace(at, int32(NO_CONTROLLER_ID));
    }
}

fn int32(value: i32) -> Vec<u8> {
    value.to_be_bytes().to_vec()
}

fn note_move(broker: BrokerId, host: &[u8], port: i64, with: &Addresses<'_>, out: &mut Outcome) {
    let known = with.topology.upstream(broker);
    let same = known
        .is_some_and(|known| known.host().as_bytes() == host && i64::from(known.port()) == port);
    if same {
        return;
    }
    let host = std::str::from_utf8(host).ok();
    let address = host
        .zip(u16::try_from(port).ok())
        .map(|(host, port)| HostPort::new(host, port));
    if let Some(Ok(address)) = address {
        out.moved(broker, address);
    }
}
