//! doorkeeper as a script has it: the same configuration as on the direct backend.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use doorkeeper_core::Route;
use doorkeeper_core::id::{BrokerId, HostPort, Seed};
use doorkeeper_io_tokio::connection_rate::ConnectionRates;
use doorkeeper_io_tokio::limits::ListenerLimits;
use doorkeeper_io_tokio::serve::{Bind, Cluster, Context, Listener, Plan, Readiness};
use doorkeeper_io_tokio::silent::SilentLimits;
use doorkeeper_model::environment::{self, DOORKEEPER};
use doorkeeper_model::script::{ListenAddr, ProcessFault, Script, Step};
use tokio_util::sync::CancellationToken;

use super::recorder::Recorder;

/// What all sessions together may hold: more than any script asks for.
const HELD_BYTES_MAX: usize = 1 << 30;

/// Where clients find a listen address.
///
/// # Errors
/// There is no such port.
pub(super) fn place(doorkeeper: ListenAddr) -> Result<HostPort, String> {
    let (host, base) = DOORKEEPER;
    let port = match doorkeeper {
        ListenAddr::Bootstrap => base.checked_sub(1),
        ListenAddr::Broker(broker) => base.checked_add(broker.0.into()),
    };
    let port = port.ok_or("a listen address without a port")?;
    HostPort::new(host, port).map_err(|error| error.to_string())
}

/// What is served.
///
/// # Errors
/// There are not so many ports.
pub(super) fn plan(script: &Script) -> Result<Plan, String> {
    let setting = &script.setting;
    let snapshot = environment::snapshot(setting);
    let (_, base) = DOORKEEPER;
    let bind = |port: Option<u16>, route| {
        let port = port.ok_or("a listen address without a port")?;
        let at = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        Ok::<_, String>(Bind { at, route })
    };
    let mut binds = vec![bind(base.checked_sub(1), Route::Bootstrap)?];
    for broker in 0..setting.advertised {
        let route = Route::Broker(BrokerId(broker.into()));
        binds.push(bind(base.checked_add(broker.into()), route)?);
    }
    Ok(Plan {
        clusters: vec![Cluster {
            id: "main".into(),
            tls: None,
            identities: None,
            sends_proxy_header: false,
            discovery: environment::discovery(&snapshot),
        }],
        listeners: vec![Listener {
            id: "public".into(),
            cluster: "main".into(),
            tls: None,
            logins: None,
            handshake_timeout: Duration::from_secs(10),
            proxy_protocol: None,
            rates: ConnectionRates::default(),
            binds,
            snapshot,
            limits: ListenerLimits::default(),
            silent: SilentLimits::default(),
        }],
        drain_timeout: drain_timeout(script),
        buffered_bytes_max: HELD_BYTES_MAX,
        connections_max: usize::MAX,
    })
}

/// As the first drain of a script says.
fn drain_timeout(script: &Script) -> Duration {
    let tenths = script.steps.iter().find_map(|step| match step {
        Step::Process(ProcessFault::Drain(tenths)) => Some(*tenths),
        Step::Process(_)
        | Step::Client(..)
        | Step::Broker(..)
        | Step::Leader(..)
        | Step::Net(..)
        | Step::Heal
        | Step::Wait(_) => None,
    });
    Duration::from_millis(u64::from(tenths.unwrap_or(10)) * 100)
}

/// The environment of a doorkeeper that a token stops.
pub(super) fn context(
    script: &Script,
    plan: &Plan,
    recorder: &Arc<Recorder>,
    stop: &CancellationToken,
) -> Context {
    let (seed, asked) = (script.setting.seed, AtomicUsize::new(0));
    Context {
        observer: Arc::clone(recorder) as Arc<_>,
        // Discovery is the first to ask; nobody comes in before it knows the cluster.
        seed: Arc::new(move || match asked.fetch_add(1, Ordering::Relaxed) {
            0 => Seed([0; 32]),
            sessions => environment::session_seed(seed, sessions - 1),
        }),
        ready: Arc::new(Readiness::new(plan.clusters.iter().map(|it| it.id.clone()))),
        stop: stop.clone(),
        recorder: None,
        bulk: None,
        kill: CancellationToken::new(),
    }
}
