//! SASL (RFC 4422): how a client proves who it is, on either leg.
//!
//! Everything here is pure: tokens go in, tokens and questions come out. The server's side of an
//! exchange ([`server::ServerExchange`]) asks its driver for what it does not know, be it the keys
//! of a user or whether a token holds, so that whoever answers may take its time, or a thread; and
//! so does the client's side ([`client::ClientExchange`]).

pub mod broker;
pub mod client;
pub mod failure;
pub mod login;
pub mod oauthbearer;
pub mod plain;
pub mod scram;
pub mod server;

use scram::Hash;

/// A mechanism that doorkeeper speaks itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mechanism {
    /// User name and password (RFC 4616).
    Plain,
    /// A proof of the password, which is not sent (RFC 5802, RFC 7677).
    ScramSha256,
    /// The same with SHA-512.
    ScramSha512,
    /// A bearer token (RFC 7628).
    OAuthBearer,
}

impl Mechanism {
    /// All of them, for tables.
    pub const ALL: [Self; 4] = [
        Self::Plain,
        Self::ScramSha256,
        Self::ScramSha512,
        Self::OAuthBearer,
    ];

    /// The name of IANA, as SaslHandshake and `sasl.mechanism` have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::OAuthBearer => "OAUTHBEARER",
        }
    }

    /// The mechanism of that name. Kafka compares it exactly (`SaslServerAuthenticator`).
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }

    /// Whether a token has the secret itself in it, so that whoever reads the connection has it.
    #[must_use]
    pub const fn sends_secret(self) -> bool {
        match self {
            Self::Plain | Self::OAuthBearer => true,
            Self::ScramSha256 | Self::ScramSha512 => false,
        }
    }

    /// The hash of a SCRAM mechanism.
    #[must_use]
    pub const fn scram_hash(self) -> Option<Hash> {
        match self {
            Self::ScramSha256 => Some(Hash::Sha256),
            Self::ScramSha512 => Some(Hash::Sha512),
            Self::Plain | Self::OAuthBearer => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_exactly() {
        for mechanism in Mechanism::ALL {
            assert_eq!(Mechanism::by_name(mechanism.name()), Some(mechanism));
        }
        assert_eq!(Mechanism::by_name("plain"), None);
        assert_eq!(Mechanism::by_name("SCRAM-SHA-1"), None);
    }
}
