//! The conversation on a simulated network.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use doorkeeper_core::id::{BrokerId, HostPort};
use doorkeeper_core::time::Instant;
use doorkeeper_host::{BrokerConfig, Clock, Handle, HostConfig};
use doorkeeper_io_tokio::serve;
use tokio_util::sync::CancellationToken;

use super::conversation::Talker;
use super::{ADVERTISED, BROKER_IDS, Binds, Recorder, SEED, broker_name, context, doors, plan};
use crate::choppy::{Choppy, Habits};
use crate::net::{Hub, TurmoilNet};
use crate::tap::{Tap, Tape};

/// Runs it, in pieces as the habits say.
///
/// # Errors
/// It could not be said.
pub fn on_turmoil(seed: u64, habits: Habits) -> Result<String, String> {
    let mut sim = turmoil::Builder::new()
        .rng_seed(seed)
        .epoch(SystemTime::UNIX_EPOCH)
        .simulation_duration(Duration::from_secs(3600))
        .max_message_latency(Duration::from_millis(5))
        .tcp_capacity(1 << 16)
        .build();
    let hub = Hub::new(64 << 10);
    let stop = CancellationToken::new();
    let cluster = cluster()?;
    let timed = cluster.clone();
    sim.host("controller", move || {
        let cluster = timed.clone();
        async move {
            cluster.keep_time(CancellationToken::new()).await;
            Ok(())
        }
    });
    for id in BROKER_IDS {
        let (cluster, net) = (cluster.clone(), TurmoilNet::new(&hub));
        sim.host(broker_name(id), move || {
            let (cluster, net) = (cluster.clone(), net.clone());
            let at = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 9092));
            async move {
                Ok(cluster
                    .serve_broker(net, id, at, CancellationToken::new())
                    .await?)
            }
        });
    }
    let (tape, recorder) = (Tape::default(), Arc::new(Recorder::default()));
    let plan = plan(&at("0.0.0.0")?, &[])?;
    let context = context(&plan, &recorder, &stop);
    let net = Choppy::new(TurmoilNet::new(&hub), seed, habits);
    let net = Tap::new(net, tape.clone());
    sim.host(ADVERTISED.0, move || {
        let (net, plan, context) = (net.clone(), plan.clone(), context.clone());
        async move { Ok(serve::serve(net, plan, context).await?) }
    });
    let (net, doors) = (TurmoilNet::new(&hub), at(ADVERTISED.0)?);
    let quiet = Arc::clone(&recorder);
    sim.client("talker", async move {
        quiet.ready().await;
        Talker { net, doors }.talk().await?;
        quiet.quiet().await;
        Ok(())
    });
    sim.run().map_err(|error| error.to_string())?;
    Ok(super::transcript::transcript(&tape, &recorder))
}

fn cluster() -> Result<Handle, String> {
    let clock: Clock = Arc::new(|| {
        let elapsed = turmoil::sim_elapsed().unwrap_or_default();
        Instant::ZERO.after(elapsed)
    });
    let brokers: Vec<BrokerConfig> = BROKER_IDS
        .into_iter()
        .map(|id| {
            let advertised = HostPort::new(&broker_name(id), 9092);
            Ok(BrokerConfig {
                id,
                bind: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 9092)),
                advertised: advertised.map_err(|error| error.to_string())?,
            })
        })
        .collect::<Result<_, String>>()?;
    Ok(Handle::new(HostConfig::new(brokers, SEED), clock))
}

/// All doors at their advertised ports of a host.
fn at(host: &str) -> Result<Binds, String> {
    let bind = |door: Option<BrokerId>| {
        let port = i32::from(ADVERTISED.1) + door.map_or(0, |id| id.0);
        let port = u16::try_from(port).map_err(|error| error.to_string())?;
        let at = HostPort::new(host, port).map_err(|error| error.to_string())?;
        Ok((door, at))
    };
    doors().map(bind).collect()
}
