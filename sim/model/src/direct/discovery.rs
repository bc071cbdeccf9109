//! Discovery of core, over connections of its own.

use doorkeeper_core::discovery::{Discovery, Effect, Input};
use doorkeeper_core::id::HostPort;
use doorkeeper_core::{ConnectFailure, End, Instant, Observation};

use super::channel::ReadResult;
use super::net::LinkId;
use super::{Progress, World};
use crate::script::Direction;

/// Discovery and what its driver knows.
#[derive(Debug)]
pub(super) struct DiscoveryDriver {
    machine: Discovery,
    wire: Wire,
    hints: Vec<Observation>,
}

#[derive(Debug)]
enum Wire {
    Absent,
    Dialling {
        dial: HostPort,
        ready: Instant,
        lost: bool,
    },
    Open(LinkId),
}

impl DiscoveryDriver {
    pub(super) fn new(machine: Discovery) -> Self {
        Self {
            machine,
            wire: Wire::Absent,
            hints: Vec::new(),
        }
    }

    pub(super) fn hint(&mut self, observation: Observation) {
        self.hints.push(observation);
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let dialled = match &self.wire {
            Wire::Dialling { ready, .. } => Some(*ready),
            Wire::Absent | Wire::Open(_) => None,
        };
        self.machine
            .demand()
            .deadline
            .into_iter()
            .chain(dialled)
            .min()
    }
}

impl World {
    /// Lets discovery do what it can now.
    pub(super) fn discovery_step(&mut self) -> Progress {
        let now = self.now;
        let input = match &self.asking.wire {
            Wire::Dialling { dial, ready, lost } if *ready <= now => {
                let (dial, lost) = (dial.clone(), *lost);
                self.asking.wire = Wire::Absent;
                let reached = if lost {
                    Err(ConnectFailure::TimedOut)
                } else {
                    self.reach(&dial, None)
                };
                match reached {
                    Ok((link, _)) => {
                        self.asking.wire = Wire::Open(link);
                        Some(Input::Connected)
                    }
                    Err(why) => Some(Input::ConnectFailed(why)),
                }
            }
            Wire::Open(link) => {
                let link = *link;
                self.discovery_wire(link)
            }
            Wire::Dialling { .. } | Wire::Absent => None,
        };
        let input = input.or_else(|| self.asking.hints.pop().map(Input::Observed));
        let due = self.asking.machine.demand().deadline;
        let input = input.or_else(|| due.filter(|due| *due <= now).map(|_| Input::Tick));
        let moved = input.is_some();
        if let Some(input) = input {
            self.watch.discovery(now, &input);
            self.asking.machine.handle(now, input);
        }
        Ok(self.discovery_effects() | moved)
    }

    fn discovery_wire(&mut self, id: LinkId) -> Option<Input> {
        let now = self.now;
        let waits = self.asking.machine.egress().is_empty();
        if waits && !self.net.link(id).down.is_readable(now) {
            return None;
        }
        let arrival = self.net.arrival(now, &mut self.rng);
        let most = self.net.piece(usize::MAX, &mut self.rng);
        let link = self.net.link(id);
        let egress = self.asking.machine.egress();
        if !egress.is_empty() && (link.up.room() > 0 || link.up.is_broken()) {
            let bytes: Vec<u8> = egress.slices().flatten().copied().collect();
            return Some(match link.up.write(arrival, &bytes) {
                Ok(count) => Input::Wrote(count),
                Err(_) => Input::Ended(End::Reset),
            });
        }
        if !self.asking.machine.demand().read {
            return None;
        }
        match link.down.read(now, most) {
            ReadResult::Bytes(bytes) => Some(Input::Bytes(bytes)),
            ReadResult::End(how) => Some(Input::Ended(how)),
            ReadResult::Nothing => None,
        }
    }

    fn discovery_effects(&mut self) -> bool {
        let mut moved = false;
        while let Some(effect) = self.asking.machine.poll() {
            moved = true;
            match effect {
                Effect::Connect(target) => {
                    let arrival = self.net.arrival(self.now, &mut self.rng);
                    let lost = self.brokers.swallows(&target.dial);
                    self.asking.wire = Wire::Dialling {
                        ready: if lost {
                            self.now.after(target.within)
                        } else {
                            arrival
                        },
                        dial: target.dial,
                        lost,
                    };
                }
                // Its brokers want no login.
                Effect::RequestToken(_) => {}
                Effect::Disconnect => {
                    if let Wire::Open(link) = self.asking.wire {
                        self.net.close(link, Direction::Up, self.now, &mut self.rng);
                    }
                    self.asking.wire = Wire::Absent;
                }
                Effect::Publish(topology) => {
                    let next = self.snapshot.with_topology(topology);
                    self.publish(next);
                }
                Effect::Report(_) => {}
            }
        }
        moved
    }
}
