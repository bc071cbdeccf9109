//! The conversation on this machine's loopback interface.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use doorkeeper_core::id::HostPort;
use doorkeeper_host::{BrokerConfig, Host, HostConfig};
use doorkeeper_io_tokio::net::TokioNet;
use doorkeeper_io_tokio::serve;
use tokio_util::sync::CancellationToken;

use super::conversation::Talker;
use super::{BROKER_IDS, Recorder, SEED, broker_name, context, doors, plan};
use crate::tap::{Tap, Tape};

/// Runs it on ports that are free now.
///
/// # Errors
/// It could not be said, or somebody took a port in between.
pub fn on_loopback() -> Result<String, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(run())
}

async fn run() -> Result<String, String> {
    let failed = |error: io::Error| error.to_string();
    let ports = free_ports(2 * BROKER_IDS.len() + 1).map_err(failed)?;
    let (brokers_at, doors_at) = ports.split_at(BROKER_IDS.len());
    let mut brokers = Vec::new();
    let mut dial = Vec::new();
    for (id, (bind, at)) in BROKER_IDS.into_iter().zip(brokers_at) {
        let name = broker_name(id);
        let advertised = HostPort::new(&name, 9092).map_err(|error| error.to_string())?;
        dial.push((name, at.clone()));
        brokers.push(BrokerConfig {
            id,
            bind: *bind,
            advertised,
        });
    }
    let binds: Vec<_> = doors()
        .zip(doors_at.iter().map(|(_, at)| at.clone()))
        .collect();
    let host = Host::bind(TokioNet::default(), HostConfig::new(brokers, SEED));
    let host = host.await.map_err(failed)?;
    let (stop, recorder, tape) = (
        CancellationToken::new(),
        Arc::new(Recorder::default()),
        Tape::default(),
    );
    let hosted = tokio::spawn(host.serve(stop.clone()));
    let plan = plan(&binds, &dial)?;
    let context = context(&plan, &recorder, &stop);
    let served = tokio::spawn(serve::serve(
        Tap::new(TokioNet::default(), tape.clone()),
        plan,
        context,
    ));
    let talker = Talker {
        net: TokioNet::default(),
        doors: binds,
    };
    recorder.ready().await;
    talker.talk().await?;
    recorder.quiet().await;
    stop.cancel();
    let served = served.await.map_err(|error| error.to_string())?;
    served.map_err(|error| error.to_string())?;
    let hosted = hosted.await.map_err(|error| error.to_string())?;
    hosted.map_err(|error| error.to_string())?;
    Ok(super::transcript::transcript(&tape, &recorder))
}

fn free_ports(count: usize) -> io::Result<Vec<(SocketAddr, HostPort)>> {
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    // All held at once, so that no port comes twice.
    let held: Vec<TcpListener> = (0..count).map(|_| bind()).collect::<io::Result<_>>()?;
    let address = |listener: &TcpListener| {
        let at = listener.local_addr()?;
        let named = HostPort::new(&at.ip().to_string(), at.port());
        Ok((
            at,
            named.map_err(|error| io::Error::other(error.to_string()))?,
        ))
    };
    held.iter().map(address).collect()
}
