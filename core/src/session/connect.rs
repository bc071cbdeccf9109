//! The way up: whom to dial, how often, and until when.

use crate::canary::canary;
use crate::error::CloseReason;
use crate::event::Event;
use crate::id::HostPort;
use crate::io::{ConnectFailure, Effect, Observation, Route, Target};
use crate::mark::sometimes;
use crate::patience::patience;
use crate::session::{Phase, Session};
use crate::time::Instant;

/// Somebody to connect to, and how many there are to choose from.
struct Candidate {
    name: HostPort,
    among: usize,
}

/// The state of the upstream leg's connection.
#[derive(Debug)]
pub(super) enum Connection {
    /// No request has come that a broker must answer.
    Unneeded,
    /// Between attempts, or until the topology says where the broker is.
    Waiting {
        /// When to give up.
        deadline: Instant,
        /// When to try again; nothing while only the topology can tell.
        retry_at: Option<Instant>,
        /// How many attempts have failed.
        attempts: u32,
        /// Why the last one failed.
        last: Option<ConnectFailure>,
    },
    /// An attempt is under way.
    Trying {
        /// When to give up.
        deadline: Instant,
        /// How many attempts have failed before.
        attempts: u32,
        /// Whom it is for.
        name: HostPort,
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
    /// A request is on its way that a broker must answer.
    pub(super) fn want_upstream(&mut self, now: Instant) {
        if matches!(self.connection, Connection::Unneeded) {
            let deadline = now.after(self.shared.limits.connect_timeout);
            self.connection = Connection::Waiting {
                deadline,
                retry_at: None,
                attempts: 0,
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
        } = self.connection
        else {
            return;
        };
        let Some(Candidate { name, among }) = self.candidate(attempts) else {
            if let Route::Broker(broker) = self.accept.route
                && !self.shared.topology.is_empty()
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
        sometimes!(self.marks, ConnectRetried, attempts > 0);
        let left = deadline.since(now);
        // One black hole must not use up the time of all candidates.
        let within = if among > 1 { left / 2 } else { left };
        let within = within.min(patience(attempts, among));
        let dial = self.shared.dial.resolve(&name);
        self.connection = Connection::Trying {
            deadline,
            attempts,
            name: name.clone(),
        };
        self.effects
            .push_back(Effect::Connect(Target { name, dial, within }));
    }

    /// Whom to try next. Nobody before the topology is known: until then it cannot be told which
    /// hosts a client must not see.
    fn candidate(&self, attempts: u32) -> Option<Candidate> {
        let topology = &self.shared.topology;
        let alone = |at: &HostPort| Candidate {
            name: at.clone(),
            among: 1,
        };
        if topology.is_empty() {
            return None;
        }
        match self.accept.route {
            Route::Broker(broker) if canary!(self, DialWrongBroker) => {
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
    fn any_broker(&self, attempts: u32) -> Option<Candidate> {
        let topology = &self.shared.topology;
        let mut listed: Vec<&HostPort> = self.shared.bootstrap.iter().collect();
        let known = topology.brokers().map(|(_, at)| at);
        let mut found: Vec<&HostPort> = known.filter(|at| !listed.contains(at)).collect();
        let all = listed.len() + found.len();
        let promising = listed.iter().chain(&found);
        let promising = promising.filter(|at| !topology.is_avoided(at)).count();
        if (attempts as usize) < promising {
            listed.retain(|at| !topology.is_avoided(at));
            found.retain(|at| !topology.is_avoided(at));
        }
        let (among, turn) = match (found.is_empty(), listed.is_empty()) {
            (true, _) => (listed, attempts),
            (false, true) => (found, attempts),
            (false, false) if attempts.is_multiple_of(2) => (listed, attempts / 2),
            (false, false) => (found, attempts / 2),
        };
        let first = usize::from(self.seed.0[0]);
        let index = first.wrapping_add(turn as usize).checked_rem(among.len())?;
        let name = (*among.get(index)?).clone();
        Some(Candidate { name, among: all })
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
            attempts: attempts + 1,
        };
        self.connection = Connection::Open;
        sometimes!(self.marks, ConnectedAfterClientLeft, self.is_finishing());
        self.in_flight.restart(now);
        self.timers.upstream_opened();
        self.unanswered_waits = false;
        self.report(event);
    }

    pub(super) fn connect_failed(&mut self, now: Instant, why: ConnectFailure) {
        if !self.is_relaying() {
            self.upstream.egress.discard();
            self.connection = Connection::Unneeded;
            return;
        }
        let Connection::Trying {
            deadline,
            attempts,
            name,
        } = &self.connection
        else {
            self.close(
                now,
                CloseReason::Bug("an attempt failed that nobody asked for"),
            );
            return;
        };
        let (deadline, attempts) = (*deadline, attempts + 1);
        let address = name.clone();
        self.report(Event::UpstreamAttemptFailed {
            name: address.clone(),
            why,
        });
        self.learn_of_failure(address, why);
        if why == ConnectFailure::Loop && matches!(self.accept.route, Route::Broker(_)) {
            // Where that broker is, only another topology can tell.
            self.close(now, CloseReason::Unreachable(why));
            return;
        }
        let limits = &self.shared.limits;
        let doublings = 1_u32.checked_shl(attempts - 1).unwrap_or(u32::MAX);
        let pause = limits.connect_backoff_min.saturating_mul(doublings);
        let retry_at = now.after(pause.min(limits.connect_backoff_max));
        if retry_at >= deadline {
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

    /// Others need not find out for themselves.
    pub(super) fn learn_of_failure(&mut self, address: HostPort, why: ConnectFailure) {
        if why.is_to_be_avoided() {
            let observation = Observation::ConnectFailed { address, why };
            self.effects.push_back(Effect::Learn(observation));
        }
        if let Route::Broker(broker) = self.accept.route {
            self.effects
                .push_back(Effect::Learn(Observation::Unreachable { broker }));
        }
    }
}
