//! What a server shows in a handshake, whether anybody trusts it or not.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use doorkeeper_core::certificate::distinguished_name::DistinguishedName;
use doorkeeper_core::id::HostPort;
use doorkeeper_core::tls_failure::TlsFailure;
use pkcs8::{Document, LineEnding};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::client::{self, BadClient, ClientSettings, ServerTrust};
use super::failure::{failure, of_tls};
use super::parameters::Parameters;

/// What a server has shown.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The certificates, that of the server first.
    pub chain: Vec<ShownCertificate>,
    /// Whether they hold for the name.
    pub verdict: Result<(), TlsFailure>,
}

impl Shown {
    /// All of them, in PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        self.chain.iter().map(|it| it.pem.as_str()).collect()
    }
}

/// One certificate. All texts are as the server wrote them.
#[derive(Clone, Debug)]
pub struct ShownCertificate {
    /// Its subject.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// Host names and addresses.
    pub names: Vec<String>,
    /// From when it is good.
    pub not_before: String,
    /// Until when.
    pub not_after: String,
    /// The hash of all of it.
    pub sha256: String,
    pem: String,
}

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The host has no address, or nobody answers there.
    #[error("cannot connect: {0}")]
    Connect(std::io::Error),
    /// It took too long.
    #[error("nothing came in time")]
    TimedOut,
    /// A broker that speaks no TLS.
    #[error("a Kafka broker speaks plaintext there, and no TLS")]
    PlaintextKafka,
    /// Whoever is there speaks no TLS.
    #[error("whoever is there speaks plaintext, and no TLS")]
    Plaintext,
    /// The handshake failed before a certificate came.
    #[error("the handshake failed before a certificate came: {0}")]
    Handshake(TlsFailure),
    /// The name cannot be one of a certificate.
    #[error("{0:?} is no host name and no address")]
    Name(String),
    /// A certificate that cannot be read.
    #[error("a certificate cannot be read")]
    Certificate,
    /// Whom to trust.
    #[error(transparent)]
    Trust(#[from] BadClient),
}

/// Shakes hands and says what the server has shown. The handshake need not come to its end: a
/// server may ask for a certificate.
///
/// # Errors
/// [`FetchError`].
pub async fn fetch(
    at: &HostPort,
    name: &str,
    trust: ServerTrust,
    timeout: Duration,
) -> Result<Shown, FetchError> {
    let name = ServerName::try_from(name.to_owned());
    let name = name.map_err(|error| FetchError::Name(error.to_string()))?;
    let parameters = Parameters::default();
    let provider = parameters.provider().map_err(BadClient::from)?;
    let witness = Arc::new(Witness {
        inner: client::verifier(&trust, &provider)?,
        seen: Mutex::new(None),
    });
    let config = ClientSettings {
        parameters,
        trust: ServerTrust::InsecureAnyCertificate,
        identity: None,
    };
    let (config, _) = client::config(&config)?;
    let mut config = ClientConfig::clone(&*config);
    config
        .dangerous()
        .set_certificate_verifier(Arc::clone(&witness) as _);
    config.resumption = Resumption::disabled();
    let config = Arc::new(config);
    let ended = tokio::time::timeout(timeout, handshake(at, name, config)).await;
    let seen = witness
        .seen
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    if let Some((chain, verdict)) = seen {
        let chain = chain.iter().map(|it| describe(it)).collect::<Option<_>>();
        return Ok(Shown {
            chain: chain.ok_or(FetchError::Certificate)?,
            verdict,
        });
    }
    let error = match ended {
        Err(_) => FetchError::TimedOut,
        Ok(Err(error)) => error,
        // Without a certificate there is no handshake.
        Ok(Ok(())) => FetchError::Handshake(TlsFailure::Protocol),
    };
    let is_plaintext = matches!(error, FetchError::Handshake(TlsFailure::Plaintext));
    if is_plaintext || matches!(error, FetchError::Handshake(TlsFailure::Closed)) {
        let asked = tokio::time::timeout(timeout, speaks_kafka(at)).await;
        if asked == Ok(true) {
            return Err(FetchError::PlaintextKafka);
        }
    }
    Err(if is_plaintext {
        FetchError::Plaintext
    } else {
        error
    })
}

async fn handshake(
    at: &HostPort,
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
) -> Result<(), FetchError> {
    let socket = TcpStream::connect((at.host(), at.port())).await;
    let socket = socket.map_err(FetchError::Connect)?;
    let connected = TlsConnector::from(config).connect(name, socket).await;
    let mut stream = connected.map_err(|error| FetchError::Handshake(failure(&error)))?;
    let _ = stream.shutdown().await;
    Ok(())
}

/// Whether an ApiVersions request gets the response of a broker.
async fn speaks_kafka(at: &HostPort) -> bool {
    // Version 0, correlation id 1, no client id.
    const REQUEST: [u8; 14] = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff];
    let asked = async {
        let mut socket = TcpStream::connect((at.host(), at.port())).await?;
        socket.write_all(&REQUEST).await?;
        let mut head = [0; 8];
        socket.read_exact(&mut head).await?;
        Ok::<_, std::io::Error>(head)
    };
    matches!(asked.await, Ok([0, _, _, _, 0, 0, 0, 1]))
}

/// Lets every certificate pass, and remembers it with what another verifier made of it.
#[derive(Debug)]
struct Witness {
    inner: Arc<dyn ServerCertVerifier>,
    seen: Mutex<Option<Seen>>,
}

type Seen = (Vec<CertificateDer<'static>>, Result<(), TlsFailure>);

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let inner = &self.inner;
        let verified =
            inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        let verdict = verified.map(drop).map_err(|error| of_tls(&error));
        let chain = std::iter::once(end_entity).chain(intermediates);
        let chain = chain.map(|it| it.clone().into_owned()).collect();
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some((chain, verdict));
        Ok(ServerCertVerified::assertion())
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

fn describe(der: &CertificateDer<'_>) -> Option<ShownCertificate> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let text = |name: &[u8]| Some(DistinguishedName::from_der(name).ok()?.to_string());
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.map(|it| it.value.general_names.iter().filter_map(name).collect());
    let validity = certificate.validity();
    Some(ShownCertificate {
        subject: text(certificate.subject().as_raw())?,
        issuer: text(certificate.issuer().as_raw())?,
        names: names.unwrap_or_default(),
        not_before: validity.not_before.to_string(),
        not_after: validity.not_after.to_string(),
        sha256: sha256(der)?,
        pem: Document::try_from(&**der)
            .ok()?
            .to_pem("CERTIFICATE", LineEnding::LF)
            .ok()?,
    })
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    if let GeneralName::DNSName(name) = name {
        return Some((*name).to_owned());
    }
    let GeneralName::IPAddress(bytes) = name else {
        return None;
    };
    let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
    let v6 = <[u8; 16]>::try_from(*bytes).map(IpAddr::from);
    v4.or(v6).ok().map(|it| it.to_string())
}

/// As `openssl x509 -fingerprint -sha256` prints it.
fn sha256(der: &[u8]) -> Option<String> {
    // The hash of a cipher suite that is always there.
    let hash = TLS13_AES_128_GCM_SHA256.tls13()?.common.hash_provider;
    let bytes = hash.hash(der);
    let bytes = bytes.as_ref().iter().map(|it| format!("{it:02X}"));
    Some(bytes.collect::<Vec<_>>().join(":"))
}
