//! The file: lines of JSON. The first says what it is, each further one is a step of the session,
//! and the last says how it ended. A line is appended without looking at those before it.

use std::net::SocketAddr;

use doorkeeper_core::client_address::ClientAddress;
use doorkeeper_core::error::Revocation;
use doorkeeper_core::id::{BrokerId, Seed};
use doorkeeper_core::{ConnectFailure, End, Leg, Route};
use serde::{Deserialize, Serialize};

use crate::login::{RecordedEvaluation, RecordedTokenReply};
use crate::pieces::{Hash, Pieces};
use crate::snapshot::RecordedSnapshot;
use crate::tls::Tls;

/// What this code writes, and the only version that it reads.
pub const VERSION: u32 = 5;

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Line {
    /// The first one.
    Recording(Box<Opening>),
    /// Something happened to the session.
    Step(Step),
    /// More happened, and is not in here.
    Cut(Cut),
    /// The session is over, for this reason.
    End(String),
}

impl Line {
    /// With the end of the line.
    #[must_use]
    pub fn text(&self) -> String {
        // Only maps whose keys are no texts could fail.
        let mut text = serde_json::to_string(self).unwrap_or_default();
        text.push('\n');
        text
    }
}

/// How the session began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opening {
    /// Of the format: [`VERSION`].
    pub version: u32,
    /// The version of doorkeeper that has written it.
    pub doorkeeper: String,
    /// The number of the session, as in the log.
    pub session: u64,
    /// The listener's name.
    pub listener: String,
    /// When, by the clock on the wall.
    pub opened: String,
    /// The same by the clock of the session, in nanoseconds.
    pub at: u64,
    /// Where the client came from.
    #[serde(with = "ClientAddressText")]
    pub client: ClientAddress,
    /// Which listen address it connected to.
    #[serde(with = "RouteText")]
    pub route: Route,
    /// What the TLS handshake of its client agreed on; nothing without TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Who the client is by its certificate; nothing without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// The entropy of the session: 64 digits of hex.
    #[serde(with = "seed")]
    pub seed: Seed,
    /// Its snapshot.
    pub snapshot: RecordedSnapshot,
}

/// One input and its outcome.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// When, by the clock of the session, in nanoseconds.
    pub at: u64,
    /// What happened.
    #[serde(rename = "in")]
    pub input: Input,
    /// Its outcome; nothing if the session panicked or was ended meanwhile.
    #[serde(rename = "out", default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

/// As [`doorkeeper_core::Input`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[expect(missing_docs, reason = "core's input says it")]
pub enum Input {
    Bytes {
        #[serde(with = "LegText")]
        leg: Leg,
        bytes: Pieces,
    },
    Wrote {
        #[serde(with = "LegText")]
        leg: Leg,
        bytes: usize,
    },
    Ended {
        #[serde(with = "LegText")]
        leg: Leg,
        #[serde(with = "EndText")]
        how: End,
    },
    Connected,
    ConnectFailed(#[serde(with = "connect_failure")] ConnectFailure),
    Evaluated(RecordedEvaluation),
    Token(RecordedTokenReply),
    Snapshot(Box<RecordedSnapshot>),
    Drain {
        by: u64,
    },
    ListenerRemoved {
        by: u64,
    },
    Revoked(#[serde(with = "revocation")] Revocation),
    BufferPaused {
        #[serde(with = "LegText")]
        leg: Leg,
    },
    BufferResumed {
        #[serde(with = "LegText")]
        leg: Leg,
    },
    BufferRejected,
    Tick,
}

/// What the session did with an input.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// The effects, a line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub effects: Vec<String>,
    /// What is due to the client.
    #[serde(default, skip_serializing_if = "Egress::is_empty")]
    pub client: Egress,
    /// What is due to the broker.
    #[serde(default, skip_serializing_if = "Egress::is_empty")]
    pub upstream: Egress,
}

/// What one peer is due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Egress {
    /// How many bytes.
    pub due: usize,
    /// What was added to them in this step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grew: Option<Growth>,
}

impl Egress {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What was added to an egress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Growth {
    /// How many bytes.
    pub bytes: usize,
    /// A fingerprint of those that are kept, and of the places of the masked ones.
    pub hash: Hash,
}

/// Why there is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cut {
    /// The thread that writes it could not keep up.
    Queue,
    /// The file is as long as it may be.
    File,
    /// All recordings together are, and the others are of sessions that are open.
    Folder,
    /// It could not be written.
    Failed,
}

impl Cut {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Queue, Self::File, Self::Folder, Self::Failed];

    /// The name that files and metric labels use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::File => "file",
            Self::Folder => "folder",
            Self::Failed => "failed",
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Leg", rename_all = "snake_case")]
enum LegText {
    Client,
    Upstream,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "End", rename_all = "snake_case")]
enum EndText {
    Fin,
    Reset,
    Truncated,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "ClientAddress", rename_all = "snake_case")]
enum ClientAddressText {
    Direct(SocketAddr),
    Proxied {
        client: SocketAddr,
        proxy: SocketAddr,
    },
    Proxy(SocketAddr),
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Route", rename_all = "snake_case")]
enum RouteText {
    Bootstrap,
    Broker(#[serde(with = "BrokerIdText")] BrokerId),
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "BrokerId")]
struct BrokerIdText(i32);

mod connect_failure {
    use doorkeeper_core::ConnectFailure;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        failure: &ConnectFailure,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(failure.name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<ConnectFailure, D::Error> {
        let name = String::deserialize(from)?;
        let unknown = || D::Error::custom("no such failure to connect");
        ConnectFailure::by_name(&name).ok_or_else(unknown)
    }
}

mod revocation {
    use doorkeeper_core::CloseReason;
    use doorkeeper_core::error::Revocation;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(why: &Revocation, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(CloseReason::Revoked(*why).name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Revocation, D::Error> {
        let name = String::deserialize(from)?;
        let unknown = || D::Error::custom("no such revocation");
        Revocation::by_name(&name).ok_or_else(unknown)
    }
}

mod seed {
    use std::fmt::Write as _;

    use doorkeeper_core::id::Seed;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(seed: &Seed, to: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(64);
        for byte in seed.0 {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        to.serialize_str(&text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Seed, D::Error> {
        let text = String::deserialize(from)?;
        let digit = |byte: &u8| char::from(*byte).to_digit(16);
        let digits: Option<Vec<u32>> = text.as_bytes().iter().map(digit).collect();
        let wrong = || D::Error::custom("a seed has 64 digits of hex");
        let digits = digits.filter(|it| it.len() == 64).ok_or_else(wrong)?;
        let mut seed = [0; 32];
        for (byte, pair) in seed.iter_mut().zip(digits.chunks(2)) {
            let value = pair.iter().fold(0, |value, digit| value * 16 + digit);
            *byte = u8::try_from(value).map_err(D::Error::custom)?;
        }
        Ok(Seed(seed))
    }
}
