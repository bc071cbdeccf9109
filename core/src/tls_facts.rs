//! What a TLS handshake with a client agreed on.

use std::sync::Arc;

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsVersion {
    /// RFC 5246.
    V1_2,
    /// RFC 8446.
    V1_3,
}

impl TlsVersion {
    /// The name, as Java and so Kafka's `ssl.protocol` writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::V1_2 => "TLSv1.2",
            Self::V1_3 => "TLSv1.3",
        }
    }
}

/// What is known of a client's connection because it has TLS.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TlsFacts {
    /// The version that both sides chose.
    pub version: TlsVersion,
    /// The name that IANA gives the cipher suite.
    pub cipher_suite: Arc<str>,
    /// The host that the client asked for (SNI, RFC 6066 section 3), if it said one.
    pub server_name: Option<Arc<str>>,
}
