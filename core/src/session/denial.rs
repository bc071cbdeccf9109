//! A request that is buffered whole before any broker may see it: one that is denied, because its
//! response has to repeat the names in it, or one that may alter the configuration of brokers.

use bytes::Bytes;

use crate::api::{self, Denial, Offering};
use crate::error::{ClientFault, CloseReason};
use crate::event::Event;
use crate::io::Leg;
use crate::limits::UNCOUNTED_BUFFER_BYTES;
use crate::session::Session;
use crate::session::broker_configs::{self, Decision};
use crate::session::names::Names;
use crate::session::request::Facts;
use crate::session::request_stage::RequestStage;
use crate::time::Instant;
use crate::wire::codec::denial::{DenialError, denied};
use crate::wire::edit::lengthened;
use crate::wire::framer;
use crate::wire::header::RequestHead;
use crate::wire::malformed::Malformed;
use crate::wire::schema::{self, Api};

/// A request that is read to its end.
#[derive(Debug)]
pub(super) struct Whole {
    head: RequestHead,
    frame_len: usize,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    /// It is denied, whatever it says.
    Deny(&'static Denial),
    /// What it alters of brokers is denied.
    DenyBrokerConfigs(&'static Denial),
}

impl Whole {
    /// A request that is denied.
    pub(super) fn denied(head: RequestHead, frame_len: usize, denial: &'static Denial) -> Self {
        Self {
            head,
            frame_len,
            what: What::Deny(denial),
        }
    }

    /// An AlterConfigs or IncrementalAlterConfigs, where brokers are not to be altered.
    pub(super) fn alters_configs(
        head: RequestHead,
        frame_len: usize,
        denial: &'static Denial,
    ) -> Self {
        Self {
            head,
            frame_len,
            what: What::DenyBrokerConfigs(denial),
        }
    }

    fn not_encodable(&self) -> ClientFault {
        ClientFault::DenialNotEncodable(self.head.api, self.head.version)
    }

    fn malformed(&self, why: Malformed) -> ClientFault {
        ClientFault::Malformed(self.head.api, self.head.version, why)
    }

    fn entry(&self) -> Result<&'static Api, ClientFault> {
        schema::api(self.head.api.0).ok_or(ClientFault::ApiNotOffered(self.head.api))
    }

    /// The response that denies all of it, no longer than it may be.
    fn response(
        &self,
        frame: &Bytes,
        denial: &Denial,
        bytes_max: usize,
    ) -> Result<Bytes, CloseReason> {
        let entry = self.entry()?;
        let mut names = Names::new(entry, self.head.version, frame);
        let response = denied(self.head, *denial, &mut names, bytes_max);
        if response != Err(DenialError::TooLong) {
            names.finish().map_err(|why| self.malformed(why))?;
        }
        response.map_err(|why| match why {
            DenialError::NotEncodable => self.not_encodable().into(),
            DenialError::TooLong => CloseReason::BufferLimit(Leg::Client),
        })
    }
}

impl Session {
    /// Takes in the rest of a request, and decides about it once it is there.
    #[cold]
    #[inline(never)]
    pub(super) fn read_whole(
        &mut self,
        now: Instant,
        whole: Box<Whole>,
        chunk: &mut Bytes,
    ) -> Result<(), CloseReason> {
        let limits = &self.snapshot.limits;
        if whole.frame_len > limits.request_buffer_bytes_max {
            return Err(CloseReason::BufferLimit(Leg::Client));
        }
        // What denies a request may be longer than the request.
        let response_bytes_max = limits.request_buffer_bytes_max.max(UNCOUNTED_BUFFER_BYTES);
        let buffered = &mut self.requests.buffered;
        let missing = whole.frame_len.saturating_sub(buffered.len());
        buffered.push(framer::take(chunk, missing));
        if buffered.len() < whole.frame_len {
            self.requests.stage = RequestStage::Whole(whole);
            return Ok(());
        }
        let frame = Bytes::from(buffered.copy(0..whole.frame_len));
        let denial = match whole.what {
            What::Deny(denial) => denial,
            What::DenyBrokerConfigs(denial) => {
                match broker_configs::decide(
                    whole.head,
                    whole.entry()?,
                    &frame,
                    denial,
                    response_bytes_max,
                )? {
                    Decision::Deny => denial,
                    Decision::Pass(edits, denied) => {
                        let authorized = (lengthened(edits, whole.frame_len), denied);
                        let facts = Facts::default();
                        let (head, frame_len) = (whole.head, whole.frame_len);
                        self.pass_request(now, head, frame_len, facts, Some(authorized));
                        return Ok(());
                    }
                }
            }
        };
        let response = whole.response(&frame, denial, response_bytes_max)?;
        if api::offering(whole.head.api) == Some(Offering::Login) {
            self.report(Event::SaslWithoutLogin);
        }
        self.drop_request(now, whole.head, whole.frame_len, response);
        Ok(())
    }
}
