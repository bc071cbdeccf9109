//! `doorkeeper run`: serves until it is told to stop.

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use doorkeeper_core::id::Seed;
use doorkeeper_io_tokio::admin;
use doorkeeper_io_tokio::answers::Unanswered;
use doorkeeper_io_tokio::config::schema::Log;
use doorkeeper_io_tokio::logging::{self, StartError};
use doorkeeper_io_tokio::metrics::Metrics;
use doorkeeper_io_tokio::net::TokioNet;
use doorkeeper_io_tokio::serve::{self, Context, Plan, Readiness};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::check;
use crate::cli::RunArgs;
use crate::descriptors;
use crate::failure::Failure;

/// What a shell reports of a process that ended by this signal.
const SIGINT_EXIT: u8 = 128 + 2;
const SIGTERM_EXIT: u8 = 128 + 15;

/// Serves what the file says.
pub(crate) fn run(args: &RunArgs) -> Result<ExitCode, Failure> {
    let (loaded, compiled) = check::compiled(&args.config)?;
    start_logging(&loaded.config.log, args.log.as_deref())?;
    for problem in &compiled.warnings.problems {
        tracing::warn!(file = %loaded.file, line = problem.at.line, path = %problem.path,
            "{}", problem.message);
    }
    let runtime = runtime()?;
    let admin = loaded.config.admin.map(|admin| admin.bind.0);
    runtime.block_on(served(compiled.plan, admin, CancellationToken::new()))
}

pub(crate) fn start_logging(log: &Log, filter: Option<&str>) -> Result<(), Failure> {
    logging::start(log, filter).map_err(|error| match error {
        StartError::Filter { .. } | StartError::NotUtf8 => Failure::Usage(error.to_string()),
        StartError::System(_) => Failure::Runtime(error.into()),
    })
}

pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    Ok(runtime.context("cannot start the runtime")?)
}

/// Serves the plan until a signal, or until `stop` is cancelled.
pub(crate) async fn served(
    plan: Plan,
    admin_at: Option<SocketAddr>,
    stop: CancellationToken,
) -> Result<ExitCode, Failure> {
    descriptors::raise();
    let seed: Seed = entropy()?;
    // One draw shows that the system has entropy; afterwards it cannot fail.
    let draw = move || entropy().unwrap_or(seed);
    let clusters = plan.clusters.iter().map(|it| Arc::clone(&it.name));
    let metrics = Arc::new(Metrics::new(
        plan.listeners.iter().map(|it| Arc::clone(&it.name)),
    ));
    let ready = Arc::new(Readiness::new(clusters));
    if let Some(at) = admin_at {
        let listener = TcpListener::bind(at).await;
        let listener = listener.with_context(|| format!("admin: cannot bind {at}"))?;
        tokio::spawn(admin::serve(
            listener,
            Arc::clone(&ready),
            Arc::clone(&metrics),
        ));
    }
    let context = Context {
        observer: metrics,
        answers: Arc::new(Unanswered),
        seed: Arc::new(draw),
        ready,
        stop: stop.clone(),
        kill: CancellationToken::new(),
    };
    let terminate = signal(SignalKind::terminate())?;
    let interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(obey(terminate, stop.clone(), SIGTERM_EXIT));
    tokio::spawn(obey(interrupt, stop, SIGINT_EXIT));
    // Its text holds its cause already.
    let served = serve::serve(TokioNet, plan, context).await;
    served.map_err(|error| anyhow::anyhow!("{error}"))?;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// The first signal of any kind begins the drain, the next one ends the process at once.
async fn obey(mut signals: Signal, stop: CancellationToken, exit: u8) {
    while signals.recv().await.is_some() {
        if stop.is_cancelled() {
            std::process::exit(exit.into());
        }
        stop.cancel();
    }
}

fn entropy() -> io::Result<Seed> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(io::Error::other)?;
    Ok(Seed(seed))
}
