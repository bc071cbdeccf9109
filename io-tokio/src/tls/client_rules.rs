//! Which clients with a certificate are let in, and who they are.

use std::sync::Arc;

use doorkeeper_core::certificate::distinguished_name::DistinguishedName;
use doorkeeper_core::certificate::principal::{AlternativeName, CertificateNames, PrincipalSource};
use doorkeeper_core::certificate::subject_rule::SubjectRule;
use doorkeeper_core::policy::Principal;
use doorkeeper_core::tls_failure::TlsFailure;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName as CaName, Error, OtherError,
    SignatureScheme,
};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// What a certificate must be, beyond being signed by a CA that is trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientRules {
    /// The only certificate that is let in, if there is one.
    pub pinned: Option<CertificateDer<'static>>,
    /// Which subjects are let in: those that one of these matches, or all if there is none.
    pub subjects: Vec<SubjectRule>,
    /// Who the client is.
    pub principal: PrincipalSource,
}

impl Default for ClientRules {
    /// Lets all in, each under its distinguished name, as Kafka does.
    fn default() -> Self {
        Self {
            pinned: None,
            subjects: Vec::new(),
            principal: PrincipalSource::distinguished_name(),
        }
    }
}

impl ClientRules {
    /// Who the client with this certificate is.
    ///
    /// # Errors
    /// It is not let in, or nobody knows who it is.
    pub(crate) fn principal(
        &self,
        certificate: &CertificateDer<'_>,
    ) -> Result<Principal, TlsFailure> {
        if self.pinned.as_ref().is_some_and(|it| it != certificate) {
            return Err(TlsFailure::CertificateNotPinned);
        }
        let parsed = X509Certificate::from_der(certificate);
        let (_, parsed) = parsed.map_err(|_| TlsFailure::CertificateInvalid)?;
        let subject = parsed.subject().as_raw();
        self.admit(subject)?;
        let alternative = match &self.principal {
            PrincipalSource::Subject(_) => Vec::new(),
            PrincipalSource::Alternative(kind) => alternative_names(&parsed, *kind)?,
        };
        self.principal.principal(&CertificateNames {
            subject,
            alternative,
        })
    }

    fn admit(&self, subject: &[u8]) -> Result<(), TlsFailure> {
        if self.subjects.is_empty() {
            return Ok(());
        }
        let denied = TlsFailure::CertificateSubject;
        let name = DistinguishedName::from_der(subject).map_err(|_| denied)?;
        let is_admitted = self.subjects.iter().any(|it| it.matches(&name));
        is_admitted.then_some(()).ok_or(denied)
    }
}

fn alternative_names<'a>(
    certificate: &'a X509Certificate<'_>,
    kind: AlternativeName,
) -> Result<Vec<&'a str>, TlsFailure> {
    let names = certificate.subject_alternative_name();
    let names = names.map_err(|_| TlsFailure::CertificateInvalid)?;
    let names = names
        .map(|it| it.value.general_names.as_slice())
        .unwrap_or_default();
    let of_kind = names.iter().filter_map(|name| match (kind, name) {
        (AlternativeName::Dns, GeneralName::DNSName(name))
        | (AlternativeName::Uri, GeneralName::URI(name))
        | (AlternativeName::Email, GeneralName::RFC822Name(name)) => Some(*name),
        _ => None,
    });
    Ok(of_kind.collect())
}

/// Verifies a certificate as another verifier does, and then by the rules: who is not let in learns
/// of it by an alert.
#[derive(Debug)]
pub(super) struct RulesVerifier {
    pub(super) inner: Arc<dyn ClientCertVerifier>,
    pub(super) rules: ClientRules,
}

/// The rules do not let a client in.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct NotAdmitted(pub(super) TlsFailure);

impl ClientCertVerifier for RulesVerifier {
    fn offer_client_auth(&self) -> bool {
        self.inner.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.inner.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[CaName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self
            .inner
            .verify_client_cert(end_entity, intermediates, now)?;
        match self.rules.principal(end_entity) {
            Ok(_) => Ok(verified),
            Err(failure) => {
                let why = OtherError(Arc::new(NotAdmitted(failure)));
                Err(Error::InvalidCertificate(CertificateError::Other(why)))
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let inner = &self.inner;
        inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let inner = &self.inner;
        inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
