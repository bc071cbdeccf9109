//! Decides about a request that is buffered whole: one that is denied, because its response has to
//! repeat the names in it, or one that may alter the configuration of brokers.

use bytes::Bytes;

use crate::api::{self, Offering};
use crate::connection::Leg;
use crate::error::CloseReason;
use crate::event::Event;
use crate::limits::UNCOUNTED_BUFFER_BYTES;
use crate::session::Session;
use crate::session::broker_configs::{self, Decision};
use crate::session::request::Facts;
use crate::session::request_stage::RequestStage;
use crate::session::whole_request::{What, Whole};
use crate::time::Instant;
use crate::wire::edit::lengthened;
use crate::wire::framer;

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
        let is_login = api::offering(whole.head.api) == Some(Offering::Login);
        if is_login && self.login.is_none() {
            self.report(Event::SaslWithoutLogin);
        }
        self.drop_request(now, whole.head, whole.frame_len, response);
        Ok(())
    }
}
