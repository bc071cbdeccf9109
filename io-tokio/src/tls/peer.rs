//! What a peer has shown of itself, for as long as it is connected: a reload may find that it does
//! not hold any more.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, UnixTime};

/// What a peer has shown of itself.
#[derive(Clone, Debug)]
pub(crate) enum Peer {
    /// It speaks plaintext.
    Plaintext,
    /// It speaks TLS, and has shown no certificate.
    Anonymous,
    Certified(Arc<PeerCertificate>),
}

/// A certificate that a peer has shown, with those of the CAs in between.
#[derive(Debug)]
pub(crate) struct PeerCertificate {
    pub(super) chain: Vec<CertificateDer<'static>>,
    /// When it was found to hold. What has expired since, on either side, ends no connection.
    pub(super) at: UnixTime,
}

impl PeerCertificate {
    pub(crate) fn new(chain: &[CertificateDer<'_>]) -> Self {
        let chain = chain.iter().map(|it| it.clone().into_owned());
        Self {
            chain: chain.collect(),
            at: UnixTime::now(),
        }
    }
}

/// Certificates are the same if their bytes are, whenever they were shown.
impl PartialEq for PeerCertificate {
    fn eq(&self, other: &Self) -> bool {
        self.chain == other.chain
    }
}

impl Eq for PeerCertificate {}

impl Hash for PeerCertificate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for certificate in &self.chain {
            certificate.as_ref().hash(state);
        }
    }
}
