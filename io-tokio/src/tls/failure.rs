//! From what rustls and sockets say of a failed handshake to its typed reason.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "rustls and std add variants: each match ends in the reason for all others"
)]

use std::error::Error as _;
use std::io;

use doorkeeper_core::tls_failure::TlsFailure;
use rustls::{
    AlertDescription, CertificateError, Error, InvalidMessage, OtherError, PeerIncompatible,
};

use super::client_rules::NotAdmitted;

/// Of what a handshake on a socket ended with.
pub(crate) fn failure(error: &io::Error) -> TlsFailure {
    let tls = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Error>());
    if let Some(tls) = tls {
        return of_tls(tls);
    }
    match error.kind() {
        io::ErrorKind::TimedOut => TlsFailure::TimedOut,
        // Whatever else a socket says, it is of no use any more.
        _ if error.source().is_none() => TlsFailure::Closed,
        _ => TlsFailure::Protocol,
    }
}

/// Of what was found wrong with a peer.
pub(super) fn of_tls(error: &Error) -> TlsFailure {
    match error {
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => TlsFailure::Plaintext,
        Error::PeerIncompatible(why) => of_incompatible(why),
        Error::NoCertificatesPresented => TlsFailure::NoCertificate,
        Error::InvalidCertificate(why) => of_certificate(why),
        Error::InvalidCertRevocationList(_) => TlsFailure::CertificateRevocationUnknown,
        Error::AlertReceived(alert) => of_alert(*alert),
        Error::General(_)
        | Error::FailedToGetCurrentTime
        | Error::FailedToGetRandomBytes
        | Error::HandshakeNotComplete
        | Error::EncryptError => TlsFailure::Internal,
        _ => TlsFailure::Protocol,
    }
}

fn of_incompatible(why: &PeerIncompatible) -> TlsFailure {
    match why {
        PeerIncompatible::NoCipherSuitesInCommon => TlsFailure::CipherSuite,
        PeerIncompatible::NoKxGroupsInCommon
        | PeerIncompatible::NamedGroupsExtensionRequired
        | PeerIncompatible::KeyShareExtensionRequired => TlsFailure::KeyExchange,
        PeerIncompatible::NoSignatureSchemesInCommon
        | PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon
        | PeerIncompatible::SignatureAlgorithmsExtensionRequired => TlsFailure::SignatureScheme,
        PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
        | PeerIncompatible::SupportedVersionsExtensionRequired
        | PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled => TlsFailure::Version,
        _ => TlsFailure::Protocol,
    }
}

fn of_certificate(why: &CertificateError) -> TlsFailure {
    match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            TlsFailure::CertificateExpired
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            TlsFailure::CertificateNotYetValid
        }
        CertificateError::UnknownIssuer => TlsFailure::CertificateUnknownCa,
        CertificateError::Revoked => TlsFailure::CertificateRevoked,
        CertificateError::UnknownRevocationStatus
        | CertificateError::ExpiredRevocationList
        | CertificateError::ExpiredRevocationListContext { .. } => {
            TlsFailure::CertificateRevocationUnknown
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            TlsFailure::CertificateName
        }
        CertificateError::Other(OtherError(why)) => why
            .downcast_ref::<NotAdmitted>()
            .map_or(TlsFailure::CertificateInvalid, |it| it.0),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            TlsFailure::CertificatePurpose
        }
        _ => TlsFailure::CertificateInvalid,
    }
}

fn of_alert(alert: AlertDescription) -> TlsFailure {
    match alert {
        AlertDescription::ProtocolVersion => TlsFailure::Version,
        AlertDescription::CertificateRequired => TlsFailure::NoCertificate,
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnknownCA => TlsFailure::OurCertificate,
        AlertDescription::CloseNotify | AlertDescription::UserCanceled => TlsFailure::Closed,
        _ => TlsFailure::PeerAlert,
    }
}
