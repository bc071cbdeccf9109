//! What can happen, one step each.

use arbitrary::Arbitrary;
use doorkeeper_core::{End, Leg};

use super::request::{Request, TopicPartition};
use super::setting::{Policy, SmallLimits};
use super::words::names;

/// One step. It happens at once; only [`Step::Wait`], [`Client::Wait`] and
/// [`Client::WaitEnd`] let time pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The client with this number does something.
    Client(Ordinal, Client),
    /// Something happens to the broker with this number.
    Broker(Ordinal, BrokerFault),
    /// A partition gets another leader.
    Leader(TopicPartition, Ordinal),
    /// Something happens to a leg of the client's session.
    Net(Ordinal, NetLeg, Direction, NetFault),
    /// Something happens to doorkeeper.
    Process(ProcessFault),
    /// All faults end: brokers come back, and bytes flow.
    Heal,
    /// Time passes.
    Wait(Wait),
}

/// A number that counts clients or brokers. Small, so that steps meet each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ordinal(pub u8);

impl Ordinal {
    /// How many there are at most.
    pub const MAX: u8 = 8;
}

/// A leg of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Arbitrary)]
pub enum NetLeg {
    /// Towards the client.
    Client,
    /// Towards the broker.
    Upstream,
}

names!(NetLeg { NetLeg::Client = "client", NetLeg::Upstream = "upstream" });

impl From<NetLeg> for Leg {
    fn from(leg: NetLeg) -> Self {
        match leg {
            NetLeg::Client => Self::Client,
            NetLeg::Upstream => Self::Upstream,
        }
    }
}

/// Which way bytes go on a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Arbitrary)]
pub enum Direction {
    /// From the client towards the broker.
    Up,
    /// From the broker towards the client.
    Down,
}

names!(Direction { Direction::Up = "up", Direction::Down = "down" });

/// What a client does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Client {
    /// Opens a connection, and leaves the one it had.
    Connect(ListenAddr),
    /// Sends a request.
    Send(Request),
    /// Sends the beginning of a request: so many 255ths of its bytes.
    SendPart(u8, Request),
    /// Sends bytes that are no request.
    Raw(Vec<u8>),
    /// Ends its half of the connection.
    Fin,
    /// Resets the connection.
    Reset,
    /// Reads nothing any more.
    Stall,
    /// Reads again.
    Resume,
    /// From now on sends one byte in so many milliseconds; 0 for all at once.
    Drip(u8),
    /// Waits until every response has come, or its connection has ended.
    Wait,
    /// Waits until doorkeeper has ended its connection.
    WaitEnd,
}

/// The address of doorkeeper that a client connects to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Arbitrary)]
pub enum ListenAddr {
    /// The bootstrap address.
    Bootstrap,
    /// The address of a broker.
    Broker(Ordinal),
}

/// What goes wrong with a broker.
#[derive(Clone, Debug, PartialEq, Eq, Arbitrary)]
pub enum BrokerFault {
    /// It stops; its connections are reset.
    Crash,
    /// It starts again.
    Restart,
    /// It moves to another address. Connections that it has stay, as after a change of its
    /// `advertised.listeners`.
    Move,
    /// It reads, and responds to nothing.
    Silence,
    /// It sends the responses that it owes, late.
    Speak,
    /// It refuses connections.
    Refuse,
    /// Connections to it neither succeed nor fail.
    BlackHole,
    /// It takes connections again.
    Accept,
    /// It serves versions up to this one of the API with that key.
    Versions(u8, u8),
    /// Something happens to the next response that it gives to a session.
    Next(Tamper),
    /// It advertises the address that doorkeeper advertises for it, until it moves or is healed.
    AdvertiseDoorkeeper,
    /// Each of its responses throttles the client for so many milliseconds, until it is healed.
    // What the corpora mean would be another thing if this were drawn from their bytes.
    #[arbitrary(skip)]
    Throttle(u16),
}

/// What happens to one response of a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Arbitrary)]
pub enum Tamper {
    /// It has another correlation id.
    WrongId,
    /// It comes twice.
    Extra,
    /// It does not come.
    Missing,
    /// Its length is negative.
    Negative,
    /// Its length is larger than any limit.
    Huge,
    /// It stops after so many bytes, and the connection ends.
    Cut(u8, Ending),
    /// It comes so many tenths of a second late, and all behind it.
    Late(u8),
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Arbitrary)]
pub enum Ending {
    /// In order.
    Fin,
    /// By a reset.
    Reset,
    /// In order, but without the word of TLS that it does.
    // What the corpora mean would be another thing if this were drawn from their bytes.
    #[arbitrary(skip)]
    Truncated,
}

names!(Ending {
    Ending::Fin = "fin",
    Ending::Reset = "reset",
    Ending::Truncated = "truncated",
});

impl From<Ending> for End {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Fin => Self::Fin,
            Ending::Reset => Self::Reset,
            Ending::Truncated => Self::Truncated,
        }
    }
}

/// What happens to one direction of one leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Arbitrary)]
pub enum NetFault {
    /// Nothing arrives any more.
    Hold,
    /// What was held arrives.
    Release,
    /// So few bytes are on the way at most.
    Window(u8),
    /// After so many bytes more the connection ends.
    Cut(u16, Ending),
}

/// What happens to doorkeeper.
#[derive(Clone, Debug, PartialEq, Eq, Arbitrary)]
pub enum ProcessFault {
    /// The configuration is read again: this is denied now, these are the limits.
    Reload(Policy, SmallLimits),
    /// It stops, and sessions have so many tenths of a second.
    Drain(u8),
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Arbitrary)]
pub enum Wait {
    /// So many milliseconds.
    Millis(u16),
    /// Every response for every client, or the end of its connection.
    All,
}
