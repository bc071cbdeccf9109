//! The keys of a configuration that are about logins of clients.

use std::time::Duration;

use doorkeeper_core::sasl;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::leaf::{Size, Time};

/// How clients log in. The same keys of Kafka are for its own brokers; here the login ends, and no
/// broker learns of it.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListenerSasl {
    /// What clients may log in by, as `sasl.enabled.mechanisms` of Kafka. PLAIN sends the password
    /// itself, so it needs `tls`.
    #[schemars(length(min = 1))]
    pub mechanisms: Vec<Mechanism>,
    /// Who may log in: a file that `doorkeeper user` writes.
    pub users_file: String,
    /// `allow`: offer PLAIN without TLS, so that whoever can read the network has the passwords.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insecure_plain_without_tls: Option<InsecurePlain>,
    /// How long a login holds, as `connections.max.reauth.ms` of Kafka: a client must have logged
    /// in again by then, which the clients of Kafka do by themselves (KIP-368), at 85 to 95 % of
    /// the time. Without it, for as long as the connection. Kafka takes less than two seconds as
    /// well, and then rejects clients that log in again within a second of the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-min" = "2s", "x-max" = "30days"))]
    pub max_reauth: Option<Time>,
    /// How long a client may take to log in, from the moment it is accepted, a TLS handshake
    /// included; and as long again each time that it logs in again.
    #[serde(default = "defaults::login_timeout")]
    #[schemars(extend("x-min" = "100ms", "x-max" = "5m"))]
    pub login_timeout: Time,
    /// How long a client waits at least for the response to a failed login, as
    /// `connection.failed.authentication.delay.ms` of Kafka: so nobody can try many passwords.
    #[serde(default = "defaults::failure_delay")]
    #[schemars(extend("x-min" = "0s", "x-max" = "1m"))]
    pub failure_delay: Time,
    /// The longest request of a client that has not logged in, as
    /// `sasl.server.max.receive.size` of Kafka.
    #[serde(default = "defaults::frame_bytes_before_login")]
    #[schemars(extend("x-min" = "1KiB", "x-max" = "1MiB"))]
    pub frame_bytes_before_login: Size,
}

mod defaults {
    use super::{Duration, Size, Time};

    pub(super) const fn login_timeout() -> Time {
        Time(Duration::from_secs(10))
    }

    pub(super) const fn failure_delay() -> Time {
        Time(Duration::from_millis(100))
    }

    pub(super) const fn frame_bytes_before_login() -> Size {
        Size(64 * 1024)
    }
}

/// That passwords cross the network as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InsecurePlain {
    /// They do, and that is meant.
    Allow,
}

/// How a client may log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum Mechanism {
    /// User name and password.
    #[serde(rename = "PLAIN")]
    Plain,
    /// A proof that the client knows the password, which it does not send.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// The same with SHA-512.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
}

impl From<Mechanism> for sasl::Mechanism {
    fn from(mechanism: Mechanism) -> Self {
        match mechanism {
            Mechanism::Plain => Self::Plain,
            Mechanism::ScramSha256 => Self::ScramSha256,
            Mechanism::ScramSha512 => Self::ScramSha512,
        }
    }
}
