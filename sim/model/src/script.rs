//! One language for tests, fuzzing, simulation, regressions and replay.
//!
//! A script is a setting and an explicit list of steps: nothing in it is drawn while it runs, so
//! that it can be recorded, shrunk and run on any backend. As text it has one thing a line:
//!
//! ```text
//! # What it taught.
//! seed 7
//! brokers 3
//! limits buffer=512 egress=64
//! deny secret
//! ---
//! c1 connect broker 1
//! c1 send produce v9 acks=-1 orders/0:100 secret/0:20
//! c1 wait
//! b1 next wrong-id
//! c1 send metadata v9 *
//! c1 wait end
//! net c1 upstream up cut 12 reset
//! reload deny=orders
//! wait 500
//! ```
//!
//! Every step can be played by the direct backend. A network cannot do all of them, and the tables
//! in `docs/simulation.md` say which: a script that needs one says `direct`.

mod any;
mod lines;
mod networks;
mod request;
mod setting;
mod share;
mod step;
mod words;

pub use networks::UnplayablePart;
pub use request::{
    Acks, BatchChoice, Beat, FetchSession, Part, Producer, Request, Topic, TopicPartition,
    TransactionResult, What,
};
pub use setting::{Chunk, Policy, Setting, SmallLimits};
pub use share::{Acknowledge, Share, ShareSession};
pub use step::{
    BrokerFault, Client, Direction, Ending, ListenAddr, NetFault, NetLeg, Ordinal, ProcessFault,
    Step, Tamper, Wait,
};
pub use words::BadScript;

/// What is done to doorkeeper, and in which environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// The environment.
    pub setting: Setting,
    /// What happens, one after the other.
    pub steps: Vec<Step>,
}
