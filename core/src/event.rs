//! What a session reports for logs and metrics.

use std::time::Duration;

use crate::connection::ConnectFailure;
use crate::id::{ApiKey, ApiVersion, HostPort};
use crate::policy::Principal;
use crate::sasl::Mechanism;
use crate::sasl::failure::{BrokerLoginFailure, LoginFailure};

pub use crate::rewrite::Rewrites;

/// Something worth counting or logging. Never contains a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The upstream leg is open.
    UpstreamConnected {
        /// The address as the cluster names it.
        name: HostPort,
        /// How many attempts it took.
        attempts: u32,
    },
    /// One attempt to open it failed; another may follow.
    UpstreamAttemptFailed {
        /// The address as the cluster names it.
        name: HostPort,
        /// Why.
        why: ConnectFailure,
    },
    /// A request was read whole, and was forwarded or got a response here.
    Request {
        /// The API.
        api: ApiKey,
        /// Its version.
        version: ApiVersion,
        /// The size of the frame, with its length prefix.
        bytes: usize,
    },
    /// A response has been handed to the client's egress whole.
    Response {
        /// The API.
        api: ApiKey,
        /// Its version.
        version: ApiVersion,
        /// The size of the frame, with its length prefix.
        bytes: usize,
        /// From the end of the request to the end of the response.
        latency: Duration,
        /// Whether core sent it instead of the broker.
        local: bool,
    },
    /// Addresses in a response were edited.
    Rewrote(Rewrites),
    /// A client has logged in.
    LoginSucceeded {
        /// How.
        mechanism: Mechanism,
        /// Who it is.
        principal: Principal,
        /// For how long that holds.
        lifetime: Option<Duration>,
        /// Whether it had logged in before (KIP-368).
        again: bool,
    },
    /// A client has failed to log in.
    LoginFailed {
        /// How it tried, if it came so far.
        mechanism: Option<Mechanism>,
        /// Why.
        why: LoginFailure,
    },
    /// doorkeeper has logged in to the broker.
    UpstreamLoggedIn {
        /// For how long that holds, if the broker says so.
        lifetime: Option<Duration>,
        /// Whether it had logged in before on this connection (KIP-368).
        again: bool,
    },
    /// doorkeeper has failed to log in to the broker.
    UpstreamLoginFailed {
        /// Why.
        why: BrokerLoginFailure,
    },
    /// A client tried to log in with SASL, where nobody has to: the response was
    /// ILLEGAL_SASL_STATE.
    SaslWithoutLogin,
}
