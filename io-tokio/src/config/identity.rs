//! The keys of a configuration that are about logins of doorkeeper's own at brokers.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::insecure::Insecure;

/// As whom doorkeeper logs in at the brokers of a cluster. Who a client is, it has shown to
/// doorkeeper; no broker learns of it unless the client has credentials of its own here.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClusterIdentity {
    /// doorkeeper's own credentials: those by which it finds the brokers, and of all clients that
    /// have none in `by_principal`.
    pub default: BrokerCredential,
    /// Credentials of clients by their principals, as `User:alice`: one that logs in as `alice`,
    /// say, or whose certificate maps to it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub by_principal: BTreeMap<String, BrokerCredential>,
    /// `refuse`: a client whose principal is not in `by_principal` reaches no broker; its
    /// connection is closed with its first request (`upstream_login`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_principals: Option<OtherPrincipals>,
    /// `allow`: send passwords and bearer tokens to brokers without TLS, so that whoever can read
    /// the network has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insecure_plain_without_tls: Option<Insecure>,
}

/// What becomes of clients that have no credentials of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OtherPrincipals {
    /// They reach no broker.
    Refuse,
}

/// One identity at the brokers.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BrokerCredential {
    /// How it is shown, as `sasl.mechanism` of Kafka's clients.
    pub mechanism: BrokerMechanism,
    /// The user, for all mechanisms but OAUTHBEARER.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The file with its password. A line end behind it does not belong to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<String>,
    /// For OAUTHBEARER, the file with the token, which somebody else keeps fresh: it is read for
    /// each login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<String>,
    /// For OAUTHBEARER, what else brokers are told, as `logicalCluster` (KIP-342).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extensions: BTreeMap<String, String>,
}

/// How doorkeeper logs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum BrokerMechanism {
    /// User name and password.
    #[serde(rename = "PLAIN")]
    Plain,
    /// A proof of the password, which is not sent, and one of the broker that it knows it too.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// The same with SHA-512.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
    /// A bearer token.
    #[serde(rename = "OAUTHBEARER")]
    OAuthBearer,
}

impl BrokerMechanism {
    /// As core has it.
    #[must_use]
    pub const fn mechanism(self) -> doorkeeper_core::sasl::Mechanism {
        use doorkeeper_core::sasl::Mechanism;
        match self {
            Self::Plain => Mechanism::Plain,
            Self::ScramSha256 => Mechanism::ScramSha256,
            Self::ScramSha512 => Mechanism::ScramSha512,
            Self::OAuthBearer => Mechanism::OAuthBearer,
        }
    }
}
