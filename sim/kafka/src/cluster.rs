//! The cluster: requests in, responses out, time as an argument.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use doorkeeper_core::id::{BrokerId, HostPort};
use doorkeeper_core::time::Instant;
use uuid::Uuid;

use crate::api::{self, fetch::Parked, share_fetch};
use crate::brokers::Brokers;
use crate::close::CloseReason;
use crate::codec::{self, Call, Head, Reply};
use crate::config::{ClusterConfig, Limits};
use crate::connection::{Connection, ConnectionId, RequestId};
use crate::controller::Controller;
use crate::group::Response;
use crate::group_coordinator::GroupCoordinator;
use crate::groups::Groups;
use crate::rng::Rng;
use crate::shares::Shares;
use crate::topics::{OFFSETS_PARTITIONS, OFFSETS_TOPIC, TRANSACTIONS_TOPIC, Topics};
use crate::transaction_coordinator::TransactionCoordinator;
use crate::transactions::Transactions;

/// What a cluster wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// A response, without its 4-byte length.
    Frame {
        /// Where it goes.
        connection: ConnectionId,
        /// Header and body.
        bytes: Bytes,
    },
    /// The connection is closed, after what was sent before; nothing more comes for it.
    Close {
        /// Which.
        connection: ConnectionId,
        /// Why.
        reason: CloseReason,
    },
}

/// An in-memory Kafka cluster as a value.
///
/// **Hand it connections and requests with the time, drain [`Cluster::poll`] to `None` after each,
/// and call [`Cluster::tick`] at [`Cluster::deadline`]: it never fails and never blocks.**
#[derive(Debug)]
pub struct Cluster {
    pub(crate) now: Instant,
    pub(crate) limits: Limits,
    pub(crate) id: String,
    pub(crate) rng: Rng,
    pub(crate) brokers: Brokers,
    pub(crate) topics: Topics,
    pub(crate) groups: Groups,
    pub(crate) transactions: Transactions,
    pub(crate) shares: Shares,
    pub(crate) next_producer_id: i64,
    pub(crate) parked: BTreeMap<RequestId, Parked>,
    pub(crate) parked_shares: BTreeMap<RequestId, share_fetch::Parked>,
    connections: BTreeMap<ConnectionId, Connection>,
    next_connection: u64,
    /// Connections that may have a request without a response.
    runnable: VecDeque<ConnectionId>,
    /// Parked fetches may have something to read.
    logs_changed: bool,
    outputs: VecDeque<Output>,
}

impl Cluster {
    /// A cluster with all brokers up and no topics.
    #[must_use]
    pub fn new(config: ClusterConfig) -> Self {
        let mut rng = Rng::new(config.seed);
        Self {
            now: Instant::ZERO,
            limits: config.limits,
            id: rng.cluster_id(),
            rng,
            brokers: Brokers::new(config.brokers),
            topics: Topics::default(),
            groups: Groups::default(),
            transactions: Transactions::default(),
            shares: Shares::default(),
            next_producer_id: 0,
            parked: BTreeMap::new(),
            parked_shares: BTreeMap::new(),
            connections: BTreeMap::new(),
            next_connection: 0,
            runnable: VecDeque::new(),
            logs_changed: false,
            outputs: VecDeque::new(),
        }
    }

    /// A client has connected to a broker. A broker that is stopped or unknown closes at once.
    pub fn connected(&mut self, now: Instant, broker: BrokerId) -> ConnectionId {
        self.advance(now);
        let id = ConnectionId(self.next_connection);
        self.next_connection += 1;
        self.connections.insert(id, Connection::new(broker));
        if self.brokers.up(broker).is_none() {
            self.close(id, CloseReason::BrokerStopped { broker });
        }
        id
    }

    /// The client has gone. What it waits for is forgotten, its group memberships are not.
    pub fn disconnected(&mut self, now: Instant, connection: ConnectionId) {
        self.advance(now);
        self.forget(connection);
        if self.logs_changed {
            self.settle();
        }
    }

    /// A frame has come, without its 4-byte length. [`Cluster::poll`] gives the responses, for each
    /// connection in the order of its requests.
    pub fn request(&mut self, now: Instant, connection: ConnectionId, frame: Bytes) {
        self.advance(now);
        if let Some(known) = self.connections.get_mut(&connection) {
            known.push(frame);
            self.runnable.push_back(connection);
        }
        self.settle();
    }

    /// Whether more requests of a connection should be read now: the model serves one at a time.
    #[must_use]
    pub fn accepts(&self, connection: ConnectionId) -> bool {
        let known = self.connections.get(&connection);
        known.is_some_and(|known| known.waiting() < self.limits.queued_requests_max)
    }

    /// Whether a request of a connection has no response yet. A broker comes to the end of a
    /// connection behind its requests, as it comes to each of them: when it has responded to all
    /// before.
    #[must_use]
    pub fn owes(&self, connection: ConnectionId) -> bool {
        let known = self.connections.get(&connection);
        known.is_some_and(Connection::is_busy)
    }

    /// When [`Cluster::tick`] must be called.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let fetches = self.parked.values().map(|parked| parked.deadline);
        let shares = self.parked_shares.values().map(|parked| parked.deadline);
        fetches
            .chain(shares)
            .chain(self.groups.deadline())
            .chain(self.transactions.deadline())
            .chain(self.shares.deadline())
            .chain(
                self.connections
                    .values()
                    .filter_map(Connection::muted_until),
            )
            .min()
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Instant) {
        self.advance(now);
        self.settle();
    }

    /// The next thing to do. Drain it to `None` after every other call.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Makes an in-sync replica the leader of a partition, with the next leader epoch. False, and
    /// nothing happens, if there is no such partition or `to` is not in sync.
    pub fn move_leader(&mut self, now: Instant, topic: &str, partition: i32, to: BrokerId) -> bool {
        self.advance(now);
        let before = self
            .topics
            .partition(topic, partition)
            .and_then(|p| p.leader);
        let moved = self.topics.move_leader(topic, partition, to);
        if moved && topic == OFFSETS_TOPIC && before != Some(to) {
            self.coordinators_moved(&[partition]);
        }
        self.logs_changed = true;
        self.settle();
        moved
    }

    /// Stops a broker: its connections close, and other replicas lead.
    pub fn stop_broker(&mut self, now: Instant, broker: BrokerId) {
        self.advance(now);
        let Some(known) = self.brokers.get_mut(broker).filter(|known| known.up) else {
            return;
        };
        known.up = false;
        known.fetch_sessions.clear();
        known.share_sessions.clear();
        let led: Vec<i32> = self
            .topics
            .get(OFFSETS_TOPIC)
            .map_or_else(Vec::new, |topic| {
                let leads = (0_i32..)
                    .zip(&topic.partitions)
                    .filter(|(_, p)| p.leader == Some(broker));
                leads.map(|(index, _)| index).collect()
            });
        self.topics.broker_stopped(broker);
        let of_broker = self.connections.iter().filter(|(_, c)| c.broker == broker);
        for id in of_broker.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.close(id, CloseReason::BrokerStopped { broker });
        }
        self.coordinators_moved(&led);
        self.logs_changed = true;
        self.settle();
    }

    /// Starts a stopped broker; its replicas are in sync again and follow.
    pub fn start_broker(&mut self, now: Instant, broker: BrokerId) {
        self.advance(now);
        let Some(known) = self.brokers.get_mut(broker).filter(|known| !known.up) else {
            return;
        };
        known.up = true;
        self.topics.broker_started(broker);
        self.logs_changed = true;
        self.settle();
    }

    /// Adds a broker, or gives one another advertised address.
    pub fn advertise(&mut self, now: Instant, broker: BrokerId, at: HostPort) {
        self.advance(now);
        self.brokers.advertise(broker, at);
    }

    /// A broker serves an API up to this version, and says so: an older release.
    pub fn serve_up_to(&mut self, broker: BrokerId, api_key: i16, version: i16) {
        if let Some(known) = self.brokers.get_mut(broker) {
            known.versions.insert(api_key, version);
        }
    }

    /// From now on each response of a broker throttles its client for so long: it says so, and the
    /// broker serves nothing of the connection meanwhile (KIP-219). Zero ends that for responses
    /// to come.
    pub fn throttle(&mut self, broker: BrokerId, throttle: Duration) {
        if let Some(known) = self.brokers.get_mut(broker) {
            known.throttle = throttle;
        }
    }

    /// Whether the client of a connection is throttled.
    #[must_use]
    pub fn is_muted(&self, connection: ConnectionId) -> bool {
        let known = self.connections.get(&connection);
        known.is_some_and(|known| known.muted_until().is_some())
    }

    /// The id that the cluster calls itself.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The id of a topic.
    #[must_use]
    pub fn topic_id(&self, topic: &str) -> Option<Uuid> {
        self.topics.get(topic).map(|topic| topic.id)
    }

    /// The leader of a partition, if it has one.
    #[must_use]
    pub fn leader(&self, topic: &str, partition: i32) -> Option<BrokerId> {
        self.topics.partition(topic, partition)?.leader
    }

    /// Time never goes back, whatever the driver says.
    fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    /// Something was appended, deleted or moved.
    pub(crate) const fn logs_changed(&mut self) {
        self.logs_changed = true;
    }

    /// Does everything that can be done now.
    fn settle(&mut self) {
        loop {
            if let Some(connection) = self.runnable.pop_front() {
                self.respond_to_next(connection);
            } else if std::mem::take(&mut self.logs_changed) {
                self.transaction_coordinator().finish();
                self.recheck_fetches();
                self.recheck_share_fetches();
            } else if self.deadline().is_some_and(|at| at <= self.now) {
                self.expire_fetches();
                self.expire_share_fetches();
                self.coordinate_groups(|it| it.step(|groups, step| groups.tick(step)));
                self.groups.tick_modern(self.now, &self.topics);
                self.transaction_coordinator().expire();
                self.logs_changed |= self.shares.tick(self.now, &self.limits);
                self.unmute();
            } else {
                return;
            }
        }
    }

    /// Throttles whose time is over end.
    fn unmute(&mut self) {
        let all = self.connections.iter_mut();
        let unmuted = all.filter_map(|(id, known)| known.unmute(self.now).then_some(*id));
        self.runnable.extend(unmuted);
    }

    fn respond_to_next(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let Some(frame) = connection.next() else {
            return;
        };
        let broker = connection.broker;
        let last = |api_key| self.brokers.last_version(broker, api_key);
        let read = codec::read_header(frame, &last);
        let (head, client_id, body) = match read {
            Ok(read) => read,
            Err(reason) => return self.close(id, reason),
        };
        let number = connection.begin(head);
        let request = RequestId {
            connection: id,
            number,
        };
        match api::handle(
            self,
            &Call {
                request,
                broker,
                head,
                client_id,
                body,
            },
        ) {
            Ok(Reply::Frame(bytes)) => self.finish(request, |_| Ok(Some(bytes))),
            Ok(Reply::Nothing) => self.finish(request, |_| Ok(None)),
            Ok(Reply::Parked) => {}
            Err(reason) => self.close(id, reason),
        }
    }

    /// Responds to a request that was parked. Nothing happens if its client has gone.
    pub(crate) fn respond(
        &mut self,
        request: RequestId,
        response: impl FnOnce(&Head) -> Result<Bytes, CloseReason>,
    ) {
        self.finish(request, |head| response(head).map(Some));
    }

    fn finish(
        &mut self,
        request: RequestId,
        response: impl FnOnce(&Head) -> Result<Option<Bytes>, CloseReason>,
    ) {
        let id = request.connection;
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let Some(head) = connection.finish(request.number) else {
            return;
        };
        let waiting = connection.waiting() > 0;
        let broker = self.brokers.get(connection.broker);
        let throttle = broker.map_or(Duration::ZERO, |broker| broker.throttle);
        if !throttle.is_zero() {
            connection.mute(self.now.after(throttle));
        }
        match response(&head) {
            Ok(bytes) => {
                let bytes = bytes.map(|bytes| head.throttling(throttle, bytes));
                let frame = bytes.map(|bytes| Output::Frame {
                    connection: id,
                    bytes,
                });
                self.outputs.extend(frame);
                if waiting {
                    self.runnable.push_back(id);
                }
            }
            Err(reason) => self.close(id, reason),
        }
    }

    fn close(&mut self, connection: ConnectionId, reason: CloseReason) {
        if self.forget(connection) {
            self.outputs.push_back(Output::Close { connection, reason });
        }
    }

    fn forget(&mut self, connection: ConnectionId) -> bool {
        self.parked
            .retain(|request, _| request.connection != connection);
        self.parked_shares
            .retain(|request, _| request.connection != connection);
        let brokers = self.brokers.iter_mut();
        let ended = brokers.flat_map(|broker| broker.share_sessions.end_with(connection));
        let ended: Vec<_> = ended.collect();
        let (mut manager, _) = self.share_partition_manager();
        for (reader, session) in ended {
            manager.session_ended(&reader, &session);
        }
        self.connections.remove(&connection).is_some()
    }

    /// The metadata of the cluster, which its controller keeps.
    pub(crate) const fn controller(&mut self) -> Controller<'_> {
        Controller {
            cluster_id: self.id.as_str(),
            brokers: &self.brokers,
            topics: &mut self.topics,
            limits: &self.limits,
            rng: &mut self.rng,
        }
    }

    /// The transactional ids, and what transactions write to.
    pub(crate) fn transaction_coordinator(&mut self) -> TransactionCoordinator<'_> {
        self.transaction_coordinator_and_brokers().0
    }

    /// The same, and the brokers that may lead instead of the one that is asked.
    pub(crate) const fn transaction_coordinator_and_brokers(
        &mut self,
    ) -> (TransactionCoordinator<'_>, &Brokers) {
        let coordinator = TransactionCoordinator {
            now: self.now,
            limits: &self.limits,
            topics: &mut self.topics,
            groups: &mut self.groups,
            transactions: &mut self.transactions,
            next_producer_id: &mut self.next_producer_id,
            logs_changed: &mut self.logs_changed,
        };
        (coordinator, &self.brokers)
    }

    /// Lets groups do something and sends the responses that come of it.
    pub(crate) fn coordinate_groups<R>(
        &mut self,
        act: impl FnOnce(&mut GroupCoordinator<'_>) -> R,
    ) -> R {
        let mut responses = Vec::new();
        let mut coordinator = GroupCoordinator {
            now: self.now,
            limits: &self.limits,
            rng: &mut self.rng,
            topics: &self.topics,
            groups: &mut self.groups,
            responses: &mut responses,
        };
        let result = act(&mut coordinator);
        self.send(responses);
        result
    }

    fn send(&mut self, responses: Vec<Response>) {
        for response in responses {
            match response {
                Response::Join(request, join) => {
                    self.respond(request, |head| {
                        head.frame(&api::join_group::fitted(join, head))
                    });
                }
                Response::Sync(request, sync) => self.respond(request, |head| head.frame(&sync)),
            }
        }
    }

    fn coordinators_moved(&mut self, partitions: &[i32]) {
        let mut responses = Vec::new();
        for partition in partitions {
            if let Ok(partition) = usize::try_from(*partition) {
                let all = usize::from(OFFSETS_PARTITIONS);
                self.groups
                    .coordinator_moved(partition, all, &mut responses);
            }
        }
        self.send(responses);
    }

    /// A topic was deleted.
    pub(crate) fn topic_deleted(&mut self, name: &str, id: Uuid) {
        self.shares.forget_topic(id);
        if name == OFFSETS_TOPIC {
            let mut responses = Vec::new();
            self.groups.forget_all(&mut responses);
            self.send(responses);
        } else {
            if name == TRANSACTIONS_TOPIC {
                self.transactions = Transactions::default();
            }
            self.groups.forget_topic(name);
        }
        self.logs_changed = true;
    }

    /// Creates a topic as auto-creation does, internal topics with their own settings. False if
    /// there is no room.
    pub fn auto_create(&mut self, name: &str) -> bool {
        self.controller().auto_create(name)
    }
}

mod delayed;
#[cfg(test)]
mod tests;
