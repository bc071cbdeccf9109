//! Why a session ended: one typed reason, the same in the log and in a metric.

use std::fmt;

use crate::connection::{ConnectFailure, End, Leg};
use crate::id::{ApiKey, ApiVersion, BrokerId};
use crate::wire::malformed::Malformed;

pub use crate::wire::malformed::BadLength;

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
    /// A frame that had to be buffered grew over its limit, `request_buffer_bytes_max` or
    /// `response_buffer_bytes_max`.
    BufferLimit(Leg),
    /// Sessions together buffered more than they may, and this one more than its share.
    BufferRejected,
    /// Somebody was too slow.
    TimedOut(Wait),
    /// doorkeeper is stopping, and this session's owed responses have been given.
    Drained,
    /// doorkeeper is stopping, and the time for owed responses ran out.
    DrainExpired,
    /// A rule of our own was broken. Must never happen; ends this session only.
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

/// What was waited for when the time ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wait {
    /// The rest of a frame that had begun.
    Frame(Leg),
    /// Anything at all.
    Idle,
    /// The topology, before the first discovery.
    Topology,
    /// The upstream's response.
    Response,
    /// The first response on a connection to the upstream: nobody may be there at all.
    FirstResponse,
    /// The peer to take its bytes.
    Write(Leg),
    /// Room for what a leg makes the session buffer.
    Buffer(Leg),
}

impl CloseReason {
    /// A label for metrics: from a small fixed set, whatever a peer sends.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClientEnded(End::Fin) => "client_closed",
            Self::ClientEnded(End::Reset) => "client_reset",
            Self::Client(fault) => fault.name(),
            Self::UpstreamEnded(End::Fin) => "upstream_closed",
            Self::UpstreamEnded(End::Reset) => "upstream_reset",
            Self::Upstream(fault) => fault.name(),
            Self::Unreachable(ConnectFailure::Unresolved) => "upstream_unresolved",
            Self::Unreachable(ConnectFailure::Refused) => "upstream_refused",
            Self::Unreachable(ConnectFailure::TimedOut) => "upstream_connect_timed_out",
            Self::Unreachable(ConnectFailure::Unreachable) => "upstream_unreachable",
            Self::Unreachable(ConnectFailure::Loop) => "upstream_loop",
            Self::BrokerUnknown(_) => "broker_unknown",
            Self::BufferLimit(Leg::Client) => "buffer_limit_client",
            Self::BufferLimit(Leg::Upstream) => "buffer_limit_upstream",
            Self::BufferRejected => "buffer_rejected",
            Self::TimedOut(wait) => wait.name(),
            Self::Drained => "drained",
            Self::DrainExpired => "drain_expired",
            Self::Bug(_) => "internal_error",
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

impl ClientFault {
    const fn name(self) -> &'static str {
        match self {
            Self::FrameLength(BadLength::Negative) => "client_frame_negative",
            Self::FrameLength(BadLength::TooShort) => "client_frame_too_short",
            Self::FrameLength(BadLength::TooLarge) => "client_frame_too_large",
            Self::Speaks(OtherProtocol::Tls) => "client_speaks_tls",
            Self::Speaks(OtherProtocol::Http) => "client_speaks_http",
            Self::Speaks(OtherProtocol::ProxyProtocol) => "client_speaks_proxy_protocol",
            Self::Malformed(..) => "client_malformed",
            Self::ApiNotOffered(_) => "api_not_offered",
            Self::UnsupportedVersion(..) => "unsupported_version",
            Self::ReplicaRequest(_) => "replica_request",
            Self::DeniedAcksZero => "denied_acks_zero",
            Self::DenialNotEncodable(..) => "denial_not_encodable",
        }
    }
}

impl UpstreamFault {
    const fn name(self) -> &'static str {
        match self {
            Self::FrameLength(BadLength::Negative) => "upstream_frame_negative",
            Self::FrameLength(BadLength::TooShort) => "upstream_frame_too_short",
            Self::FrameLength(BadLength::TooLarge) => "upstream_frame_too_large",
            Self::Unsolicited => "upstream_unsolicited",
            Self::CorrelationMismatch => "correlation_mismatch",
            Self::Malformed(..) => "upstream_malformed",
        }
    }
}

impl Wait {
    const fn name(self) -> &'static str {
        match self {
            Self::Frame(Leg::Client) => "client_frame_stalled",
            Self::Frame(Leg::Upstream) => "upstream_frame_stalled",
            Self::Idle => "idle",
            Self::Topology => "topology_timeout",
            Self::Response => "request_timeout",
            Self::FirstResponse => "first_response_timeout",
            Self::Write(Leg::Client) => "client_write_stalled",
            Self::Write(Leg::Upstream) => "upstream_write_stalled",
            Self::Buffer(Leg::Client) => "buffer_timeout_client",
            Self::Buffer(Leg::Upstream) => "buffer_timeout_upstream",
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::Client(ClientFault::Malformed(api, version, why))
            | Self::Upstream(UpstreamFault::Malformed(api, version, why)) => {
                write!(f, " (api {} version {}: {why:?})", api.0, version.0)
            }
            Self::Client(ClientFault::ApiNotOffered(api) | ClientFault::ReplicaRequest(api)) => {
                write!(f, " (api {})", api.0)
            }
            Self::Client(
                ClientFault::UnsupportedVersion(api, version)
                | ClientFault::DenialNotEncodable(api, version),
            ) => {
                write!(f, " (api {} version {})", api.0, version.0)
            }
            Self::Client(ClientFault::Speaks(OtherProtocol::Tls)) => {
                f.write_str(" (looks like TLS: this listener is plaintext)")
            }
            Self::Client(ClientFault::Speaks(OtherProtocol::Http)) => {
                f.write_str(" (looks like HTTP: this listener speaks Kafka)")
            }
            Self::Client(ClientFault::Speaks(OtherProtocol::ProxyProtocol)) => f.write_str(
                " (this listener does not take PROXY protocol: turn it off for it at the load \
                 balancer)",
            ),
            Self::BrokerUnknown(broker) => write!(f, " (broker {broker})"),
            Self::Unreachable(ConnectFailure::Loop) => {
                f.write_str(" (the broker's address leads back to doorkeeper)")
            }
            Self::Bug(what) => write!(f, " ({what})"),
            Self::Client(ClientFault::FrameLength(_) | ClientFault::DeniedAcksZero)
            | Self::Upstream(
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
            | Self::BufferLimit(_)
            | Self::BufferRejected
            | Self::TimedOut(_)
            | Self::Drained
            | Self::DrainExpired => Ok(()),
        }
    }
}
