//! Whose PROXY headers a listener takes, and how a header is read from a connection.

use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use doorkeeper_core::Instant;
use doorkeeper_core::proxy_protocol::{self, Header, Progress};
use ipnet::IpNet;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::Net;
use crate::observer::Rejection;
use crate::process::ProcessContext;
use crate::shutdown::Stage;
use crate::silent::Silent;

/// How much of a header is read at once.
const READ_BYTES_MAX: usize = 512;

/// Whose PROXY headers a listener takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyProtocol {
    /// The proxies: each of their connections begins with a header.
    pub trusted: Vec<IpNet>,
    /// Whether others may connect as well, without one.
    pub takes_direct_clients: bool,
    /// How long a header may take, from accept.
    pub timeout: Duration,
}

/// What a listener makes of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PeerRole {
    /// It is the client.
    Client,
    /// It says who the client is.
    Proxy,
    /// It has no business here.
    Stranger,
}

impl ProxyProtocol {
    /// What a peer of a listener with these settings is.
    pub(crate) fn role_of(&self, peer: IpAddr) -> PeerRole {
        let peer = peer.to_canonical();
        if self.trusted.iter().any(|network| network.contains(&peer)) {
            PeerRole::Proxy
        } else if self.takes_direct_clients {
            PeerRole::Client
        } else {
            PeerRole::Stranger
        }
    }
}

/// Reads the header of a connection and not a byte more; nothing where doorkeeper stops.
///
/// Until its client is known, the connection gives way to others.
pub(crate) async fn read_header<N: Net>(
    process: &ProcessContext<N>,
    stream: &mut N::Stream,
    by: Instant,
    mut silent: Silent,
) -> Result<Header, Option<Rejection>> {
    let mut shutdown = process.shutdown.subscribe();
    let header = pin!(header(stream));
    let mut header = pin!(process.clock.until(by, header));
    poll_fn(|cx| {
        if Stage::from_value(shutdown.poll(cx)) != Stage::Run {
            return Poll::Ready(Err(None));
        }
        if silent.poll_gives_way(cx).is_ready() {
            return Poll::Ready(Err(Some(Rejection::SilentLimit)));
        }
        header.as_mut().poll(cx).map(|header| {
            let header = header.unwrap_or(Err(Rejection::ProxyTimedOut));
            header.map_err(Some)
        })
    })
    .await
}

async fn header<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Header, Rejection> {
    let mut come = Vec::new();
    loop {
        let lacking = match proxy_protocol::read(&come).map_err(Rejection::ProxyHeader)? {
            Progress::Lacks(bytes) => bytes,
            Progress::Whole { header, .. } => return Ok(header),
        };
        let mut space = [0; READ_BYTES_MAX];
        let space = space.get_mut(..lacking.min(READ_BYTES_MAX));
        let space = space.unwrap_or_default();
        match stream.read(space).await {
            Ok(bytes) if bytes > 0 => {
                come.extend_from_slice(space.get(..bytes).unwrap_or_default())
            }
            // A probe of a load balancer connects and leaves, or resets.
            Ok(_) | Err(_) if come.is_empty() => return Err(Rejection::ProxyClosed),
            Ok(_) | Err(_) => return Err(Rejection::ProxyTruncated),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_what_its_network_says() {
        let mut settings = ProxyProtocol {
            trusted: ["10.0.0.0/8", "2001:db8::/32"]
                .map(|it| it.parse().unwrap())
                .into(),
            takes_direct_clients: false,
            timeout: Duration::from_secs(1),
        };
        let role = |settings: &ProxyProtocol, peer: &str| settings.role_of(peer.parse().unwrap());
        for (peer, expected) in [
            ("10.1.2.3", PeerRole::Proxy),
            ("::ffff:10.1.2.3", PeerRole::Proxy),
            ("2001:db8::1", PeerRole::Proxy),
            ("11.0.0.1", PeerRole::Stranger),
            ("2001:db9::1", PeerRole::Stranger),
            ("::10.1.2.3", PeerRole::Stranger),
        ] {
            assert_eq!(role(&settings, peer), expected, "{peer}");
        }
        settings.takes_direct_clients = true;
        assert_eq!(
            role(&settings, "10.1.2.3"),
            PeerRole::Proxy,
            "it has to say who"
        );
        assert_eq!(role(&settings, "11.0.0.1"), PeerRole::Client);
    }
}
