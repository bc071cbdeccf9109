//! TLS on a connection to a broker.

use std::sync::Arc;

use doorkeeper_core::tls_failure::TlsFailure;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsConnector, TlsStream};

use super::failure::failure;
use super::transport::Transport;

/// How the brokers of a cluster are spoken to.
#[derive(Clone, Debug)]
pub struct UpstreamTls {
    /// What rustls goes by.
    pub config: Arc<ClientConfig>,
    /// The name that their certificates are for, where it is not the host that the cluster calls
    /// each of them by.
    pub server_name: Option<ServerName<'static>>,
}

impl UpstreamTls {
    /// Shakes hands with the broker that the cluster calls by this host.
    pub(crate) async fn connect<S>(&self, host: &str, socket: S) -> Result<Transport<S>, TlsFailure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = match &self.server_name {
            Some(name) => name.clone(),
            // No certificate can be for what is neither a host name nor an address.
            None => {
                ServerName::try_from(host.to_owned()).map_err(|_| TlsFailure::CertificateName)?
            }
        };
        let connector = TlsConnector::from(Arc::clone(&self.config));
        let stream = connector.connect(name, socket).await;
        let stream = stream.map_err(|error| failure(&error))?;
        Ok(Transport::Tls(Box::new(TlsStream::Client(stream))))
    }
}
