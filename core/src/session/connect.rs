//! Dials the upstream: whom, how often, until when.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::connection::ConnectFailure;
use crate::error::CloseReason;
use crate::event::Event;
use crate::id::HostPort;
use crate::io::{Effect, Observation, Route, Target};
use crate::mark::sometimes;
use crate::mutation::mutation;
use crate::patience::{self, patience};
use crate::session::{Phase, Session};
use crate::time::Instant;

/// Somebody to connect to, and how many there are to choose from.
struct Candidate {
    name: HostPort,
    among: usize,
}

/// Who has been tried for one session.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    count: u32,
    /// How many attempts took all of their time.
    slow: u32,
    /// How often each, where there is a choice.
    times: BTreeMap<HostPort, u32>,
}

impl Attempts {
    fn times(&self, name: &HostPort) -> u32 {
        self.times.get(name).copied().unwrap_or(0)
    }

    fn add(&mut self, Candidate { name, among }: &Candidate) {
        self.count = self.count.saturating_add(1);
        if *among > 1 {
            let times = self.times.entry(name.clone()).or_default();
            *times = times.saturating_add(1);
        }
    }
}

/// The state of the upstream leg's connection.
#[derive(Debug)]
pub(super) enum Connection {
    /// No request has come that a broker must respond to.
    Unneeded,
    /// Between attempts, or until the topology says where the broker is.
    Waiting {
        /// When to give up.
        deadline: Instant,
        /// When to try again; nothing while only the topology can say.
        retry_at: Option<Instant>,
        /// Who has been tried in vain.
        attempts: Attempts,
        /// Why the last one failed.
        last: Option<ConnectFailure>,
    },
    /// An attempt is under way.
    Trying {
        /// When to give up.
        deadline: Instant,
        /// Who has been tried, with this attempt.
        attempts: Attempts,
        /// Whom it is for.
        name: HostPort,
        /// When it began.
        since: Instant,
        /// How long it may take.
        within: Duration,
    },
    /// The leg is open.
    Open,
}

impl Connection {
    /// When to give up.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Waiting { deadline, .. } | Self::Trying { deadline, .. } => Some(*deadline),
            Self::Unneeded | Self::Open => None,
        }
    }

    /// When to try again.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        match self {
            Self::Waiting { retry_at, .. } => *retry_at,
            Self::Trying { .. } | Self::Unneeded | Self::Open => None,
        }
    }

    /// What is not under way by now is not wanted any more: nobody is dialled for a session that
    /// is closing, should the topology come late.
    pub(super) fn wait_no_longer(&mut self) {
        if matches!(self, Self::Waiting { .. }) {
            *self = Self::Unneeded;
        }
    }

    /// Whether a newer topology could help.
    pub(super) fn waits_for_topology(&self) -> bool {
        matches!(self, Self::Waiting { .. })
    }
}

impl Session {
    /// A request is on its way that a broker must respond to.
    pub(super) fn want_upstream(&mut self, now: Instant) {
        if matches!(self.connection, Connection::Unneeded) {
            let deadline = now.after(self.snapshot.limits.connect_timeout);
            self.connection = Connection::Waiting {
                deadline,
                retry_at: None,
                attempts: Attempts::default(),
                last: None,
            };
            self.try_connect(now);
        }
    }

    /// A newer snapshot has come: it may say where a missing broker is.
    pub(super) fn topology_changed(&mut self, now: Instant) {
        if matches!(self.connection, Connection::Waiting { retry_at: None, .. }) {
            self.try_connect(now);
        }
    }

    /// The deadline may have been that of the next attempt.
    pub(super) fn retry_connect(&mut self, now: Instant) {
        if self.connection.retry_at().is_some_and(|at| at <= now) {
            self.try_connect(now);
        }
    }

    fn try_connect(&mut self, now: Instant) {
        let Connection::Waiting {
            deadline,
            attempts,
            last,
            ..
        } = &mut self.connection
        else {
            return;
        };
        let (deadline, last) = (*deadline, *last);
        let mut attempts = std::mem::take(attempts);
        let Some(candidate) = self.candidate(&attempts) else {
            if let Route::Broker(broker) = self.accept.route
                && !self.snapshot.topology.is_empty()
            {
                self.effects
                    .push_back(Effect::Learn(Observation::Unreachable { broker }));
            }
            sometimes!(self.marks, WaitedForTopology);
            let retry_at = None;
            self.connection = Connection::Waiting {
                deadline,
                retry_at,
                attempts,
                last,
            };
            return;
        };
        sometimes!(self.marks, ConnectRetried, attempts.count > 0);
        let within = self.time_of_attempt(deadline.since(now), attempts.slow, candidate.among);
        attempts.add(&candidate);
        let name = candidate.name;
        let dial = self.snapshot.dial.resolve(&name);
        self.connection = Connection::Trying {
            deadline,
            attempts,
            name: name.clone(),
            since: now,
            within,
        };
        self.effects
            .push_back(Effect::Connect(Target { name, dial, within }));
    }

    /// How long the next attempt may take, with so much time left for all of them.
    fn time_of_attempt(&self, left: Duration, slow: u32, among: usize) -> Duration {
        // It ends before the time of all does: its driver knows how it has ended.
        let most = left.saturating_sub(self.last_moments()).max(left / 2);
        // One black hole must not use up the time of all candidates.
        let is_first_round = among > 1 && patience::rounds(slow, among) == 0;
        let most = if is_first_round { left / 2 } else { most };
        most.min(patience(slow, among))
    }

    /// What is too short for an attempt.
    fn last_moments(&self) -> Duration {
        self.snapshot.limits.connect_timeout / 32
    }

    /// Whom to try next. Nobody before the topology is known: until then nobody knows which hosts
    /// a client must not see.
    fn candidate(&self, attempts: &Attempts) -> Option<Candidate> {
        let topology = &self.snapshot.topology;
        let alone = |at: &HostPort| Candidate {
            name: at.clone(),
            among: 1,
        };
        if topology.is_empty() {
            return None;
        }
        match self.accept.route {
            Route::Broker(broker) if mutation!(self, DialWrongBroker) => {
                let mut brokers = topology.brokers();
                brokers
                    .find(|(id, _)| *id > broker)
                    .map(|(_, at)| alone(at))
            }
            Route::Broker(broker) => topology.upstream(broker).map(alone),
            Route::Bootstrap => self.any_broker(attempts),
        }
    }

    /// The bootstrap list in turn, from a place of each session's own, so that not every client
    /// starts at the first broker; and every other time a broker that was found elsewhere,
    /// because all of the list may have moved since it was written. Those that others have found
    /// to swallow connections come into it once each of the rest has been tried.
    ///
    /// What is known of the brokers may change between two attempts, so it is not the count of
    /// attempts that says whose turn it is, but who has been tried.
    fn any_broker(&self, attempts: &Attempts) -> Option<Candidate> {
        let topology = &self.snapshot.topology;
        let listed: Vec<&HostPort> = self.snapshot.bootstrap.iter().collect();
        let known = topology.brokers().map(|(_, at)| at);
        let found: Vec<&HostPort> = known.filter(|at| !listed.contains(at)).collect();
        let among = listed.len() + found.len();
        let is_promising = |at: &HostPort| !topology.is_avoided(at);
        let mut all = listed.iter().chain(&found);
        let spares = all.any(|at| is_promising(at) && attempts.times(at) == 0);
        let next_of = |list: &[&HostPort]| {
            let start = usize::from(self.seed.0[0]).checked_rem(list.len())?;
            let in_turn = list.iter().cycle().skip(start).take(list.len());
            let eligible = in_turn.filter(|at| !spares || is_promising(at));
            eligible
                .min_by_key(|at| attempts.times(at))
                .map(|at| (*at).clone())
        };
        let name = if attempts.count.is_multiple_of(2) {
            next_of(&listed).or_else(|| next_of(&found))
        } else {
            next_of(&found).or_else(|| next_of(&listed))
        };
        name.map(|name| Candidate { name, among })
    }

    pub(super) fn connected(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Closed) {
            return;
        }
        let Connection::Trying { attempts, name, .. } = &self.connection else {
            self.close(
                now,
                CloseReason::Bug("a connection was opened that nobody asked for"),
            );
            return;
        };
        let event = Event::UpstreamConnected {
            name: name.clone(),
            attempts: attempts.count,
        };
        self.connection = Connection::Open;
        sometimes!(self.marks, ConnectedAfterClientLeft, self.is_finishing());
        self.in_flight.restart(now);
        self.timers.upstream_opened();
        self.dropped_waits = false;
        self.report(event);
    }

    pub(super) fn connect_failed(&mut self, now: Instant, why: ConnectFailure) {
        if !self.is_relaying() {
            self.upstream_egress.discard();
            self.connection = Connection::Unneeded;
            return;
        }
        let Connection::Trying {
            deadline,
            attempts,
            name,
            since,
            within,
        } = &mut self.connection
        else {
            self.close(
                now,
                CloseReason::Bug("an attempt failed that nobody asked for"),
            );
            return;
        };
        let (deadline, within, mut attempts) = (*deadline, *within, std::mem::take(attempts));
        if patience::was_slow(now.since(*since), within) {
            attempts.slow = attempts.slow.saturating_add(1);
        }
        let address = name.clone();
        self.report(Event::UpstreamAttemptFailed {
            name: address.clone(),
            why,
        });
        self.learn_of_failure(address, why, within);
        if why == ConnectFailure::Loop && matches!(self.accept.route, Route::Broker(_)) {
            // Where that broker is, only another topology can say.
            self.close(now, CloseReason::Unreachable(why));
            return;
        }
        let limits = &self.snapshot.limits;
        let doublings = 1_u32
            .checked_shl(attempts.count.saturating_sub(1))
            .unwrap_or(u32::MAX);
        let pause = limits.connect_backoff_min.saturating_mul(doublings);
        let retry_at = now.after(pause.min(limits.connect_backoff_max));
        if retry_at.after(self.last_moments()) >= deadline {
            self.close(now, CloseReason::Unreachable(why));
            return;
        }
        let retry_at = Some(retry_at);
        self.connection = Connection::Waiting {
            deadline,
            retry_at,
            attempts,
            last: Some(why),
        };
    }

    /// Others need not find out for themselves. An attempt that was cut short, because there was
    /// little time left for it, says nothing about the address.
    pub(super) fn learn_of_failure(
        &mut self,
        address: HostPort,
        why: ConnectFailure,
        within: Duration,
    ) {
        let enough = patience::FIRST.min(self.snapshot.limits.connect_timeout / 4);
        let was_cut = why == ConnectFailure::TimedOut && within < enough;
        if why.is_to_be_avoided() && !was_cut {
            let observation = Observation::ConnectFailed { address, why };
            self.effects.push_back(Effect::Learn(observation));
        }
        if let Route::Broker(broker) = self.accept.route {
            self.effects
                .push_back(Effect::Learn(Observation::Unreachable { broker }));
        }
    }
}
