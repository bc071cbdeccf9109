//! What to do about clients that speak another protocol than their listener.

use doorkeeper_core::error::OtherProtocol;

/// About a client that logs in.
pub(super) const SASL: &str = "a client tried to log in with SASL, and this listener has no login: \
                               set its security.protocol to PLAINTEXT";

/// About a client that does not speak Kafka at all.
pub(super) const fn advice(of: OtherProtocol) -> &'static str {
    match of {
        OtherProtocol::Tls => {
            "a client speaks TLS to a listener without it: set its security.protocol to PLAINTEXT"
        }
        OtherProtocol::Http => {
            "a client speaks HTTP to a listener that speaks Kafka: point health checks at /healthz \
             of the admin listener"
        }
        OtherProtocol::ProxyProtocol => {
            "a peer sends PROXY protocol to a listener that does not take it from there: name the \
             load balancer in proxy_protocol.trusted, or turn it off there for this listener"
        }
    }
}
