//! TLS towards clients: what a listener shows, and whom it lets in.

use std::collections::BTreeSet;
use std::sync::Arc;

use doorkeeper_core::policy::Principal;
use doorkeeper_core::tls_failure::TlsFailure;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, DnsName};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, ServerConfig, VerifierBuilderError,
    WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, SignatureScheme};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::revocation_list::CertificateRevocationList;

use super::client_rules::{ClientRules, RulesVerifier};
use super::failure;
use super::identity::{self, BadIdentity};
use super::parameters::{BadParameters, Parameters};
use super::peer::PeerCertificate;

/// How a listener speaks TLS.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// What is allowed of TLS.
    pub parameters: Parameters,
    /// Who we are: the one whose certificate has the name that the client asks for, else the first
    /// one, of those that the client can verify.
    pub identities: Vec<Arc<CertifiedKey>>,
    /// Whether clients show certificates.
    pub client_auth: ClientAuth,
}

/// Whether clients show certificates, as Kafka's `ssl.client.auth`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// They are not asked to.
    None,
    /// They may; what they show must hold.
    Optional(Trust),
    /// They must.
    Required(Trust),
}

impl ClientAuth {
    const fn trust(&self) -> Option<&Trust> {
        match self {
            Self::None => None,
            Self::Optional(trust) | Self::Required(trust) => Some(trust),
        }
    }
}

/// Whose certificates hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trust {
    /// The CAs, in PEM.
    pub ca: Vec<u8>,
    /// Lists of revoked certificates, in PEM. Where there is one, a certificate of a CA without a
    /// list, or with one that has expired, does not hold.
    pub crls: Vec<Vec<u8>>,
    /// Which of these clients are let in, and who they are.
    pub rules: ClientRules,
}

/// Why a listener cannot speak TLS.
#[derive(Debug, thiserror::Error)]
pub enum BadServer {
    /// Of the parameters.
    #[error(transparent)]
    Parameters(#[from] BadParameters),
    /// Of the CAs.
    #[error("the CA file: {0}")]
    Ca(BadIdentity),
    /// Of a list of revoked certificates.
    #[error("a revocation list cannot be read: {0}")]
    Crl(String),
    /// Two lists are for the same certificates.
    #[error("two revocation lists are of the same CA, and only one of them would count")]
    SecondCrl,
    /// There is nobody to be.
    #[error("no certificate is configured")]
    NoIdentity,
    /// Anything else.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}

/// TLS towards the clients of a listener.
#[derive(Clone, Debug)]
pub struct ServerTls {
    /// What rustls goes by.
    pub config: Arc<ServerConfig>,
    settings: Arc<ServerSettings>,
    /// Says whose certificates hold, if clients are asked for them.
    verifier: Option<Arc<dyn ClientCertVerifier>>,
}

impl ServerTls {
    /// What a listener accepts connections with.
    ///
    /// # Errors
    /// [`BadServer`].
    pub fn new(settings: ServerSettings) -> Result<Self, BadServer> {
        let provider = settings.parameters.provider()?;
        let is_required = matches!(settings.client_auth, ClientAuth::Required(_));
        let trust = settings.client_auth.trust();
        let verifier = trust.map(|it| verifier(it, &provider, is_required));
        let verifier = verifier.transpose()?;
        Ok(Self {
            config: config(&settings, &provider, verifier.clone())?,
            settings: Arc::new(settings),
            verifier,
        })
    }

    /// Who the client is that has shown these certificates, if it has.
    ///
    /// # Errors
    /// It would not have been let in.
    pub(crate) fn principal(
        &self,
        shown: Option<&[CertificateDer<'_>]>,
    ) -> Result<Option<Principal>, TlsFailure> {
        let trust = self.settings.client_auth.trust();
        match (trust, shown.and_then(<[_]>::first)) {
            (Some(trust), Some(certificate)) => trust.rules.principal(certificate).map(Some),
            (None, _) | (_, None) => Ok(None),
        }
    }

    /// Whether every client must show a certificate.
    pub(super) fn requires_certificates(&self) -> bool {
        matches!(self.settings.client_auth, ClientAuth::Required(_))
    }

    /// Who the client is by a certificate that held when it was shown. Where clients are not
    /// asked for certificates, each holds and says nothing.
    ///
    /// # Errors
    /// It does not hold now.
    pub(super) fn verify(&self, shown: &PeerCertificate) -> Result<Option<Principal>, TlsFailure> {
        let (Some(verifier), Some((end_entity, intermediates))) =
            (&self.verifier, shown.chain.split_first())
        else {
            return Ok(None);
        };
        let verified = verifier.verify_client_cert(end_entity, intermediates, shown.at);
        verified.map_err(|error| failure::of_tls(&error))?;
        self.principal(Some(&shown.chain))
    }

    /// When the certificates that clients are shown expire, in seconds since 1970.
    pub(crate) fn expiries(&self) -> impl Iterator<Item = i64> {
        let all = self.settings.identities.iter();
        // One that cannot be read would not have been taken.
        all.map(|it| identity::expiry(it).unwrap_or_default())
    }

    /// What differs between two, by the names of what the configuration says of it.
    pub(crate) fn differences(&self, other: &Self) -> Vec<&'static str> {
        let (ours, theirs) = (&*self.settings, &*other.settings);
        let trust = (ours.client_auth.trust(), theirs.client_auth.trust());
        let trust_differs = |differs: fn(&Trust, &Trust) -> bool| match trust {
            (Some(ours), Some(theirs)) => differs(ours, theirs),
            (None, None) => false,
            (Some(_), None) | (None, Some(_)) => true,
        };
        let kind = std::mem::discriminant::<ClientAuth>;
        let identities = ours.identities.iter().map(|it| &it.cert);
        [
            (
                "certificates",
                !identities.eq(theirs.identities.iter().map(|it| &it.cert)),
            ),
            (
                "client_auth",
                kind(&ours.client_auth) != kind(&theirs.client_auth),
            ),
            ("client_ca_file", trust_differs(|a, b| a.ca != b.ca)),
            ("crl_files", trust_differs(|a, b| a.crls != b.crls)),
            (
                "client_subjects",
                trust_differs(|a, b| a.rules.subjects != b.rules.subjects),
            ),
            (
                "client_certificate_file",
                trust_differs(|a, b| a.rules.pinned != b.rules.pinned),
            ),
            (
                "principal",
                trust_differs(|a, b| a.rules.principal != b.rules.principal),
            ),
            ("tls", ours.parameters != theirs.parameters),
        ]
        .into_iter()
        .filter_map(|(what, differs)| differs.then_some(what))
        .collect()
    }
}

/// Says whose certificates hold.
fn verifier(
    trust: &Trust,
    provider: &Arc<CryptoProvider>,
    is_required: bool,
) -> Result<Arc<dyn ClientCertVerifier>, BadServer> {
    let roots = Arc::new(roots(&trust.ca).map_err(BadServer::Ca)?);
    let mut verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider))
        .with_crls(crls(&trust.crls)?)
        .only_check_end_entity_revocation()
        .enforce_revocation_expiration();
    if !is_required {
        verifier = verifier.allow_unauthenticated();
    }
    let inner = verifier.build().map_err(|error| {
        if let VerifierBuilderError::InvalidCrl(why) = error {
            BadServer::Crl(format!("{why:?}"))
        } else {
            BadServer::Ca(BadIdentity::NoCertificate)
        }
    })?;
    Ok(Arc::new(RulesVerifier {
        inner,
        rules: trust.rules.clone(),
    }))
}

/// The configuration of TLS that a listener accepts connections with.
fn config(
    settings: &ServerSettings,
    provider: &Arc<CryptoProvider>,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
) -> Result<Arc<ServerConfig>, BadServer> {
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(settings.parameters.versions())?;
    let asks = verifier.is_some();
    let builder = match verifier {
        None => builder.with_no_client_auth(),
        Some(verifier) => builder.with_client_cert_verifier(verifier),
    };
    let mut config = builder.with_cert_resolver(Arc::new(BySni::of(&settings.identities)?));
    // The order of the configuration, or of rustls, which has the stronger ones first.
    config.ignore_client_order = true;
    if asks {
        // A session that is resumed shows no certificate: it would outlive its expiry and its
        // revocation.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok(Arc::new(config))
}

/// The CAs of a PEM text.
///
/// # Errors
/// There is none, or one cannot be read.
pub(crate) fn roots(pem: &[u8]) -> Result<RootCertStore, BadIdentity> {
    let mut roots = RootCertStore::empty();
    for certificate in identity::certificates(pem)? {
        let bad = |error: rustls::Error| BadIdentity::Certificate(error.to_string());
        roots.add(certificate).map_err(bad)?;
    }
    Ok(roots)
}

fn crls(files: &[Vec<u8>]) -> Result<Vec<CertificateRevocationListDer<'static>>, BadServer> {
    let (mut all, mut scopes) = (Vec::new(), BTreeSet::new());
    for file in files {
        let before = all.len();
        for list in CertificateRevocationListDer::pem_slice_iter(file) {
            let list = list.map_err(|error| BadServer::Crl(error.to_string()))?;
            if scope(&list).is_some_and(|scope| !scopes.insert(scope)) {
                return Err(BadServer::SecondCrl);
            }
            all.push(list);
        }
        if all.len() == before {
            let why = "no list in it: PEM with BEGIN X509 CRL is expected";
            return Err(BadServer::Crl(why.to_owned()));
        }
    }
    Ok(all)
}

/// What a list is for: its CA, and the part of its certificates if it is not for all. Of several
/// lists that may be for a certificate, rustls looks at the first alone.
fn scope(list: &CertificateRevocationListDer<'_>) -> Option<(Vec<u8>, Vec<u8>)> {
    const ISSUING_DISTRIBUTION_POINT: &str = "2.5.29.28";
    let (_, list) = CertificateRevocationList::from_der(list).ok()?;
    let mut extensions = list.extensions().iter();
    let part = extensions.find(|it| it.oid.to_id_string() == ISSUING_DISTRIBUTION_POINT);
    let part = part.map(|it| it.value.to_vec()).unwrap_or_default();
    Some((list.issuer().as_raw().to_vec(), part))
}

/// Chooses an identity for each client.
#[derive(Debug)]
struct BySni {
    identities: Vec<(Vec<String>, Arc<CertifiedKey>)>,
}

impl BySni {
    fn of(identities: &[Arc<CertifiedKey>]) -> Result<Self, BadServer> {
        if identities.is_empty() {
            return Err(BadServer::NoIdentity);
        }
        let identities = identities.iter();
        Ok(Self {
            identities: identities
                .map(|it| (dns_names(it), Arc::clone(it)))
                .collect(),
        })
    }

    fn choose(
        &self,
        server_name: Option<&str>,
        schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        let signs = |key: &CertifiedKey| key.key.choose_scheme(schemes).is_some();
        let named = self.identities.iter().find(|(names, key)| {
            signs(key) && server_name.is_some_and(|asked| names.iter().any(|it| is_for(it, asked)))
        });
        let any = || self.identities.iter().find(|(_, key)| signs(key));
        // Where none will do rustls says what is not shared; without a certificate it would not.
        let first = || self.identities.first();
        let chosen = named.or_else(any).or_else(first);
        chosen.map(|(_, key)| Arc::clone(key))
    }
}

impl ResolvesServerCert for BySni {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose(hello.server_name(), hello.signature_schemes())
    }
}

/// The DNS names of a certificate, in lower case.
fn dns_names(key: &CertifiedKey) -> Vec<String> {
    let Some(Ok((_, certificate))) = key.cert.first().map(|der| X509Certificate::from_der(der))
    else {
        return Vec::new();
    };
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names
        .map(|it| it.value.general_names.as_slice())
        .unwrap_or_default();
    names
        .iter()
        .filter_map(|name| {
            if let GeneralName::DNSName(name) = name {
                Some(name.to_ascii_lowercase())
            } else {
                None
            }
        })
        .collect()
}

/// Whether a name of a certificate is for a name that a client asks for: the same, or with a `*` in
/// the place of its first label (RFC 9525, section 6.3).
fn is_for(name: &str, asked: &str) -> bool {
    let Ok(asked) = DnsName::try_from(asked) else {
        return false;
    };
    let asked = asked.as_ref().to_ascii_lowercase();
    if name == asked {
        return true;
    }
    let rest = name.strip_prefix("*.");
    rest.is_some_and(|rest| {
        asked
            .split_once('.')
            .is_some_and(|(_, behind)| behind == rest)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_one_label() {
        assert!(is_for("kafka.example.com", "KAFKA.example.com"));
        assert!(is_for("*.example.com", "b1.Example.com"));
        assert!(!is_for("*.example.com", "example.com"));
        assert!(!is_for("*.example.com", "a.b.example.com"));
        assert!(!is_for("kafka.example.com", "10.0.0.1"));
    }
}
