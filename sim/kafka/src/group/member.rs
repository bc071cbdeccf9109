//! One member of a classic group.

use std::time::Duration;

use bytes::Bytes;
use doorkeeper_core::time::Instant;
use kafka_protocol::messages::{JoinGroupResponse, SyncGroupResponse};
use kafka_protocol::protocol::StrBytes;

use super::Response;
use crate::connection::RequestId;

/// One member (`ClassicGroupMember`).
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) client_id: String,
    pub(super) rebalance_timeout: Duration,
    pub(super) session_timeout: Duration,
    pub(super) protocol_type: String,
    /// Names with metadata, the preferred one first.
    pub(super) protocols: Vec<(String, Bytes)>,
    pub(crate) assignment: Bytes,
    pub(super) joining: Option<RequestId>,
    pub(super) syncing: Option<RequestId>,
    /// Until its first join has a response; such a member may expire while it waits.
    pub(super) is_new: bool,
    pub(super) session_end: Option<Instant>,
}

impl Member {
    pub(super) const fn is_waiting(&self) -> bool {
        self.joining.is_some() || self.syncing.is_some()
    }

    pub(super) fn renew_session(&mut self, now: Instant) {
        self.session_end = Some(now.after(self.session_timeout));
    }

    /// What the member said about itself under `protocol`.
    pub(crate) fn metadata(&self, protocol: &str) -> Bytes {
        let found = self.protocols.iter().find(|(name, _)| name == protocol);
        found
            .map(|(_, metadata)| metadata.clone())
            .unwrap_or_default()
    }

    /// Responds to the join that waits, if one does.
    pub(super) fn respond_to_join(
        &mut self,
        with: JoinGroupResponse,
        responses: &mut Vec<Response>,
    ) {
        if let Some(request) = self.joining.take() {
            responses.push(Response::Join(request, with));
        }
    }

    /// Responds to the sync that waits, if one does. True if one did.
    pub(super) fn respond_to_sync(
        &mut self,
        with: SyncGroupResponse,
        responses: &mut Vec<Response>,
    ) -> bool {
        let waiting = self.syncing.take();
        if let Some(request) = waiting {
            responses.push(Response::Sync(request, with));
        }
        waiting.is_some()
    }
}

/// A wire string of our own bytes.
pub(super) fn wire(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}
