//! What a client's frames mean.

use bytes::Bytes;

use crate::api::denials::SHARE_COORDINATOR;
use crate::api::versions::unsupported;
use crate::api::{
    self, API_VERSIONS, Access, Carry, FETCH, FIND_COORDINATOR, FOLLOW_BYTES_MIN, PRODUCE,
};
use crate::error::{BadLength, ClientFault, CloseReason, OtherProtocol};
use crate::event::Event;
use crate::io::Leg;
use crate::mark::sometimes;
use crate::mutation::mutation;
use crate::session::denial::Whole;
use crate::session::in_flight::{Owed, Slot};
use crate::session::intake::Stage;
use crate::session::refusal::{self, Judge, Judgement, Refused, Topics};
use crate::session::request::{Facts, REQUEST_HEAD_END, Request};
use crate::session::{Connection, Phase, Session};
use crate::time::Instant;
use crate::wire::codec::NotEncodable;
use crate::wire::edit::{Edits, lengthened};
use crate::wire::framer::{self, Framer};
use crate::wire::header::{PREFIX_BYTES, REQUEST_HEAD_BYTES, RequestHead};
use crate::wire::schema::Roles;

impl Session {
    /// Takes from the front of a chunk that the client sent.
    pub(super) fn client_bytes(
        &mut self,
        now: Instant,
        chunk: &mut Bytes,
    ) -> Result<(), CloseReason> {
        match &mut self.client.intake.stage {
            Stage::Head => self.request_head(chunk)?,
            Stage::Request(_) => self.request_body(chunk)?,
            Stage::Whole(_) => self.whole_body(chunk)?,
            Stage::Pass { left } => {
                let part = framer::take(chunk, *left);
                *left -= part.len();
                self.upstream.egress.push(part);
            }
            Stage::Drop { left } => *left -= framer::take(chunk, *left).len(),
            Stage::Answer(_) => return Err(CloseReason::Bug("an answer came from the client")),
        }
        if let Stage::Pass { left: 0 } | Stage::Drop { left: 0 } = self.client.intake.stage {
            self.request_done(now);
        }
        Ok(())
    }

    /// Reads length, key and version, and decides how the body is carried.
    fn request_head(&mut self, chunk: &mut Bytes) -> Result<(), CloseReason> {
        let framer = Framer {
            min: REQUEST_HEAD_BYTES,
            max: self.snapshot.limits.frame_bytes_max,
        };
        let hold = &mut self.client.intake.hold;
        let frame_len = framer.frame_len(hold, chunk).map_err(|why| {
            let first = framer::peek::<PREFIX_BYTES>(hold, chunk, 0);
            let other = first.and_then(OtherProtocol::of);
            match (why, other) {
                (BadLength::TooLarge, Some(other)) => ClientFault::Speaks(other),
                (_, Some(_) | None) => ClientFault::FrameLength(why),
            }
        })?;
        let head = framer::peek::<REQUEST_HEAD_BYTES>(hold, chunk, PREFIX_BYTES);
        let (Some(frame_len), Some(head)) = (frame_len, head) else {
            hold.push(std::mem::take(chunk));
            return Ok(());
        };
        let head = RequestHead::read(head);
        let row = self.snapshot.row(head.api);
        let row = row.ok_or(ClientFault::ApiNotOffered(head.api))?;
        if !row.versions.contains(head.version.0) {
            return self.unsupported_version(head, frame_len);
        }
        if !matches!(row.access, Access::All) {
            return self.restricted(head, frame_len, row.access, chunk);
        }
        let carry = api::request_carry(&row, head.version, frame_len);
        let judged = refusal::operation(head.api)
            .filter(|_| self.snapshot.policy.judges_topics(&self.principal));
        let mut request = match (carry, judged) {
            (Carry::Pass, None) => {
                self.pass_request(head, frame_len, Facts::default(), None);
                return Ok(());
            }
            (Carry::Follow(interest), None) => Request::followed(head, &row, frame_len, interest),
            (Carry::Hold(interest), None) => Request::new(head, &row, frame_len, interest),
            (Carry::Hold(interest) | Carry::Follow(interest), Some(what)) => {
                Request::judged(head, &row, frame_len, interest, what)
            }
            (Carry::Pass, Some(what)) => Request::judged(head, &row, frame_len, Roles::NONE, what),
        };
        // Most requests are there with their first bytes, and need no place to wait in.
        if !self.read_request(&mut request, chunk)? {
            self.client.intake.stage = Stage::Request(Box::new(request));
        }
        Ok(())
    }

    /// A request of which all or some may be denied.
    #[cold]
    #[inline(never)]
    fn restricted(
        &mut self,
        head: RequestHead,
        frame_len: usize,
        access: Access,
        chunk: &mut Bytes,
    ) -> Result<(), CloseReason> {
        let whole = match access {
            Access::All => return Err(CloseReason::Bug("an API that is allowed is restricted")),
            Access::NotBrokers(denial) => Whole::alters_configs(head, frame_len, denial),
            Access::Denied(denial) => Whole::denied(head, frame_len, denial),
        };
        self.read_whole(Box::new(whole), chunk)
    }

    /// Only ApiVersions is answered in a version that is not there, so that a client can find
    /// out which are; anything else closes, as in Kafka.
    fn unsupported_version(
        &mut self,
        head: RequestHead,
        frame_len: usize,
    ) -> Result<(), CloseReason> {
        if head.api != API_VERSIONS {
            return Err(ClientFault::UnsupportedVersion(head.api, head.version).into());
        }
        sometimes!(self.marks, VersionsAnsweredHere);
        let answer = Owed::Local(unsupported(head.correlation_id, &self.snapshot.offered));
        self.pending = Some(Slot::new(head, frame_len, Some(answer)));
        let left = frame_len.saturating_sub(self.client.intake.hold.len());
        self.client.intake.hold.clear();
        self.client.intake.stage = Stage::Drop { left };
        Ok(())
    }

    /// Reads on in a held request.
    fn request_body(&mut self, chunk: &mut Bytes) -> Result<(), CloseReason> {
        let stage = std::mem::take(&mut self.client.intake.stage);
        let Stage::Request(mut request) = stage else {
            return Err(CloseReason::Bug("no request is being read"));
        };
        if !self.read_request(&mut request, chunk)? {
            self.client.intake.stage = Stage::Request(request);
        }
        Ok(())
    }

    /// Reads from the front of a chunk, and lets the request go once it has said what decides;
    /// false while it has not.
    fn read_request(
        &mut self,
        request: &mut Request,
        chunk: &mut Bytes,
    ) -> Result<bool, CloseReason> {
        let intake = &mut self.client.intake;
        let had = intake.hold.end();
        let part = framer::take(chunk, request.frame_len.saturating_sub(had));
        intake.hold.push(part.clone());
        // The fixed head has been read where it stood.
        let unread = part
            .get(REQUEST_HEAD_END.saturating_sub(had)..)
            .unwrap_or_default();
        let is_whole = intake.hold.end() == request.frame_len;
        let judge = Judge {
            principal: &self.principal,
            snapshot: &self.snapshot,
            frame: &intake.hold,
        };
        if !request.read(unread, is_whole, judge)? {
            if request.is_followed {
                // It is not whole: what says whether it may be answered is still to come, and the
                // broker waits for it as well.
                let upstream = &mut self.upstream;
                let held = intake.hold.len();
                intake.hold.take(held, |part| upstream.egress.push(part));
                return Ok(false);
            }
            let too_much = intake.hold.len() > self.snapshot.limits.hold_bytes_max;
            sometimes!(self.marks, HoldLimitHit, too_much);
            return if too_much && !mutation!(self, IgnoreHoldLimit) {
                Err(CloseReason::HoldLimit(Leg::Client))
            } else {
                Ok(false)
            };
        }
        let (head, frame_len, facts) = (request.head, request.frame_len, request.facts);
        if facts.replica {
            return self.deny_broker(head, frame_len, chunk);
        }
        let kept = mutation!(self, KeepFetchSession) && head.api == FETCH;
        let topics = request.topics.take().filter(|_| !kept);
        match topics {
            Some(topics) => self.judge(head, frame_len, facts, topics)?,
            None => self.pass_request(head, frame_len, facts, None),
        }
        Ok(true)
    }

    /// What has been read of a request that is still held was judged by rules that are not the
    /// newest any more: it is read again from its beginning.
    #[cold]
    #[inline(never)]
    pub(super) fn judge_anew(&mut self, now: Instant) -> Result<(), CloseReason> {
        let intake = &mut self.client.intake;
        let is_held = intake.hold.len() == intake.hold.end();
        if !is_held || !matches!(intake.stage, Stage::Request(_) | Stage::Whole(_)) {
            return Ok(());
        }
        intake.stage = Stage::Head;
        let held = std::mem::take(&mut intake.hold);
        // A copy keeps no chunk alive: what it pins is its length, as is counted when it is read
        // again.
        let mut frame = Bytes::from(held.copy(0..held.end()));
        drop(held);
        while !frame.is_empty() {
            self.client_bytes(now, &mut frame)?;
        }
        Ok(())
    }

    /// A request that speaks as a broker of the cluster.
    #[cold]
    #[inline(never)]
    fn deny_broker(
        &mut self,
        head: RequestHead,
        frame_len: usize,
        chunk: &mut Bytes,
    ) -> Result<bool, CloseReason> {
        if head.api != FIND_COORDINATOR {
            return Err(ClientFault::ReplicaRequest(head.api).into());
        }
        if !SHARE_COORDINATOR.versions.contains(head.version.0) {
            // The broker answers with INVALID_REQUEST.
            self.pass_request(head, frame_len, Facts::default(), None);
            return Ok(true);
        }
        let denied = Whole::denied(head, frame_len, &SHARE_COORDINATOR.denial);
        self.read_whole(Box::new(denied), chunk)?;
        Ok(true)
    }

    /// Lets go what a request may do, and answers for the rest.
    fn judge(
        &mut self,
        head: RequestHead,
        frame_len: usize,
        facts: Facts,
        topics: Topics,
    ) -> Result<(), CloseReason> {
        let by_id = topics.names_ids();
        sometimes!(self.marks, UnknownTopicIdRefused, by_id);
        let in_session = head.api == FETCH && topics.continues_session();
        sometimes!(self.marks, FetchSessionRefused, in_session);
        sometimes!(
            self.marks,
            FetchSessionRefusedAfterReload,
            in_session && self.renewed
        );
        let judgement = topics.decide(&self.principal, &self.snapshot);
        self.mark_judgement(head, facts, &judgement);
        let hold = &self.client.intake.hold;
        let untold = |NotEncodable| ClientFault::RefusedUntold(head.api, head.version);
        match judgement.map_err(untold)? {
            // Kafka closes on a refused acks=0 produce: no response could carry the error.
            Judgement::Answer(_) | Judgement::Pass(_, Some(_)) if facts.unanswered => {
                Err(ClientFault::RefusedAcksZero.into())
            }
            Judgement::Answer(frame) => {
                self.pending = Some(Slot::new(head, frame_len, Some(Owed::Local(frame))));
                let left = frame_len.saturating_sub(hold.end());
                self.client.intake.hold.clear();
                self.client.intake.stage = Stage::Drop { left };
                Ok(())
            }
            Judgement::Pass(_, Some(_)) if mutation!(self, SkipRefusal) => {
                self.pass_request(head, frame_len, facts, None);
                Ok(())
            }
            Judgement::Pass(edits, refused) => {
                let refused = refused.filter(|_| !mutation!(self, ForgetRefused));
                let edits = lengthened(edits, frame_len);
                self.pass_request(head, frame_len, facts, Some((edits, refused)));
                Ok(())
            }
        }
    }

    fn mark_judgement(
        &mut self,
        head: RequestHead,
        facts: Facts,
        judgement: &Result<Judgement, NotEncodable>,
    ) {
        let (mixed, all) = match judgement {
            Ok(Judgement::Pass(_, refused)) => (refused.is_some(), false),
            Ok(Judgement::Answer(_)) => (false, true),
            Err(NotEncodable) => (false, false),
        };
        let produce = head.api == PRODUCE;
        sometimes!(
            self.marks,
            ProduceHeldThenPassed,
            produce && mixed && !facts.unanswered
        );
        sometimes!(
            self.marks,
            ProduceHeldThenRefused,
            produce && all && !facts.unanswered
        );
        sometimes!(
            self.marks,
            RefusedAcksZero,
            facts.unanswered && (mixed || all)
        );
    }

    /// Lets a request go up: what is held now, the rest as it comes.
    pub(super) fn pass_request(
        &mut self,
        head: RequestHead,
        frame_len: usize,
        facts: Facts,
        judged: Option<(Edits, Option<Box<Refused>>)>,
    ) {
        let allowance = facts.allowance(head, &mut self.earlier_waits);
        let (mut edits, refused) = judged.unwrap_or_default();
        let unanswered = facts.unanswered && !mutation!(self, SlotForAcksZero);
        let answer = (!unanswered).then_some(Owed::Relayed { allowance, refused });
        let twice = mutation!(self, SendTwice) && head.correlation_id.0 % 4 == 3;
        self.pending = Some(Slot::new(head, frame_len, answer));
        let Self {
            client, upstream, ..
        } = self;
        let end = client.intake.hold.end();
        edits.apply(&mut client.intake.hold, end, |part| {
            if twice && end == frame_len {
                upstream.egress.push(part.clone());
            }
            upstream.egress.push(part);
        });
        client.intake.stage = Stage::Pass {
            left: frame_len.saturating_sub(end),
        };
    }

    /// A request has been read to its end: from now on its answer is owed.
    fn request_done(&mut self, now: Instant) {
        let sent = matches!(self.client.intake.stage, Stage::Pass { .. });
        self.client.intake.frame_done();
        let Some(mut slot) = self.pending.take() else {
            return;
        };
        self.report(Event::Request {
            api: slot.api,
            version: slot.version,
            bytes: slot.bytes,
        });
        if slot.answer.is_some() {
            let ours = matches!(slot.answer, Some(Owed::Local(_)));
            sometimes!(
                self.marks,
                DenialBehindAnswer,
                ours && !self.in_flight.is_empty()
            );
            if mutation!(self, AnswerJumpsQueue)
                && let Some(Owed::Local(frame)) = slot.answer
            {
                self.client.egress.push(frame);
                return;
            }
            slot.since = now;
            self.in_flight.push(now, slot);
        } else {
            self.unanswered_waits |= !matches!(self.connection, Connection::Open);
        }
        if sent {
            self.want_upstream(now);
        }
        self.became_ready();
    }

    /// Upstream is dialled for the first whole frame, or once so much of a large one has come
    /// that it is more than somebody who only knocks would send.
    ///
    /// What the bytes keep alive is known at the end of their chunk, and how much that may be
    /// changes with a snapshot: so this is asked after every input.
    pub(super) fn open_when_due(&mut self, now: Instant) {
        // Of a request that has only begun, the rest does not come any more.
        if !matches!(self.connection, Connection::Unneeded)
            || !self.is_relaying()
            || self.is_finishing()
        {
            return;
        }
        let egress = &self.upstream.egress;
        // Nobody would take what is due, and the rest of the frame would never be read.
        let is_full = egress.pinned() >= self.snapshot.limits.egress_high_bytes;
        if is_full || egress.len() >= FOLLOW_BYTES_MIN {
            self.became_ready();
            self.want_upstream(now);
        }
    }

    fn became_ready(&mut self) {
        if matches!(self.phase, Phase::Opening) {
            self.phase = Phase::Ready;
        }
    }
}
