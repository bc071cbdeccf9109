//! A login as text: how clients may log in, what brokers have said that they can do, and what
//! became of a token, without any byte of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use doorkeeper_core::broker_versions::BrokerVersions;
use doorkeeper_core::id::{ApiKey, ApiVersion, HostPort};
use doorkeeper_core::policy::Principal;
use doorkeeper_core::sasl::Mechanism;
use doorkeeper_core::sasl::broker::TokenReply;
use doorkeeper_core::sasl::failure::{BrokerLoginFailure, LoginFailure};
use doorkeeper_core::sasl::login::{Evaluation, LoginSettings};
use doorkeeper_core::secret::Secret;
use doorkeeper_core::topology::Topology;
use doorkeeper_core::wire::schema::Versions;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::pieces::Pieces;

/// As [`LoginSettings`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecordedLogin {
    mechanisms: Vec<MechanismName>,
    frame_bytes_max: usize,
    frames_max: usize,
    login_timeout: Duration,
    failure_delay: Duration,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session_lifetime_max: Option<Duration>,
}

impl RecordedLogin {
    pub(crate) fn of(settings: &LoginSettings) -> Self {
        let LoginSettings {
            mechanisms,
            frame_bytes_max,
            frames_max,
            login_timeout,
            failure_delay,
            session_lifetime_max,
        } = settings;
        Self {
            mechanisms: mechanisms.iter().copied().map(MechanismName).collect(),
            frame_bytes_max: *frame_bytes_max,
            frames_max: *frames_max,
            login_timeout: *login_timeout,
            failure_delay: *failure_delay,
            session_lifetime_max: *session_lifetime_max,
        }
    }

    pub(crate) fn settings(&self) -> LoginSettings {
        LoginSettings {
            mechanisms: self.mechanisms.iter().map(|it| it.0).collect(),
            frame_bytes_max: self.frame_bytes_max,
            frames_max: self.frames_max,
            login_timeout: self.login_timeout,
            failure_delay: self.failure_delay,
            session_lifetime_max: self.session_lifetime_max,
        }
    }
}

/// What the brokers can do. Most say the same, which is written once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecordedVersions {
    said: Vec<Said>,
    /// The place in that list, by address.
    at: BTreeMap<String, usize>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    /// Key, first and last version.
    ranges: Vec<(i16, i16, i16)>,
    /// The bodies of responses, by the version of the request.
    bodies: BTreeMap<i16, Pieces>,
}

impl RecordedVersions {
    pub(crate) fn of(topology: &Topology) -> Self {
        let mut recorded = Self::default();
        for (address, versions) in topology.versions_by_address() {
            let said = Said::of(versions);
            let known = recorded.said.iter().position(|it| *it == said);
            let place = known.unwrap_or_else(|| {
                recorded.said.push(said);
                recorded.said.len() - 1
            });
            recorded.at.insert(address.to_string(), place);
        }
        recorded
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.at.is_empty()
    }

    /// What was said at each address; what is no address is left out, as it cannot be a broker's.
    pub(crate) fn by_address(&self) -> impl Iterator<Item = (HostPort, Arc<BrokerVersions>)> {
        let said: Vec<Arc<BrokerVersions>> = self.said.iter().map(Said::versions).collect();
        self.at.iter().filter_map(move |(address, place)| {
            Some((address.parse().ok()?, Arc::clone(said.get(*place)?)))
        })
    }
}

impl Said {
    fn of(versions: &BrokerVersions) -> Self {
        let ranges = versions.ranges();
        let bodies = versions.bodies().map(|(version, body)| {
            let mut pieces = Pieces::default();
            pieces.keep(body);
            (version.0, pieces)
        });
        Self {
            ranges: ranges
                .map(|(api, versions)| (api.0, versions.first, versions.last))
                .collect(),
            bodies: bodies.collect(),
        }
    }

    fn versions(&self) -> Arc<BrokerVersions> {
        let ranges = self.ranges.iter().map(|(api, first, last)| {
            let versions = Versions::new(*first, *last);
            (ApiKey(*api), versions)
        });
        let bodies = self.bodies.iter();
        let bodies = bodies.map(|(version, body)| (ApiVersion(*version), body.filled().into()));
        Arc::new(BrokerVersions::new(ranges, bodies))
    }
}

/// As [`Evaluation`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[expect(missing_docs, reason = "core's input says it")]
pub enum RecordedEvaluation {
    Challenge {
        /// How many bytes the token has.
        bytes: usize,
    },
    Success {
        /// How many bytes the token has.
        bytes: usize,
        principal: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lifetime: Option<Duration>,
    },
    Failure {
        #[serde(with = "login_failure")]
        why: LoginFailure,
    },
}

impl RecordedEvaluation {
    pub(crate) fn of(evaluation: &Evaluation) -> Self {
        match evaluation {
            Evaluation::Challenge(token) => Self::Challenge { bytes: token.len() },
            Evaluation::Success {
                token,
                principal,
                lifetime,
            } => Self::Success {
                bytes: token.len(),
                principal: principal.as_str().to_owned(),
                lifetime: *lifetime,
            },
            Evaluation::Failure(why) => Self::Failure { why: *why },
        }
    }

    /// How many bytes the token claims to have.
    pub(crate) const fn claim(&self) -> usize {
        match self {
            Self::Challenge { bytes } | Self::Success { bytes, .. } => *bytes,
            Self::Failure { .. } => 0,
        }
    }

    /// The evaluation with another token of the same length.
    pub(crate) fn evaluation(&self) -> Evaluation {
        let token = |bytes: &usize| Bytes::from(vec![0; *bytes]);
        match self {
            Self::Challenge { bytes } => Evaluation::Challenge(token(bytes)),
            Self::Success {
                bytes,
                principal,
                lifetime,
            } => Evaluation::Success {
                token: token(bytes),
                principal: Principal::new(principal),
                lifetime: *lifetime,
            },
            Self::Failure { why } => Evaluation::Failure(*why),
        }
    }
}

/// As [`TokenReply`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[expect(missing_docs, reason = "core's input says it")]
pub enum RecordedTokenReply {
    First {
        mechanism: MechanismName,
        /// How many bytes the token has.
        bytes: usize,
    },
    Next {
        /// How many bytes the token has.
        bytes: usize,
    },
    Done,
    Failure {
        #[serde(with = "broker_login_failure")]
        why: BrokerLoginFailure,
    },
}

impl RecordedTokenReply {
    pub(crate) fn of(reply: &TokenReply) -> Self {
        match reply {
            TokenReply::First { mechanism, token } => Self::First {
                mechanism: MechanismName(*mechanism),
                bytes: token.expose().len(),
            },
            TokenReply::Next(token) => Self::Next {
                bytes: token.expose().len(),
            },
            TokenReply::Done => Self::Done,
            TokenReply::Failure(why) => Self::Failure { why: *why },
        }
    }

    /// How many bytes the token claims to have.
    pub(crate) const fn claim(&self) -> usize {
        match self {
            Self::First { bytes, .. } | Self::Next { bytes } => *bytes,
            Self::Done | Self::Failure { .. } => 0,
        }
    }

    /// The reply with another token of the same length.
    pub(crate) fn reply(&self) -> TokenReply {
        let token = |bytes: &usize| Secret::new(vec![0; *bytes]);
        match self {
            Self::First { mechanism, bytes } => TokenReply::First {
                mechanism: mechanism.0,
                token: token(bytes),
            },
            Self::Next { bytes } => TokenReply::Next(token(bytes)),
            Self::Done => TokenReply::Done,
            Self::Failure { why } => TokenReply::Failure(*why),
        }
    }
}

/// A mechanism by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MechanismName(Mechanism);

impl Serialize for MechanismName {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.0.name())
    }
}

impl<'de> Deserialize<'de> for MechanismName {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = String::deserialize(from)?;
        let unknown = || D::Error::custom("no such mechanism");
        Mechanism::by_name(&name).map(Self).ok_or_else(unknown)
    }
}

macro_rules! by_name {
    ($module:ident, $type:ident, $unknown:literal) => {
        mod $module {
            use doorkeeper_core::sasl::failure::$type;
            use serde::de::Error as _;
            use serde::{Deserialize as _, Deserializer, Serializer};

            pub(super) fn serialize<S: Serializer>(why: &$type, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(why.name())
            }

            pub(super) fn deserialize<'de, D: Deserializer<'de>>(
                from: D,
            ) -> Result<$type, D::Error> {
                let name = String::deserialize(from)?;
                let mut all = $type::ALL.iter();
                let unknown = || D::Error::custom($unknown);
                all.find(|it| it.name() == name)
                    .copied()
                    .ok_or_else(unknown)
            }
        }
    };
}

by_name!(login_failure, LoginFailure, "no such failure to log in");
by_name!(
    broker_login_failure,
    BrokerLoginFailure,
    "no such failure to log in to a broker"
);
