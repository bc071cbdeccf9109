//! `doorkeeper run`: serves until a signal stops it.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use doorkeeper_core::id::Seed;
use doorkeeper_io_tokio::admin;
use doorkeeper_io_tokio::bulk::Bulk;
use doorkeeper_io_tokio::config::Sources;
use doorkeeper_io_tokio::config::schema::Log;
use doorkeeper_io_tokio::logging::{self, LevelHandle, Logging, StartError};
use doorkeeper_io_tokio::metrics::Metrics;
use doorkeeper_io_tokio::net::TokioNet;
use doorkeeper_io_tokio::observers::Observers;
use doorkeeper_io_tokio::recorder::{self, Recorder};
use doorkeeper_io_tokio::serve::{self, Context, Plan, Readiness};
use doorkeeper_recording::Key;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

use crate::check;
use crate::cli::RunArgs;
use crate::descriptors;
use crate::failure::Failure;
use crate::reload::{ConfigFiles, Reloading, Trigger};

/// What a shell reports of a process that ended by this signal.
const SIGINT_EXIT: u8 = 128 + 2;
const SIGTERM_EXIT: u8 = 128 + 15;

/// How long the last lines of recordings may take when the process ends.
const RECORDER_FLUSH_WITHIN: Duration = Duration::from_secs(1);

/// Serves what the file says.
pub(crate) fn run(args: &RunArgs) -> Result<ExitCode, Failure> {
    let mut sources = Sources::default();
    let (loaded, compiled) = check::compiled(&args.config, &mut sources)?;
    let level = start_logging(&loaded.config.log, args.log.as_deref())?;
    check::log_warnings(&compiled);
    let serving = Serving {
        plan: compiled.plan,
        record: args.record.settings(),
        files: Some(ConfigFiles {
            file: loaded.file,
            config: loaded.config,
            sources,
            level,
        }),
        stop: CancellationToken::new(),
    };
    block_on(serving.run(|| ()))
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

pub(crate) fn start_logging(log: &Log, filter: Option<&str>) -> Result<LevelHandle, Failure> {
    logging::start(log, filter).map_err(|error| match error {
        StartError::Filter { .. } | StartError::NotUtf8 => Failure::Usage(error.to_string()),
        StartError::System(_) => Failure::Runtime(error.into()),
    })
}

/// What one process serves.
pub(crate) struct Serving {
    pub(crate) plan: Plan,
    /// Where sessions are recorded, if they are.
    pub(crate) record: Option<recorder::Settings>,
    /// What can be reloaded, if anything can.
    pub(crate) files: Option<ConfigFiles>,
    /// Stops it in order.
    pub(crate) stop: CancellationToken,
}

impl Serving {
    /// Serves until a signal, or until `stop` is cancelled. Calls `when_ready` once all clusters
    /// have been discovered.
    pub(crate) async fn run(
        self,
        when_ready: impl FnOnce() + Send + 'static,
    ) -> Result<ExitCode, Failure> {
        let Self {
            mut plan,
            record,
            files,
            stop,
        } = self;
        let descriptors = descriptors::raise();
        let descriptors = descriptors.map(|it| usize::try_from(it).unwrap_or(usize::MAX));
        if let Some(descriptors) = descriptors {
            plan.connections_max = plan.connections_within(descriptors);
        }
        let metrics = Arc::new(Metrics::new(plan.listeners.iter().map(|it| it.id.clone())));
        metrics.reloads().serves(&plan);
        let recorder = record.map(|it| start_recorder(&it, &metrics)).transpose()?;
        let clusters = plan.clusters.iter().map(|it| it.id.clone());
        let ready = Arc::new(Readiness::new(clusters));
        let net = TokioNet::default();
        let admin = files.as_ref().and_then(|it| it.config.admin.as_ref());
        let (bound, admin) = bind(&net, &plan, admin.map(|it| it.bind.0)).await?;
        let trigger = Trigger::default();
        let signals = StopSignals::handle(&stop, &trigger)?;
        let watched = Watched::new(&stop);
        if let Some(listener) = admin {
            let serving = admin::serve(listener, Arc::clone(&ready), Arc::clone(&metrics));
            watched.watch("the admin listener", serving);
        }
        if let Some(files) = files {
            let reloading = Reloading {
                files,
                reloader: bound.reloader(),
                reloads: metrics.reloads(),
                descriptors,
                trigger,
            };
            watched.watch("reloading", reloading.run());
        }
        let waited = Arc::clone(&ready);
        tokio::spawn(async move {
            waited.until_ready().await;
            when_ready();
        });
        let context = context(metrics, recorder.clone(), ready, stop, signals.kill.clone())?;
        // Its text holds its cause already.
        let served = serve::serve_bound(net, plan, bound, context).await;
        if let Some(recorder) = recorder {
            recorder.flush(RECORDER_FLUSH_WITHIN);
        }
        served.map_err(|error| anyhow::anyhow!("{error}"))?;
        watched.failed()?;
        if let Some(exit) = signals.exit.get() {
            return Ok(ExitCode::from(*exit));
        }
        tracing::info!("stopped");
        Ok(ExitCode::SUCCESS)
    }
}

/// What serving needs from this process.
fn context(
    metrics: Arc<Metrics>,
    recorder: Option<Recorder>,
    ready: Arc<Readiness>,
    stop: CancellationToken,
    kill: CancellationToken,
) -> io::Result<Context> {
    // Never given out itself: seeds of sessions stand in recordings.
    let spare: Seed = entropy()?;
    let draws = AtomicU64::new(0);
    Ok(Context {
        // A count comes before its line.
        observer: Arc::new(Observers::new([
            metrics as _,
            Arc::new(Logging::default()) as _,
        ])),
        // One draw shows that the system has entropy; afterwards it cannot fail. If it does all
        // the same, no two draws may be alike, or nonces would be.
        seed: Arc::new(move || {
            entropy().unwrap_or_else(|_| derived(&spare, draws.fetch_add(1, Ordering::Relaxed)))
        }),
        recorder,
        bulk: Some(Bulk::default()),
        ready,
        stop,
        kill,
    })
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

/// Tasks that must not end.
struct Watched {
    ended: Arc<OnceLock<(&'static str, JoinError)>>,
    stop: CancellationToken,
}

impl Watched {
    fn new(stop: &CancellationToken) -> Self {
        Self {
            ended: Arc::default(),
            stop: stop.clone(),
        }
    }

    /// Runs what must not end. If it does all the same, nobody would notice: so doorkeeper stops.
    fn watch(&self, what: &'static str, task: impl Future<Output = Infallible> + Send + 'static) {
        let (ended, stop) = (Arc::clone(&self.ended), self.stop.clone());
        let task = tokio::spawn(task);
        tokio::spawn(async move {
            match task.await {
                Ok(never) => match never {},
                Err(error) => {
                    let _ = ended.set((what, error));
                    stop.cancel();
                }
            }
        });
    }

    /// Fails if one of them has ended.
    fn failed(&self) -> Result<(), anyhow::Error> {
        match self.ended.get() {
            Some((what, error)) => Err(anyhow::anyhow!("{what} failed: {error}")),
            None => Ok(()),
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
    /// Handles signals from now on.
    fn handle(stop: &CancellationToken, trigger: &Trigger) -> io::Result<Arc<Self>> {
        let all = Arc::new(Self {
            stop: stop.clone(),
            kill: CancellationToken::new(),
            exit: OnceLock::new(),
        });
        for (kind, exit) in [
            (SignalKind::terminate(), SIGTERM_EXIT),
            (SignalKind::interrupt(), SIGINT_EXIT),
        ] {
            let all = Arc::clone(&all);
            on_signal(kind, move || all.received(exit))?;
        }
        let trigger = trigger.clone();
        on_signal(SignalKind::hangup(), move || trigger.request())?;
        Ok(all)
    }

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

/// Does this at each signal of a kind from now on.
fn on_signal(kind: SignalKind, act: impl Fn() + Send + 'static) -> io::Result<()> {
    let mut signals = signal(kind)?;
    tokio::spawn(async move {
        while signals.recv().await.is_some() {
            act();
        }
    });
    Ok(())
}

/// Another seed for each number, which nobody can guess without the first.
fn derived(from: &Seed, number: u64) -> Seed {
    let hash = Sha256::new().chain_update(from.0);
    Seed(hash.chain_update(number.to_be_bytes()).finalize().into())
}

fn entropy() -> io::Result<Seed> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(io::Error::other)?;
    Ok(Seed(seed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_without_entropy_is_another_each_time() {
        let spare = Seed([3; 32]);
        let drawn = [0, 1, 2].map(|number| derived(&spare, number));
        assert!(drawn[0] != drawn[1] && drawn[1] != drawn[2] && drawn[0] != drawn[2]);
        assert!(!drawn.contains(&spare));
        assert_ne!(derived(&Seed([4; 32]), 0), drawn[0]);
    }
}
