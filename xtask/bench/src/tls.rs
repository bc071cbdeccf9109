//! TLS as all take part in it: one version, one cipher suite, one key exchange, and no session that
//! is resumed, so that what is compared is the work and not the choice.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// As IANA calls it.
pub(crate) const CIPHER_SUITE: &str = "TLS_AES_128_GCM_SHA256";
pub(crate) const GROUP: &str = "X25519";
/// The same, and what holds against quantum computers beside it.
pub(crate) const HYBRID_GROUP: &str = "X25519MLKEM768";

/// Of one run: a CA, and one ECDSA P-256 certificate that proxies and the sink show.
#[derive(Debug)]
pub(crate) struct Tls {
    /// What clients trust, as a file.
    pub(crate) ca: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// Certificate and key in one file.
    pub(crate) both: PathBuf,
    pub(crate) client: Arc<ClientConfig>,
    /// Of clients that want the hybrid key exchange.
    pub(crate) hybrid_client: Arc<ClientConfig>,
    pub(crate) server: Arc<ServerConfig>,
}

impl Tls {
    pub(crate) fn make(folder: &Path) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "bench CA");
        let key = KeyPair::generate()?;
        let ca = params.self_signed(&key)?;
        let issuer = Issuer::new(params, key);
        let own = CertificateParams::new(vec![Ipv4Addr::LOCALHOST.to_string()])?;
        let key = KeyPair::generate()?;
        let (certificate, key) = (own.signed_by(&key, &issuer)?.pem(), key.serialize_pem());
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            fs::write(&path, text).with_context(|| path.display().to_string())?;
            anyhow::Ok(path)
        };
        let mut roots = RootCertStore::empty();
        roots.add(ca.der().clone())?;
        let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes())?];
        let own_key = PrivateKeyDer::from_pem_slice(key.as_bytes())?;
        let mut server = ServerConfig::builder_with_provider(provider(aws_lc_rs::kx_group::X25519))
            .with_protocol_versions(&[&TLS13])?
            .with_no_client_auth()
            .with_single_cert(chain, own_key)?;
        server.send_tls13_tickets = 0;
        Ok(Self {
            ca: write("ca.pem", &ca.pem())?,
            certificate: write("server.crt", &certificate)?,
            key: write("server.key", &key)?,
            both: write("server.pem", &format!("{certificate}{key}"))?,
            client: client(&roots, aws_lc_rs::kx_group::X25519)?,
            hybrid_client: client(&roots, aws_lc_rs::kx_group::X25519MLKEM768)?,
            server: Arc::new(server),
        })
    }
}

fn provider(group: &'static dyn SupportedKxGroup) -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        cipher_suites: vec![TLS13_AES_128_GCM_SHA256],
        kx_groups: vec![group],
        ..aws_lc_rs::default_provider()
    })
}

fn client(
    roots: &RootCertStore,
    group: &'static dyn SupportedKxGroup,
) -> Result<Arc<ClientConfig>> {
    let mut config = ClientConfig::builder_with_provider(provider(group))
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots.clone())
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// What the certificate is for.
pub(crate) fn server_name() -> ServerName<'static> {
    ServerName::from(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST))
}
