//! What must happen, computed from the configuration and the bytes of both peers.
//!
//! Of core it asks what is configured (which APIs and topics are for clients, with which error the
//! others are denied, where clients find brokers), the tables, and the walker that reads by them.
//! What follows from that is not shared: messages are decoded whole by kafka-protocol, changed as
//! values, and compared as values. Only what has been walked by its schema is decoded, because that
//! decoder reserves memory by counts that it has not checked.

mod authorized;
mod create_topics;
mod fetch;
mod metadata;
mod produce;
mod responses;
mod typed;
mod versions;

use std::sync::Arc;

use bytes::Bytes;
use doorkeeper_core::Snapshot;
use doorkeeper_core::api::Access;
use doorkeeper_core::api::keys::{
    API_VERSIONS, CREATE_TOPICS, FETCH, FIND_COORDINATOR, METADATA, PRODUCE,
};
use doorkeeper_core::id::ApiKey;
use doorkeeper_core::policy::{Decision, Principal};
use doorkeeper_core::wire::schema::{self, Direction, Role};

pub(crate) use authorized::DenialReport;
pub(crate) use responses::{is_denial, is_right};
pub(crate) use typed::{granted, names_brokers, request, response, throttle};

use authorized::Cut;
use typed::RequestSummary;

/// The fixed head of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) api: ApiKey,
    pub(crate) version: i16,
    pub(crate) id: i32,
}

impl Head {
    /// Of a frame with its length, whole or not.
    pub(crate) fn of_request(frame: &[u8]) -> Option<Self> {
        let head: &[u8; 12] = frame.first_chunk()?;
        let [_, _, _, _, k0, k1, v0, v1, i0, i1, i2, i3] = *head;
        Some(Self {
            api: ApiKey(i16::from_be_bytes([k0, k1])),
            version: i16::from_be_bytes([v0, v1]),
            id: i32::from_be_bytes([i0, i1, i2, i3]),
        })
    }
}

/// The correlation id of a response with its length.
pub(crate) fn correlation_id_of(frame: &[u8]) -> Option<i32> {
    let head: &[u8; 8] = frame.first_chunk()?;
    let [_, _, _, _, i0, i1, i2, i3] = *head;
    Some(i32::from_be_bytes([i0, i1, i2, i3]))
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fate {
    /// The session closes.
    Closes,
    /// doorkeeper responds to it, and no broker sees it.
    Local(Denial),
    /// It goes up as it came.
    Passes {
        /// Whether a response is owed.
        no_response: bool,
        /// The session may close instead: the body does not follow its schema, or speaks as a
        /// replica, and whether that is noticed depends on whether it is looked at.
        may_close: bool,
    },
    /// It is written as no client writes it: anything may become of it but a leak.
    Unclear {
        /// Whether a response is owed.
        no_response: bool,
    },
    /// A part of it goes up, and the response reports the rest.
    Cut {
        /// What goes up, encoded anew.
        left: Bytes,
        /// What the response has to report.
        denied: Arc<DenialReport>,
    },
}

/// A response of doorkeeper's own.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Denial {
    /// There is no such version of ApiVersions.
    UnknownVersion,
    /// `FETCH_SESSION_ID_NOT_FOUND`.
    NoFetchSession,
    /// Everything that it names is denied.
    All(Arc<DenialReport>),
    /// The API is not allowed, or not to clients: this error, for all that the request names.
    Error {
        code: i16,
        /// How often it must stand there, as far as that can be seen from outside.
        at_least: usize,
    },
}

impl Fate {
    /// Whether the client is owed a response.
    pub(crate) const fn is_owed(&self) -> bool {
        match self {
            Self::Closes => false,
            Self::Local(_) | Self::Cut { .. } => true,
            Self::Passes { no_response, .. } | Self::Unclear { no_response } => !*no_response,
        }
    }

    /// Whether doorkeeper responds to it itself.
    pub(crate) const fn is_local(&self) -> bool {
        match self {
            Self::Local(_) => true,
            Self::Closes | Self::Passes { .. } | Self::Unclear { .. } | Self::Cut { .. } => false,
        }
    }

    /// Whether the session may close for it.
    pub(crate) const fn may_close(&self) -> bool {
        match self {
            Self::Closes | Self::Unclear { .. } => true,
            Self::Local(_) | Self::Cut { .. } => false,
            Self::Passes { may_close, .. } => *may_close,
        }
    }
}

/// What may become of a whole request: by one of the snapshots, or, where one decides that it has
/// to be authorized and the next one authorizes, by both.
pub(crate) fn fates(head: Head, frame: &Bytes, snapshots: &[Arc<Snapshot>]) -> Vec<Fate> {
    let mut all = Vec::new();
    for (at, first) in snapshots.iter().enumerate() {
        for authorize in snapshots.iter().skip(at) {
            let fate = fate(head, frame, first, authorize);
            if !all.contains(&fate) {
                all.push(fate);
            }
        }
    }
    all
}

/// Whether a snapshot offers the API in that version.
pub(crate) fn offers(snapshot: &Snapshot, head: Head) -> Option<bool> {
    if snapshot.policy.api(head.api) == Decision::Deny {
        return None;
    }
    let row = snapshot.offered.get(head.api)?;
    Some(row.versions.contains(head.version))
}

/// `FindCoordinatorRequest.CoordinatorType.SHARE`.
const SHARE: i64 = 2;

/// `Errors.CLUSTER_AUTHORIZATION_FAILED`.
const CLUSTER_AUTHORIZATION_FAILED: i16 = 31;

/// Whether the response to a request has an error code that belongs to all of it.
fn tells_at_the_top(head: Head) -> bool {
    let edition = schema::message(head.api.0, Direction::Response)
        .and_then(|message| message.edition(head.version));
    edition.is_some_and(|edition| {
        let mut fields = edition.body.fields.iter();
        fields.any(|it| it.role == Role::ErrorCode && it.versions.contains(head.version))
    })
}

/// What becomes of a request that clients are not allowed, or not all of it.
fn denied(head: Head, look: &RequestSummary, frame: &Bytes, snapshot: &Snapshot) -> Option<Fate> {
    /// For a longer one it depends on what it names whether it can have a response.
    const CERTAIN_BYTES_MAX: usize = 10_000;
    let unclear = Some(Fate::Unclear { no_response: false });
    let row = snapshot.offered.get(head.api)?;
    let code = match row.access {
        Access::Denied(denial) => denial.error_code,
        Access::All if (head.api, head.version) == (FIND_COORDINATOR, 6) => match look.key_type {
            Some(SHARE) => CLUSTER_AUTHORIZATION_FAILED,
            Some(_) => return None,
            None => return unclear,
        },
        Access::All => return None,
        Access::NotBrokers(_) if !look.is_sound => return unclear,
        Access::NotBrokers(_) if look.brokers == 0 => return None,
        Access::NotBrokers(denial) if look.brokers == look.resources => denial.error_code,
        Access::NotBrokers(_) => return unclear,
    };
    if frame.len() > CERTAIN_BYTES_MAX {
        return unclear;
    }
    // Each resource has a result of its own; a response to any other request that names nothing
    // may have no place for an error.
    let at_least = match row.access {
        Access::NotBrokers(_) => look.resources,
        Access::Denied(_) if tells_at_the_top(head) => 1,
        Access::Denied(_) | Access::All => 0,
    };
    Some(if look.is_sound {
        Fate::Local(Denial::Error { code, at_least })
    } else {
        Fate::Closes
    })
}

fn fate(head: Head, frame: &Bytes, first: &Snapshot, authorize: &Snapshot) -> Fate {
    match offers(first, head) {
        None => return Fate::Closes,
        Some(false) if head.api == API_VERSIONS => return Fate::Local(Denial::UnknownVersion),
        Some(false) => return Fate::Closes,
        Some(true) => {}
    }
    let look = typed::look(head, frame);
    if let Some(fate) = denied(head, &look, frame, first) {
        return fate;
    }
    let passes = Fate::Passes {
        no_response: head.api == PRODUCE && look.acks == Some(0),
        may_close: !look.is_sound || look.is_replica,
    };
    let authorized = first.policy.authorizes_topics(&Principal::anonymous());
    if !authorized {
        return passes;
    }
    if passes.may_close() && matches!(head.api, PRODUCE | FETCH | METADATA | CREATE_TOPICS) {
        return Fate::Unclear {
            no_response: look.acks == Some(0),
        };
    }
    let cut = match head.api {
        PRODUCE => produce::cut(head, frame, &authorize.policy),
        FETCH => fetch::cut(head, frame, &authorize.policy),
        METADATA => metadata::cut(head, frame, &authorize.policy),
        CREATE_TOPICS => create_topics::cut(head, frame, &authorize.policy),
        _ => return passes,
    };
    match cut {
        Cut::Nothing => passes,
        Cut::Unclear => Fate::Unclear {
            no_response: look.acks == Some(0),
        },
        Cut::Some { .. } | Cut::All(_) if look.acks == Some(0) => Fate::Closes,
        Cut::Some { left, denied } => Fate::Cut {
            left,
            denied: Arc::new(denied),
        },
        Cut::All(denied) => Fate::Local(Denial::All(Arc::new(denied))),
        Cut::NoSession => Fate::Local(Denial::NoFetchSession),
    }
}
