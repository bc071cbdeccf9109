//! Why the model closes a connection.

use std::fmt;

use doorkeeper_core::id::BrokerId;

/// Why the model closes a connection: what a Kafka broker would close it for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The frame is too short for a request header, or its header cannot be read.
    MalformedHeader,
    /// No API has this key, or the model does not have the API.
    UnknownApi {
        /// The key.
        api_key: i16,
    },
    /// The API is there, the version is not.
    UnsupportedVersion {
        /// The key.
        api_key: i16,
        /// The version.
        api_version: i16,
    },
    /// The body does not follow the schema of its version.
    MalformedBody {
        /// The key.
        api_key: i16,
        /// The version.
        api_version: i16,
        /// What is wrong with it.
        what: String,
    },
    /// A Produce with acks=0 failed: no response could report the error.
    ProduceWithoutAcksFailed,
    /// The broker has stopped, or was stopped when the connection came.
    BrokerStopped {
        /// The broker.
        broker: BrokerId,
    },
    /// The model made a response that its version cannot encode: a bug of the model.
    ResponseNotEncodable {
        /// The key.
        api_key: i16,
        /// The version.
        api_version: i16,
        /// What is wrong with it.
        what: String,
    },
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MalformedHeader => f.write_str("malformed request header"),
            Self::UnknownApi { api_key } => write!(f, "unknown API key {api_key}"),
            Self::UnsupportedVersion {
                api_key,
                api_version,
            } => {
                write!(f, "unsupported version {api_version} of API key {api_key}")
            }
            Self::MalformedBody {
                api_key,
                api_version,
                what,
            } => {
                write!(
                    f,
                    "malformed body of API key {api_key} version {api_version}: {what}"
                )
            }
            Self::ProduceWithoutAcksFailed => f.write_str("a Produce with acks=0 failed"),
            Self::BrokerStopped { broker } => write!(f, "broker {broker} is stopped"),
            Self::ResponseNotEncodable {
                api_key,
                api_version,
                what,
            } => {
                write!(
                    f,
                    "no response for API key {api_key} version {api_version}: {what}"
                )
            }
        }
    }
}
