//! Why a TLS handshake failed: one typed reason, the same in the log and in a metric.

use std::fmt;

macro_rules! failures {
    ($($(#[doc = $doc:literal])+ $failure:ident = $name:literal,)+) => {
        /// What ended a handshake.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum TlsFailure {
            $($(#[doc = $doc])+ $failure,)+
        }

        impl TlsFailure {
            /// All of them, for tables.
            pub const ALL: &'static [Self] = &[$(Self::$failure,)+];

            /// The name that logs and metric labels use.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$failure => $name,)+ }
            }

            /// The name of the failure to connect that it was, where a broker was dialled.
            #[must_use]
            pub const fn connect_failure(self) -> &'static str {
                match self { $(Self::$failure => concat!("tls_", $name),)+ }
            }
        }
    };
}

failures! {
    /// What came is no TLS record: the peer speaks plaintext.
    Plaintext = "plaintext",
    /// The peer ended the connection, or it broke, before the handshake was done.
    Closed = "closed",
    /// It took too long.
    TimedOut = "timed_out",
    /// There were too many connections without a whole request, and this one gave way to another
    /// (`silent_connections`, `silent_connections_per_address`).
    SilentLimit = "silent_limit",
    /// No version of TLS that both sides allow.
    Version = "no_shared_version",
    /// No cipher suite that both sides allow.
    CipherSuite = "no_shared_cipher_suite",
    /// No key exchange group that both sides allow.
    KeyExchange = "no_shared_key_exchange",
    /// No signature scheme that both sides allow.
    SignatureScheme = "no_shared_signature_scheme",
    /// A certificate is required, and the peer has none, or we have none.
    NoCertificate = "no_certificate",
    /// The peer's certificate has expired.
    CertificateExpired = "certificate_expired",
    /// The peer's certificate is not valid yet.
    CertificateNotYetValid = "certificate_not_yet_valid",
    /// The peer's certificate is signed by nobody that we trust.
    CertificateUnknownCa = "certificate_unknown_ca",
    /// The peer's certificate is revoked.
    CertificateRevoked = "certificate_revoked",
    /// Nothing says whether the peer's certificate is revoked, or what says so has expired.
    CertificateRevocationUnknown = "certificate_revocation_unknown",
    /// The peer's certificate is for another name.
    CertificateName = "certificate_name_mismatch",
    /// The peer's certificate is for another use than this side of a connection.
    CertificatePurpose = "certificate_purpose",
    /// The peer's certificate, or its signature, cannot be read or is wrong.
    CertificateInvalid = "certificate_invalid",
    /// The subject of the client's certificate is none of those that are let in
    /// (`client_subjects`).
    CertificateSubject = "certificate_subject_denied",
    /// The client's certificate is not the one that is let in (`client_certificate_file`).
    CertificateNotPinned = "certificate_not_pinned",
    /// No mapping rule matches the subject of the client's certificate (`principal`).
    PrincipalUnmapped = "principal_no_matching_rule",
    /// The client's certificate gives no name that can be used (`principal`): no alternative name
    /// of the kind that counts or several, or one that is empty, longer than 4096 bytes, not UTF-8,
    /// or has control characters in it.
    PrincipalName = "principal_no_usable_name",
    /// The peer said that it does not accept our certificate.
    OurCertificate = "our_certificate_rejected",
    /// The peer said that something else of the handshake does not suit it.
    PeerAlert = "peer_alert",
    /// The peer broke a rule of TLS.
    Protocol = "protocol_violation",
    /// A failure of our own.
    Internal = "internal_error",
}

impl fmt::Display for TlsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_differ() {
        let names: BTreeSet<_> = TlsFailure::ALL.iter().map(|it| it.name()).collect();
        assert_eq!(names.len(), TlsFailure::ALL.len());
        assert_eq!(TlsFailure::Closed.connect_failure(), "tls_closed");
    }
}
