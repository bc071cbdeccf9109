//! Whom a session dials, and what becomes of it when nobody can be reached.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use crate::connection::ConnectFailure;
use crate::error::CloseReason;
use crate::event::Event;
use crate::id::HostPort;
use crate::io::{Effect, Observation, Route};
use crate::limits::Limits;
use crate::mutation::mutation;
use crate::sasl::broker::{TokenReply, TokenRequest};
use crate::sasl::failure::BrokerLoginFailure;
use crate::session::relogin::Relogin;
use crate::session::timers::FirstResponse;
use crate::session::{Phase, Session};
use crate::time::Instant;
use crate::upstream::{self, DialTimes, LoginProgress, State};

/// Somebody to connect to, and how many there are to choose from.
struct Candidate {
    name: HostPort,
    among: usize,
}

/// Who has been tried for one session.
#[derive(Debug, Default)]
pub(super) struct AttemptHistory {
    /// How often each, where there is a choice.
    times: BTreeMap<HostPort, u32>,
    /// Why the last attempt failed.
    pub(super) last_failure: Option<ConnectFailure>,
}

impl AttemptHistory {
    fn times(&self, name: &HostPort) -> u32 {
        self.times.get(name).copied().unwrap_or(0)
    }

    fn add(&mut self, Candidate { name, among }: &Candidate) {
        if *among > 1 {
            let times = self.times.entry(name.clone()).or_default();
            *times = times.saturating_add(1);
        }
    }
}

/// How long a session may dial.
const fn dial_times(limits: &Limits) -> DialTimes {
    DialTimes {
        connect_timeout: limits.connect_timeout,
        backoff_min: limits.connect_backoff_min,
        backoff_max: limits.connect_backoff_max,
    }
}

impl Session {
    /// A request is on its way that a broker must respond to.
    pub(super) fn want_upstream(&mut self, now: Instant) {
        if self.upstream.is_idle() {
            self.upstream
                .want(now.after(self.snapshot.limits.connect_timeout));
            self.dial(now);
        }
    }

    /// A newer snapshot has come: it may say where a missing broker is.
    pub(super) fn topology_changed(&mut self, now: Instant) {
        if self.upstream.is_waiting() && self.upstream.retry_at().is_none() {
            self.dial(now);
        }
    }

    /// The deadline may have been that of the next attempt.
    pub(super) fn retry_connect(&mut self, now: Instant) {
        if self.upstream.retry_at().is_some_and(|at| at <= now) {
            self.dial(now);
        }
    }

    /// Begins an attempt, if there is anybody to connect to.
    fn dial(&mut self, now: Instant) {
        let Some(candidate) = self.candidate() else {
            if let Route::Broker(broker) = self.accept.route
                && !self.snapshot.topology.is_empty()
            {
                self.effects
                    .push_back(Effect::Learn(Observation::Unreachable { broker }));
            }
            self.upstream.wait_for_candidate();
            return;
        };
        self.attempts.add(&candidate);
        let Candidate { name, among } = candidate;
        let times = dial_times(&self.snapshot.limits);
        let within = self.upstream.dial(now, name.clone(), among, times);
        let target = upstream::target(name, &self.snapshot.dial, within);
        self.effects.push_back(Effect::Connect(target));
    }

    /// Whom to try next. Nobody before the topology is known: until then nobody knows which hosts
    /// a client must not see.
    fn candidate(&self) -> Option<Candidate> {
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
            Route::Bootstrap => self.any_broker(),
        }
    }

    /// The bootstrap list in turn, from a place of each session's own, so that not every client
    /// starts at the first broker; and every other time a broker that was found elsewhere,
    /// because all of the list may have moved since it was written. Those that others have found
    /// to swallow connections come into it once each of the rest has been tried.
    ///
    /// What is known of the brokers may change between two attempts, so it is not the count of
    /// attempts that says whose turn it is, but who has been tried.
    fn any_broker(&self) -> Option<Candidate> {
        let topology = &self.snapshot.topology;
        let listed: Vec<&HostPort> = self.snapshot.bootstrap.iter().collect();
        let known = topology.brokers().map(|(_, at)| at);
        let found: Vec<&HostPort> = known.filter(|at| !listed.contains(at)).collect();
        let among = listed.len() + found.len();
        let is_promising = |at: &HostPort| !topology.is_avoided(at);
        let mut all = listed.iter().chain(&found);
        let spares = all.any(|at| is_promising(at) && self.attempts.times(at) == 0);
        let next_of = |list: &[&HostPort]| {
            let start = usize::from(self.seed.0[0]).checked_rem(list.len())?;
            let in_turn = list.iter().cycle().skip(start).take(list.len());
            let eligible = in_turn.filter(|at| !spares || is_promising(at));
            eligible
                .min_by_key(|at| self.attempts.times(at))
                .map(|at| (*at).clone())
        };
        let name = if self.upstream.failures().is_multiple_of(2) {
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
        let State::Dialing { .. } = self.upstream.state() else {
            self.close(
                now,
                CloseReason::Bug("a connection was opened that nobody asked for"),
            );
            return;
        };
        if !self.snapshot.upstream_login {
            return self.upstream_opened(now);
        }
        if !self.is_relaying() {
            return self.upstream.abandon();
        }
        let by = now.after(self.snapshot.limits.connect_timeout);
        self.upstream.log_in(now, by);
        self.request_first_token();
    }

    /// Asks for what a login at the broker begins with.
    pub(super) fn request_first_token(&mut self) {
        let client = Some(self.principal.clone());
        let request = TokenRequest::First { client };
        self.effects.push_back(Effect::RequestToken(request));
    }

    /// The broker has sent this within the login.
    #[cold]
    pub(super) fn upstream_login_bytes(&mut self, now: Instant, bytes: Bytes) {
        let progress = self.upstream.login_bytes(bytes);
        self.follow_upstream_login(now, progress);
    }

    /// A token has been given for the broker.
    pub(super) fn token_for_broker(&mut self, now: Instant, reply: TokenReply) {
        if !self.is_relaying() {
            return;
        }
        if self.upstream.is_logging_in() {
            let progress = self.upstream.login_token(reply);
            self.follow_upstream_login(now, progress);
        } else {
            self.relogin_token(now, reply);
        }
    }

    fn follow_upstream_login(
        &mut self,
        now: Instant,
        progress: Result<LoginProgress, BrokerLoginFailure>,
    ) {
        match progress {
            Ok(LoginProgress::Waits) => {}
            Ok(LoginProgress::Token(request)) => {
                self.effects.push_back(Effect::RequestToken(request));
            }
            Ok(LoginProgress::Done(lifetime)) => {
                self.upstream_opened(now);
                self.relogin = Relogin::due(now, lifetime, self.seed);
                let again = false;
                self.report(Event::UpstreamLoggedIn { lifetime, again });
            }
            Err(why) => self.upstream_login_failed(now, why),
        }
    }

    /// The connection is of no use: another one may be.
    pub(super) fn upstream_login_failed(&mut self, now: Instant, why: BrokerLoginFailure) {
        self.report(Event::UpstreamLoginFailed { why });
        self.connect_failed(now, ConnectFailure::Login(why));
    }

    /// Requests may go up.
    fn upstream_opened(&mut self, now: Instant) {
        let (State::Dialing { attempt, .. } | State::LoggingIn { attempt, .. }) =
            self.upstream.state()
        else {
            return;
        };
        let event = Event::UpstreamConnected {
            name: attempt.to.clone(),
            attempts: self.upstream.failures().saturating_add(1),
        };
        self.upstream.opened(now, |_| FirstResponse::NotAwaited);
        self.in_flight.restart(now);
        self.dropped_waits = false;
        self.report(event);
    }

    pub(super) fn connect_failed(&mut self, now: Instant, why: ConnectFailure) {
        if !self.is_relaying() {
            self.upstream.abandon();
            return;
        }
        let Some(attempt) = self.upstream.failed(now) else {
            self.close(
                now,
                CloseReason::Bug("an attempt failed that nobody asked for"),
            );
            return;
        };
        self.attempts.last_failure = Some(why);
        self.report(Event::UpstreamAttemptFailed {
            name: attempt.to.clone(),
            why,
        });
        self.learn_of_failure(attempt.to, why, attempt.within);
        // Where a broker is whose address leads back, only another topology can say.
        let leads_back =
            why == ConnectFailure::Loop && matches!(self.accept.route, Route::Broker(_));
        let times = dial_times(&self.snapshot.limits);
        if leads_back || !why.may_pass() || !self.upstream.retry(now, times) {
            self.close(now, CloseReason::Unreachable(why));
        }
    }

    /// Others need not find out for themselves. An attempt that was cut short, because there was
    /// little time left for it, says nothing about the address.
    fn learn_of_failure(&mut self, address: HostPort, why: ConnectFailure, within: Duration) {
        let was_cut =
            why == ConnectFailure::TimedOut && dial_times(&self.snapshot.limits).cut_short(within);
        if why.is_to_be_avoided() && !was_cut {
            let observation = Observation::ConnectFailed { address, why };
            self.effects.push_back(Effect::Learn(observation));
        }
        if let Route::Broker(broker) = self.accept.route {
            self.effects
                .push_back(Effect::Learn(Observation::Unreachable { broker }));
        }
    }

    /// The time for all attempts is over.
    pub(super) fn connect_expired(&mut self, now: Instant) {
        let reason = match (self.upstream.state(), self.attempts.last_failure) {
            (State::Open(_) | State::Idle, _) => return,
            (State::Dialing { attempt, .. }, _) => {
                let (name, within) = (attempt.to.clone(), attempt.within);
                let why = ConnectFailure::TimedOut;
                self.learn_of_failure(name, why, within);
                CloseReason::Unreachable(why)
            }
            (State::LoggingIn { attempt, .. }, _) => {
                let (name, within) = (attempt.to.clone(), attempt.within);
                let why = BrokerLoginFailure::TimedOut;
                self.report(Event::UpstreamLoginFailed { why });
                let why = ConnectFailure::Login(why);
                self.learn_of_failure(name, why, within);
                CloseReason::Unreachable(why)
            }
            (State::Waiting { .. }, Some(why)) => CloseReason::Unreachable(why),
            (State::Waiting { .. }, None) => match self.accept.route {
                Route::Broker(broker) if !self.snapshot.topology.is_empty() => {
                    CloseReason::BrokerUnknown(broker)
                }
                Route::Broker(_) | Route::Bootstrap => CloseReason::TopologyUnknown,
            },
        };
        self.close(now, reason);
    }
}
