//! The second machine: learns where the brokers of one cluster are, and keeps it fresh.
//!
//! It asks one broker at a time over a connection of its own: the brokers it knows and the
//! bootstrap list in turn, with a growing pause after failures.

mod avoided;
mod event;
mod response;
mod survey;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::broker_versions::BrokerVersions;
use crate::connection::{ConnectFailure, End};
use crate::egress::Egress;
use crate::id::{ApiVersion, BrokerId, CorrelationId, HostPort, Seed};
use crate::io::{Observation, Target};
use crate::sasl::broker::{TokenReply, TokenRequest};
use crate::sasl::failure::BrokerLoginFailure;
use crate::time::Instant;
use crate::topology::{DialMap, Topology};
use crate::upstream::{self, DialTimes, LoginProgress, State, Upstream};
use crate::wire::codec;
use crate::wire::framer::{self, Framer};
use crate::wire::header::{PREFIX_BYTES, RESPONSE_HEAD_BYTES};
use crate::wire::rope::Rope;

pub use event::{Event, Failure};

use avoided::{AVOIDED_MAX, AvoidedAddresses};
use response::{Brokers, MetadataVersion};
use survey::{Survey, Surveyed};

/// How many brokers of one cluster are believed.
const BROKERS_MAX: usize = 10_000;

/// What discovery goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where the configuration says that the cluster can be found.
    pub bootstrap: Vec<HostPort>,
    /// Where to connect instead of what a name says.
    pub dial: DialMap,
    /// How often to ask when nothing hints at a change.
    pub refresh_interval: Duration,
    /// The shortest time between two requests, however many hints come.
    pub refresh_interval_min: Duration,
    /// How long one attempt to connect may take.
    pub connect_timeout: Duration,
    /// How long one response may take.
    pub request_timeout: Duration,
    /// The first pause after a failure; it doubles with each further one.
    pub backoff_min: Duration,
    /// The longest pause after a failure.
    pub backoff_max: Duration,
    /// The longest response.
    pub frame_bytes_max: usize,
    /// Whether every broker is asked what it can do: clients that log in to doorkeeper ask that
    /// before.
    pub learns_versions: bool,
    /// Whether the brokers want doorkeeper to log in.
    pub logs_in: bool,
}

impl Config {
    const fn dial_times(&self) -> DialTimes {
        DialTimes {
            connect_timeout: self.connect_timeout,
            backoff_min: self.backoff_min,
            backoff_max: self.backoff_max,
        }
    }
}

/// Everything that can happen to discovery.
#[derive(Clone, Debug)]
pub enum Input {
    /// Bytes arrived.
    Bytes(Bytes),
    /// This many bytes of the egress were taken by the socket.
    Wrote(usize),
    /// The connection ended.
    Ended(End),
    /// The connection is open.
    Connected,
    /// It could not be opened.
    ConnectFailed(ConnectFailure),
    /// What [`Effect::RequestToken`] led to.
    Token(TokenReply),
    /// A session noticed something.
    Observed(Observation),
    /// The deadline has come.
    Tick,
}

/// Everything that discovery can ask of its driver.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Open the connection. At most one exists or is under way.
    Connect(Target),
    /// Drop the connection, or the attempt at one.
    Disconnect,
    /// Give a token for the broker: the response is [`Input::Token`]. At most one request is under
    /// way, and none that came before [`Effect::Disconnect`] or [`Effect::Connect`].
    RequestToken(TokenRequest),
    /// The topology is known, or has changed.
    Publish(Arc<Topology>),
    /// Something to log or count.
    Report(Event),
}

/// What the driver should do until the next input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// Read the connection, if there is one.
    pub read: bool,
    /// When to hand in [`Input::Tick`].
    pub deadline: Option<Instant>,
}

/// Learns and keeps the topology of one cluster.
#[derive(Debug)]
pub struct Discovery {
    config: Config,
    topology: Arc<Topology>,
    upstream: Upstream<Candidate, Exchange>,
    /// Counts the attempts: whom to ask next follows from it.
    turn: usize,
    /// Whom to ask next, before anybody else: it has just sent a response.
    again: Option<Candidate>,
    /// What was noticed while a request was open: its response may be older.
    noticed: Option<Observation>,
    /// Whom to ask after all others.
    avoided: AvoidedAddresses,
    /// Who has been asked what it can do.
    surveyed: Surveyed,
    correlation_id: i32,
    asked_at: Option<Instant>,
    buffered: Rope,
    effects: VecDeque<Effect>,
}

/// What an open connection waits for.
#[derive(Debug)]
struct Exchange {
    /// Whom it leads to.
    candidate: Candidate,
    /// When all responses must be there.
    deadline: Instant,
    request: Request,
    /// What it can do, if that is asked and has been said.
    versions: Option<Arc<BrokerVersions>>,
}

/// The request whose response comes next.
#[derive(Debug)]
enum Request {
    /// For the ranges of versions.
    Versions,
    /// The same, in another version.
    VersionsIn {
        version: ApiVersion,
        metadata: ApiVersion,
        survey: Survey,
    },
    /// For the brokers.
    Brokers { version: ApiVersion },
}

/// Whom an attempt is for.
#[derive(Clone, Debug)]
struct Candidate {
    name: HostPort,
    /// Named by the configuration, not learned.
    is_bootstrap: bool,
}

impl Discovery {
    /// Starts at once.
    #[must_use]
    pub fn new(now: Instant, config: Config, seed: Seed) -> Self {
        Self::knowing(now, config, seed, Arc::default())
    }

    /// Starts at once, with what another machine has published before: none of it is published
    /// again, and none of it is forgotten.
    #[must_use]
    pub fn knowing(now: Instant, config: Config, seed: Seed, known: Arc<Topology>) -> Self {
        let mut discovery = Self {
            config,
            topology: known,
            upstream: Upstream::wanted(now),
            turn: usize::from(seed.0[0]),
            again: None,
            noticed: None,
            avoided: AvoidedAddresses::default(),
            surveyed: Surveyed::default(),
            correlation_id: 0,
            asked_at: None,
            buffered: Rope::default(),
            effects: VecDeque::new(),
        };
        discovery.connect(now);
        discovery
    }

    /// Takes in what happened. Never fails: a bad response becomes an [`Event::Failed`].
    pub fn handle(&mut self, now: Instant, input: Input) {
        match input {
            Input::Bytes(bytes) => self.bytes(now, bytes),
            Input::Wrote(count) => {
                if self.upstream.wrote(count).is_err() {
                    self.failed(now, Failure::BadResponse);
                }
            }
            Input::Ended(_) if self.upstream.is_logging_in() => {
                self.login_failed(now, BrokerLoginFailure::Ended);
            }
            Input::Ended(how) => self.failed(now, Failure::Ended(how)),
            Input::Connected => self.connected(now),
            Input::ConnectFailed(why) => self.failed(now, Failure::Connect(why)),
            Input::Token(reply) => {
                let progress = self.upstream.login_token(reply);
                self.follow_login(now, progress);
            }
            Input::Observed(observation) => self.observed(now, &observation),
            Input::Tick => self.tick(now),
        }
    }

    /// The next effect; drain to `None` after every [`Discovery::handle`], and once after
    /// [`Discovery::new`].
    pub fn poll(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// What is due to the broker that is asked.
    #[must_use]
    pub fn egress(&self) -> &Egress {
        self.upstream.egress()
    }

    /// What the driver should do until the next input.
    #[must_use]
    pub fn demand(&self) -> Demand {
        let deadlines = [self.deadline(), self.avoided.deadline()];
        Demand {
            read: self.upstream.is_connected(),
            deadline: deadlines.into_iter().flatten().min(),
        }
    }

    /// Until when it rests, or waits.
    fn deadline(&self) -> Option<Instant> {
        match self.upstream.state() {
            State::Idle => None,
            State::Waiting { retry_at, .. } => *retry_at,
            State::Dialing { attempt, .. } => Some(attempt.overdue_at()),
            State::LoggingIn { login, .. } => Some(login.by),
            State::Open(exchange) => Some(exchange.deadline),
        }
    }

    /// Asks the next candidate: the configured names and the learned brokers in turn.
    fn connect(&mut self, now: Instant) {
        let again = self.again.take().or_else(|| self.next_to_survey());
        let Some(candidate) = again.or_else(|| self.next_candidate()) else {
            // Nobody to ask: the configuration does not allow it, so there is no hurry.
            self.upstream.rest(now.after(self.config.backoff_max));
            return;
        };
        self.asked_at = Some(now);
        let candidates = self.config.bootstrap.len() + self.topology.len();
        let name = candidate.name.clone();
        let times = self.config.dial_times();
        let within = self.upstream.dial(now, candidate, candidates, times);
        let target = upstream::target(name, &self.config.dial, within);
        self.effects.push_back(Effect::Connect(target));
    }

    /// A broker that has not said what it can do, in the turn of learned addresses: the configured
    /// names never wait for brokers that are down.
    fn next_to_survey(&mut self) -> Option<Candidate> {
        if !self.config.learns_versions || self.turn.is_multiple_of(2) {
            return None;
        }
        let name = self.surveyed.missing()?.clone();
        self.turn = self.turn.wrapping_add(1);
        let is_bootstrap = false;
        Some(Candidate { name, is_bootstrap })
    }

    /// The configured names and the learned addresses by turns, each list in its own order: what
    /// a broker has said, right or wrong, never keeps the configured names waiting for long.
    fn next_candidate(&mut self) -> Option<Candidate> {
        let learned = self.topology.len();
        let turn = self.turn;
        self.turn = turn.wrapping_add(1);
        let (index, is_bootstrap) = if learned == 0 {
            (turn, true)
        } else {
            (turn / 2, turn.is_multiple_of(2))
        };
        let name = if is_bootstrap {
            self.next_of(self.config.bootstrap.iter(), index)
        } else {
            self.next_of(self.topology.brokers().map(|(_, at)| at), index)
        };
        name.map(|name| Candidate { name, is_bootstrap })
    }

    /// The next one of a list that need not be avoided, or the next one if all must be.
    fn next_of<'a>(
        &self,
        list: impl Iterator<Item = &'a HostPort> + Clone,
        turn: usize,
    ) -> Option<HostPort> {
        let len = list.clone().count();
        let index = turn.checked_rem(len)?;
        let mut in_turn = list.cycle().skip(index).take(len.min(AVOIDED_MAX + 1));
        let mut others = in_turn.clone();
        let chosen = others.find(|at| !self.avoided.contains(at));
        chosen.or_else(|| in_turn.next()).cloned()
    }

    fn connected(&mut self, now: Instant) {
        if !self.config.logs_in {
            return self.opened(now);
        }
        let by = now.after(self.config.request_timeout);
        if self.upstream.log_in(now, by) {
            let request = TokenRequest::First { client: None };
            self.effects.push_back(Effect::RequestToken(request));
        }
    }

    fn follow_login(&mut self, now: Instant, progress: Result<LoginProgress, BrokerLoginFailure>) {
        match progress {
            Ok(LoginProgress::Waits) => {}
            Ok(LoginProgress::Token(request)) => {
                self.effects.push_back(Effect::RequestToken(request));
            }
            // A connection of discovery ends long before.
            Ok(LoginProgress::Done(_)) => self.opened(now),
            Err(why) => self.login_failed(now, why),
        }
    }

    fn login_failed(&mut self, now: Instant, why: BrokerLoginFailure) {
        self.failed(now, Failure::Connect(ConnectFailure::Login(why)));
    }

    /// Requests may be sent.
    fn opened(&mut self, now: Instant) {
        let deadline = now.after(self.config.request_timeout);
        let is_open = self.upstream.opened(now, |candidate| Exchange {
            candidate,
            deadline,
            request: Request::Versions,
            versions: None,
        });
        if is_open {
            let id = self.next_id();
            self.send(now, codec::api_versions(ApiVersion(0), id));
        }
    }

    fn next_id(&mut self) -> CorrelationId {
        self.correlation_id = self.correlation_id.wrapping_add(1);
        CorrelationId(self.correlation_id)
    }

    fn send(&mut self, now: Instant, frame: Result<Bytes, codec::NotEncodable>) {
        match frame {
            Ok(frame) => self.upstream.requests.push(frame),
            Err(codec::NotEncodable) => self.failed(now, Failure::BadResponse),
        }
    }

    fn bytes(&mut self, now: Instant, mut bytes: Bytes) {
        if self.upstream.is_logging_in() {
            let progress = self.upstream.login_bytes(bytes);
            return self.follow_login(now, progress);
        }
        let framer = Framer {
            min: RESPONSE_HEAD_BYTES,
            max: self.config.frame_bytes_max,
        };
        let chunk_len = bytes.len();
        while !bytes.is_empty() && self.demand().read {
            match framer.frame_len(&self.buffered, &bytes) {
                Err(_) => return self.failed(now, Failure::BadResponse),
                Ok(None) => self.buffered.push(std::mem::take(&mut bytes)),
                Ok(Some(frame_len)) => {
                    let missing = frame_len.saturating_sub(self.buffered.len());
                    self.buffered.push(framer::take(&mut bytes, missing));
                    if self.buffered.len() == frame_len {
                        let frame = self.buffered.copy(PREFIX_BYTES..frame_len);
                        self.buffered.clear();
                        self.response(now, &frame);
                    }
                }
            }
        }
        self.buffered.settle(chunk_len);
    }

    /// Takes a whole response, without its length.
    fn response(&mut self, now: Instant, frame: &[u8]) {
        let body = frame
            .split_first_chunk()
            .filter(|(id, _)| i32::from_be_bytes(**id) == self.correlation_id)
            .map(|(_, body)| body);
        let Some(body) = body else {
            return self.failed(now, Failure::BadResponse);
        };
        let Some(exchange) = self.upstream.open_mut() else {
            return;
        };
        match std::mem::replace(&mut exchange.request, Request::Versions) {
            Request::Versions => self.versions(now, body),
            Request::VersionsIn {
                version,
                metadata,
                mut survey,
            } => {
                if response::api_ranges(version, body).is_none() {
                    return self.failed(now, Failure::BadResponse);
                }
                survey.take(version, body);
                self.survey(now, metadata, survey);
            }
            Request::Brokers { version } => {
                let (candidate, versions) = (exchange.candidate.clone(), exchange.versions.take());
                match response::brokers(version, body) {
                    Some(brokers) => self.learn(now, &candidate, brokers, versions.as_ref()),
                    None => self.failed(now, Failure::BadResponse),
                }
            }
        }
    }

    /// A broker has said what it can do.
    fn versions(&mut self, now: Instant, body: &[u8]) {
        let ranges = response::api_ranges(ApiVersion(0), body);
        let metadata = ranges.as_deref().and_then(response::metadata_version);
        let (Some(ranges), Some(MetadataVersion(metadata))) = (ranges, metadata) else {
            return self.failed(now, Failure::BadResponse);
        };
        if self.config.learns_versions {
            self.survey(now, metadata, Survey::of(&ranges, body));
        } else {
            self.ask(now, Request::Brokers { version: metadata });
        }
    }

    /// Asks for the same in the next version, or else for the brokers.
    fn survey(&mut self, now: Instant, metadata: ApiVersion, survey: Survey) {
        if let Some(version) = survey.next_version() {
            let request = Request::VersionsIn {
                version,
                metadata,
                survey,
            };
            return self.ask(now, request);
        }
        if let Some(exchange) = self.upstream.open_mut() {
            exchange.versions = Some(survey.finish());
        }
        self.ask(now, Request::Brokers { version: metadata });
    }

    fn ask(&mut self, now: Instant, request: Request) {
        let id = self.next_id();
        let frame = match &request {
            Request::Versions => codec::api_versions(ApiVersion(0), id),
            Request::VersionsIn { version, .. } => codec::api_versions(*version, id),
            Request::Brokers { version } => codec::brokers(*version, id),
        };
        if let Some(exchange) = self.upstream.open_mut() {
            exchange.request = request;
            self.send(now, frame);
        }
    }

    fn learn(
        &mut self,
        now: Instant,
        candidate: &Candidate,
        mut response: Brokers,
        versions: Option<&Arc<BrokerVersions>>,
    ) {
        self.forgo_excess(&mut response);
        if let Some(first) = response.nonsense.first() {
            self.report(Event::Ignored {
                broker: *first,
                brokers: response.nonsense.len(),
            });
        }
        if response.brokers.is_empty() {
            return self.failed(now, Failure::ErrorResponse);
        }
        // A learned address may by now belong to somebody else: a response from it must be of
        // the same cluster. What the configuration names is the cluster, whatever it was.
        let cluster_id = response.cluster_id.as_deref();
        let other = match (self.topology.cluster_id(), cluster_id) {
            (Some(known), Some(given)) => known != given,
            (Some(_) | None, None) | (None, Some(_)) => false,
        };
        if other && !candidate.is_bootstrap {
            return self.failed(now, Failure::OtherCluster);
        }
        self.report(Event::Refreshed {
            brokers: response.brokers.iter().map(|(id, _)| *id).collect(),
        });
        // Of another cluster nothing that was known is true any more.
        let known = if other {
            Topology::default()
        } else {
            (*self.topology).clone()
        };
        self.avoided.remove(&candidate.name);
        let known = known.merged(&response.brokers, cluster_id).unwrap_or(known);
        self.surveyed
            .list(response.brokers.iter().map(|(_, address)| address));
        let known = self.without_versions_of_others(known);
        // Of a broker that does not list itself nobody knows whether it is up for others.
        let counts = candidate.is_bootstrap || self.surveyed.is_listed(&candidate.name);
        let versions = versions.filter(|_| counts);
        let with_versions = versions.and_then(|it| known.with_versions(&candidate.name, Some(it)));
        let known = with_versions.unwrap_or(known);
        let avoiding = known.avoiding(self.avoided.addresses());
        self.publish(avoiding.unwrap_or(known));
        self.upstream.forget_failures();
        self.surveyed.note(&candidate.name);
        self.rest(now, candidate);
        self.disconnect();
        if let Some(noticed) = self.noticed.take() {
            self.observed(now, &noticed);
        }
    }

    /// What is known, without what brokers could do that are not up any more.
    fn without_versions_of_others(&self, known: Topology) -> Topology {
        let gone: Vec<HostPort> = known
            .brokers()
            .map(|(_, address)| address)
            .filter(|it| !self.surveyed.is_listed(it) && known.versions_at(it).is_some())
            .cloned()
            .collect();
        gone.iter().fold(known, |known, address| {
            let next = known.with_versions(address, None);
            next.unwrap_or(known)
        })
    }

    /// Until the next refresh, or until it is time for a broker that has not said what it can do.
    fn rest(&mut self, now: Instant, responded: &Candidate) {
        let is_missing = self.surveyed.missing().is_some();
        let pause = if self.config.learns_versions && is_missing {
            self.config.refresh_interval_min
        } else {
            self.surveyed.begin_round(&self.topology);
            self.again = Some(responded.clone());
            self.config.refresh_interval
        };
        self.upstream.rest(now.after(pause));
    }

    /// Publishes what is known, if it has changed.
    fn publish(&mut self, topology: Topology) {
        if *self.topology != topology {
            self.topology = Arc::new(topology);
            self.effects
                .push_back(Effect::Publish(Arc::clone(&self.topology)));
        }
    }

    /// Publishes which addresses to try last, if that has changed. Before anything is known nobody
    /// connects to any.
    fn publish_avoided(&mut self) {
        if let Some(next) = self.topology.avoiding(self.avoided.addresses())
            && !self.topology.is_empty()
        {
            self.publish(next);
        }
    }

    /// Nothing that is known is ever forgotten, so there must be an end to it.
    fn forgo_excess(&self, response: &mut Brokers) {
        let mut room = BROKERS_MAX.saturating_sub(self.topology.brokers().count());
        let Brokers {
            brokers, nonsense, ..
        } = response;
        brokers.retain(|(id, _)| {
            let is_taken = self.topology.upstream(*id).is_some() || room > 0;
            if !is_taken {
                nonsense.push(*id);
            } else if self.topology.upstream(*id).is_none() {
                room -= 1;
            }
            is_taken
        });
    }

    fn failed(&mut self, now: Instant, why: Failure) {
        let asked = match self.upstream.state() {
            State::Idle | State::Waiting { .. } => return,
            State::Dialing { attempt, .. } | State::LoggingIn { attempt, .. } => {
                attempt.to.name.clone()
            }
            State::Open(exchange) => exchange.candidate.name.clone(),
        };
        if self.upstream.failed(now).is_none() {
            self.upstream.lost();
        }
        self.surveyed.note(&asked);
        if why.is_to_be_avoided() {
            self.avoided.add(now, &asked);
            self.publish_avoided();
        }
        self.report(Event::Failed { asked, why });
        self.upstream.retry(now, self.config.dial_times());
        self.disconnect();
    }

    fn disconnect(&mut self) {
        self.buffered.clear();
        self.effects.push_back(Effect::Disconnect);
    }

    /// A hint brings the next request forward, but never more often than is fair. Somebody else
    /// is asked then: the broker that responded last does not know of it yet, or never
    /// will.
    fn observed(&mut self, now: Instant, observation: &Observation) {
        let is_news = match observation {
            Observation::Endpoint { broker, address } => {
                self.topology.upstream(*broker) != Some(address)
            }
            Observation::Unreachable { broker } => {
                self.survey_again(*broker);
                true
            }
            Observation::ConnectFailed { address, why } => {
                return self.session_failed(now, address, *why);
            }
        };
        if !is_news || self.upstream.failures() > 0 {
            return;
        }
        let soonest = self
            .asked_at
            .map_or(now, |at| at.after(self.config.refresh_interval_min));
        if self.upstream.hurry(soonest.max(now)) {
            self.again = None;
        } else {
            self.noticed = Some(observation.clone());
        }
    }

    /// A broker that is down may come up with other software. What it could do is believed until
    /// it says otherwise: a session may have failed for a reason of its own.
    fn survey_again(&mut self, broker: BrokerId) {
        if let Some(address) = self.topology.upstream(broker) {
            self.surveyed.forget(address);
        }
    }

    /// A session could not connect to an address: nobody else need wait for it. An address that is
    /// no candidate is not kept.
    fn session_failed(&mut self, now: Instant, address: &HostPort, why: ConnectFailure) {
        let is_candidate = self.config.bootstrap.contains(address)
            || self.topology.brokers().any(|(_, at)| at == address);
        if is_candidate && why.is_to_be_avoided() {
            self.avoided.add(now, address);
            self.publish_avoided();
        }
    }

    fn tick(&mut self, now: Instant) {
        self.avoided.expire(now);
        self.publish_avoided();
        if self.deadline().is_some_and(|at| at > now) {
            return;
        }
        if self.upstream.is_waiting() {
            self.connect(now);
        } else if self.upstream.is_logging_in() {
            self.login_failed(now, BrokerLoginFailure::TimedOut);
        } else {
            self.failed(now, Failure::TimedOut);
        }
    }

    fn report(&mut self, event: Event) {
        self.effects.push_back(Effect::Report(event));
    }
}
