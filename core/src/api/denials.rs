//! The error of Kafka's with which doorkeeper denies a request of an API that clients may not use.
//!
//! Such an API is advertised, and its response is doorkeeper's own: a client then raises the error
//! that it would raise behind a broker. An API that is missing would make the client give up on
//! the broker as too old, and a connection that closes would make it try again.

use crate::id::ApiKey;
use crate::wire::codec::denial::Denial;
use crate::wire::schema::Versions;

/// An API of which every request is denied.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Denied {
    pub(crate) denial: Denial,
    /// The versions of which the response can be encoded.
    pub(crate) versions: Versions,
}

impl Denied {
    const fn new(error_code: i16, message: &'static str, first: i16, last: i16) -> Self {
        Self {
            denial: Denial {
                error_code,
                message,
            },
            versions: Versions::new(first, last),
        }
    }
}

/// What the configuration says of APIs that are not allowed by name.
const NOT_ALLOWED: &str = "Cluster authorization failed: this listener of doorkeeper allows it \
                           only where allow_apis names it.";

/// `Errors.CLUSTER_AUTHORIZATION_FAILED`.
pub(crate) const CLUSTER_AUTHORIZATION_FAILED: i16 = 31;
/// `Errors.ILLEGAL_SASL_STATE`.
const ILLEGAL_SASL_STATE: i16 = 34;
/// `Errors.SECURITY_DISABLED`.
const SECURITY_DISABLED: i16 = 54;
/// `Errors.DELEGATION_TOKEN_REQUEST_NOT_ALLOWED`.
const DELEGATION_TOKEN_REQUEST_NOT_ALLOWED: i16 = 64;

/// The denial of an API that is not allowed by name, or that logs in where nobody has to.
///
/// The last two numbers of each row are the first and the last version that `wire::codec` encodes.
pub(crate) const fn denied(api: ApiKey) -> Option<&'static Denied> {
    Some(match api.0 {
        // KafkaApis.handleSaslHandshakeRequest and handleSaslAuthenticateRequest: the error of a
        // PLAINTEXT listener.
        17 => &const { Denied::new(ILLEGAL_SASL_STATE, "", 0, 1) },
        36 => {
            &const {
                Denied::new(
                    ILLEGAL_SASL_STATE,
                    "SaslAuthenticate request received after successful authentication",
                    0,
                    2,
                )
            }
        }
        // AclApis, on a broker without an authorizer.
        29 => {
            &const {
                Denied::new(
                    SECURITY_DISABLED,
                    "No Authorizer is configured on the broker",
                    1,
                    3,
                )
            }
        }
        30 | 31 => &const { Denied::new(SECURITY_DISABLED, "No Authorizer is configured.", 1, 3) },
        // KafkaApis.allowTokenRequests: the error of a PLAINTEXT listener, before it looks whether
        // tokens are enabled.
        38 | 41 => &const { Denied::new(DELEGATION_TOKEN_REQUEST_NOT_ALLOWED, "", 1, 3) },
        39 | 40 => &const { Denied::new(DELEGATION_TOKEN_REQUEST_NOT_ALLOWED, "", 1, 2) },
        // AuthHelper.authorizeClusterOperation, for a principal without the right.
        27 | 34 => &const { Denied::new(CLUSTER_AUTHORIZATION_FAILED, NOT_ALLOWED, 1, 2) },
        43 | 57 => &const { Denied::new(CLUSTER_AUTHORIZATION_FAILED, NOT_ALLOWED, 0, 2) },
        45 | 48 | 49 | 80 => {
            &const { Denied::new(CLUSTER_AUTHORIZATION_FAILED, NOT_ALLOWED, 0, 1) }
        }
        50 | 51 | 64 | 81 | 94 => {
            &const { Denied::new(CLUSTER_AUTHORIZATION_FAILED, NOT_ALLOWED, 0, 0) }
        }
        _ => return None,
    })
}

/// FindCoordinator for a share coordinator, which brokers ask of each other and which needs
/// CLUSTER_ACTION (KafkaApis.getCoordinator).
pub(crate) static SHARE_COORDINATOR: Denied = Denied::new(
    CLUSTER_AUTHORIZATION_FAILED,
    "Cluster authorization failed.",
    6,
    6,
);

/// AlterConfigs and IncrementalAlterConfigs of a broker (ControllerApis.authorizeAlterResource).
pub(crate) static BROKER_CONFIGS: Denial = Denial {
    error_code: CLUSTER_AUTHORIZATION_FAILED,
    message: "Cluster authorization failed: this listener of doorkeeper allows it only where \
              allow_apis names AlterBrokerConfigs.",
};
