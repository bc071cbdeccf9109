//! TLS towards brokers: whom we trust, and who we are.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::sign::SingleCertAndKey;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::identity::BadIdentity;
use super::parameters::{BadParameters, Parameters};
use super::server::roots;

/// How a cluster's brokers are spoken to.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// What is allowed of TLS.
    pub parameters: Parameters,
    /// Whose certificates hold.
    pub trust: ServerTrust,
    /// What brokers ask for our certificate with, if they do.
    pub identity: Option<Arc<CertifiedKey>>,
}

/// Whose certificates of brokers hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerTrust {
    /// Of the CAs that the system trusts.
    System,
    /// Of these CAs, in PEM.
    Ca(Vec<u8>),
    /// Of these CAs, or of those of the system, whatever name they are for. Whoever has any
    /// certificate of such a CA can be the broker.
    InsecureAnyName(Option<Vec<u8>>),
    /// Anybody's. Whoever is in between can be the broker.
    InsecureAnyCertificate,
}

/// Why brokers cannot be spoken to with TLS.
#[derive(Debug, thiserror::Error)]
pub enum BadClient {
    /// Of the parameters.
    #[error(transparent)]
    Parameters(#[from] BadParameters),
    /// Of the CAs.
    #[error("the CA file: {0}")]
    Ca(BadIdentity),
    /// The system trusts nobody.
    #[error("the system has no CA certificates: {0}")]
    NoSystemCa(String),
    /// Anything else.
    #[error(transparent)]
    Tls(#[from] Error),
}

/// The configuration of TLS that brokers are dialled with, and what verifies their certificates.
///
/// # Errors
/// [`BadClient`].
pub(crate) fn config(
    settings: &ClientSettings,
) -> Result<(Arc<ClientConfig>, Arc<dyn ServerCertVerifier>), BadClient> {
    let provider = settings.parameters.provider()?;
    let verifier = verifier(&settings.trust, &provider)?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(settings.parameters.versions())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&verifier));
    let mut config = match &settings.identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let resolver = SingleCertAndKey::from(Arc::clone(identity));
            builder.with_client_cert_resolver(Arc::new(resolver))
        }
    };
    // A session that is resumed is not verified again.
    config.resumption = Resumption::disabled();
    Ok((Arc::new(config), verifier))
}

pub(super) fn verifier(
    trust: &ServerTrust,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, BadClient> {
    let of = |ca: Option<&[u8]>| -> Result<Arc<WebPkiServerVerifier>, BadClient> {
        let roots = match ca {
            Some(pem) => roots(pem).map_err(BadClient::Ca)?,
            None => system_roots()?,
        };
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
            .build()
            .map_err(|error| BadClient::NoSystemCa(error.to_string()))
    };
    let any_name = match trust {
        ServerTrust::System => return Ok(of(None)?),
        ServerTrust::Ca(pem) => return Ok(of(Some(pem))?),
        ServerTrust::InsecureAnyName(ca) => Some(of(ca.as_deref())?),
        ServerTrust::InsecureAnyCertificate => None,
    };
    let provider = Arc::clone(provider);
    Ok(Arc::new(InsecureVerifier { any_name, provider }))
}

fn system_roots() -> Result<RootCertStore, BadClient> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let errors = found.errors.iter().map(ToString::to_string);
        return Err(BadClient::NoSystemCa(errors.collect::<Vec<_>>().join("; ")));
    }
    Ok(roots)
}

/// Verifies that the broker has the key of the certificate that it shows; and the certificate, but
/// not its name, if it has anything to verify it with.
#[derive(Debug)]
struct InsecureVerifier {
    any_name: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for InsecureVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(verifier) = &self.any_name else {
            return Ok(ServerCertVerified::assertion());
        };
        let verified =
            verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verified {
            // The name is looked at last.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
