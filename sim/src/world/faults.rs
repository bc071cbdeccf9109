//! What can be done to a world while it runs.

use doorkeeper_core::id::BrokerId;

use super::rules::Rules;
use super::{Failure, World, doorkeeper, host_port, machine};

/// How a machine goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// Its process dies, and its host ends all connections.
    Process,
    /// Nothing is heard of it any more, until it is back.
    Power,
}

impl World {
    /// A broker goes down; others lead its partitions from now on.
    pub fn crash_broker(&mut self, id: BrokerId, how: Crash) {
        let Some(machine) = self.machines.get(&id).cloned() else {
            return;
        };
        self.trace.event(format_args!("crash {id} {how:?}"));
        if how == Crash::Power {
            // Held first: turmoil would make everyone notice the crash.
            for other in self.others() {
                self.sim.hold(machine.as_str(), other.as_str());
            }
        }
        self.sim.crash(machine.as_str());
        self.cluster
            .with(|cluster, now| cluster.stop_broker(now, id));
    }

    /// A broker that went down is back at its old address.
    pub fn restart_broker(&mut self, id: BrokerId) {
        let Some(machine) = self.machines.get(&id).cloned() else {
            return;
        };
        self.trace.event(format_args!("restart {id}"));
        self.cluster
            .with(|cluster, now| cluster.start_broker(now, id));
        self.sim.bounce(machine.as_str());
        for other in self.others() {
            self.sim.release(machine.as_str(), other.as_str());
        }
    }

    /// A broker that went down is back on another machine, at another address.
    ///
    /// # Errors
    /// There is no such name.
    pub fn move_broker(&mut self, id: BrokerId) -> Result<(), Failure> {
        let moves = u32::try_from(self.brokers_net.len()).unwrap_or(u32::MAX);
        let machine = machine(id, moves);
        self.trace.event(format_args!("move {id} to {machine}"));
        self.start_machine(id, &machine);
        let at = host_port(&machine)?;
        self.cluster.with(|cluster, now| {
            cluster.advertise(now, id, at);
            cluster.start_broker(now, id);
        });
        Ok(())
    }

    /// A broker stays where it is and advertises the address of the first doorkeeper.
    ///
    /// # Errors
    /// There is no such name.
    pub fn mislead_broker(&self, id: BrokerId) -> Result<(), Failure> {
        let at = doorkeeper::address(self.doorkeeper().name(), Some(id))?;
        self.trace.event(format_args!("mislead {id} to {at}"));
        self.cluster
            .with(|cluster, now| cluster.advertise(now, id, at));
        Ok(())
    }

    /// It advertises its own address again.
    ///
    /// # Errors
    /// There is no such name.
    pub fn correct_broker(&self, id: BrokerId) -> Result<(), Failure> {
        let Some(machine) = self.machines.get(&id) else {
            return Ok(());
        };
        self.trace.event(format_args!("correct {id}"));
        let at = host_port(machine)?;
        self.cluster
            .with(|cluster, now| cluster.advertise(now, id, at));
        Ok(())
    }

    /// A partition gets another leader, if that one is in sync.
    pub fn move_leader(&self, topic: &str, partition: i32, to: BrokerId) -> bool {
        self.trace
            .event(format_args!("leader {topic}-{partition} {to}"));
        self.cluster
            .with(|cluster, now| cluster.move_leader(now, topic, partition, to))
    }

    /// Nothing passes between a broker and everyone else until it is released; nothing is lost.
    pub fn hold_broker(&self, id: BrokerId) {
        self.trace.event(format_args!("hold {id}"));
        self.each_link(id, |world, machine, other| world.sim.hold(machine, other));
    }

    /// What was held arrives.
    pub fn release_broker(&self, id: BrokerId) {
        self.each_link(id, |world, machine, other| {
            world.sim.release(machine, other)
        });
    }

    /// What a broker sends is lost, what it is sent is not. turmoil never sends again, so that the
    /// connections of that link are dead from now on.
    pub fn mute_broker(&self, id: BrokerId) {
        self.trace.event(format_args!("mute {id}"));
        self.each_link(id, |world, machine, other| {
            world.sim.partition_oneway(machine, other);
        });
    }

    /// A broker is heard again.
    pub fn unmute_broker(&self, id: BrokerId) {
        self.trace.event(format_args!("unmute {id}"));
        self.each_link(id, |world, machine, other| {
            world.sim.repair_oneway(machine, other);
        });
    }

    fn each_link(&self, id: BrokerId, act: impl Fn(&Self, &str, &str)) {
        let Some(machine) = self.machines.get(&id).cloned() else {
            return;
        };
        for other in self.others() {
            act(self, &machine, &other);
        }
    }

    /// Whom a broker talks to: clients have no way to it.
    fn others(&self) -> Vec<String> {
        let doorkeepers = self.doorkeepers.iter();
        doorkeepers
            .map(|doorkeeper| doorkeeper.name().to_owned())
            .collect()
    }

    /// Tells a doorkeeper to stop in order.
    pub fn drain_doorkeeper(&self, number: usize) {
        if let Some(doorkeeper) = self.doorkeepers.get(number) {
            self.trace
                .event(format_args!("drain {}", doorkeeper.name()));
            doorkeeper.drain();
        }
    }

    /// Starts a doorkeeper that was drained.
    pub fn start_doorkeeper(&self, number: usize) {
        if let Some(doorkeeper) = self.doorkeepers.get(number) {
            self.trace
                .event(format_args!("start {}", doorkeeper.name()));
            doorkeeper.start();
        }
    }

    /// A doorkeeper dies and is started again at once.
    pub fn bounce_doorkeeper(&mut self, number: usize) {
        if let Some(doorkeeper) = self.doorkeepers.get(number) {
            self.trace
                .event(format_args!("bounce {}", doorkeeper.name()));
            self.sim.crash(doorkeeper.name());
            doorkeeper.crashed();
            self.sim.bounce(doorkeeper.name());
        }
    }

    /// A doorkeeper reads its configuration again.
    pub fn reload_doorkeeper(&self, number: usize, rules: &Rules) {
        if let Some(doorkeeper) = self.doorkeepers.get(number) {
            self.trace
                .event(format_args!("reload {} {rules:?}", doorkeeper.name()));
            self.requests.ruled(doorkeeper.name(), rules);
            doorkeeper.reload(rules);
        }
    }

    /// Nothing breaks any more of itself, and all rules are what they were.
    pub fn heal(&self) {
        self.trace.event(format_args!("heal"));
        for number in 0..self.doorkeepers.len() {
            self.reload_doorkeeper(number, &Rules::default());
        }
        for doorkeeper in &self.doorkeepers {
            doorkeeper.heal();
        }
        let nets = self.brokers_net.iter().chain(&self.clients_net);
        nets.for_each(|(net, _)| net.heal());
    }
}
