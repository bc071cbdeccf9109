//! Three model brokers on loopback, for any Kafka client: `cargo run -p doorkeeper-host --example
//! brokers [FIRST_PORT]`.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use doorkeeper_core::id::{BrokerId, HostPort};
use doorkeeper_host::{BrokerConfig, Host, HostConfig};
use doorkeeper_net::{Ends, Net};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// The operating system's network.
#[derive(Clone, Debug)]
struct Tcp;

impl Net for Tcp {
    type Stream = TcpStream;
    type Listener = TcpListener;

    async fn bind(&self, at: SocketAddr) -> io::Result<TcpListener> {
        TcpListener::bind(at).await
    }

    async fn accept(&self, on: &mut TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = on.accept().await?;
        stream.set_nodelay(true)?;
        Ok((stream, peer))
    }

    async fn connect(&self, to: &HostPort) -> io::Result<TcpStream> {
        TcpStream::connect((to.host(), to.port())).await
    }

    fn ends(&self, stream: &TcpStream) -> Option<Ends> {
        let (local, peer) = (stream.local_addr().ok()?, stream.peer_addr().ok()?);
        Some(Ends { local, peer })
    }
}

#[tokio::main]
#[expect(
    clippy::print_stdout,
    reason = "the addresses are what this program is for"
)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .init();
    let first: u16 = std::env::args()
        .nth(1)
        .as_deref()
        .unwrap_or("19092")
        .parse()?;
    let mut brokers = Vec::new();
    for (id, port) in (1..=3).zip(first..) {
        brokers.push(BrokerConfig {
            id: BrokerId(id),
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            advertised: HostPort::new("127.0.0.1", port)?,
        });
    }
    let bootstrap: Vec<String> = brokers.iter().map(|b| b.advertised.to_string()).collect();
    let host = Host::bind(Tcp, HostConfig::new(brokers, 1)).await?;
    println!("{}", bootstrap.join(","));
    let stop = CancellationToken::new();
    let serving = tokio::spawn(host.serve(stop.clone()));
    tokio::signal::ctrl_c().await?;
    stop.cancel();
    serving.await??;
    Ok(())
}
