//! The brokers of a script: one cluster, whose brokers run, crash and come back as the rig says.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use doorkeeper_core::id::{BrokerId, HostPort};
use doorkeeper_host::{BrokerConfig, Clock, Handle, HostConfig};
use doorkeeper_model::environment;
use doorkeeper_model::script::Setting;
use doorkeeper_net::Net;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::faulty_net::FaultyNet;
use super::rig::Rig;
use crate::net::Reset;

/// The host that all brokers share, and the port of broker 0; the next one is at the next.
pub(super) const HOST: &str = "brokers";
const PORT: u16 = 9092;

/// Where a broker really is, whatever it calls itself.
///
/// # Errors
/// There are not so many ports.
pub(super) fn place(broker: usize) -> io::Result<HostPort> {
    HostPort::new(HOST, port(broker)?).map_err(|error| io::Error::other(error.to_string()))
}

fn port(broker: usize) -> io::Result<u16> {
    let port = u16::try_from(broker)
        .ok()
        .and_then(|it| PORT.checked_add(it));
    port.ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
}

/// The cluster of a script, which nobody serves yet.
///
/// # Errors
/// It has too many brokers.
pub(super) fn cluster(setting: &Setting, clock: Clock) -> Result<Handle, String> {
    let config = environment::cluster_config(setting);
    let brokers = config.brokers.into_iter().enumerate();
    let brokers = brokers.map(|(number, (id, advertised))| {
        let port = port(number).map_err(|error| error.to_string())?;
        let bind = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        Ok(BrokerConfig {
            id,
            bind,
            advertised,
        })
    });
    let brokers = brokers.collect::<Result<Vec<_>, String>>()?;
    let mut host = HostConfig::new(brokers, config.seed);
    host.limits = config.limits;
    let cluster = Handle::new(host, clock);
    cluster.with(|cluster, _| environment::create_topics(cluster));
    Ok(cluster)
}

/// Lets all brokers run as the rig says until `stop`.
///
/// # Errors
/// One of them could not listen, or panicked.
pub(super) async fn run<N: Net>(
    net: N,
    cluster: Handle,
    rig: Rig,
    stop: CancellationToken,
) -> io::Result<()>
where
    N::Stream: Reset,
{
    let mut tasks = JoinSet::new();
    for broker in 0..rig.count() {
        let (rig, cluster) = (rig.clone(), cluster.clone());
        let net = FaultyNet::new(net.clone(), broker, rig.clone());
        tasks.spawn(run_one(net, broker, cluster, rig, stop.clone()));
    }
    cluster.keep_time(stop).await;
    let mut result = Ok(());
    while let Some(joined) = tasks.join_next().await {
        let ended = joined.map_err(io::Error::other).flatten();
        result = result.and(ended);
    }
    result
}

async fn run_one<N: Net>(
    net: FaultyNet<N>,
    broker: usize,
    cluster: Handle,
    rig: Rig,
    stop: CancellationToken,
) -> io::Result<()>
where
    N::Stream: Reset,
{
    let Some(mut wanted) = rig.wanted(broker) else {
        return Ok(());
    };
    let id = i32::try_from(broker).map_err(io::Error::other)?;
    let at = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port(broker)?));
    while stop
        .run_until_cancelled(until(&mut wanted, true))
        .await
        .is_some()
    {
        let over = stop.child_token();
        let serve = async {
            let served = cluster.serve_broker(net.clone(), BrokerId(id), at, over.clone());
            let served = served.await;
            over.cancel();
            served
        };
        let unwanted = async {
            over.run_until_cancelled(until(&mut wanted, false)).await;
            over.cancel();
        };
        let (served, ()) = tokio::join!(biased; serve, unwanted);
        rig.listens(broker, false);
        served?;
    }
    Ok(())
}

async fn until(wanted: &mut watch::Receiver<bool>, is: bool) {
    // Whoever could change it lives as long as the rig.
    let _ = wanted.wait_for(|it| *it == is).await;
}
