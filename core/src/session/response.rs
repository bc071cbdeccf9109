//! A response that may contain addresses, on its way through the walker and the editors.

use crate::api::ResponseForm;
use crate::id::{ApiKey, ApiVersion};
use crate::rewrite::Outcome;
use crate::session::buffered_part::BufferedPart;
use crate::session::editors::Editors;
use crate::session::topic_authorization::DeniedTopics;
use crate::snapshot::Snapshot;
use crate::wire::body_walk::BodyWalk;
use crate::wire::malformed::Malformed;
use crate::wire::rope::Rope;
use crate::wire::schema::{Role, Roles};
use crate::wire::walk::{FieldValue, Step, Value};

/// A response whose body is being read.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) api: ApiKey,
    pub(super) version: ApiVersion,
    pub(super) frame_len: usize,
    walk: BodyWalk,
    editors: Editors,
    outcome: Outcome,
    /// The walk is over; an editor may still wait for the end of the frame.
    walked: bool,
    /// Its length is sent before its end has been read.
    is_streamed: bool,
    buffered: BufferedPart,
    throttle_ms: i32,
}

/// How far a response has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Everything up to here may go on; the rest must still be buffered.
    Release(usize),
    /// All that is buffered may go on, edited, and the rest as it comes.
    Done,
}

impl Response {
    /// A response whose walk may begin. A streamed one, of records or of too many configs, passes
    /// while it is read, once its length is certain.
    pub(super) fn new(
        form: &ResponseForm,
        frame_len: usize,
        walk: BodyWalk,
        is_streamed: bool,
        denied: Option<Box<DeniedTopics>>,
    ) -> Self {
        let buffered = if is_streamed && denied.is_none() {
            BufferedPart::streamed()
        } else {
            BufferedPart::whole()
        };
        Self {
            api: form.row.key,
            version: form.version,
            frame_len,
            walk,
            editors: Editors::of(form, is_streamed, denied),
            outcome: Outcome::default(),
            walked: false,
            throttle_ms: 0,
            is_streamed,
            buffered,
        }
    }

    /// Reads on in bytes that are at the end of `frame`.
    pub(super) fn read(
        &mut self,
        mut input: &[u8],
        frame: &Rope,
        snapshot: &Snapshot,
    ) -> Result<Progress, Malformed> {
        let is_whole = frame.end() == self.frame_len;
        while !self.walked {
            let step = self.walk.step(&mut input)?;
            self.edit(&step, frame, snapshot);
            match step {
                Step::Done { .. } => self.walked = true,
                Step::More if is_whole => return Err(Malformed::Truncated),
                Step::More => return Ok(self.release(frame)),
                Step::Value(found) => self.note_throttle(&found),
                Step::Begin { .. }
                | Step::Array { .. }
                | Step::Element { .. }
                | Step::ElementEnd { .. }
                | Step::ArrayEnd { .. }
                | Step::Tags { .. }
                | Step::Tagged { .. }
                | Step::TaggedEnd { .. } => {}
            }
        }
        if self.editors.need_end() {
            if !is_whole {
                return Ok(self.release(frame));
            }
            self.editors.finish(frame, &mut self.outcome)?;
        }
        Ok(Progress::Done)
    }

    /// All changes, once everything has been read, and how much longer than it came the response
    /// leaves. `forgets` is a planted bug.
    pub(super) fn into_outcome(mut self, forgets: bool) -> (Outcome, isize) {
        let edits = &mut self.outcome.edits;
        let growth = if forgets {
            edits.growth()
        } else {
            self.buffered.write_length(edits, self.frame_len)
        };
        (self.outcome, growth)
    }

    /// The memory that its changes need.
    pub(super) const fn pinned(&self) -> usize {
        self.outcome.edits.pinned()
    }

    /// The memory that is kept besides its bytes: its changes, and the entries that have not been
    /// added yet.
    pub(super) fn buffered_bytes(&self) -> usize {
        self.pinned() + self.editors.buffered_bytes()
    }

    /// Whether its length was sent before its end was read.
    pub(super) const fn is_streamed(&self) -> bool {
        self.is_streamed
    }

    /// The changes so far, in a streamed response.
    pub(super) fn outcome(&mut self) -> &mut Outcome {
        &mut self.outcome
    }

    fn release(&self, frame: &Rope) -> Progress {
        Progress::Release(self.buffered.begins().min(frame.end()))
    }

    fn note_throttle(&mut self, found: &FieldValue) {
        if let (Role::ThrottleTime, Value::Int(ms)) = (found.role, found.value) {
            self.throttle_ms = i32::try_from(ms).unwrap_or(i32::MAX);
        }
    }

    /// For how many milliseconds the broker throttles the client; 0 unless the walk was asked.
    pub(super) const fn throttle_ms(&self) -> i32 {
        self.throttle_ms
    }

    fn edit(&mut self, step: &Step, frame: &Rope, snapshot: &Snapshot) {
        self.editors.step(step, frame, snapshot, &mut self.outcome);
        if self.is_streamed {
            if self.outcome.length_is_certain {
                let edits = &mut self.outcome.edits;
                self.buffered.write_length(edits, self.frame_len);
            }
            self.buffer_while_undecided(step);
        }
    }

    /// In a streamed response a text is buffered while it is read, and everything behind the
    /// records to the end.
    fn buffer_while_undecided(&mut self, step: &Step) {
        const TEXTS: Roles = Roles::of(&[Role::ErrorMessage, Role::ConfigName, Role::ConfigValue]);
        match step {
            Step::ArrayEnd { field, at } if field.role == Role::Topics => {
                self.buffered.tail_begins(*at);
            }
            Step::Begin { field, at } if TEXTS.contains(field.role) => {
                self.buffered.text_begins(*at);
            }
            Step::Value(found) if TEXTS.contains(found.role) => self.buffered.text_ends(),
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
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::{BufMut, Bytes, BytesMut};

    use super::*;
    use crate::api::keys::SHARE_FETCH;
    use crate::api::{self, ForwardMode, OfferedApis, STREAM_BYTES_MIN};
    use crate::id::HostPort;
    use crate::limits::Limits;
    use crate::policy::Policy;
    use crate::rewrite::KnownHosts;
    use crate::session::topic_authorization::DENIAL_ROLES;
    use crate::topology::{AdvertisedAddresses, DialMap, Topology};
    use crate::wire::header::{HeaderEnd, PREFIX_BYTES, RESPONSE_HEAD_BYTES};

    const VERSION: ApiVersion = ApiVersion(1);
    const HEAD_END: usize = PREFIX_BYTES + RESPONSE_HEAD_BYTES;
    /// What stands in the place of a denied topic: no partitions, no tagged fields.
    const ENTRY: [u8; 18] = [9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 1, 0];

    fn snapshot() -> Snapshot {
        let bootstrap: Vec<HostPort> = vec!["kafka-1.canary:9092".parse().unwrap()];
        Snapshot {
            epoch: 1,
            limits: Limits::default(),
            policy: Policy::allow_all(),
            login: None,
            upstream_login: false,
            offered: OfferedApis::default(),
            known_hosts: KnownHosts::new(&bootstrap, &DialMap::default(), &Topology::default()),
            bootstrap,
            dial: DialMap::default(),
            advertised: AdvertisedAddresses::Explicit(std::collections::BTreeMap::new()),
            topology: Arc::default(),
        }
    }

    /// A ShareFetch response with a text before its topics, as the table has it; `topics` are
    /// entries in front of the one with the records.
    fn share_fetch(text: &[u8], topics: &[&[u8]], endpoint: &[u8]) -> Bytes {
        let mut out = BytesMut::new();
        out.put_u32(0);
        out.put_i32(7);
        // No tagged fields in the header, no throttle time, no error code.
        out.put_bytes(0, 1 + 4 + 2);
        out.extend_from_slice(&crate::wire::edit::string(text, true));
        out.put_i32(30_000);
        out.extend_from_slice(&crate::wire::edit::count(topics.len() + 1, true));
        topics.iter().for_each(|topic| out.extend_from_slice(topic));
        out.put_bytes(5, 16);
        // One partition: its number, no errors, its leader.
        out.put_u8(2);
        out.put_i32(0);
        out.put_bytes(0, 2 + 1 + 2 + 1 + 4 + 4 + 1);
        let records = STREAM_BYTES_MIN + 1000;
        out.extend_from_slice(&crate::wire::edit::unsigned_varint(records + 1));
        out.put_bytes(7, records);
        // No acquired records, and the ends of the partition and of the topic.
        out.extend_from_slice(&[1, 0, 0]);
        out.extend_from_slice(endpoint);
        out.put_u8(0);
        let len = u32::try_from(out.len() - PREFIX_BYTES).unwrap();
        out[..PREFIX_BYTES].copy_from_slice(&len.to_be_bytes());
        out.freeze()
    }

    /// What goes on of a response that comes in pieces of `chunk` bytes.
    fn relayed(frame: &Bytes, denied: DeniedTopics, chunk: usize) -> Vec<u8> {
        let form = &ResponseForm::of(api::row(SHARE_FETCH).unwrap(), VERSION).unwrap();
        let throttle = form.throttle_place();
        let mode = api::response_forward_mode(form, frame.len(), usize::MAX, throttle);
        let ForwardMode::Stream(interest) = mode else {
            panic!("a long response is not streamed");
        };
        let header = HeaderEnd::of_response(true, frame.len() - HEAD_END);
        let (version, interest) = (VERSION.0, interest.union(DENIAL_ROLES));
        let edition = Some(form.edition);
        let walk = BodyWalk::new(edition, version, interest, header, HEAD_END, frame.len());
        let mut response = Response::new(form, frame.len(), walk, true, Some(Box::new(denied)));
        let (mut buffered, mut out, snapshot) = (Rope::default(), Vec::new(), snapshot());
        let mut at = 0;
        while at < frame.len() {
            let end = (at + chunk).min(frame.len());
            buffered.push(frame.slice(at..end));
            let unread = frame.slice(at.max(HEAD_END).min(end)..end);
            at = end;
            match response.read(&unread, &buffered, &snapshot).unwrap() {
                Progress::Release(until) => {
                    let edits = &mut response.outcome().edits;
                    edits.apply(&mut buffered, until, |part| out.extend_from_slice(&part));
                }
                Progress::Done => break,
            }
        }
        let (mut outcome, growth) = response.into_outcome(false);
        let end = buffered.end();
        let edits = &mut outcome.edits;
        edits.apply(&mut buffered, end, |part| out.extend_from_slice(&part));
        out.extend_from_slice(&frame[at..]);
        assert_eq!(out.len(), frame.len().saturating_add_signed(growth));
        out
    }

    /// No policy authorizes ShareFetch yet. A text before the topics is buffered from its own place
    /// on, and must not release what is buffered for the length.
    #[test]
    fn a_text_before_the_topics_does_not_release_the_length() {
        let no_endpoints: &[u8] = &[1];
        let text = b"see kafka-1.canary about it";
        let frame = share_fetch(text, &[], no_endpoints);
        let blanked = b"see ************** about it";
        let expected = share_fetch(blanked, &[&ENTRY, &ENTRY], no_endpoints);
        for chunk in [1, 7, 1000, usize::MAX >> 1] {
            let denied = DeniedTopics::new([ENTRY, ENTRY].concat().into(), 2);
            let seen = relayed(&frame, denied, chunk);
            assert!(seen == expected, "in pieces of {chunk} bytes");
        }
    }

    #[test]
    fn endpoints_behind_the_records_are_blanked_in_a_response_with_a_denial() {
        let endpoint: &[u8] = b"\x02\0\0\0\x01\x0fkafka-1.canary\0\0\x23\x84\0\0";
        let frame = share_fetch(b"", &[], endpoint);
        for chunk in [1, 7, 1000, usize::MAX >> 1] {
            let denied = DeniedTopics::new(ENTRY.to_vec().into(), 1);
            let seen = relayed(&frame, denied, chunk);
            let whole = share_fetch(b"", &[&ENTRY], endpoint);
            // All is as it was but the array of endpoints and the count of tagged fields.
            let tail = whole.len() - endpoint.len() - 1;
            assert!(seen[..tail] == whole[..tail], "in pieces of {chunk} bytes");
            assert_eq!(&seen[tail..tail + 3], [1, 1, 127]);
            assert!(!seen.windows(6).any(|it| it == b"canary"));
        }
    }
}
