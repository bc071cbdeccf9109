//! `doorkeeper run`: serves until a signal stops it.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use doorkeeper_core::id::Seed;
use doorkeeper_io_tokio::admin;
use doorkeeper_io_tokio::bulk::Bulk;
use doorkeeper_io_tokio::config::schema::Log;
use doorkeeper_io_tokio::logging::{self, Logging, StartError};
use doorkeeper_io_tokio::metrics::Metrics;
use doorkeeper_io_tokio::net::TokioNet;
use doorkeeper_io_tokio::observers::Observers;
use doorkeeper_io_tokio::recorder::{self, Recorder};
use doorkeeper_io_tokio::serve::{self, Context, Plan, Readiness};
use doorkeeper_recording::Key;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

use crate::check;
use crate::cli::RunArgs;
use crate::descriptors;
use crate::failure::Failure;

/// What a shell reports of a process that ended by this signal.
const SIGINT_EXIT: u8 = 128 + 2;
const SIGTERM_EXIT: u8 = 128 + 15;

/// How long the last lines of recordings may take when the process ends.
const RECORDER_FLUSH_WITHIN: Duration = Duration::from_secs(1);

/// Serves what the file says.
pub(crate) fn run(args: &RunArgs) -> Result<ExitCode, Failure> {
    let (loaded, compiled) = check::compiled(&args.config)?;
    start_logging(&loaded.config.log, args.log.as_deref())?;
    for problem in &compiled.warnings.problems {
        tracing::warn!(file = %loaded.file, line = problem.at.line, path = %problem.path,
            "{}", problem.message);
    }
    let admin = loaded.config.admin.map(|admin| admin.bind.0);
    let stop = CancellationToken::new();
    let record = args.record.settings();
    block_on(served(compiled.plan, admin, record, stop, || ()))
}

/// Runs to its end on a new runtime. What is still under way then is left behind: a look-up in a
/// resolver that hangs is a thread that nobody can end.
pub(crate) fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = runtime.context("cannot start the runtime")?;
    let output = runtime.block_on(future);
    runtime.shutdown_background();
    output
}

pub(crate) fn start_logging(log: &Log, filter: Option<&str>) -> Result<(), Failure> {
    logging::start(log, filter).map_err(|error| match error {
        StartError::Filter { .. } | StartError::NotUtf8 => Failure::Usage(error.to_string()),
        StartError::System(_) => Failure::Runtime(error.into()),
    })
}

/// Serves the plan until a signal, or until `stop` is cancelled. Calls `ready` once all clusters
/// have been discovered.
pub(crate) async fn served(
    mut plan: Plan,
    admin_at: Option<SocketAddr>,
    record: Option<recorder::Settings>,
    stop: CancellationToken,
    when_ready: impl FnOnce() + Send + 'static,
) -> Result<ExitCode, Failure> {
    if let Some(descriptors) = descriptors::raise() {
        let descriptors = usize::try_from(descriptors).unwrap_or(usize::MAX);
        plan.connections_max = plan.connections_within(descriptors);
    }
    let seed: Seed = entropy()?;
    // One draw shows that the system has entropy; afterwards it cannot fail.
    let draw = move || entropy().unwrap_or(seed);
    let clusters = plan.clusters.iter().map(|it| it.id.clone());
    let metrics = Arc::new(Metrics::new(plan.listeners.iter().map(|it| it.id.clone())));
    let recorder = record.map(|it| start_recorder(&it, &metrics)).transpose()?;
    let ready = Arc::new(Readiness::new(clusters));
    let net = TokioNet::default();
    let (bound, admin) = bind(&net, &plan, admin_at).await?;
    let kill = CancellationToken::new();
    let signals = Arc::new(StopSignals {
        stop: stop.clone(),
        kill: kill.clone(),
        exit: OnceLock::new(),
    });
    handle_signals(&signals)?;
    let watched = Arc::new(OnceLock::new());
    if let Some(listener) = admin {
        let serving = admin::serve(listener, Arc::clone(&ready), Arc::clone(&metrics));
        tokio::spawn(watch(serving, Arc::clone(&watched), stop.clone()));
    }
    let waited = Arc::clone(&ready);
    tokio::spawn(async move {
        waited.until_ready().await;
        when_ready();
    });
    let context = Context {
        // A count comes before its line.
        observer: Arc::new(Observers::new([
            metrics as _,
            Arc::new(Logging::default()) as _,
        ])),
        seed: Arc::new(draw),
        recorder: recorder.clone(),
        bulk: Some(Bulk::default()),
        ready,
        stop,
        kill,
    };
    // Its text holds its cause already.
    let served = serve::serve_bound(net, plan, bound, context).await;
    if let Some(recorder) = recorder {
        recorder.flush(RECORDER_FLUSH_WITHIN);
    }
    served.map_err(|error| anyhow::anyhow!("{error}"))?;
    if let Some(error) = watched.get() {
        return Err(anyhow::anyhow!("the admin listener failed: {error}").into());
    }
    if let Some(exit) = signals.exit.get() {
        return Ok(ExitCode::from(*exit));
    }
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

fn start_recorder(settings: &recorder::Settings, metrics: &Metrics) -> Result<Recorder, Failure> {
    let key = Key(entropy()?.0);
    let started = Recorder::start(settings, key, metrics.recordings());
    let dir = settings.dir.display();
    let recorder = started.with_context(|| format!("cannot record in {dir}"))?;
    tracing::warn!(%dir, "sessions are recorded, without payloads");
    Ok(recorder)
}

/// Binds everything, or names all that cannot be bound.
async fn bind(
    net: &TokioNet,
    plan: &Plan,
    admin_at: Option<SocketAddr>,
) -> Result<(serve::Bound<TokioNet>, Option<TcpListener>), Failure> {
    let bound = serve::bind(net, plan).await;
    let mut failed: Vec<String> = bound
        .as_ref()
        .err()
        .map(ToString::to_string)
        .into_iter()
        .collect();
    let mut admin = None;
    if let Some(at) = admin_at {
        match TcpListener::bind(at).await {
            Ok(listener) => admin = Some(listener),
            Err(error) => failed.push(format!("admin: cannot bind {at}: {error}")),
        }
    }
    match bound {
        Ok(bound) if failed.is_empty() => Ok((bound, admin)),
        Ok(_) | Err(_) => Err(Failure::Runtime(anyhow::anyhow!(failed.join("; ")))),
    }
}

/// Runs what must not end. If it does all the same, nobody would notice: so doorkeeper stops.
async fn watch(
    task: impl Future<Output = Infallible> + Send + 'static,
    ended: Arc<OnceLock<JoinError>>,
    stop: CancellationToken,
) {
    match tokio::spawn(task).await {
        Ok(never) => match never {},
        Err(error) => {
            let _ = ended.set(error);
            stop.cancel();
        }
    }
}

/// What the signals of this process ask for.
struct StopSignals {
    stop: CancellationToken,
    kill: CancellationToken,
    /// The exit code, once a second signal has come.
    exit: OnceLock<u8>,
}

impl StopSignals {
    /// The first signal of any kind begins the drain, the next one drops what is left, and a third
    /// one does not wait for anything.
    fn received(&self, exit: u8) {
        if !self.stop.is_cancelled() {
            self.stop.cancel();
        } else if self.exit.set(exit).is_ok() {
            self.kill.cancel();
        } else {
            std::process::exit(exit.into());
        }
    }
}

/// Handles signals from now on.
fn handle_signals(stop: &Arc<StopSignals>) -> io::Result<()> {
    for (kind, exit) in [
        (SignalKind::terminate(), SIGTERM_EXIT),
        (SignalKind::interrupt(), SIGINT_EXIT),
    ] {
        let (mut signals, stop) = (signal(kind)?, Arc::clone(stop));
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                stop.received(exit);
            }
        });
    }
    // Sent by people who expect the configuration to be read again, and by terminals that close:
    // neither is a reason to drop connections.
    let mut signals = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while signals.recv().await.is_some() {
            tracing::warn!("SIGHUP is ignored: no reload yet, restart to change the configuration");
        }
    });
    Ok(())
}

fn entropy() -> io::Result<Seed> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(io::Error::other)?;
    Ok(Seed(seed))
}
