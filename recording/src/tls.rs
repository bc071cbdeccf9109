//! What a TLS handshake agreed on, as a file has it.

use doorkeeper_core::tls_facts::{TlsFacts, TlsVersion};
use serde::{Deserialize, Serialize};

/// As [`TlsFacts`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    #[serde(with = "TlsVersionText")]
    pub version: TlsVersion,
    pub cipher_suite: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "TlsVersion")]
enum TlsVersionText {
    #[serde(rename = "TLSv1.2")]
    V1_2,
    #[serde(rename = "TLSv1.3")]
    V1_3,
}

impl From<&TlsFacts> for Tls {
    fn from(facts: &TlsFacts) -> Self {
        Self {
            version: facts.version,
            cipher_suite: facts.cipher_suite.to_string(),
            server_name: facts.server_name.as_deref().map(str::to_owned),
        }
    }
}

impl From<Tls> for TlsFacts {
    fn from(tls: Tls) -> Self {
        Self {
            version: tls.version,
            cipher_suite: tls.cipher_suite.into(),
            server_name: tls.server_name.map(Into::into),
        }
    }
}
