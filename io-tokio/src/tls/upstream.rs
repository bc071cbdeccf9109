//! TLS on a connection to a broker.

use std::sync::Arc;

use doorkeeper_core::tls_failure::TlsFailure;
use rustls::ClientConfig;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsConnector, TlsStream};

use super::client::{self, BadClient, ClientSettings};
use super::failure::{self, failure};
use super::identity;
use super::peer::PeerCertificate;
use super::read_ahead::ReadAhead;
use super::transport::Transport;

/// How the brokers of a cluster are spoken to.
#[derive(Clone, Debug)]
pub struct UpstreamTls {
    /// What rustls goes by.
    pub config: Arc<ClientConfig>,
    settings: Arc<ClientSettings>,
    /// The name that their certificates are for, where it is not the host that the cluster calls
    /// each of them by.
    server_name: Option<ServerName<'static>>,
    /// Says whose certificates hold.
    verifier: Arc<dyn ServerCertVerifier>,
}

impl UpstreamTls {
    /// What brokers are dialled with.
    ///
    /// # Errors
    /// [`BadClient`].
    pub fn new(
        settings: ClientSettings,
        server_name: Option<ServerName<'static>>,
    ) -> Result<Self, BadClient> {
        let (config, verifier) = client::config(&settings)?;
        Ok(Self {
            config,
            settings: Arc::new(settings),
            server_name,
            verifier,
        })
    }

    /// When the certificate that brokers are shown expires, in seconds since 1970.
    pub(crate) fn expiry(&self) -> Option<i64> {
        identity::expiry(self.settings.identity.as_ref()?)
    }

    /// What differs between two, by the names of what the configuration says of it.
    pub(crate) fn differences(&self, other: &Self) -> Vec<&'static str> {
        let (ours, theirs) = (&*self.settings, &*other.settings);
        let certificate = |it: &ClientSettings| it.identity.as_ref().map(|it| it.cert.clone());
        [
            ("ca_file", ours.trust != theirs.trust),
            ("certificate", certificate(ours) != certificate(theirs)),
            ("server_name", self.server_name != other.server_name),
            ("tls", ours.parameters != theirs.parameters),
        ]
        .into_iter()
        .filter_map(|(what, differs)| differs.then_some(what))
        .collect()
    }

    /// The name that the certificate of a broker is for that the cluster calls by this host.
    fn name_of(&self, host: &str) -> Result<ServerName<'static>, TlsFailure> {
        match &self.server_name {
            Some(name) => Ok(name.clone()),
            // No certificate can be for what is neither a host name nor an address.
            None => ServerName::try_from(host.to_owned()).map_err(|_| TlsFailure::CertificateName),
        }
    }

    /// Whether a certificate that held when it was shown would hold now.
    pub(super) fn verify(&self, host: &str, shown: &PeerCertificate) -> Result<(), TlsFailure> {
        let Some((end_entity, intermediates)) = shown.chain.split_first() else {
            return Err(TlsFailure::NoCertificate);
        };
        let name = self.name_of(host)?;
        let (verifier, at) = (&self.verifier, shown.at);
        let verified = verifier.verify_server_cert(end_entity, intermediates, &name, &[], at);
        verified
            .map(|_| ())
            .map_err(|error| failure::of_tls(&error))
    }

    /// Shakes hands with the broker that the cluster calls by this host.
    pub(crate) async fn connect<S>(&self, host: &str, socket: S) -> Result<Transport<S>, TlsFailure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = self.name_of(host)?;
        let connector = TlsConnector::from(Arc::clone(&self.config));
        let stream = connector.connect(name, ReadAhead::new(socket)).await;
        let stream = stream.map_err(|error| failure(&error))?;
        Ok(Transport::Tls(Box::new(TlsStream::Client(stream))))
    }
}
