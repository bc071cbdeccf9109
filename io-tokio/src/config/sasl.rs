//! The keys of a configuration that are about logins of clients.

use std::time::Duration;

use doorkeeper_core::sasl;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::insecure::Insecure;
use super::leaf::{Size, Time};
use super::oauth::Oauth;

/// How clients log in. The same keys of Kafka are for its own brokers; here the login ends, and no
/// broker learns of it.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListenerSasl {
    /// What clients may log in by, as `sasl.enabled.mechanisms` of Kafka. PLAIN sends the password
    /// itself and OAUTHBEARER the token, so they need `tls`.
    #[schemars(length(min = 1))]
    pub mechanisms: Vec<Mechanism>,
    /// Who may log in by a password: a file that `doorkeeper user` writes. PLAIN and SCRAM need it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users_file: Option<String>,
    /// Which tokens hold. OAUTHBEARER needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth: Option<Oauth>,
    /// `allow`: offer PLAIN without TLS, so that whoever can read the network has the passwords.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insecure_plain_without_tls: Option<Insecure>,
    /// `allow`: offer OAUTHBEARER without TLS, so that whoever can read the network has the tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insecure_oauthbearer_without_tls: Option<Insecure>,
    /// How long a login holds, as `connections.max.reauth.ms` of Kafka: a client must have logged
    /// in again by then, which the clients of Kafka do by themselves (KIP-368), at 85 to 95 % of
    /// the time. Without it, for as long as the connection. Kafka takes less than two seconds as
    /// well, and then rejects clients that log in again within a second of the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-min" = "2s", "x-max" = "30days"))]
    pub max_reauth: Option<Time>,
    /// Whether the sessions of a user end when its password is changed in `users_file`. Without it
    /// they go on, and the new password holds for the next login. Those of a user that is removed
    /// end always.
    #[serde(default)]
    pub password_change_ends_sessions: bool,
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
    /// A token of somebody whom doorkeeper trusts, a JWT.
    #[serde(rename = "OAUTHBEARER")]
    OAuthBearer,
}

impl From<Mechanism> for sasl::Mechanism {
    fn from(mechanism: Mechanism) -> Self {
        match mechanism {
            Mechanism::Plain => Self::Plain,
            Mechanism::ScramSha256 => Self::ScramSha256,
            Mechanism::ScramSha512 => Self::ScramSha512,
            Mechanism::OAuthBearer => Self::OAuthBearer,
        }
    }
}
