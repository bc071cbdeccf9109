//! Why a session ended: one typed reason, the same in the log and in a metric. All that is said of
//! a reason stands here; who closes for it is elsewhere.

mod ending;
mod wait;

use std::fmt;

use crate::connection::{ConnectFailure, End, Leg};
use crate::id::{ApiKey, ApiVersion, BrokerId};
use crate::sasl::failure::LoginFailure;
use crate::wire::malformed::Malformed;

pub use crate::wire::malformed::BadLength;
pub(crate) use ending::{Due, Ending, Requests};
pub use wait::Wait;
pub(crate) use wait::WaitRow;

/// The one reason of a closed session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The client ended the connection.
    ClientEnded(End),
    /// The client broke a rule.
    Client(ClientFault),
    /// The broker ended the connection.
    UpstreamEnded(End),
    /// The broker broke a rule.
    Upstream(UpstreamFault),
    /// No upstream connection could be opened in time; the last failure.
    Unreachable(ConnectFailure),
    /// The client connected to the listen address of a broker that is not in the topology.
    BrokerUnknown(BrokerId),
    /// Nothing was learned of the cluster in the time for a connection.
    TopologyUnknown,
    /// A frame that had to be buffered grew over its limit, `request_buffer_bytes_max` or
    /// `response_buffer_bytes_max`.
    BufferLimit(Leg),
    /// Sessions together buffered more than they may, and this one more than its share.
    BufferRejected,
    /// The client failed to show who it is.
    LoginFailed(LoginFailure),
    /// The client's login does not hold any more, and it has not logged in again (KIP-368).
    SessionExpired,
    /// Somebody was too slow.
    TimedOut(Wait),
    /// doorkeeper is stopping, and all responses that the session owed have been given.
    Drained,
    /// doorkeeper is stopping, and the time for owed responses ran out.
    DrainExpired,
    /// The listener, or the address of it that the client connected to, was removed, and all
    /// responses that the session owed have been given.
    ListenerRemoved,
    /// The same, and the time for owed responses ran out.
    ListenerRemovedExpired,
    /// The right of a peer to be connected has ended.
    Revoked(Revocation),
    /// A rule of our own was broken. Must never happen; ends one session only.
    Bug(&'static str),
}

/// A rule that a client broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientFault {
    /// The length prefix is no legal length.
    FrameLength(BadLength),
    /// What should be a length is how another protocol begins.
    Speaks(OtherProtocol),
    /// The header or body does not follow its schema.
    Malformed(ApiKey, ApiVersion, Malformed),
    /// No such API, or one that is not offered here.
    ApiNotOffered(ApiKey),
    /// The API has no such version.
    UnsupportedVersion(ApiKey, ApiVersion),
    /// A request that only a broker or controller of the cluster may send.
    ReplicaRequest(ApiKey),
    /// A denied Produce with acks=0 has no response that could say so, so Kafka closes.
    DeniedAcksZero,
    /// A denied request of a version in which the denial cannot be encoded, or one that is too long
    /// for that.
    DenialNotEncodable(ApiKey, ApiVersion),
    /// A request that may not come before the client has logged in, or not at this point of its
    /// login.
    NotLoggedIn(ApiKey),
    /// The client wants to log in by a mechanism that is not offered.
    MechanismNotOffered,
    /// A login that takes more frames than any needs.
    LoginFrames,
}

/// How the right of a peer to be connected has ended, as the configuration or the files that it
/// names were changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// The client's certificate is on a list of revoked ones.
    CertificateRevoked,
    /// The client's certificate does not hold any more: its CA was removed, say.
    CertificateNotTrusted,
    /// Clients must show a certificate now, and this one has shown none.
    CertificateRequired,
    /// Clients must speak TLS now, and this one speaks plaintext.
    TlsRequired,
    /// By its certificate the client would be somebody else now.
    PrincipalChanged,
    /// Clients must log in now, and this one did not have to.
    LoginRequired,
    /// The client has logged in as a user that is not there any more.
    UserRemoved,
    /// The client has logged in by a mechanism that is not offered any more.
    MechanismRemoved,
    /// The client has logged in with a password that is not that of its user any more.
    PasswordChanged,
    /// The broker's certificate does not hold any more, or brokers must show one now.
    UpstreamCertificateNotTrusted,
    /// Nobody knows: a rule of our own was broken when the peers were verified.
    NotVerified,
}

impl Revocation {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::CertificateRevoked,
        Self::CertificateNotTrusted,
        Self::CertificateRequired,
        Self::TlsRequired,
        Self::PrincipalChanged,
        Self::LoginRequired,
        Self::UserRemoved,
        Self::MechanismRemoved,
        Self::PasswordChanged,
        Self::UpstreamCertificateNotTrusted,
        Self::NotVerified,
    ];

    /// The one that closes for a reason of that name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        let is_it = |it: &&Self| CloseReason::Revoked(**it).name() == name;
        Self::ALL.iter().find(is_it).copied()
    }
}

/// A protocol that clients of Kafka proxies happen to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherProtocol {
    /// A record of a TLS handshake, RFC 8446 section 5.1.
    Tls,
    /// A method of HTTP/1.1, or the preface of HTTP/2.
    Http,
    /// The PROXY protocol of a load balancer, version 1 or 2.
    ProxyProtocol,
}

impl OtherProtocol {
    /// What the first four bytes of a connection look like. As lengths, all of these are above
    /// 200 MB.
    #[must_use]
    pub const fn of(first: [u8; 4]) -> Option<Self> {
        match &first {
            [0x16, 0x03, 0..=4, _] => Some(Self::Tls),
            b"GET " | b"HEAD" | b"POST" | b"PUT " | b"OPTI" | b"CONN" | b"DELE" | b"PATC"
            | b"PRI " => Some(Self::Http),
            // "PROXY TCP4 ...", and the signature "\r\n\r\n\0\r\nQUIT\n" of version 2
            // (haproxy's proxy-protocol.txt, section 2).
            b"PROX" | b"\r\n\r\n" => Some(Self::ProxyProtocol),
            _ => None,
        }
    }
}

/// A rule that a broker broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamFault {
    /// The length prefix is no legal length.
    FrameLength(BadLength),
    /// A response that nobody asked for.
    Unsolicited,
    /// The response has another correlation id than the request it should belong to.
    CorrelationMismatch,
    /// A response that may contain an address cannot be read.
    Malformed(ApiKey, ApiVersion, Malformed),
}

/// The table of reasons: what each is called, what is still done, and what has happened.
macro_rules! reasons {
    ($($reason:pat => $name:literal, $ending:expr, $meaning:literal;)+) => {
        impl CloseReason {
            /// The names of all reasons but [`Wait`]s, each with what has happened: a table of the
            /// documentation.
            pub const MEANINGS: &[(&str, &str)] = &[$(($name, $meaning)),+];

            /// A label for metrics: from a small fixed set, whatever a peer sends.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    Self::TimedOut(wait) => wait.name(),
                    $($reason => $name),+
                }
            }

            /// What is still done once there is this reason to close.
            pub(crate) const fn ending(self) -> Ending {
                match self {
                    Self::TimedOut(wait) => wait.ending(),
                    $($reason => $ending),+
                }
            }
        }
    };
}

reasons! {
    Self::ClientEnded(End::Fin) =>
        "client_closed", Ending::CLIENT_HALF_CLOSED,
        "The client ended the connection, or its half of it, and all its requests had their \
        responses";
    Self::ClientEnded(End::Reset) =>
        "client_reset", Ending::CLIENT_RESET,
        "The client reset it, or it broke; the requests that had come whole are with the broker";
    Self::ClientEnded(End::Truncated) =>
        "client_truncated", Ending::CLIENT_RESET,
        "The client's connection ended without a close_notify of TLS: the client closes so, or \
        somebody in between cut it; the requests that had come whole are with the broker";
    Self::Client(ClientFault::FrameLength(BadLength::Negative)) =>
        "client_frame_negative", Ending::CLIENT_FAULT,
        "A request with a negative length";
    Self::Client(ClientFault::FrameLength(BadLength::TooShort)) =>
        "client_frame_too_short", Ending::CLIENT_FAULT,
        "A request that is too short to have a header";
    Self::Client(ClientFault::FrameLength(BadLength::TooLarge)) =>
        "client_frame_too_large", Ending::CLIENT_FAULT,
        "A request above the limit; often another protocol";
    Self::Client(ClientFault::Speaks(OtherProtocol::Tls)) =>
        "client_speaks_tls", Ending::CLIENT_FAULT,
        "A TLS handshake: the client wants TLS, and the listener is plaintext";
    Self::Client(ClientFault::Speaks(OtherProtocol::Http)) =>
        "client_speaks_http", Ending::CLIENT_FAULT,
        "An HTTP request";
    Self::Client(ClientFault::Speaks(OtherProtocol::ProxyProtocol)) =>
        "client_speaks_proxy_protocol", Ending::CLIENT_FAULT,
        "The PROXY protocol of a load balancer, which the listener does not take from this peer: \
        see `proxy_protocol`, or turn it off there";
    Self::Client(ClientFault::Malformed(..)) =>
        "client_malformed", Ending::CLIENT_FAULT,
        "A request that does not follow its schema";
    Self::Client(ClientFault::ApiNotOffered(_)) =>
        "api_not_offered", Ending::CLIENT_FAULT,
        "A request of an API that is unknown or not for clients of this listener";
    Self::Client(ClientFault::UnsupportedVersion(..)) =>
        "unsupported_version", Ending::CLIENT_FAULT,
        "A request of a version that is not offered";
    Self::Client(ClientFault::ReplicaRequest(_)) =>
        "replica_request", Ending::CLIENT_FAULT,
        "A request that only brokers of the cluster may send";
    Self::Client(ClientFault::DeniedAcksZero) =>
        "denied_acks_zero", Ending::CLIENT_FAULT,
        "A denied Produce with acks=0, which has no response that could say so";
    Self::Client(ClientFault::DenialNotEncodable(..)) =>
        "denial_not_encodable", Ending::CLIENT_FAULT,
        "A denied request in a version without a denial, or one that is too long for one";
    Self::Client(ClientFault::NotLoggedIn(_)) =>
        "not_logged_in", Ending::CLIENT_FAULT,
        "A request of a client that has to log in first, or that is in the middle of its login: \
        its security settings may be missing";
    Self::Client(ClientFault::MechanismNotOffered) =>
        "mechanism_not_offered", Ending::CLIENT_FAULT,
        "The client wants to log in by a SASL mechanism that the listener does not offer";
    Self::Client(ClientFault::LoginFrames) =>
        "login_frames", Ending::CLIENT_FAULT,
        "A login took more requests than any needs";
    Self::LoginFailed(_) =>
        "login_failed", Ending::CLIENT_FAULT,
        "The client failed to log in; the log says why, by the reasons of failed logins";
    Self::SessionExpired =>
        "session_expired", Ending::CLIENT_FAULT,
        "The client's login held for a limited time, and it did not log in again (KIP-368)";
    Self::UpstreamEnded(End::Fin) =>
        "upstream_closed", Ending::BROKER_GONE,
        "The broker ended the connection";
    Self::UpstreamEnded(End::Reset) =>
        "upstream_reset", Ending::BROKER_GONE,
        "The broker reset it, or it broke";
    Self::UpstreamEnded(End::Truncated) =>
        "upstream_truncated", Ending::BROKER_GONE,
        "The broker's connection ended without a close_notify of TLS";
    Self::Upstream(UpstreamFault::FrameLength(BadLength::Negative)) =>
        "upstream_frame_negative", Ending::BROKER_GONE,
        "A response with a negative length";
    Self::Upstream(UpstreamFault::FrameLength(BadLength::TooShort)) =>
        "upstream_frame_too_short", Ending::BROKER_GONE,
        "A response that is too short to have a header";
    Self::Upstream(UpstreamFault::FrameLength(BadLength::TooLarge)) =>
        "upstream_frame_too_large", Ending::BROKER_GONE,
        "A response above the limit";
    Self::Upstream(UpstreamFault::Unsolicited) =>
        "upstream_unsolicited", Ending::BROKER_GONE,
        "The broker sent a response without a request";
    Self::Upstream(UpstreamFault::CorrelationMismatch) =>
        "correlation_mismatch", Ending::BROKER_GONE,
        "The broker responded to another request than the oldest one";
    Self::Upstream(UpstreamFault::Malformed(..)) =>
        "upstream_malformed", Ending::BROKER_GONE,
        "A response that may carry an address and cannot be read; it was withheld";
    Self::Unreachable(ConnectFailure::Unresolved) =>
        "upstream_unresolved", Ending::BROKER_GONE,
        "The broker's name has no address, or none was found in time";
    Self::Unreachable(ConnectFailure::Refused) =>
        "upstream_refused", Ending::BROKER_GONE,
        "The broker refused the connection";
    Self::Unreachable(ConnectFailure::TimedOut) =>
        "upstream_connect_timed_out", Ending::BROKER_GONE,
        "The broker did not accept the connection in time";
    Self::Unreachable(ConnectFailure::Unreachable) =>
        "upstream_unreachable", Ending::BROKER_GONE,
        "No route to the broker, or no file descriptor left";
    Self::Unreachable(ConnectFailure::Loop) =>
        "upstream_loop", Ending::BROKER_GONE,
        "The address of the broker leads back to doorkeeper: see `advertised.listeners` of the \
        brokers and `dial`";
    Self::Unreachable(ConnectFailure::Tls(_)) =>
        "upstream_tls_handshake", Ending::BROKER_GONE,
        "The TLS handshake with the broker failed; the log says why, by the reasons of failed TLS \
        handshakes";
    Self::Unreachable(ConnectFailure::Login(_)) =>
        "upstream_login", Ending::BROKER_GONE,
        "doorkeeper failed to log in to the broker; the log says why, by the reasons of failed \
        attempts to connect";
    Self::BrokerUnknown(_) =>
        "broker_unknown", Ending::BROKER_GONE,
        "The client connected to the address of a broker that discovery has never seen";
    Self::TopologyUnknown =>
        "topology_timeout", Ending::BROKER_GONE,
        "Nothing was learned of the cluster in time";
    Self::BufferLimit(Leg::Client) =>
        "buffer_limit_client", Ending::CLIENT_FAULT,
        "A request that had to be buffered grew above the limit";
    Self::BufferLimit(Leg::Upstream) =>
        "buffer_limit_upstream", Ending::FLUSH,
        "A response that had to be buffered grew above the limit";
    Self::BufferRejected =>
        "buffer_rejected", Ending::FLUSH,
        "The session had to give back its buffered bytes: all connections together buffered \
        `buffered_bytes_max`, its client's address most of it, and one of an address with less \
        needed room; or it needed more than one address may have, half of `buffered_bytes_max`";
    Self::Drained =>
        "drained", Ending::FLUSH,
        "doorkeeper stopped, and all owed responses had been given";
    Self::DrainExpired =>
        "drain_expired", Ending::FLUSH,
        "doorkeeper stopped, and the time for owed responses ran out";
    Self::ListenerRemoved =>
        "listener_removed", Ending::FLUSH,
        "A reload has removed the listener, or the address of it that the client connected to, and \
        all owed responses had been given";
    Self::ListenerRemovedExpired =>
        "listener_removed_expired", Ending::FLUSH,
        "A reload has removed the listener, or the address of it that the client connected to, and \
        the time for owed responses (`drain_timeout`) ran out";
    Self::Revoked(Revocation::CertificateRevoked) =>
        "certificate_revoked", Ending::REVOKED,
        "The client's certificate is on a list of revoked ones that was loaded while the client \
        was connected";
    Self::Revoked(Revocation::CertificateNotTrusted) =>
        "certificate_not_trusted", Ending::REVOKED,
        "The client's certificate does not hold by the CAs, revocation lists and rules \
        (`client_subjects`, `client_certificate_file`, `principal`) that were loaded while the \
        client was connected";
    Self::Revoked(Revocation::CertificateRequired) =>
        "certificate_required", Ending::REVOKED,
        "`client_auth` has become `required` while the client was connected, and it had shown no \
        certificate";
    Self::Revoked(Revocation::TlsRequired) =>
        "tls_required", Ending::REVOKED,
        "The listener has got `tls` while the client was connected in plaintext";
    Self::Revoked(Revocation::PrincipalChanged) =>
        "principal_changed", Ending::REVOKED,
        "By what was loaded while the client was connected (`principal`, or no `client_auth`, \
        `tls` or `sasl` any more) it would be another principal than it was";
    Self::Revoked(Revocation::LoginRequired) =>
        "login_required", Ending::REVOKED,
        "The listener has got `sasl` while the client was connected without a login";
    Self::Revoked(Revocation::UserRemoved) =>
        "user_removed", Ending::REVOKED,
        "The user that the client had logged in as was removed while it was connected, or its \
        keys for the mechanism were";
    Self::Revoked(Revocation::MechanismRemoved) =>
        "mechanism_removed", Ending::REVOKED,
        "The SASL mechanism that the client had logged in by was removed while it was connected";
    Self::Revoked(Revocation::PasswordChanged) =>
        "password_changed", Ending::REVOKED,
        "The password of the user that the client had logged in as was changed while it was \
        connected, and `password_change_ends_sessions` is set";
    Self::Revoked(Revocation::UpstreamCertificateNotTrusted) =>
        "upstream_certificate_not_trusted", Ending::REVOKED,
        "The broker's certificate does not hold by the CAs that were loaded while it was \
        connected, or the cluster has got `tls` and the connection is plaintext";
    Self::Revoked(Revocation::NotVerified) =>
        "not_verified", Ending::REVOKED,
        "A reload could not find out whether the client and its broker may still be connected, as \
        doorkeeper broke a rule of its own";
    Self::Bug(_) =>
        "internal_error", Ending::FLUSH,
        "doorkeeper broke a rule of its own; one session ended, nothing else";
}

impl CloseReason {
    /// Whether the client broke a rule behind requests that broke none: these still have their
    /// responses.
    #[must_use]
    pub const fn is_fault_of_client(self) -> bool {
        matches!(self.ending().requests, Requests::AwaitUntilFlushed)
    }
}

impl ClientFault {
    /// The API, and where it matters the version, of the request that broke a rule. Nothing where
    /// there is no head of a request, or only one API can break the rule.
    #[must_use]
    pub const fn request(self) -> Option<(ApiKey, Option<ApiVersion>)> {
        match self {
            Self::Malformed(api, version, _)
            | Self::UnsupportedVersion(api, version)
            | Self::DenialNotEncodable(api, version) => Some((api, Some(version))),
            Self::ApiNotOffered(api) | Self::ReplicaRequest(api) | Self::NotLoggedIn(api) => {
                Some((api, None))
            }
            Self::FrameLength(_)
            | Self::Speaks(_)
            | Self::DeniedAcksZero
            | Self::MechanismNotOffered
            | Self::LoginFrames => None,
        }
    }

    fn fmt_details(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(api, version, why) => {
                write!(f, " (api {} version {}: {why:?})", api.0, version.0)
            }
            Self::Speaks(OtherProtocol::Tls) => {
                f.write_str(" (looks like TLS: this listener is plaintext)")
            }
            Self::Speaks(OtherProtocol::Http) => {
                f.write_str(" (looks like HTTP: this listener speaks Kafka)")
            }
            Self::Speaks(OtherProtocol::ProxyProtocol) => f.write_str(
                " (this listener does not take PROXY protocol from this peer: see proxy_protocol, \
                 or turn it off at the load balancer)",
            ),
            Self::FrameLength(_)
            | Self::ApiNotOffered(_)
            | Self::UnsupportedVersion(..)
            | Self::ReplicaRequest(_)
            | Self::DeniedAcksZero
            | Self::DenialNotEncodable(..)
            | Self::NotLoggedIn(_)
            | Self::MechanismNotOffered
            | Self::LoginFrames => match self.request() {
                Some((api, Some(version))) => {
                    write!(f, " (api {} version {})", api.0, version.0)
                }
                Some((api, None)) => write!(f, " (api {})", api.0),
                None => Ok(()),
            },
        }
    }
}

impl From<ClientFault> for CloseReason {
    fn from(fault: ClientFault) -> Self {
        Self::Client(fault)
    }
}

impl From<UpstreamFault> for CloseReason {
    fn from(fault: UpstreamFault) -> Self {
        Self::Upstream(fault)
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::Client(fault) => fault.fmt_details(f),
            Self::Upstream(UpstreamFault::Malformed(api, version, why)) => {
                write!(f, " (api {} version {}: {why:?})", api.0, version.0)
            }
            Self::BrokerUnknown(broker) => write!(f, " (broker {broker})"),
            Self::Unreachable(ConnectFailure::Tls(failure)) => write!(f, " ({failure})"),
            Self::Unreachable(ConnectFailure::Loop) => {
                f.write_str(" (the broker's address leads back to doorkeeper)")
            }
            Self::Unreachable(ConnectFailure::Login(failure)) => write!(f, " ({failure})"),
            Self::LoginFailed(why) => write!(f, " ({why})"),
            Self::Bug(what) => write!(f, " ({what})"),
            Self::Upstream(
                UpstreamFault::FrameLength(_)
                | UpstreamFault::Unsolicited
                | UpstreamFault::CorrelationMismatch,
            )
            | Self::ClientEnded(_)
            | Self::UpstreamEnded(_)
            | Self::Unreachable(
                ConnectFailure::Unresolved
                | ConnectFailure::Refused
                | ConnectFailure::TimedOut
                | ConnectFailure::Unreachable,
            )
            | Self::TopologyUnknown
            | Self::BufferLimit(_)
            | Self::BufferRejected
            | Self::SessionExpired
            | Self::TimedOut(_)
            | Self::Drained
            | Self::DrainExpired
            | Self::ListenerRemoved
            | Self::ListenerRemovedExpired
            | Self::Revoked(_) => Ok(()),
        }
    }
}
