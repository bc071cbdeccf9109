//! A script on a simulated network.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use doorkeeper_core::time::Instant;
use doorkeeper_host::Clock;
use doorkeeper_io_tokio::recorder::Recorder as SessionRecorder;
use doorkeeper_io_tokio::serve::{self, Context};
use doorkeeper_model::environment::{self, DOORKEEPER};
use doorkeeper_model::script::Script;
use tokio_util::sync::CancellationToken;

use super::clients::Clients;
use super::names::NamedNet;
use super::player::Player;
use super::recorder::Recorder;
use super::rig::Rig;
use super::wait_limits::WaitLimits;
use super::{brokers, doorkeeper, transcripts};
use crate::choppy::{Choppy, FaultRates};
use crate::net::{Hub, TurmoilNet};
use crate::tap::{Tap, Tape};

/// Plays a script there, in pieces as the fault rates say, and gives its transcript.
///
/// # Errors
/// It could not be played.
pub fn on_turmoil(script: &Script, seed: u64, fault_rates: FaultRates) -> Result<String, String> {
    run(script, seed, fault_rates, None)
}

/// The same, with a recording of each session.
///
/// # Errors
/// It could not be played.
pub fn recorded_on_turmoil(
    script: &Script,
    seed: u64,
    fault_rates: FaultRates,
    sessions: SessionRecorder,
) -> Result<String, String> {
    run(script, seed, fault_rates, Some(sessions))
}

fn run(
    script: &Script,
    seed: u64,
    fault_rates: FaultRates,
    sessions: Option<SessionRecorder>,
) -> Result<String, String> {
    let mut sim = turmoil::Builder::new()
        .rng_seed(seed)
        .epoch(SystemTime::UNIX_EPOCH)
        .simulation_duration(Duration::from_secs(3600))
        .max_message_latency(Duration::from_millis(5))
        .tcp_capacity(1 << 16)
        .build();
    let hub = Hub::new(64 << 10);
    let clock: Clock = Arc::new(|| {
        let elapsed = turmoil::sim_elapsed().unwrap_or_default();
        Instant::ZERO.after(elapsed)
    });
    let cluster = brokers::cluster(&script.setting, clock)?;
    let rig = Rig::new(environment::brokers(&script.setting));
    {
        let (net, cluster, rig) = (TurmoilNet::new(&hub), cluster.clone(), rig.clone());
        sim.host(brokers::HOST, move || {
            let (net, cluster, rig) = (net.clone(), cluster.clone(), rig.clone());
            async move { Ok(brokers::run(net, cluster, rig, CancellationToken::new()).await?) }
        });
    }
    let (stop, recorder, tape) = (
        CancellationToken::new(),
        Arc::new(Recorder::default()),
        Tape::default(),
    );
    let plan = doorkeeper::plan(script)?;
    let context = Context {
        recorder: sessions,
        ..doorkeeper::context(script, &plan, &recorder, &stop)
    };
    let net = Choppy::new(TurmoilNet::new(&hub), seed, fault_rates);
    let net = Tap::new(NamedNet::new(net, rig.clone()), tape.clone());
    sim.host(DOORKEEPER.0, move || {
        let (net, plan, context) = (net.clone(), plan.clone(), context.clone());
        async move { Ok(serve::serve(net, plan, context).await?) }
    });
    let player = Player {
        clients: Clients::new(TurmoilNet::new(&hub)),
        rig,
        cluster,
        recorder: Arc::clone(&recorder),
        stop,
        wait_limits: WaitLimits::VIRTUAL,
    };
    let played = Arc::new(Mutex::new(Vec::new()));
    let (script, sessions) = (script.clone(), Arc::clone(&played));
    sim.client("player", async move {
        let clients = player.play(&script).await?;
        *sessions.lock().unwrap_or_else(PoisonError::into_inner) = clients;
        Ok(())
    });
    sim.run().map_err(|error| error.to_string())?;
    let clients = played.lock().unwrap_or_else(PoisonError::into_inner);
    transcripts::transcript(&tape, &recorder, &clients)
}
