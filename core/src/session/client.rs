//! Reads a client's frames.

use bytes::Bytes;

use crate::api::versions::unsupported;
use crate::api::{self, Access, ForwardMode, OfferedApi, STREAM_BYTES_MIN, Timeout};
use crate::connection::Leg;
use crate::error::{ClientFault, CloseReason};
use crate::event::Event;
use crate::mutation::mutation;
use crate::session::in_flight::{DueResponse, RelayedResponse, Slot};
use crate::session::request::{Facts, Request};
use crate::session::request_stage::{DroppedRequest, PassedRequest, RequestStage};
use crate::session::topic_authorization::{AuthorizedRequest, Authorizer, DeniedTopics, Topics};
use crate::session::whole_request::Whole;
use crate::session::{Phase, Session};
use crate::time::Instant;
use crate::wire::body_walk::REQUEST_HEAD_END;
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
        if let RequestStage::Pass(request) = &mut self.requests.stage
            && chunk.len() < request.left
        {
            request.left -= chunk.len();
            self.upstream.requests.push(std::mem::take(chunk));
            return Ok(());
        }
        match std::mem::take(&mut self.requests.stage) {
            RequestStage::Head if self.is_logging_in() => self.login_bytes(now, chunk),
            RequestStage::Head => self.request_head(now, chunk),
            RequestStage::Reading(mut request) => {
                if !self.read_request(now, &mut request, chunk)? {
                    self.requests.stage = RequestStage::Reading(request);
                }
                Ok(())
            }
            RequestStage::Whole(whole) => self.read_whole(now, whole, chunk),
            RequestStage::Pass(mut request) => {
                let part = framer::take(chunk, request.left);
                request.left -= part.len();
                self.upstream.requests.push(part);
                if request.left == 0 {
                    self.request_passed(now, request.head, request.frame_len, request.response);
                } else {
                    self.requests.stage = RequestStage::Pass(request);
                }
                Ok(())
            }
            RequestStage::Drop(mut request) => {
                request.left -= framer::take(chunk, request.left).len();
                if request.left == 0 {
                    self.request_dropped(now, request.head, request.frame_len, request.response);
                } else {
                    self.requests.stage = RequestStage::Drop(request);
                }
                Ok(())
            }
        }
    }

    /// Reads length, key and version, and decides how the body is forwarded.
    fn request_head(&mut self, now: Instant, chunk: &mut Bytes) -> Result<(), CloseReason> {
        let framer = Framer {
            min: REQUEST_HEAD_BYTES,
            max: self.snapshot.limits.frame_bytes_max,
        };
        let frame_len = self.requests.client_frame_len(chunk, framer)?;
        let buffered = &mut self.requests.buffered;
        let head = framer::peek::<REQUEST_HEAD_BYTES>(buffered, chunk, PREFIX_BYTES);
        let (Some(frame_len), Some(head)) = (frame_len, head) else {
            buffered.push(std::mem::take(chunk));
            return Ok(());
        };
        let head = RequestHead::read(head);
        let offered = self.snapshot.offered(head.api);
        let offered = offered.ok_or(ClientFault::ApiNotOffered(head.api))?;
        let row = offered.row;
        if !offered.versions.contains(head.version.0) {
            return self.unsupported_version(now, head, &offered, frame_len);
        }
        let whole = match offered.access {
            Access::Denied(_) if self.begins_login_again(now, row, head) => {
                return self.login_bytes(now, chunk);
            }
            Access::All => None,
            Access::NotBrokers(denial) => Some(Whole::alters_configs(head, frame_len, denial)),
            Access::Denied(_) if mutation!(self, PassDeniedApi) => None,
            Access::Denied(denial) => Some(Whole::denied(head, frame_len, denial)),
        };
        if let Some(whole) = whole {
            return self.read_whole(now, Box::new(whole), chunk);
        }
        let mode = api::request_forward_mode(row, head.version, frame_len);
        let authorized = row
            .topics
            .filter(|_| self.snapshot.policy.authorizes_topics(&self.principal));
        let mut request = match (mode, authorized) {
            (ForwardMode::Pass, None) => {
                self.pass_request(now, head, frame_len, Facts::default(), None);
                return Ok(());
            }
            (ForwardMode::Stream(interest), None) => {
                Request::streamed(head, row, frame_len, interest)
            }
            (ForwardMode::Buffer(interest), None) => Request::new(head, row, frame_len, interest),
            (ForwardMode::Buffer(interest) | ForwardMode::Stream(interest), Some(rule)) => {
                Request::authorized(head, row, frame_len, interest, rule)
            }
            (ForwardMode::Pass, Some(rule)) => {
                Request::authorized(head, row, frame_len, Roles::NONE, rule)
            }
        };
        // Most requests are there with their first bytes, and need no place to wait in.
        if !self.read_request(now, &mut request, chunk)? {
            self.requests.stage = RequestStage::Reading(Box::new(request));
        }
        Ok(())
    }

    /// Only an ApiVersions request of an unknown version gets a response, so that a client can find
    /// out which versions there are; any other closes, as in Kafka.
    fn unsupported_version(
        &mut self,
        now: Instant,
        head: RequestHead,
        offered: &OfferedApi,
        frame_len: usize,
    ) -> Result<(), CloseReason> {
        if !offered.row.negotiates_versions() {
            return Err(ClientFault::UnsupportedVersion(head.api, head.version).into());
        }
        let response = unsupported(head, offered.versions);
        self.drop_request(now, head, frame_len, response);
        Ok(())
    }

    /// Reads from the front of a chunk, and forwards the request once the fields have been read
    /// that decide; false while it has not.
    fn read_request(
        &mut self,
        now: Instant,
        request: &mut Request,
        chunk: &mut Bytes,
    ) -> Result<bool, CloseReason> {
        let frame_reader = &mut self.requests;
        let had = frame_reader.buffered.end();
        let part = framer::take(chunk, request.frame_len.saturating_sub(had));
        frame_reader.buffered.push(part.clone());
        // The fixed head has been read where it stood.
        let unread = part
            .get(REQUEST_HEAD_END.saturating_sub(had)..)
            .unwrap_or_default();
        let is_whole = frame_reader.buffered.end() == request.frame_len;
        let authorizer = Authorizer {
            principal: &self.principal,
            snapshot: &self.snapshot,
            frame: &frame_reader.buffered,
        };
        if !request.read(unread, is_whole, authorizer)? {
            if request.is_streamed {
                // It is not whole: the field that decides about it is still to come, and the broker
                // waits for the end of the frame as well.
                let egress = &mut self.upstream.requests;
                let buffered = frame_reader.buffered.len();
                frame_reader
                    .buffered
                    .take(buffered, |part| egress.push(part));
                return Ok(false);
            }
            let too_much =
                frame_reader.buffered.len() > self.snapshot.limits.request_buffer_bytes_max;
            return if too_much && !mutation!(self, IgnoreBufferLimit) {
                Err(CloseReason::BufferLimit(Leg::Client))
            } else {
                Ok(false)
            };
        }
        let (head, frame_len, facts) = (request.head, request.frame_len, request.facts);
        if facts.replica {
            self.deny_broker(now, head, frame_len, chunk)?;
            return Ok(true);
        }
        let kept = mutation!(self, KeepFetchSession)
            && request.topics.as_ref().is_some_and(Topics::has_session);
        let topics = request.topics.take().filter(|_| !kept);
        match topics {
            Some(topics) => self.authorize(now, head, frame_len, facts, topics)?,
            None => self.pass_request(now, head, frame_len, facts, None),
        }
        Ok(true)
    }

    /// What has been read of a request that is still buffered was authorized by rules that are not
    /// the newest any more: it is read again from its beginning.
    #[cold]
    #[inline(never)]
    pub(super) fn reauthorize(&mut self, now: Instant) -> Result<(), CloseReason> {
        let frame_reader = &mut self.requests;
        let is_buffered = frame_reader.buffered.len() == frame_reader.buffered.end();
        let is_undecided = matches!(
            frame_reader.stage,
            RequestStage::Reading(_) | RequestStage::Whole(_)
        );
        if !is_buffered || !is_undecided {
            return Ok(());
        }
        frame_reader.stage = RequestStage::Head;
        let buffered = std::mem::take(&mut frame_reader.buffered);
        // A copy keeps no chunk alive: what it pins is its length, as is counted when it is read
        // again.
        let mut frame = Bytes::from(buffered.copy(0..buffered.end()));
        drop(buffered);
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
        now: Instant,
        head: RequestHead,
        frame_len: usize,
        chunk: &mut Bytes,
    ) -> Result<(), CloseReason> {
        let denied = api::row(head.api).and_then(|row| row.denies_brokers.as_ref());
        let Some(denied) = denied else {
            return Err(ClientFault::ReplicaRequest(head.api).into());
        };
        if !denied.versions.contains(head.version.0) {
            // The broker responds with INVALID_REQUEST.
            self.pass_request(now, head, frame_len, Facts::default(), None);
            return Ok(());
        }
        let denied = Whole::denied(head, frame_len, &denied.denial);
        self.read_whole(now, Box::new(denied), chunk)
    }

    /// Forwards what is allowed of a request, and denies the rest.
    fn authorize(
        &mut self,
        now: Instant,
        head: RequestHead,
        frame_len: usize,
        facts: Facts,
        topics: Topics,
    ) -> Result<(), CloseReason> {
        let authorized = topics.decide(&self.principal, &self.snapshot);
        let not_encodable = |NotEncodable| ClientFault::DenialNotEncodable(head.api, head.version);
        match authorized.map_err(not_encodable)? {
            // Kafka closes on a denied acks=0 produce: there is no response to put the error in.
            AuthorizedRequest::Response(_) | AuthorizedRequest::Pass(_, Some(_))
                if facts.expects_no_response =>
            {
                Err(ClientFault::DeniedAcksZero.into())
            }
            AuthorizedRequest::Response(frame) => {
                self.drop_request(now, head, frame_len, frame);
                Ok(())
            }
            AuthorizedRequest::Pass(_, Some(_)) if mutation!(self, SkipDenial) => {
                self.pass_request(now, head, frame_len, facts, None);
                Ok(())
            }
            AuthorizedRequest::Pass(edits, denied) => {
                let denied = denied.filter(|_| !mutation!(self, ForgetDenied));
                let edits = lengthened(edits, frame_len);
                self.pass_request(now, head, frame_len, facts, Some((edits, denied)));
                Ok(())
            }
        }
    }

    /// Lets a request go up: what is buffered now, the rest as it comes.
    pub(super) fn pass_request(
        &mut self,
        now: Instant,
        head: RequestHead,
        frame_len: usize,
        facts: Facts,
        authorized: Option<(Edits, Option<Box<DeniedTopics>>)>,
    ) {
        let timeout = api::row(head.api).map_or(Timeout::OfRequest, |row| row.timeout);
        let allowance = facts.allowance(timeout, &mut self.earlier_timeouts);
        let (mut edits, denied) = authorized.unwrap_or_default();
        let expects_no_response = facts.expects_no_response && !mutation!(self, SlotForAcksZero);
        let response = (!expects_no_response).then_some(RelayedResponse { allowance, denied });
        let Self {
            requests, upstream, ..
        } = self;
        let end = requests.buffered.end();
        edits.apply(&mut requests.buffered, end, |part| {
            upstream.requests.push(part);
        });
        let left = frame_len.saturating_sub(end);
        if left == 0 {
            self.request_passed(now, head, frame_len, response);
            return;
        }
        self.requests.stage = RequestStage::Pass(PassedRequest {
            head,
            frame_len,
            left,
            response,
        });
    }

    /// Throws a request away, of which some may have come: doorkeeper responds itself.
    pub(super) fn drop_request(
        &mut self,
        now: Instant,
        head: RequestHead,
        frame_len: usize,
        response: Bytes,
    ) {
        let left = frame_len.saturating_sub(self.requests.buffered.end());
        if left == 0 {
            self.request_dropped(now, head, frame_len, response);
            return;
        }
        self.requests.buffered.clear();
        self.requests.stage = RequestStage::Drop(DroppedRequest {
            head,
            frame_len,
            left,
            response,
        });
    }

    /// The broker gets a request that has come to its end: from now on its response is owed.
    fn request_passed(
        &mut self,
        now: Instant,
        head: RequestHead,
        frame_len: usize,
        response: Option<RelayedResponse>,
    ) {
        self.request_done(head, frame_len);
        if let Some(response) = response {
            let slot = Slot::new(head, frame_len, now, DueResponse::Relayed(response));
            self.in_flight.push(now, slot);
        } else {
            self.dropped_waits |= !self.upstream.is_open();
        }
        self.want_upstream(now);
        self.became_ready();
    }

    /// No broker gets a request that has come to its end: from now on our response is owed.
    fn request_dropped(
        &mut self,
        now: Instant,
        head: RequestHead,
        frame_len: usize,
        response: Bytes,
    ) {
        self.request_done(head, frame_len);
        let slot = Slot::new(head, frame_len, now, DueResponse::Local(response));
        self.in_flight.push(now, slot);
        self.became_ready();
    }

    /// A request has been read to its end.
    fn request_done(&mut self, head: RequestHead, frame_len: usize) {
        self.requests.clear();
        self.report(Event::Request {
            api: head.api,
            version: head.version,
            bytes: frame_len,
        });
    }

    /// Upstream is dialled for the first whole frame, or once so much of a large one has come
    /// that it is more than a port scan would send.
    ///
    /// What the bytes keep alive is known at the end of their chunk, and how much that may be
    /// changes with a snapshot: so this is asked after every input.
    pub(super) fn open_when_due(&mut self, now: Instant) {
        // Of a request that has only begun, the rest does not come any more.
        if !self.upstream.is_idle() || !self.is_relaying() || self.is_finishing() {
            return;
        }
        let egress = &self.upstream.requests;
        // Nobody would take what is due, and the rest of the frame would never be read.
        let is_full = egress.pinned() >= self.snapshot.limits.egress_high_bytes;
        if is_full || egress.len() >= STREAM_BYTES_MIN {
            self.became_ready();
            self.want_upstream(now);
        }
    }

    fn became_ready(&mut self) {
        if matches!(self.phase, Phase::Opening) {
            self.enter(Phase::Ready);
        }
    }
}
