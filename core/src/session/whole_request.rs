//! A request that is buffered whole before any broker may see it.

use bytes::Bytes;

use crate::api::Denial;
use crate::connection::Leg;
use crate::error::{ClientFault, CloseReason};
use crate::session::names::Names;
use crate::wire::codec::denial::{DenialError, denied};
use crate::wire::header::RequestHead;
use crate::wire::malformed::Malformed;
use crate::wire::schema::{self, Api};

/// A request that is read to its end.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) head: RequestHead,
    pub(super) frame_len: usize,
    pub(super) what: What,
}

/// Why it is.
#[derive(Clone, Copy, Debug)]
pub(super) enum What {
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

    pub(super) fn entry(&self) -> Result<&'static Api, ClientFault> {
        schema::api(self.head.api.0).ok_or(ClientFault::ApiNotOffered(self.head.api))
    }

    /// The response that denies all of it, no longer than it may be.
    pub(super) fn response(
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
