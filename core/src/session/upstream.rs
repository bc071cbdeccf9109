//! Reads a broker's frames: each is the response to the oldest request that is owed one.

use bytes::Bytes;

use crate::api::versions::UNSUPPORTED_VERSION;
use crate::api::{self, ForwardMode, ResponseForm, Row, STREAM_BYTES_MIN};
use crate::connection::Leg;
use crate::error::{CloseReason, UpstreamFault};
use crate::event::Event;
use crate::id::{ApiVersion, CorrelationId};
use crate::io::{Effect, Observation};
use crate::limits::UNCOUNTED_BUFFER_BYTES;
use crate::mutation::mutation;
use crate::rewrite::Outcome;
use crate::session::Session;
use crate::session::in_flight::Slot;
use crate::session::response::{Progress, Response};
use crate::session::response_stage::{PassedResponse, ResponseStage};
use crate::session::topic_authorization::{DENIAL_ROLES, DeniedTopics};
use crate::time::Instant;
use crate::wire::body_walk::BodyWalk;
use crate::wire::framer::{self, Framer};
use crate::wire::header::{HeaderEnd, PREFIX_BYTES, RESPONSE_HEAD_BYTES};
use crate::wire::quick_scan::{self, Bare};
use crate::wire::schema::{Roles, ThrottlePlace};

/// Where the variable part of a response's header begins.
const RESPONSE_HEAD_END: usize = PREFIX_BYTES + RESPONSE_HEAD_BYTES;

impl Session {
    /// Takes from the front of a chunk that the broker sent.
    pub(super) fn upstream_bytes(
        &mut self,
        now: Instant,
        chunk: &mut Bytes,
    ) -> Result<(), CloseReason> {
        match std::mem::take(&mut self.responses.stage) {
            ResponseStage::Head if self.in_flight.is_login_next() => self.relogin_bytes(now, chunk),
            ResponseStage::Head => self.response_head(now, chunk),
            ResponseStage::Reading(mut response) => {
                if self.read_on(&mut response, chunk)? {
                    self.release_response(now, *response);
                } else {
                    self.responses.stage = ResponseStage::Reading(response);
                }
                Ok(())
            }
            ResponseStage::Pass(mut response) => {
                let part = framer::take(chunk, response.left);
                response.left -= part.len();
                self.client.egress.push(part);
                if response.left == 0 {
                    self.response_done(now, response.bytes);
                } else {
                    self.responses.stage = ResponseStage::Pass(response);
                }
                Ok(())
            }
        }
    }

    /// Reads length and correlation id, and decides how the body is forwarded.
    fn response_head(&mut self, now: Instant, chunk: &mut Bytes) -> Result<(), CloseReason> {
        const NO_ROW: CloseReason = CloseReason::Bug("an API without a row was relayed");
        let Some(slot) = self.in_flight.front() else {
            return Err(UpstreamFault::Unsolicited.into());
        };
        let (expected, api, version) = (slot.correlation_id, slot.api, slot.version);
        let (min, max) = (RESPONSE_HEAD_BYTES, self.snapshot.limits.response_bytes_max);
        let framer = Framer { min, max };
        let buffered = &mut self.responses.buffered;
        let frame_len = framer
            .frame_len(buffered, chunk)
            .map_err(UpstreamFault::FrameLength)?;
        let head = framer::peek(buffered, chunk, PREFIX_BYTES).map(i32::from_be_bytes);
        let (Some(frame_len), Some(correlation_id)) = (frame_len, head) else {
            buffered.push(std::mem::take(chunk));
            return Ok(());
        };
        if CorrelationId(correlation_id) != expected && !mutation!(self, AnyCorrelationId) {
            return Err(UpstreamFault::CorrelationMismatch.into());
        }
        let row = api::row(api).ok_or(NO_ROW)?;
        let Some(version) = self.response_version(row, version, frame_len, chunk) else {
            self.responses.buffered.push(std::mem::take(chunk));
            return Ok(());
        };
        let form = &ResponseForm::of(row, version).ok_or(NO_ROW)?;
        let place = form.throttle_place();
        let Some(throttle_ms) = self.throttle_ms(place, form, frame_len, chunk) else {
            self.responses.buffered.push(std::mem::take(chunk));
            return Ok(());
        };
        self.announce_throttle(throttle_ms);
        let denied = self.in_flight.take_denied();
        let most = self.snapshot.limits.response_buffer_bytes_max;
        let mode = api::response_forward_mode(form, frame_len, most, place);
        if let (ForwardMode::Buffer(interest), None) = (mode, &denied)
            && let Some(bare) = self.bare(form, frame_len, interest, chunk)
        {
            self.announce_throttle(bare.throttle_ms);
            self.pass_response(now, frame_len);
            return Ok(());
        }
        let mode = match (mode, &denied) {
            (ForwardMode::Stream(_), None) if mutation!(self, LeakTail) => ForwardMode::Pass,
            (_, None)
                if mutation!(self, LeakDescribeCluster)
                    && (form.row.name, version) == ("DescribeCluster", ApiVersion(1)) =>
            {
                ForwardMode::Pass
            }
            (mode, None) => mode,
            (mode, Some(_)) => denial_mode(mode, frame_len),
        };
        self.forward_response(now, form, frame_len, mode, denied, chunk)
    }

    /// Lets a response pass, or begins to read it.
    fn forward_response(
        &mut self,
        now: Instant,
        form: &ResponseForm,
        frame_len: usize,
        mode: ForwardMode,
        denied: Option<Box<DeniedTopics>>,
        chunk: &mut Bytes,
    ) -> Result<(), CloseReason> {
        match mode {
            ForwardMode::Pass => {
                self.pass_response(now, frame_len);
                Ok(())
            }
            // Whatever of it were taken in would be for nothing.
            ForwardMode::Buffer(_)
                if frame_len > self.snapshot.limits.response_buffer_bytes_max =>
            {
                Err(CloseReason::BufferLimit(Leg::Upstream))
            }
            ForwardMode::Buffer(interest) => {
                let walk = response_walk(form, frame_len, interest);
                let response = Response::new(form, frame_len, walk, false, denied);
                self.read_response(now, response, chunk)
            }
            ForwardMode::Stream(interest) => {
                let walk = response_walk(form, frame_len, interest);
                let response = Response::new(form, frame_len, walk, true, denied);
                self.read_response(now, response, chunk)
            }
        }
    }

    /// The version of the response: a broker that does not know the version of an ApiVersions
    /// request responds in version 0 with error 35 (KIP-511). Nothing while the error code has not
    /// come.
    fn response_version(
        &self,
        row: &Row,
        version: ApiVersion,
        frame_len: usize,
        chunk: &[u8],
    ) -> Option<ApiVersion> {
        const ERROR_CODE_BYTES: usize = 2;
        if !row.negotiates_versions() || frame_len < RESPONSE_HEAD_END + ERROR_CODE_BYTES {
            return Some(version);
        }
        let error = framer::peek(&self.responses.buffered, chunk, RESPONSE_HEAD_END)?;
        let is_unsupported = i16::from_be_bytes(error) == UNSUPPORTED_VERSION;
        Some(if is_unsupported {
            ApiVersion(0)
        } else {
            version
        })
    }

    /// For how long the broker throttles the client, where the response says so in a known place.
    /// Nothing while that has not come.
    fn throttle_ms(
        &self,
        place: ThrottlePlace,
        form: &ResponseForm,
        frame_len: usize,
        chunk: &[u8],
    ) -> Option<i32> {
        const THROTTLE_BYTES: usize = 4;
        let ThrottlePlace::At(at) = place else {
            return Some(0);
        };
        // Kafka gives no response a tag in its header: one byte says that there are none.
        let tag_bytes = usize::from(form.header_is_flexible());
        let at = RESPONSE_HEAD_END + tag_bytes + at;
        if frame_len < at + THROTTLE_BYTES {
            return Some(0);
        }
        let buffered = &self.responses.buffered;
        let throttle = framer::peek(buffered, chunk, at).map(i32::from_be_bytes)?;
        if tag_bytes > 0 && framer::peek(buffered, chunk, RESPONSE_HEAD_END)? != [0] {
            return Some(0);
        }
        Some(throttle)
    }

    /// The response that is coming in says for how long the broker throttles the client.
    fn announce_throttle(&mut self, throttle_ms: i32) {
        if !mutation!(self, ForgetThrottle) {
            self.in_flight.announce_throttle(throttle_ms);
        }
    }

    /// What a response says that is there as a whole and has nothing in it that might have to be
    /// edited.
    fn bare(
        &self,
        form: &ResponseForm,
        frame_len: usize,
        interest: Roles,
        chunk: &[u8],
    ) -> Option<Bare> {
        // However it is cut, a response that may not be buffered closes.
        let may_be_buffered = frame_len <= self.snapshot.limits.response_buffer_bytes_max;
        if !may_be_buffered || !self.responses.buffered.is_empty() {
            return None;
        }
        let mut body = chunk.get(RESPONSE_HEAD_END..frame_len)?;
        let mut header = HeaderEnd::of_response(form.header_is_flexible(), body.len());
        if header.step(&mut body) != Ok(true) {
            return None;
        }
        quick_scan::bare(form.edition, form.version.0, body, interest)
    }

    /// Begins to read a response. Of an ApiVersions response a byte of the body may be buffered
    /// already, because its error code was waited for.
    fn read_response(
        &mut self,
        now: Instant,
        mut response: Response,
        chunk: &mut Bytes,
    ) -> Result<(), CloseReason> {
        let buffered = &self.responses.buffered;
        let early = buffered.copy(RESPONSE_HEAD_END.min(buffered.end())..buffered.end());
        if !early.is_empty() {
            let (api, version) = (response.api, response.version);
            response
                .read(&early, buffered, &self.snapshot)
                .map_err(|why| UpstreamFault::Malformed(api, version, why))?;
        }
        // Most responses are there with their first bytes, and need no place to wait in.
        if self.read_on(&mut response, chunk)? {
            self.release_response(now, response);
        } else {
            self.responses.stage = ResponseStage::Reading(Box::new(response));
        }
        Ok(())
    }

    /// Reads from the front of a chunk, and releases what has been decided on; true once that is
    /// all of the response.
    fn read_on(&mut self, response: &mut Response, chunk: &mut Bytes) -> Result<bool, CloseReason> {
        let Self {
            responses: frame_reader,
            client,
            snapshot,
            ..
        } = self;
        let had = frame_reader.buffered.end();
        let part = framer::take(chunk, response.frame_len.saturating_sub(had));
        frame_reader.buffered.push(part.clone());
        // The fixed head has been read where it stood.
        let unread = part
            .get(RESPONSE_HEAD_END.saturating_sub(had)..)
            .unwrap_or_default();
        let (api, version) = (response.api, response.version);
        let progress = response
            .read(unread, &frame_reader.buffered, snapshot)
            .map_err(|why| UpstreamFault::Malformed(api, version, why))?;
        // Many small changes take more than the bytes that they are in.
        let pinned_max = snapshot
            .limits
            .response_buffer_bytes_max
            .max(UNCOUNTED_BUFFER_BYTES);
        if response.pinned() > pinned_max {
            return Err(CloseReason::BufferLimit(Leg::Upstream));
        }
        match progress {
            Progress::Release(until) => {
                let edits = &mut response.outcome().edits;
                edits.apply(&mut frame_reader.buffered, until, |part| {
                    client.egress.push(part)
                });
                if frame_reader.buffered.len() > snapshot.limits.response_buffer_bytes_max {
                    return Err(CloseReason::BufferLimit(Leg::Upstream));
                }
                Ok(false)
            }
            Progress::Done => Ok(true),
        }
    }

    /// Everything has been read that could have to be edited.
    fn release_response(&mut self, now: Instant, response: Response) {
        let frame_len = response.frame_len;
        self.announce_throttle(response.throttle_ms());
        let forgets = mutation!(self, ForgetLength);
        let (mut outcome, growth) = response.into_outcome(forgets);
        let Self {
            responses, client, ..
        } = self;
        let end = responses.buffered.end();
        outcome.edits.apply(&mut responses.buffered, end, |part| {
            client.egress.push(part)
        });
        self.report_outcome(outcome);
        let (left, bytes) = (frame_len - end, frame_len.saturating_add_signed(growth));
        if left == 0 {
            self.response_done(now, bytes);
        } else {
            self.responses.stage = ResponseStage::Pass(PassedResponse { left, bytes });
        }
    }

    fn report_outcome(&mut self, outcome: Outcome) {
        if !outcome.rewrites.is_empty() {
            self.report(Event::Rewrote(outcome.rewrites));
        }
        for (broker, address) in outcome.moved {
            let observation = Observation::Endpoint { broker, address };
            self.effects.push_back(Effect::Learn(observation));
        }
    }

    /// Lets a response come down: what is buffered now, the rest as it comes.
    fn pass_response(&mut self, now: Instant, frame_len: usize) {
        let left = frame_len.saturating_sub(self.responses.buffered.end());
        let buffered = self.responses.buffered.len();
        let left = if mutation!(self, FrameEndsEarly) && left > 1 {
            left - 1
        } else {
            left
        };
        let Self {
            responses, client, ..
        } = self;
        responses
            .buffered
            .take(buffered, |part| client.egress.push(part));
        if left == 0 {
            self.response_done(now, frame_len);
            return;
        }
        self.responses.stage = ResponseStage::Pass(PassedResponse {
            left,
            bytes: frame_len,
        });
    }

    /// A response has come to its end, and leaves with so many bytes.
    fn response_done(&mut self, now: Instant, bytes: usize) {
        self.responses.clear();
        if let Some(Slot {
            api,
            version,
            since,
            ..
        }) = self.in_flight.pop(now)
        {
            let latency = now.since(since);
            self.report(Event::Response {
                api,
                version,
                bytes,
                latency,
                local: false,
            });
        }
        self.send_local_responses(now);
    }
}

/// How a response is forwarded that denied topics are added to.
fn denial_mode(mode: ForwardMode, frame_len: usize) -> ForwardMode {
    match mode {
        ForwardMode::Buffer(interest) => ForwardMode::Buffer(interest.union(DENIAL_ROLES)),
        ForwardMode::Stream(interest) => ForwardMode::Stream(interest.union(DENIAL_ROLES)),
        ForwardMode::Pass if frame_len > STREAM_BYTES_MIN => ForwardMode::Stream(DENIAL_ROLES),
        ForwardMode::Pass => ForwardMode::Buffer(DENIAL_ROLES),
    }
}

/// A walk over a response.
fn response_walk(form: &ResponseForm, frame_len: usize, interest: Roles) -> BodyWalk {
    let header_len = frame_len.saturating_sub(RESPONSE_HEAD_END);
    BodyWalk::new(
        Some(form.edition),
        form.version.0,
        interest,
        HeaderEnd::of_response(form.header_is_flexible(), header_len),
        RESPONSE_HEAD_END,
        frame_len,
    )
}
