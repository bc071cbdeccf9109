//! Plays the steps of a script, lets time pass, and sees to it that all comes to rest.

use std::time::Duration;

use doorkeeper_core::{End, Instant, Snapshot};

use super::World;
use crate::environment;
use crate::script::{Client, Ordinal, ProcessFault, Step, Wait};
use crate::watch::Violation;

/// How long a step waits for what it needs. Some responses may never come.
const STEP_WAIT: Duration = Duration::from_secs(120);

/// After all faults have ended everything that is pending is done within this time: no request of
/// a client lets a broker wait longer.
const HEALED_WITHIN: Duration = Duration::from_secs(420);

/// How long after the clients have left a session may still be there, and why. What a session owes
/// keeps it from reading whether its client is there.
const GONE_WITHIN: [(Duration, LongSession); 3] = [
    (Duration::from_secs(150), LongSession::Whoever),
    (Duration::from_secs(420 - 150), LongSession::OwesRebalance),
    // What is no request may be taken for one that lets the broker wait as long as any may.
    (Duration::from_secs(24 * 60 * 60), LongSession::Untidy),
];

/// Which sessions may last so long without a client.
#[derive(Clone, Copy, Debug)]
enum LongSession {
    Whoever,
    /// Its broker owes a response to a JoinGroup or SyncGroup, or may think so.
    OwesRebalance,
    /// Its client has sent what is no request.
    Untidy,
}

/// How often things may move while the clock stands still and no session forwards a byte: a large
/// response in pieces of one byte takes as many rounds as it has bytes.
const STILL_ROUNDS_MAX: usize = 100_000;

/// How often they may move all the same, for what is forwarded round and round.
const ROUNDS_MAX: usize = 20_000_000;

impl World {
    /// Plays all steps, heals, and waits until nothing is left.
    pub(super) fn play(&mut self, steps: &[Step]) -> Result<(), Violation> {
        for (at, step) in steps.iter().enumerate() {
            self.step = at;
            self.settle()?;
            self.act(step)?;
        }
        self.step = steps.len();
        self.heal();
        self.wait(HEALED_WITHIN, |world| !world.anybody_waits())?;
        if let Some(client) = self.clients.iter().find(|client| client.waits()) {
            let who = client.session();
            return Err(Violation::unfinished(client.number(), who));
        }
        for at in 0..self.clients.len() {
            self.client_leaves(at, End::Fin);
        }
        for (longer, who) in GONE_WITHIN {
            if !self.all_open_may(who) {
                break;
            }
            self.wait(longer, Self::is_empty)?;
        }
        let open = self.sessions.iter().find(|session| !session.closed);
        if let Some(session) = open {
            return Err(Violation::left_over(session.id));
        }
        if !self.brokers.serve_nobody() {
            return Err(Violation::of(
                12,
                "a broker has a connection that no session has",
            ));
        }
        Ok(())
    }

    fn anybody_waits(&self) -> bool {
        self.clients.iter().any(super::clients::Client::waits)
    }

    fn is_empty(&self) -> bool {
        self.brokers.serve_nobody() && self.sessions.iter().all(|session| session.closed)
    }

    fn all_open_may(&self, who: LongSession) -> bool {
        let mut open = self.sessions.iter().filter(|session| !session.closed);
        open.all(|session| {
            let untidy = || self.clients.iter().any(|it| it.was_untidy_in(session.id));
            match who {
                LongSession::Whoever => true,
                LongSession::OwesRebalance => self.watch.owes_rebalance(session.id) || untidy(),
                LongSession::Untidy => untidy(),
            }
        })
    }

    fn act(&mut self, step: &Step) -> Result<(), Violation> {
        self.watch.step(self.now, step);
        match step {
            Step::Client(who, Client::Wait) => {
                let at = usize::from(who.0);
                return self.wait(STEP_WAIT, |world| {
                    !world
                        .clients
                        .get(at)
                        .is_some_and(super::clients::Client::waits)
                });
            }
            Step::Client(who, Client::WaitEnd) => {
                let at = usize::from(who.0);
                return self.wait(STEP_WAIT, |world| {
                    !world
                        .clients
                        .get(at)
                        .is_some_and(super::clients::Client::is_connected)
                });
            }
            Step::Client(who, what) => self.client_acts(*who, what),
            Step::Broker(who, fault) => self.broker_fault(*who, fault),
            Step::Leader(place, broker) => {
                let to = i32::from(broker.0.checked_rem(self.brokers.count()).unwrap_or(0));
                let (topic, partition) = (place.topic.name(), i32::from(place.partition));
                let to = doorkeeper_core::id::BrokerId(to);
                self.brokers
                    .cluster
                    .move_leader(self.now, topic, partition, to);
            }
            Step::Net(who, leg, way, fault) => self.net_fault(*who, (*leg).into(), *way, *fault),
            Step::Process(fault) => self.process_fault(fault),
            Step::Heal => self.heal(),
            Step::Wait(Wait::All) => return self.wait(STEP_WAIT, |world| !world.anybody_waits()),
            Step::Wait(Wait::Millis(ms)) => {
                return self.wait(Duration::from_millis(u64::from(*ms)), |_| false);
            }
        }
        Ok(())
    }

    fn net_fault(
        &mut self,
        who: Ordinal,
        leg: doorkeeper_core::Leg,
        way: crate::script::Direction,
        fault: crate::script::NetFault,
    ) {
        use crate::script::NetFault;
        let client = self.clients.get(usize::from(who.0));
        let link = match leg {
            doorkeeper_core::Leg::Client => client.and_then(super::clients::Client::link),
            doorkeeper_core::Leg::Upstream => client
                .and_then(super::clients::Client::session)
                .and_then(|id| self.sessions.get(id.0)?.link(leg)),
        };
        let Some(link) = link else {
            return;
        };
        match fault {
            NetFault::Hold => self.net.link(link).way(way).held = true,
            NetFault::Release => self.net.link(link).way(way).held = false,
            NetFault::Window(bytes) => {
                self.net.link(link).way(way).window = usize::from(bytes).max(1);
            }
            NetFault::Cut(bytes, how) => self.net.cut(link, way, bytes.into(), how.into()),
        }
    }

    fn process_fault(&mut self, fault: &ProcessFault) {
        match fault {
            ProcessFault::Reload(policy, small) => {
                let next = Snapshot {
                    epoch: self.snapshot.epoch + 1,
                    limits: environment::limits(*small),
                    policy: environment::policy(policy),
                    ..Snapshot::clone(&self.snapshot)
                };
                self.publish(next);
            }
            ProcessFault::Drain(tenths) => {
                let by = self
                    .now
                    .after(Duration::from_millis(u64::from(*tenths) * 100));
                self.drain.get_or_insert(by);
            }
        }
    }

    fn heal(&mut self) {
        self.net.heal();
        self.heal_brokers();
        for client in &mut self.clients {
            client.heal();
        }
    }

    /// Lets time pass until something is so, at most so long.
    fn wait(&mut self, at_most: Duration, done: impl Fn(&Self) -> bool) -> Result<(), Violation> {
        let until = self.now.after(at_most);
        loop {
            self.settle()?;
            self.watch.passed(self.now)?;
            if done(self) || self.now >= until {
                return Ok(());
            }
            self.now = self.next_at().filter(|at| *at < until).unwrap_or(until);
        }
    }

    /// When anything can move again.
    fn next_at(&self) -> Option<Instant> {
        let now = self.now;
        let open = self.open.iter().filter_map(|at| self.sessions.get(*at));
        let sessions = open.filter_map(super::driver::ClientSession::deadline);
        let clients = self
            .clients
            .iter()
            .filter_map(super::clients::Client::deadline);
        let rest = [self.asking.deadline(), self.brokers.deadline()];
        let all = sessions.chain(clients).chain(rest.into_iter().flatten());
        // Whatever is due by now waits for somebody, not for the time.
        let later = all.filter(|at| *at > now).min();
        later.into_iter().chain(self.net.next_at(now)).min()
    }

    /// Lets everything move that can, while the clock stands still.
    fn settle(&mut self) -> Result<(), Violation> {
        let (mut carried, mut still) = (self.watch.carried(), 0);
        for _ in 0..ROUNDS_MAX {
            self.net.arrive(self.now);
            if !self.round()? {
                return Ok(());
            }
            let before = std::mem::replace(&mut carried, self.watch.carried());
            still = if carried == before { still + 1 } else { 0 };
            if still == STILL_ROUNDS_MAX {
                break;
            }
        }
        Err(Violation::never_rests())
    }

    /// Everybody once, from a place that is drawn.
    fn round(&mut self) -> super::Progress {
        let (clients, open) = (self.clients.len(), self.open.clone());
        let all = clients + open.len() + 2;
        let first = usize::try_from(self.rng.below(all as u64)).unwrap_or(0);
        let mut moved = false;
        for turn in 0..all {
            let at = (first + turn) % all;
            moved |= match (
                at.checked_sub(clients),
                at.checked_sub(clients + open.len()),
            ) {
                (None, _) => self.client_step(at)?,
                (Some(session), None) => match open.get(session) {
                    Some(session) => self.session_step(*session)?,
                    None => false,
                },
                (Some(_), Some(0)) => self.discovery_step()?,
                (Some(_), Some(_)) => self.brokers_step()?,
            };
        }
        Ok(moved)
    }
}
