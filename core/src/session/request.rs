//! A request that is buffered until the fields have been read that decide about it.

use std::time::Duration;

use crate::api::{Row, Timeout, TopicRule};
use crate::connection::Leg;
use crate::error::{ClientFault, CloseReason};
use crate::limits::UNCOUNTED_BUFFER_BYTES;
use crate::session::topic_authorization::{AUTHORIZED_ROLES, Authorizer, Topics};
use crate::wire::body_walk::BodyWalk;
use crate::wire::codec::NotEncodable;
use crate::wire::header::RequestHead;
use crate::wire::malformed::Malformed;
use crate::wire::schema::{Role, Roles};
use crate::wire::walk::{FieldValue, Step, Value};

/// `FindCoordinatorRequest.CoordinatorType.SHARE`: who keeps the state of share groups, which only
/// brokers ask for.
const SHARE_KEY: i64 = 2;

/// The longest wait that a request is granted, whatever it asks for.
const ALLOWANCE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// What a SyncGroup is granted before any JoinGroup has said how long a rebalance may take
/// (`max.poll.interval.ms`, by default).
const REBALANCE_DEFAULT: Duration = Duration::from_secs(300);

/// What requests of a transaction are granted before any InitProducerId has said how long one may
/// take (`transaction.timeout.ms`, by default).
const TRANSACTION_DEFAULT: Duration = Duration::from_secs(60);

/// How long earlier requests of a connection let the broker wait with the response to a later one,
/// which does not say so itself.
#[derive(Debug)]
pub(super) struct EarlierTimeouts {
    /// For the members of a group, as the last JoinGroup said.
    rebalance: Duration,
    /// For the replicas of the transaction log, as the last InitProducerId of a transactional
    /// producer said (`TransactionStateManager.appendTransactionToLog`).
    transaction: Duration,
}

impl Default for EarlierTimeouts {
    fn default() -> Self {
        Self {
            rebalance: REBALANCE_DEFAULT,
            transaction: TRANSACTION_DEFAULT,
        }
    }
}

/// A request whose body is being read.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) head: RequestHead,
    pub(super) frame_len: usize,
    walk: BodyWalk,
    pub(super) facts: Facts,
    /// The topics, where they are authorized.
    pub(super) topics: Option<Topics>,
    /// It goes up while it is read, all but its end.
    pub(super) is_streamed: bool,
}

/// What a request says that decides about it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Facts {
    /// Whether it is a Produce without a response.
    pub(super) expects_no_response: bool,
    /// Whether it speaks as a replica, or asks for a coordinator that serves brokers.
    pub(super) replica: bool,
    /// Whether it names a transactional producer.
    transactional: bool,
    /// The longest time that it lets the broker wait.
    wait: Option<Duration>,
}

impl Facts {
    /// How long the broker may take on top of `request_timeout`.
    pub(super) fn allowance(self, timeout: Timeout, earlier: &mut EarlierTimeouts) -> Duration {
        let wait = self.wait.map(|wait| wait.min(ALLOWANCE_MAX));
        match (timeout, wait) {
            (Timeout::OfRequest, _) => {}
            (Timeout::StartsRebalance, Some(wait)) => earlier.rebalance = wait,
            (Timeout::StartsRebalance, None) | (Timeout::Rebalance, _) => return earlier.rebalance,
            // A producer without transactions gets an id at once, whatever the timeout says:
            // Kafka's own client says `Integer.MAX_VALUE`
            // (`TransactionCoordinator.handleInitProducerId`).
            (Timeout::StartsTransaction, _) if !self.transactional => return Duration::ZERO,
            (Timeout::StartsTransaction, Some(wait)) => earlier.transaction = wait,
            (Timeout::StartsTransaction, None) => {}
            (Timeout::Transaction, _) => return earlier.transaction,
        }
        wait.unwrap_or_default()
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "a walk yields just the roles that were asked for"
    )]
    fn take(&mut self, found: &FieldValue) {
        if found.role == Role::TransactionalId {
            self.transactional = found.value != Value::Null;
        }
        let Value::Int(int) = found.value else { return };
        match found.role {
            Role::Acks => self.expects_no_response = int == 0,
            Role::ReplicaId => self.replica |= int >= 0,
            Role::KeyType => self.replica |= int == SHARE_KEY,
            Role::WaitMs => {
                let wait = Duration::from_millis(u64::try_from(int).unwrap_or(0));
                self.wait = Some(self.wait.unwrap_or_default().max(wait));
            }
            _ => {}
        }
    }
}

impl Request {
    pub(super) fn new(head: RequestHead, row: &Row, frame_len: usize, interest: Roles) -> Self {
        let walk = BodyWalk::of_request(row.entry, head.version, interest, frame_len);
        Self {
            head,
            frame_len,
            walk,
            facts: Facts::default(),
            topics: None,
            is_streamed: false,
        }
    }

    /// A request that goes up while it is read.
    pub(super) fn streamed(
        head: RequestHead,
        row: &Row,
        frame_len: usize,
        interest: Roles,
    ) -> Self {
        Self {
            is_streamed: true,
            ..Self::new(head, row, frame_len, interest)
        }
    }

    /// A request whose topics are authorized as well.
    pub(super) fn authorized(
        head: RequestHead,
        row: &Row,
        frame_len: usize,
        interest: Roles,
        rule: TopicRule,
    ) -> Self {
        let topics = Some(Topics::new(head, rule));
        Self {
            topics,
            ..Self::new(head, row, frame_len, interest.union(AUTHORIZED_ROLES))
        }
    }

    /// The memory that is kept of what has been read, besides the frame.
    pub(super) fn pinned(&self) -> usize {
        self.topics.as_ref().map_or(0, Topics::pinned)
    }

    /// Reads on; true once all that decides has been read. In a Produce that is the name of its
    /// last topic, if all are allowed: nothing that follows can be denied any more, and the
    /// records need not be buffered.
    pub(super) fn read(
        &mut self,
        mut input: &[u8],
        is_whole: bool,
        authorizer: Authorizer<'_>,
    ) -> Result<bool, CloseReason> {
        let (head, limits) = (self.head, &authorizer.snapshot.limits);
        // What a response says of a denied topic may be longer than the request.
        let pinned_max = limits.request_buffer_bytes_max.max(UNCOUNTED_BUFFER_BYTES);
        loop {
            let step = self
                .walk
                .step(&mut input)
                .map_err(|why| self.malformed(why))?;
            if let Some(topics) = &mut self.topics {
                topics.step(&step, authorizer).map_err(|NotEncodable| {
                    ClientFault::DenialNotEncodable(head.api, head.version)
                })?;
                if topics.pinned() > pinned_max {
                    return Err(CloseReason::BufferLimit(Leg::Client));
                }
                let named = matches!(step, Step::Value(_)) && topics.are_all_allowed();
                if topics.end_with_names() && named {
                    self.topics = None;
                    return Ok(true);
                }
            }
            match step {
                Step::Value(found) => self.facts.take(&found),
                Step::Done { .. } => return Ok(true),
                Step::More if is_whole => return Err(self.malformed(Malformed::Truncated).into()),
                Step::More => return Ok(false),
                Step::Begin { .. }
                | Step::Array { .. }
                | Step::Element { .. }
                | Step::ElementEnd { .. }
                | Step::ArrayEnd { .. }
                | Step::Tags { .. }
                | Step::Tagged { .. }
                | Step::TaggedEnd { .. } => {}
            }
        }
    }

    fn malformed(&self, why: Malformed) -> ClientFault {
        ClientFault::Malformed(self.head.api, self.head.version, why)
    }
}
