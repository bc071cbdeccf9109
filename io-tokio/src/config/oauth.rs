//! The keys of a configuration that are about bearer tokens of clients.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::insecure::Insecure;
use super::leaf::{Size, Time};
use crate::login::tokens::algorithm;

/// Which bearer tokens hold: signed JWTs (RFC 7519) with `exp`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Oauth {
    /// The public keys of whoever issues tokens, as a JSON Web Key Set in a file. Either this or
    /// `jwks_url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_file: Option<String>,
    /// The same, fetched from there, as `sasl.oauthbearer.jwks.endpoint.url` of Kafka. While they
    /// cannot be fetched, the last ones hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_url: Option<String>,
    /// The CAs whose certificates hold at `jwks_url`, in PEM. Those of the system without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
    /// How often keys are fetched. They are also fetched, at most every 10 seconds, when a token
    /// names a key that is not known.
    #[serde(default = "defaults::refresh_every")]
    #[schemars(extend("x-min" = "10s", "x-max" = "7days"))]
    pub refresh_every: Time,
    /// How long it may take to fetch keys.
    #[serde(default = "defaults::fetch_timeout")]
    #[schemars(extend("x-min" = "100ms", "x-max" = "1m"))]
    pub fetch_timeout: Time,
    /// Who must have issued a token (`iss`), as `sasl.oauthbearer.expected.issuer` of Kafka.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// For whom a token must be (`aud`): one of these, as `sasl.oauthbearer.expected.audience` of
    /// Kafka.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub audience: Vec<String>,
    /// `allow`: take tokens of any issuer that has one of the keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insecure_any_issuer: Option<Insecure>,
    /// `allow`: take tokens that are for somebody else, who could log in with them here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insecure_any_audience: Option<Insecure>,
    /// How tokens may be signed. A key is used for what it is made for alone.
    #[serde(default = "defaults::algorithms")]
    #[schemars(length(min = 1))]
    pub algorithms: Vec<Algorithm>,
    /// The claim with the name of the principal, as `sasl.oauthbearer.sub.claim.name` of Kafka.
    #[serde(default = "defaults::principal_claim")]
    pub principal_claim: String,
    /// The claim with the scopes, as `sasl.oauthbearer.scope.claim.name` of Kafka: a text with
    /// spaces in between, or a list.
    #[serde(default = "defaults::scope_claim")]
    pub scope_claim: String,
    /// The scopes that a token must have, all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// By how much the clock of the issuer may differ, as
    /// `sasl.oauthbearer.clock.skew.seconds` of Kafka.
    #[serde(default = "defaults::clock_skew")]
    #[schemars(extend("x-min" = "0s", "x-max" = "5m"))]
    pub clock_skew: Time,
    /// How long a token may be. `frame_bytes_before_login` is a limit as well.
    #[serde(default = "defaults::token_bytes_max")]
    #[schemars(extend("x-min" = "256B", "x-max" = "1MiB"))]
    pub token_bytes_max: Size,
    /// For how long a token may have been issued (`exp` less `iat`). Without it, for any time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-min" = "1s", "x-max" = "365days"))]
    pub token_lifetime_max: Option<Time>,
}

mod defaults {
    use super::{Algorithm, Duration, Size, Time};

    pub(super) const fn refresh_every() -> Time {
        Time(Duration::from_secs(3600))
    }

    pub(super) const fn fetch_timeout() -> Time {
        Time(Duration::from_secs(5))
    }

    pub(super) fn algorithms() -> Vec<Algorithm> {
        vec![
            Algorithm::Rs256,
            Algorithm::Rs384,
            Algorithm::Rs512,
            Algorithm::Ps256,
            Algorithm::Ps384,
            Algorithm::Ps512,
            Algorithm::Es256,
            Algorithm::Es384,
            Algorithm::Es512,
            Algorithm::EdDsa,
        ]
    }

    pub(super) fn principal_claim() -> String {
        "sub".to_owned()
    }

    pub(super) fn scope_claim() -> String {
        "scope".to_owned()
    }

    pub(super) const fn clock_skew() -> Time {
        Time(Duration::from_secs(30))
    }

    pub(super) const fn token_bytes_max() -> Size {
        Size(16 * 1024)
    }
}

/// How a token may be signed. There is none with a shared key, and no unsigned token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum Algorithm {
    /// RSA with PKCS #1 1.5.
    #[serde(rename = "RS256")]
    Rs256,
    /// The same with SHA-384.
    #[serde(rename = "RS384")]
    Rs384,
    /// The same with SHA-512.
    #[serde(rename = "RS512")]
    Rs512,
    /// RSA with PSS.
    #[serde(rename = "PS256")]
    Ps256,
    /// The same with SHA-384.
    #[serde(rename = "PS384")]
    Ps384,
    /// The same with SHA-512.
    #[serde(rename = "PS512")]
    Ps512,
    /// ECDSA on P-256.
    #[serde(rename = "ES256")]
    Es256,
    /// ECDSA on P-384.
    #[serde(rename = "ES384")]
    Es384,
    /// ECDSA on P-521.
    #[serde(rename = "ES512")]
    Es512,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
}

impl From<Algorithm> for algorithm::Algorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Rs256 => Self::Rs256,
            Algorithm::Rs384 => Self::Rs384,
            Algorithm::Rs512 => Self::Rs512,
            Algorithm::Ps256 => Self::Ps256,
            Algorithm::Ps384 => Self::Ps384,
            Algorithm::Ps512 => Self::Ps512,
            Algorithm::Es256 => Self::Es256,
            Algorithm::Es384 => Self::Es384,
            Algorithm::Es512 => Self::Es512,
            Algorithm::EdDsa => Self::EdDsa,
        }
    }
}
