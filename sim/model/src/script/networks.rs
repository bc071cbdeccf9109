//! Which steps a network can play: what the direct backend does to bytes on their way, or to
//! doorkeeper from inside, nobody can do to a server and its sockets.

use std::fmt;

use super::Script;
use super::setting::{Chunk, Setting};
use super::step::{
    BrokerFault, Client, Direction, Ending, ListenAddr, NetFault, NetLeg, ProcessFault, Step,
    Tamper,
};

/// A part of a script that no network can play.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnplayablePart {
    /// The step, from 1; 0 for the setting.
    pub step: usize,
    /// Its text.
    pub text: String,
    /// Why not.
    pub why: &'static str,
}

impl fmt::Display for UnplayablePart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, text, why } = self;
        match step {
            0 => write!(f, "setting `{text}`: {why}"),
            _ => write!(f, "step {step} `{text}`: {why}"),
        }
    }
}

impl std::error::Error for UnplayablePart {}

impl Script {
    /// Holds the script against what networks can do.
    ///
    /// # Errors
    /// The first part that none can play.
    pub fn playable(&self) -> Result<(), UnplayablePart> {
        let unplayable = |step: usize, text: String, why| UnplayablePart { step, text, why };
        if let Some((text, why)) = setting(&self.setting) {
            return Err(unplayable(0, text.to_owned(), why));
        }
        for (step, number) in self.steps.iter().zip(1..) {
            if let Some(why) = unplayable_step(step, &self.setting) {
                return Err(unplayable(number, step.to_string(), why));
            }
        }
        Ok(())
    }
}

fn setting(setting: &Setting) -> Option<(&'static str, &'static str)> {
    let plain = Setting::default();
    if setting.chunk != Chunk::Whole {
        return Some(("chunk", "a network cuts bytes as its fault rates say"));
    }
    let times = (setting.latency_ms, setting.jitter_ms);
    if times != (plain.latency_ms, plain.jitter_ms) {
        return Some(("latency", "a network has its own"));
    }
    if setting.buffered.is_some() {
        return Some(("buffered", "a server has one budget for all its listeners"));
    }
    (setting.window != plain.window).then_some(("window", WINDOW))
}

const WINDOW: &str = "sockets have their own windows";

const PLAINTEXT: &str = "without TLS nothing is truncated";

fn unplayable_step(step: &Step, setting: &Setting) -> Option<&'static str> {
    match step {
        Step::Client(_, Client::Connect(ListenAddr::Broker(broker))) => (broker.0
            >= setting.advertised)
            .then_some("nobody listens for a broker without address"),
        Step::Net(_, leg, way, fault) => unplayable_fault(*leg, *way, *fault),
        Step::Broker(_, BrokerFault::AdvertiseDoorkeeper) => {
            Some("doorkeeper is advertised by a name that leads nowhere there")
        }
        Step::Broker(_, BrokerFault::Next(Tamper::Cut(_, Ending::Truncated))) => Some(PLAINTEXT),
        Step::Process(ProcessFault::Reload(..)) => Some("a server is not reloaded"),
        Step::Process(ProcessFault::Drain(_))
        | Step::Client(..)
        | Step::Broker(..)
        | Step::Leader(..)
        | Step::Heal
        | Step::Wait(_) => None,
    }
}

/// Peers do what happens to a leg: they can end what they write, and be slow to read and write.
const fn unplayable_fault(leg: NetLeg, way: Direction, fault: NetFault) -> Option<&'static str> {
    match (fault, leg, way) {
        (NetFault::Window(_), _, _) => Some(WINDOW),
        (NetFault::Cut(_, Ending::Truncated), _, _) => Some(PLAINTEXT),
        (NetFault::Cut(..), NetLeg::Client, Direction::Down)
        | (NetFault::Cut(..), NetLeg::Upstream, Direction::Up) => {
            Some("no peer can end what doorkeeper writes")
        }
        (NetFault::Hold | NetFault::Release, _, _)
        | (NetFault::Cut(..), NetLeg::Client, Direction::Up)
        | (NetFault::Cut(..), NetLeg::Upstream, Direction::Down) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn playable(step: &str) -> Result<(), UnplayablePart> {
        let script: Script = format!("advertised 2\n---\nwait 1\n{step}\n")
            .parse()
            .unwrap();
        script.playable()
    }

    #[test]
    fn the_step_that_no_network_can_play_is_named() {
        for step in [
            "c1 connect b1",
            "c1 stall",
            "b0 next cut 5 reset",
            "net c1 upstream down cut 3 fin",
            "net c1 client up hold",
            "drain 5",
        ] {
            assert_eq!(playable(step), Ok(()), "{step}");
        }
        for step in [
            "c1 connect b2",
            "net c1 client up window 3",
            "net c1 upstream up cut 3 fin",
            "net c1 upstream down cut 3 truncated",
            "b0 next cut 5 truncated",
            "reload deny=orders",
        ] {
            let error = playable(step).unwrap_err();
            assert_eq!((error.step, &*error.text), (2, step), "{error}");
        }
    }
}
