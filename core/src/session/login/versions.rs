//! ApiVersions before a login: what discovery has learned of the brokers, cut to what is offered.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use super::fields::walk_request;
use super::{Reply, State};
use crate::api::versions::{ApiRanges, failed, unsupported};
use crate::api::{OfferedApi, login_rows, row};
use crate::broker_versions::BrokerVersions;
use crate::error::{ClientFault, CloseReason};
use crate::id::ApiKey;
use crate::io::Route;
use crate::session::Session;
use crate::time::Instant;
use crate::wire::body_walk::BodyWalk;
use crate::wire::edit::{Edits, lengthened};
use crate::wire::header::{HeaderEnd, PREFIX_BYTES, RESPONSE_HEAD_BYTES, RequestHead};
use crate::wire::malformed::Malformed;
use crate::wire::rope::Rope;
use crate::wire::schema::{Role, Roles, Versions};

/// `Errors.INVALID_REQUEST`.
const INVALID_REQUEST: i16 = 42;

/// In version 5 a client says which broker it means to have reached, which is for that broker to
/// verify.
pub(super) const ANSWERED: Versions = Versions::new(0, 4);

impl Session {
    /// A client that has not logged in asks for the versions.
    pub(super) fn versions_asked(
        &mut self,
        now: Instant,
        head: RequestHead,
        frame: &Bytes,
    ) -> Result<(), CloseReason> {
        let frame_len = frame.len();
        let answered = self.versions_answered(head.api);
        if !ANSWERED.contains(head.version.0)
            || answered.is_some_and(|it| !it.contains(head.version.0))
        {
            let response = unsupported(head, answered.unwrap_or(ANSWERED));
            self.respond(now, Reply::To(head, frame_len), Ok(response));
            return Ok(());
        }
        let is_valid = is_valid(head, frame);
        if !is_valid.map_err(|why| ClientFault::Malformed(head.api, head.version, why))? {
            let response = failed(head, INVALID_REQUEST);
            self.respond(now, Reply::To(head, frame_len), Ok(response));
            return Ok(());
        }
        let Some(login) = &mut self.login else {
            return Ok(());
        };
        login.state = State::Versions(head, frame_len);
        self.respond_with_versions(now)
    }

    /// Something has been learned of the brokers: a client may wait for that.
    pub(in crate::session) fn respond_with_versions(
        &mut self,
        now: Instant,
    ) -> Result<(), CloseReason> {
        let Some(login) = &self.login else {
            return Ok(());
        };
        let State::Versions(head, frame_len) = login.state else {
            return Ok(());
        };
        let Some((first, others)) = self.brokers_versions() else {
            return Ok(());
        };
        let body = first.body(head.version);
        let body = body.ok_or(ClientFault::UnsupportedVersion(head.api, head.version))?;
        let offered = |api: ApiKey| self.offered_by_all(api, head.api, &others);
        // A client looks for them here. They are served here, so a broker need not have them.
        let added = login_rows().filter(|row| first.range(row.key).is_none());
        let added = added.filter_map(|row| self.snapshot.offered(row.key));
        let frame = response(head, body, added.collect(), offered);
        let frame = frame.ok_or(CloseReason::Bug(
            "versions that were learned cannot be read",
        ))?;
        if let Some(login) = &mut self.login {
            login.state = State::Handshake { has_versions: true };
        }
        self.respond(now, Reply::To(head, frame_len), Ok(frame));
        Ok(())
    }

    /// The brokers that the client may reach: their versions, those of one apart.
    fn brokers_versions(&self) -> Option<(Arc<BrokerVersions>, Vec<Arc<BrokerVersions>>)> {
        let topology = &self.snapshot.topology;
        if let Route::Broker(broker) = self.accept.route
            && let Some(address) = topology.upstream(broker)
            && let Some(versions) = topology.versions_at(address)
        {
            return Some((Arc::clone(versions), Vec::new()));
        }
        let mut all = topology.versions().map(Arc::clone);
        Some((all.next()?, all.collect()))
    }

    /// The versions of ApiVersions, whose key that is, that have a response here, if brokers are
    /// known.
    fn versions_answered(&self, api: ApiKey) -> Option<Versions> {
        let (first, others) = self.brokers_versions()?;
        let mut all = others.iter().chain([&first]);
        let last = all.try_fold(ANSWERED.last, |last, it| {
            let range = it.range(api)?;
            Some(range.last.min(last))
        });
        Some(Versions::new(
            ANSWERED.first,
            last.unwrap_or(ANSWERED.first),
        ))
    }

    /// An API in the versions that are offered here and that all brokers have; that which is asked
    /// for this in those that have a response.
    fn offered_by_all(
        &self,
        api: ApiKey,
        asked: ApiKey,
        brokers: &[Arc<BrokerVersions>],
    ) -> Option<OfferedApi> {
        let mut offered = self.snapshot.offered(api)?;
        if api == asked {
            offered.versions.last = offered.versions.last.min(ANSWERED.last);
        }
        if offered.row.login_step().is_some() {
            return Some(offered);
        }
        for broker in brokers {
            let range = broker.range(api)?;
            let versions = &mut offered.versions;
            versions.first = versions.first.max(range.first);
            versions.last = versions.last.min(range.last);
        }
        Some(offered)
    }
}

/// Whether the client names itself as it must (`ApiVersionsRequest.isValid`): the only texts of the
/// request.
fn is_valid(head: RequestHead, frame: &Bytes) -> Result<bool, Malformed> {
    let mut is_valid = true;
    walk_request(head, frame, Role::Opaque, &mut |text| {
        is_valid &= text.is_some_and(is_software_name);
    })?;
    Ok(is_valid)
}

/// `ApiVersionsRequest.SOFTWARE_NAME_VERSION_PATTERN`.
fn is_software_name(text: &[u8]) -> bool {
    let ends = [text.first(), text.last()];
    let is_inside = |it: &u8| it.is_ascii_alphanumeric() || b"-.".contains(it);
    ends.iter()
        .all(|it| it.is_some_and(u8::is_ascii_alphanumeric))
        && text.iter().all(is_inside)
}

/// The response of a broker with the ranges that are offered. Nothing if it cannot be read.
fn response(
    head: RequestHead,
    body: &Bytes,
    added: Vec<OfferedApi>,
    offered: impl Fn(ApiKey) -> Option<OfferedApi>,
) -> Option<Bytes> {
    const INTEREST: Roles = Roles::of(&[
        Role::ApiKeys,
        Role::ApiKey,
        Role::MinVersion,
        Role::MaxVersion,
    ]);
    const BODY_AT: usize = PREFIX_BYTES + RESPONSE_HEAD_BYTES;
    let edition = row(head.api)?.entry.response.edition(head.version.0)?;
    let frame_len = BODY_AT + body.len();
    let mut frame = BytesMut::with_capacity(frame_len);
    frame.put_u32(u32::try_from(frame_len - PREFIX_BYTES).ok()?);
    frame.put_i32(head.correlation_id.0);
    frame.put_slice(body);
    let mut edits = Edits::default();
    let mut ranges = ApiRanges::adding(edition.flexible.contains(head.version.0), added);
    // Whatever the version, its header has no tagged fields (KIP-511).
    let header = HeaderEnd::of_response(false, body.len());
    let walk = BodyWalk::new(
        Some(edition),
        head.version.0,
        INTEREST,
        header,
        BODY_AT,
        frame_len,
    );
    let walked = walk.whole(body, &mut |step| ranges.step(step, &offered, &mut edits));
    walked.ok()?;
    let mut rope = Rope::default();
    rope.push(frame.freeze());
    let mut edited = BytesMut::with_capacity(frame_len);
    lengthened(edits, frame_len).apply(&mut rope, frame_len, |part| edited.put(part));
    Some(edited.freeze())
}
