//! What is left of a request after authorization, and the denials that its response must report.

use bytes::Bytes;
use doorkeeper_core::policy::{Decision, Operation, Policy, Principal};
use uuid::Uuid;

/// `Errors.TOPIC_AUTHORIZATION_FAILED`.
pub(super) const TOPIC_AUTHORIZATION_FAILED: i16 = 29;

/// `Errors.UNKNOWN_TOPIC_ID`.
pub(super) const UNKNOWN_TOPIC_ID: i16 = 100;

/// What becomes of a request.
#[derive(Debug)]
pub(super) enum Cut {
    /// It passes as it is.
    Nothing,
    /// This is left of it, as a frame.
    Some { left: Bytes, denied: DenialReport },
    /// Nothing is left of it.
    All(DenialReport),
    /// It goes on in a fetch session, and none is granted.
    NoSession,
    /// It is written as no client writes it, so that it cannot be compared.
    Unclear,
}

/// The denials that a response must report.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct DenialReport {
    pub(super) topics: Vec<DeniedTopic>,
    /// Topics that a response lists all the same are left out: those that this policy denies.
    pub(super) filter: Option<Policy>,
    /// Nothing that a response lists was asked for.
    pub(super) filter_all: bool,
}

impl DenialReport {
    /// Whether any of the topics was named by its id.
    pub(crate) fn names_ids(&self) -> bool {
        self.topics.iter().any(|topic| !topic.id.is_nil())
    }
}

/// A topic that was denied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeniedTopic {
    pub(super) name: String,
    pub(super) id: Uuid,
    pub(super) partitions: Vec<i32>,
    pub(super) code: i16,
}

/// Authorizes one topic, by its id if it has one: what cannot be named is denied.
pub(super) fn authorize(
    policy: &Policy,
    what: Operation,
    name: &str,
    id: Uuid,
    partitions: Vec<i32>,
) -> Option<DeniedTopic> {
    let by_id = !id.is_nil();
    let denied = by_id || denies(policy, what, name);
    denied.then(|| DeniedTopic {
        name: if by_id {
            String::new()
        } else {
            name.to_owned()
        },
        id,
        partitions,
        code: if by_id {
            UNKNOWN_TOPIC_ID
        } else {
            TOPIC_AUTHORIZATION_FAILED
        },
    })
}

/// Whether a policy denies a topic to everybody.
pub(super) fn denies(policy: &Policy, what: Operation, name: &str) -> bool {
    policy.topic(&Principal::anonymous(), what, name) == Decision::Deny
}
