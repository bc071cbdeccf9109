//! Whether a peer that is connected could connect by what is in force now.

use doorkeeper_core::error::Revocation;
use doorkeeper_core::tls_failure::TlsFailure;

use super::peer::Peer;
use super::server::ServerTls;
use super::upstream::UpstreamTls;

/// Whether a client that is connected could not connect any more.
pub(crate) fn revokes_client(tls: Option<&ServerTls>, client: &Peer) -> Option<Revocation> {
    let tls = tls?;
    match client {
        Peer::Plaintext => Some(Revocation::TlsRequired),
        Peer::Anonymous => tls
            .requires_certificates()
            .then_some(Revocation::CertificateRequired),
        Peer::Certified(certificate) => {
            let failure = tls.verify(certificate).err()?;
            Some(if failure == TlsFailure::CertificateRevoked {
                Revocation::CertificateRevoked
            } else {
                Revocation::CertificateNotTrusted
            })
        }
    }
}

/// Why a broker that is connected, by the host that it was dialled by, could not be dialled any
/// more, if it could not.
pub(crate) fn broker_failure(
    tls: Option<&UpstreamTls>,
    host: &str,
    broker: &Peer,
) -> Option<TlsFailure> {
    let tls = tls?;
    match broker {
        Peer::Plaintext => Some(TlsFailure::Plaintext),
        // Every server of TLS shows one.
        Peer::Anonymous => Some(TlsFailure::NoCertificate),
        Peer::Certified(certificate) => tls.verify(host, certificate).err(),
    }
}
