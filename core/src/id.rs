//! The newtypes that cross every boundary: ids, names and addresses.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A broker's node id, as Kafka gives it. Negative values are Kafka's sentinels for "no broker".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BrokerId(pub i32);

impl fmt::Display for BrokerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The id by which a client pairs a response with its request. The client's choice; may repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CorrelationId(pub i32);

/// The version of one API's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiVersion(pub i16);

/// The key of an API, known to our tables or not (`org.apache.kafka.common.protocol.ApiKeys`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiKey(pub i16);

/// 32 bytes of entropy, injected: core has no randomness of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Seed(pub [u8; 32]);

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Nonces grow from it, so it is not for logs.
        f.write_str("Seed(..)")
    }
}

/// The longest host name that Kafka's own wire types could contain and a resolver would take.
pub(crate) const HOST_BYTES_MAX: usize = 255;

/// A host name or address literal with a port, as Kafka's `host:port` texts write it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPort {
    host: Arc<str>,
    port: u16,
}

/// The bytes that a host name or an address literal may have, as bits: each broker of each response
/// is compared with them.
const HOST_BYTES: u128 = {
    let (mut bits, mut byte) = (0, 0_u8);
    while byte < 128 {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'%') {
            bits |= 1 << byte;
        }
        byte += 1;
    }
    bits
};

fn is_host_byte(byte: u8) -> bool {
    HOST_BYTES
        .checked_shr(byte.into())
        .is_some_and(|bits| bits & 1 == 1)
}

impl HostPort {
    /// Takes a host without brackets and a port that can be dialled.
    ///
    /// # Errors
    /// Says which part makes no sense: an empty or overlong host, or one with bytes that no host
    /// name or address literal has, or port 0.
    pub fn new(host: &str, port: u16) -> Result<Self, BadHostPort> {
        if host.is_empty() {
            return Err(BadHostPort::EmptyHost);
        }
        if host.len() > HOST_BYTES_MAX {
            return Err(BadHostPort::HostTooLong);
        }
        if !host.bytes().all(is_host_byte) {
            return Err(BadHostPort::HostBytes);
        }
        if port == 0 {
            return Err(BadHostPort::Port);
        }
        Ok(Self {
            host: host.into(),
            port,
        })
    }

    /// The host, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, never 0.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for HostPort {
    type Err = BadHostPort;

    /// Reads `host:port` or `[v6]:port`.
    fn from_str(text: &str) -> Result<Self, BadHostPort> {
        let (host, port) = text.rsplit_once(':').ok_or(BadHostPort::NoPort)?;
        let host = match host.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']').ok_or(BadHostPort::HostBytes)?,
            None if host.contains(':') => return Err(BadHostPort::UnbracketedV6),
            None => host,
        };
        // `u16::from_str` takes a sign; Kafka's does not.
        if !port.bytes().all(|b| b.is_ascii_digit()) {
            return Err(BadHostPort::Port);
        }
        Self::new(host, port.parse().map_err(|_| BadHostPort::Port)?)
    }
}

/// Why a text or a pair is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadHostPort {
    /// No `:port` at the end.
    NoPort,
    /// Nothing before the port.
    EmptyHost,
    /// Longer than any host name (255 bytes).
    HostTooLong,
    /// Bytes that neither a host name nor an address literal has.
    HostBytes,
    /// An IPv6 literal needs brackets.
    UnbracketedV6,
    /// Not a number from 1 to 65535.
    Port,
}

impl fmt::Display for BadHostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoPort => "expected host:port",
            Self::EmptyHost => "the host is empty",
            Self::HostTooLong => "the host is longer than 255 bytes",
            Self::HostBytes => "the host has characters that no host name has",
            Self::UnbracketedV6 => "an IPv6 address needs brackets: [::1]:9092",
            Self::Port => "the port must be a number from 1 to 65535",
        })
    }
}

impl std::error::Error for BadHostPort {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_ports_read_and_print_as_kafka_writes_them() {
        for text in [
            "kafka-1.internal:9092",
            "10.0.0.7:1",
            "[fe80::1%eth0]:65535",
            "a_b:9",
        ] {
            assert_eq!(text.parse::<HostPort>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_address_says_why() {
        let cases = [
            ("kafka", BadHostPort::NoPort),
            (":9092", BadHostPort::EmptyHost),
            ("a b:1", BadHostPort::HostBytes),
            ("::1:9092", BadHostPort::UnbracketedV6),
            ("a:0", BadHostPort::Port),
            ("a:+1", BadHostPort::Port),
            ("a:65536", BadHostPort::Port),
            ("a:", BadHostPort::Port),
        ];
        for (text, why) in cases {
            assert_eq!(text.parse::<HostPort>(), Err(why), "{text}");
        }
        let long = format!("{}:1", "a".repeat(256));
        assert_eq!(long.parse::<HostPort>(), Err(BadHostPort::HostTooLong));
    }
}
