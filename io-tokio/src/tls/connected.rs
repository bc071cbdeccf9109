//! Whether a peer that is connected could connect by what is in force now.

use doorkeeper_core::policy::Principal;
use doorkeeper_core::tls_failure::TlsFailure;

use super::peer::Peer;
use super::server::ServerTls;
use super::upstream::UpstreamTls;

/// Who a client that is connected would be by its certificate, if it showed one, if it connected
/// now.
///
/// # Errors
/// It could not connect any more.
pub(crate) fn client_now(
    tls: Option<&ServerTls>,
    client: &Peer,
) -> Result<Option<Principal>, TlsFailure> {
    let Some(tls) = tls else {
        return Ok(None);
    };
    match client {
        Peer::Plaintext => Err(TlsFailure::Plaintext),
        Peer::Anonymous if tls.requires_certificates() => Err(TlsFailure::NoCertificate),
        Peer::Anonymous => Ok(None),
        Peer::Certified(certificate) => tls.verify(certificate),
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
