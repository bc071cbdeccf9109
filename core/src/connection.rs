//! The two connections of a session: their names, how one ends, why one cannot be opened.

use crate::sasl::failure::BrokerLoginFailure;
use crate::tls_failure::TlsFailure;

/// One of the two connections of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Leg {
    /// Towards the client that was accepted.
    Client,
    /// Towards the broker that was dialled.
    Upstream,
}

impl Leg {
    /// The one that it is joined to.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::Upstream,
            Self::Upstream => Self::Client,
        }
    }

    /// The name that logs and metric labels use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Upstream => "upstream",
        }
    }
}

/// How a leg ended, as the adapter saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// The peer finished its half in order.
    Fin,
    /// The peer reset the connection, or a read or write failed.
    Reset,
    /// The connection has TLS, and ended without the peer's word that it was done (`close_notify`,
    /// RFC 8446 section 6.1): anybody in between can end it so.
    Truncated,
}

impl End {
    /// Whether the peer may still read, because it ended its own half alone.
    #[must_use]
    pub const fn is_of_one_half(self) -> bool {
        match self {
            Self::Fin => true,
            Self::Reset | Self::Truncated => false,
        }
    }
}

/// Why one attempt to reach an upstream failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConnectFailure {
    /// The name has no address, or none was found within the time that the target allowed.
    Unresolved,
    /// The peer refused the TCP connection.
    Refused,
    /// No reply from any address within the time that the target allowed.
    TimedOut,
    /// No route, no descriptor left, or another local reason.
    Unreachable,
    /// The address is one that doorkeeper itself listens at.
    Loop,
    /// The TLS handshake behind the connection failed.
    Tls(TlsFailure),
    /// The login behind the connection failed.
    Login(BrokerLoginFailure),
}

impl ConnectFailure {
    /// Whether others should try this address last for a while: it costs time, or is ourselves.
    pub(crate) const fn is_to_be_avoided(self) -> bool {
        match self {
            Self::TimedOut | Self::Loop | Self::Login(BrokerLoginFailure::TimedOut) => true,
            Self::Unresolved
            | Self::Refused
            | Self::Unreachable
            | Self::Tls(_)
            | Self::Login(_) => false,
        }
    }

    /// Whether another attempt may succeed, at the same address or at another one.
    pub(crate) const fn may_pass(self) -> bool {
        match self {
            Self::Login(why) => why.may_pass(),
            Self::Unresolved
            | Self::Refused
            | Self::TimedOut
            | Self::Unreachable
            | Self::Loop
            | Self::Tls(_) => true,
        }
    }

    /// The failure of that name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        let tls = TlsFailure::ALL.iter().map(|failure| Self::Tls(*failure));
        let logins = BrokerLoginFailure::ALL.iter().map(|it| Self::Login(*it));
        let plain = [
            Self::Unresolved,
            Self::Refused,
            Self::TimedOut,
            Self::Unreachable,
            Self::Loop,
        ];
        let mut all = plain.into_iter().chain(tls).chain(logins);
        all.find(|it| it.name() == name)
    }

    /// The name that logs and metric labels use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unresolved => "unresolved",
            Self::Refused => "refused",
            Self::TimedOut => "timed_out",
            Self::Unreachable => "unreachable",
            Self::Loop => "loop",
            Self::Tls(failure) => failure.connect_failure(),
            Self::Login(failure) => failure.name(),
        }
    }
}
