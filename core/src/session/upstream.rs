//! What a broker's frames mean: each is the answer to the oldest request that is owed one.

use bytes::Bytes;

use crate::api::versions::UNSUPPORTED_VERSION;
use crate::api::{self, API_VERSIONS, Carry, FOLLOW_BYTES_MIN, ResponseForm};
use crate::error::{CloseReason, UpstreamFault};
use crate::event::Event;
use crate::id::{ApiKey, ApiVersion, CorrelationId};
use crate::io::{Effect, Leg, Observation};
use crate::limits::HOLD_ALWAYS_BYTES;
use crate::mark::sometimes;
use crate::mutation::mutation;
use crate::rewrite::Outcome;
use crate::session::Session;
use crate::session::answer::{Answer, Progress};
use crate::session::body::BodyWalk;
use crate::session::in_flight::Slot;
use crate::session::intake::Stage;
use crate::session::refusal::{Refused, TOLD};
use crate::time::Instant;
use crate::wire::framer::{self, Framer};
use crate::wire::glance::{self, Bare};
use crate::wire::header::{HeaderEnd, PREFIX_BYTES, RESPONSE_HEAD_BYTES};
use crate::wire::schema::{Roles, ThrottlePlace};

/// Where the variable part of an answer's header begins.
const ANSWER_HEAD_END: usize = PREFIX_BYTES + RESPONSE_HEAD_BYTES;

impl Session {
    /// Takes from the front of a chunk that the broker sent.
    pub(super) fn upstream_bytes(
        &mut self,
        now: Instant,
        chunk: &mut Bytes,
    ) -> Result<(), CloseReason> {
        match &mut self.upstream.intake.stage {
            Stage::Head => self.answer_head(chunk)?,
            Stage::Answer(_) => self.answer_body(chunk)?,
            Stage::Pass { left } => {
                let part = framer::take(chunk, *left);
                *left -= part.len();
                self.client.egress.push(part);
            }
            Stage::Request(_) | Stage::Whole(_) | Stage::Drop { .. } => {
                return Err(CloseReason::Bug("a request came from the broker"));
            }
        }
        if let Stage::Pass { left: 0 } = self.upstream.intake.stage {
            self.answer_done(now);
        }
        Ok(())
    }

    /// Reads length and correlation id, and decides how the body is carried.
    fn answer_head(&mut self, chunk: &mut Bytes) -> Result<(), CloseReason> {
        let Some(slot) = self.in_flight.front() else {
            return Err(UpstreamFault::Unsolicited.into());
        };
        let (expected, api, version) = (slot.correlation_id, slot.api, slot.version);
        let (min, max) = (RESPONSE_HEAD_BYTES, self.snapshot.limits.answer_bytes_max);
        let framer = Framer { min, max };
        let hold = &mut self.upstream.intake.hold;
        let frame_len = framer
            .frame_len(hold, chunk)
            .map_err(UpstreamFault::FrameLength)?;
        let head = framer::peek(hold, chunk, PREFIX_BYTES).map(i32::from_be_bytes);
        let (Some(frame_len), Some(correlation_id)) = (frame_len, head) else {
            hold.push(std::mem::take(chunk));
            return Ok(());
        };
        if CorrelationId(correlation_id) != expected && !mutation!(self, AnyCorrelationId) {
            sometimes!(self.marks, CorrelationMismatch);
            return Err(UpstreamFault::CorrelationMismatch.into());
        }
        self.upstream.answer_bytes = frame_len;
        let Some(version) = self.answered_version(api, version, frame_len, chunk) else {
            self.upstream.intake.hold.push(std::mem::take(chunk));
            return Ok(());
        };
        let form = ResponseForm::of(api, version);
        let form = &form.ok_or(CloseReason::Bug("an API without a row was relayed"))?;
        let place = form.throttle_place();
        let Some(throttle_ms) = self.throttle_ms(place, form, frame_len, chunk) else {
            self.upstream.intake.hold.push(std::mem::take(chunk));
            return Ok(());
        };
        self.announce_throttle(throttle_ms);
        let refused = self.in_flight.take_refused();
        let most = self.snapshot.limits.hold_answer_bytes_max;
        let carry = api::answer_carry(form, frame_len, most, place);
        if let (Carry::Hold(interest), None) = (carry, &refused)
            && let Some(bare) = self.bare(form, frame_len, interest, chunk)
        {
            self.announce_throttle(bare.throttle_ms);
            self.pass_answer(frame_len);
            return Ok(());
        }
        let carry = match (carry, &refused) {
            (Carry::Follow(_), None) if mutation!(self, LeakTail) => Carry::Pass,
            (_, None)
                if mutation!(self, LeakDescribeCluster)
                    && (api, version) == (ApiKey(60), ApiVersion(1)) =>
            {
                Carry::Pass
            }
            (carry, None) => carry,
            (carry, Some(_)) => telling(carry, frame_len),
        };
        self.carry_answer(form, frame_len, carry, refused, chunk)
    }

    /// Lets a response pass, or begins to read it.
    fn carry_answer(
        &mut self,
        form: &ResponseForm,
        frame_len: usize,
        carry: Carry,
        refused: Option<Box<Refused>>,
        chunk: &mut Bytes,
    ) -> Result<(), CloseReason> {
        match carry {
            Carry::Pass => self.pass_answer(frame_len),
            // Whatever of it were taken in would be for nothing.
            Carry::Hold(_) if frame_len > self.snapshot.limits.hold_answer_bytes_max => {
                return Err(CloseReason::HoldLimit(Leg::Upstream));
            }
            Carry::Hold(interest) => {
                let walk = answer_walk(form, frame_len, interest);
                let answer = Answer::held(form, frame_len, walk);
                self.read_answer(answer.telling(refused), chunk)?;
            }
            Carry::Follow(interest) => {
                let walk = answer_walk(form, frame_len, interest);
                let answer = Answer::followed(form, frame_len, walk);
                self.read_answer(answer.telling(refused), chunk)?;
            }
        }
        Ok(())
    }

    /// The version in which the broker has answered: a broker that does not know the version of
    /// an ApiVersions request answers in version 0 with error 35 (KIP-511). Nothing while the
    /// error code has not come.
    fn answered_version(
        &self,
        api: ApiKey,
        version: ApiVersion,
        frame_len: usize,
        chunk: &[u8],
    ) -> Option<ApiVersion> {
        const ERROR_CODE_BYTES: usize = 2;
        if api != API_VERSIONS || frame_len < ANSWER_HEAD_END + ERROR_CODE_BYTES {
            return Some(version);
        }
        let error = framer::peek(&self.upstream.intake.hold, chunk, ANSWER_HEAD_END)?;
        let is_refusal = i16::from_be_bytes(error) == UNSUPPORTED_VERSION;
        Some(if is_refusal { ApiVersion(0) } else { version })
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
        let at = ANSWER_HEAD_END + tag_bytes + at;
        if frame_len < at + THROTTLE_BYTES {
            return Some(0);
        }
        let hold = &self.upstream.intake.hold;
        let throttle = framer::peek(hold, chunk, at).map(i32::from_be_bytes)?;
        if tag_bytes > 0 && framer::peek(hold, chunk, ANSWER_HEAD_END)? != [0] {
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
        // However it is cut, an answer that may not be held closes.
        let may_be_held = frame_len <= self.snapshot.limits.hold_answer_bytes_max;
        if !may_be_held || !self.upstream.intake.hold.is_empty() {
            return None;
        }
        let mut body = chunk.get(ANSWER_HEAD_END..frame_len)?;
        let mut header = HeaderEnd::of_response(form.header_is_flexible(), body.len());
        if header.step(&mut body) != Ok(true) {
            return None;
        }
        glance::bare(form.edition, form.version.0, body, interest)
    }

    /// Begins to read an answer. Of an ApiVersions answer a byte of the body may be held already,
    /// because its error code was waited for.
    fn read_answer(&mut self, mut answer: Answer, chunk: &mut Bytes) -> Result<(), CloseReason> {
        let hold = &self.upstream.intake.hold;
        let early = hold.copy(ANSWER_HEAD_END.min(hold.end())..hold.end());
        if !early.is_empty() {
            let (api, version) = (answer.api, answer.version);
            answer
                .read(&early, hold, &self.snapshot)
                .map_err(|why| UpstreamFault::Malformed(api, version, why))?;
        }
        // Most answers are there with their first bytes, and need no place to wait in.
        if self.read_on(&mut answer, chunk)? {
            self.release_answer(answer);
        } else {
            self.upstream.intake.stage = Stage::Answer(Box::new(answer));
        }
        Ok(())
    }

    /// Reads on in an answer that has begun in an earlier chunk.
    fn answer_body(&mut self, chunk: &mut Bytes) -> Result<(), CloseReason> {
        let stage = std::mem::take(&mut self.upstream.intake.stage);
        let Stage::Answer(mut answer) = stage else {
            return Err(CloseReason::Bug("no answer is being read"));
        };
        if self.read_on(&mut answer, chunk)? {
            self.release_answer(*answer);
        } else {
            self.upstream.intake.stage = Stage::Answer(answer);
        }
        Ok(())
    }

    /// Reads from the front of a chunk, and lets go what has been decided on; true once that is
    /// all of the answer.
    fn read_on(&mut self, answer: &mut Answer, chunk: &mut Bytes) -> Result<bool, CloseReason> {
        let Self {
            upstream,
            client,
            snapshot,
            ..
        } = self;
        let intake = &mut upstream.intake;
        let had = intake.hold.end();
        let part = framer::take(chunk, answer.frame_len.saturating_sub(had));
        intake.hold.push(part.clone());
        // The fixed head has been read where it stood.
        let unread = part
            .get(ANSWER_HEAD_END.saturating_sub(had)..)
            .unwrap_or_default();
        let (api, version) = (answer.api, answer.version);
        let progress = answer
            .read(unread, &intake.hold, snapshot)
            .map_err(|why| UpstreamFault::Malformed(api, version, why))?;
        // Many small changes take more than the bytes that they are in.
        let pinned_max = snapshot.limits.hold_answer_bytes_max.max(HOLD_ALWAYS_BYTES);
        if answer.pinned() > pinned_max {
            return Err(CloseReason::HoldLimit(Leg::Upstream));
        }
        match progress {
            Progress::Release(until) => {
                let edits = &mut answer.outcome().edits;
                edits.apply(&mut intake.hold, until, |part| client.egress.push(part));
                if intake.hold.len() > snapshot.limits.hold_answer_bytes_max {
                    return Err(CloseReason::HoldLimit(Leg::Upstream));
                }
                Ok(false)
            }
            Progress::Done => Ok(true),
        }
    }

    /// Everything has been read that could have to be edited.
    fn release_answer(&mut self, answer: Answer) {
        let frame_len = answer.frame_len;
        let answer_follows = answer.is_followed();
        self.announce_throttle(answer.throttle_ms());
        let forgets = mutation!(self, ForgetLength);
        let (mut outcome, growth) = answer.into_outcome(forgets);
        sometimes!(
            self.marks,
            TailBlanked,
            answer_follows && outcome.rewrites.dropped > 0
        );
        let in_pieces = self.upstream.intake.hold.slice_count() > 1;
        sometimes!(
            self.marks,
            EditedAcrossChunks,
            in_pieces && outcome.rewrites.rewritten > 0
        );
        sometimes!(
            self.marks,
            EndpointDropped,
            !answer_follows && outcome.rewrites.dropped > 0
        );
        self.upstream.answer_bytes = frame_len.saturating_add_signed(growth);
        let Self {
            upstream, client, ..
        } = self;
        let end = upstream.intake.hold.end();
        outcome.edits.apply(&mut upstream.intake.hold, end, |part| {
            client.egress.push(part)
        });
        upstream.intake.stage = Stage::Pass {
            left: frame_len - end,
        };
        self.tell(outcome);
    }

    fn tell(&mut self, outcome: Outcome) {
        if !outcome.rewrites.is_empty() {
            self.report(Event::Rewrote(outcome.rewrites));
        }
        for (broker, address) in outcome.moved {
            let observation = Observation::Endpoint { broker, address };
            self.effects.push_back(Effect::Learn(observation));
        }
    }

    /// Lets an answer come down: what is held now, the rest as it comes.
    fn pass_answer(&mut self, frame_len: usize) {
        let upstream = &self.upstream;
        let left = frame_len.saturating_sub(upstream.intake.hold.end());
        let held = upstream.intake.hold.len();
        let left = if mutation!(self, FrameEndsEarly) && left > 1 {
            left - 1
        } else {
            left
        };
        let Self {
            upstream, client, ..
        } = self;
        upstream
            .intake
            .hold
            .take(held, |part| client.egress.push(part));
        upstream.intake.stage = Stage::Pass { left };
    }

    fn answer_done(&mut self, now: Instant) {
        self.upstream.intake.frame_done();
        let bytes = self.upstream.answer_bytes;
        if let Some(Slot {
            api,
            version,
            since,
            ..
        }) = self.in_flight.pop(now)
        {
            let latency = now.since(since);
            self.report(Event::Answered {
                api,
                version,
                bytes,
                latency,
                local: false,
            });
        }
        self.give_local_answers(now);
    }
}

/// How an answer is carried that has to tell of a refusal besides.
fn telling(carry: Carry, frame_len: usize) -> Carry {
    match carry {
        Carry::Hold(interest) => Carry::Hold(interest.union(TOLD)),
        Carry::Follow(interest) => Carry::Follow(interest.union(TOLD)),
        Carry::Pass if frame_len > FOLLOW_BYTES_MIN => Carry::Follow(TOLD),
        Carry::Pass => Carry::Hold(TOLD),
    }
}

/// A walk over an answer.
fn answer_walk(form: &ResponseForm, frame_len: usize, interest: Roles) -> BodyWalk {
    let header_len = frame_len.saturating_sub(ANSWER_HEAD_END);
    BodyWalk::new(
        Some(form.edition),
        form.version.0,
        interest,
        HeaderEnd::of_response(form.header_is_flexible(), header_len),
        ANSWER_HEAD_END,
        frame_len,
    )
}
