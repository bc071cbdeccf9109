//! Names that only doorkeeper may know.

use crate::ports;

/// The names of one cluster: all have the same token in them, so one search finds them all.
#[derive(Debug, Clone)]
pub(crate) struct Canary {
    token: String,
}

impl Canary {
    pub(crate) fn new() -> Self {
        Self {
            token: format!("canary-{:016x}", ports::random()),
        }
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// What a broker advertises to clients.
    pub(crate) fn client_host(&self, id: u16) -> String {
        self.host("kafka", id)
    }

    /// What a broker advertises to other brokers.
    pub(crate) fn broker_host(&self, id: u16) -> String {
        self.host("broker", id)
    }

    /// What a controller is called.
    pub(crate) fn controller_host(&self, id: u16) -> String {
        self.host("controller", id)
    }

    // RFC 6761: `.invalid` is never resolved.
    fn host(&self, role: &str, id: u16) -> String {
        format!("{role}-{id}.{}.invalid", self.token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_a_cluster_holds_its_token() {
        let canary = Canary::new();
        for host in [
            canary.client_host(1),
            canary.broker_host(2),
            canary.controller_host(3),
        ] {
            assert!(host.contains(canary.token()));
        }
    }
}
