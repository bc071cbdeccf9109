//! The order of things: bring everything, then for each release a cluster, doorkeeper, scenarios.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use crate::Args;
use crate::clients::{self, Client, Kit};
use crate::cluster::{self, Cluster};
use crate::doorkeeper::{self, Doorkeeper};
use crate::every_api;
use crate::folders::RunFolder;
use crate::kafka::Kafka;
use crate::metrics::Metrics;
use crate::ports::Ports;
use crate::report::{Report, say};
use crate::scenario::{self, Answer, Handover, Job, SCENARIOS, Way};
use crate::versions::Versions;

/// The broker that restarts: it leads partitions of every topic.
const RESTARTED: u16 = 2;

/// What is the same for all scenarios of a release.
struct Stage {
    kit: Kit,
    /// Held while its taps and counters are asked.
    doorkeeper: Option<Doorkeeper>,
    direct: BTreeMap<String, String>,
    logs: PathBuf,
}

/// What a job came to.
struct Outcome {
    job: Job,
    took: Duration,
    result: Result<Answer>,
}

pub(crate) async fn run(args: &Args) -> Result<ExitCode> {
    let versions = Versions::load()?;
    let releases = versions.select(&args.kafka)?;
    clients::check_installed().await?;
    let mut report = Report::new();
    let python = clients::python(&versions.python).await?;
    let mut kits = Vec::new();
    for release in &releases {
        // One after the other: Maven's local repository is not made for two at a time.
        let kafka = Kafka::bring(release, &versions.maven).await?;
        kits.push(Kit::prepare(kafka, &python).await?);
    }
    for kit in kits {
        let version = kit.kafka.release.version.clone();
        let begun = Instant::now();
        if let Err(error) = play(args, kit, &mut report).await {
            report.check(&version, "run", begun.elapsed(), Some(format!("{error:#}")));
        }
    }
    report.print();
    Ok(if report.failed() == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Everything against one release.
async fn play(args: &Args, kit: Kit, report: &mut Report) -> Result<()> {
    let version = kit.kafka.release.version.clone();
    let jobs = jobs(args, kit.kafka.release.major());
    let every_api = every_api::wanted(args);
    if jobs.is_empty() && every_api.is_none() {
        bail!(
            "--only {}: no such scenario",
            args.only.as_deref().unwrap_or_default()
        );
    }
    let run = RunFolder::create(&version, args.keep)?;
    say(format!("Kafka {version}: logs in {}", run.path().display()));
    let ports = Ports::find(cluster::PORTS + doorkeeper::PORTS)?;
    let begun = Instant::now();
    let mut cluster = Cluster::start(&kit.kafka, ports.part(0, cluster::PORTS), &run).await?;
    report.check(&version, "cluster_start", begun.elapsed(), None);
    let doorkeeper = if args.direct {
        None
    } else {
        let binary = binary(args)?;
        let ports = ports.part(cluster::PORTS, doorkeeper::PORTS);
        Some(Doorkeeper::start(&binary, &cluster, ports, &run).await?)
    };
    let direct = cluster
        .direct()
        .into_iter()
        .map(|(id, it)| (id.to_string(), it))
        .collect();
    let stage = Arc::new(Stage {
        kit,
        doorkeeper,
        direct,
        logs: run.path().to_owned(),
    });

    let mut outcomes = Vec::new();
    let (restarts, others): (Vec<Job>, Vec<Job>) =
        jobs.into_iter().partition(|it| it.scenario.restarts);
    together(&stage, others, args.jobs, &version, report, &mut outcomes).await?;
    cluster.check_alive()?;
    if !restarts.is_empty() {
        around_restart(
            &stage,
            restarts,
            &mut cluster,
            &version,
            report,
            &mut outcomes,
        )
        .await?;
    }
    compare(&outcomes, &version, report);
    // Last: it leaves many topics behind, which would be a burden when a broker restarts.
    if let (Some(only), Some(doorkeeper)) = (every_api, &stage.doorkeeper) {
        every_api::run(&stage.kit, &cluster, doorkeeper, &run, &only, report).await?;
    }
    cluster.check_alive()?;
    let stage = Arc::into_inner(stage).context("a scenario is still running")?;
    if let Some(mut doorkeeper) = stage.doorkeeper {
        let begun = Instant::now();
        let flow = doorkeeper.taps().total();
        say(format!(
            "{} connections, {} bytes up, {} down",
            flow.connections, flow.up, flow.down
        ));
        let failure = doorkeeper.finish().await.err().map(|it| format!("{it:#}"));
        report.check(&version, "drain", begun.elapsed(), failure);
    }
    cluster.kill().await
}

fn binary(args: &Args) -> Result<PathBuf> {
    if let Some(binary) = &args.doorkeeper {
        return Ok(binary.clone());
    }
    let own = std::env::current_exe().context("where is this program?")?;
    let binary = own.with_file_name("doorkeeper");
    if !binary.is_file() {
        bail!(
            "{} is not built: cargo build --bin doorkeeper",
            binary.display()
        );
    }
    Ok(binary)
}

fn jobs(args: &Args, major: u32) -> Vec<Job> {
    let ways: &[Way] = match (args.direct, args.through) {
        (true, _) => &[Way::Direct],
        (_, true) => &[Way::Through],
        (false, false) => &[Way::Through, Way::Direct],
    };
    let mut jobs = Vec::new();
    for scenario in SCENARIOS {
        for &(client, since) in scenario.clients {
            let wanted = args
                .only
                .as_deref()
                .is_none_or(|it| scenario.name.contains(it) || client.name().contains(it));
            if wanted && major >= since {
                jobs.extend(ways.iter().map(|&way| Job {
                    scenario: *scenario,
                    client,
                    way,
                }));
            }
        }
    }
    jobs
}

/// Runs jobs, some at a time.
async fn together(
    stage: &Arc<Stage>,
    jobs: Vec<Job>,
    at_a_time: usize,
    version: &str,
    report: &mut Report,
    outcomes: &mut Vec<Outcome>,
) -> Result<()> {
    let places = Arc::new(Semaphore::new(at_a_time.max(1)));
    let mut running = JoinSet::new();
    for job in jobs {
        let stage = Arc::clone(stage);
        let places = Arc::clone(&places);
        running.spawn(async move {
            let _place = places.acquire_owned().await;
            stage.run(job, None).await
        });
    }
    gather(running, version, report, outcomes).await
}

/// Runs all jobs at once; when each has its records flowing, a broker restarts.
async fn around_restart(
    stage: &Arc<Stage>,
    jobs: Vec<Job>,
    cluster: &mut Cluster,
    version: &str,
    report: &mut Report,
    outcomes: &mut Vec<Outcome>,
) -> Result<()> {
    let (ready, mut waiting) = mpsc::channel::<()>(1);
    let (restarted, done) = watch::channel(false);
    let mut running = JoinSet::new();
    for job in jobs {
        let stage = Arc::clone(stage);
        let handover = Handover {
            ready: ready.clone(),
            done: done.clone(),
        };
        running.spawn(async move { stage.run(job, Some(handover)).await });
    }
    drop(ready);
    // Nothing is ever sent: the channel closes when all are ready, or have ended.
    waiting.recv().await;
    let begun = Instant::now();
    cluster.restart(RESTARTED).await?;
    report.check(version, "broker_restart", begun.elapsed(), None);
    let _ = restarted.send(true);
    gather(running, version, report, outcomes).await
}

async fn gather(
    mut running: JoinSet<Outcome>,
    version: &str,
    report: &mut Report,
    outcomes: &mut Vec<Outcome>,
) -> Result<()> {
    while let Some(done) = running.join_next().await {
        let outcome = done.context("a scenario broke off")?;
        let failure = outcome.result.as_ref().err().map(|it| format!("{it:#}"));
        report.job(version, &outcome.job, outcome.took, failure);
        outcomes.push(outcome);
    }
    Ok(())
}

/// Direct and through doorkeeper, a client must see the same.
fn compare(outcomes: &[Outcome], version: &str, report: &mut Report) {
    let mut direct: BTreeMap<(&str, Client), &Answer> = BTreeMap::new();
    for outcome in outcomes.iter().filter(|it| it.job.way == Way::Direct) {
        if let Ok(answer) = &outcome.result {
            direct.insert((outcome.job.scenario.name, outcome.job.client), answer);
        }
    }
    for outcome in outcomes.iter().filter(|it| it.job.way == Way::Through) {
        let key = (outcome.job.scenario.name, outcome.job.client);
        let (Ok(through), Some(direct)) = (&outcome.result, direct.get(&key)) else {
            continue;
        };
        if through.agree != direct.agree {
            let why = format!("direct {}, through {}", direct.agree, through.agree);
            let name = format!("{}_agrees", key.0);
            report.check(version, &name, Duration::ZERO, Some(why));
        }
    }
}

impl Stage {
    async fn run(&self, job: Job, handover: Option<Handover>) -> Outcome {
        let begun = Instant::now();
        let result = match (job.way, &self.doorkeeper) {
            (Way::Direct, _) => self.direct(&job, handover).await,
            (Way::Through, Some(doorkeeper)) => self.through(&job, doorkeeper, handover).await,
            (Way::Through, None) => Err(anyhow::anyhow!("doorkeeper does not run")),
        };
        Outcome {
            job,
            took: begun.elapsed(),
            result,
        }
    }

    async fn direct(&self, job: &Job, handover: Option<Handover>) -> Result<Answer> {
        let bootstrap: Vec<&str> = self.direct.values().map(String::as_str).collect();
        let answer = self.client(job, &bootstrap.join(","), handover).await?;
        if answer.nodes != self.direct {
            bail!(
                "was told {:?}, the brokers are {:?}",
                answer.nodes,
                self.direct
            );
        }
        Ok(answer)
    }

    async fn through(
        &self,
        job: &Job,
        doorkeeper: &Doorkeeper,
        handover: Option<Handover>,
    ) -> Result<Answer> {
        let before: Metrics = doorkeeper.metrics().await?;
        let result = self.client(job, &doorkeeper.bootstrap(), handover).await;
        let prefix = job.prefix();
        let leaks = doorkeeper.taps().leaks(Some(&prefix));
        if !leaks.is_empty() {
            bail!("a client was told: {}", leaks.join("\n    "));
        }
        let answer = result?;
        let ids = self.direct.keys().filter_map(|it| it.parse().ok());
        let expected = doorkeeper.advertised(ids);
        if answer.nodes != expected {
            bail!("was told {:?}, doorkeeper's are {expected:?}", answer.nodes);
        }
        let flow = doorkeeper.taps().flow(&prefix);
        if flow.up < answer.sent_bytes || flow.down < answer.received_bytes {
            bail!(
                "{} bytes sent and {} received, but the taps saw {flow:?}",
                answer.sent_bytes,
                answer.received_bytes,
            );
        }
        doorkeeper.check_counted(&before, flow).await?;
        Ok(answer)
    }

    async fn client(
        &self,
        job: &Job,
        bootstrap: &str,
        handover: Option<Handover>,
    ) -> Result<Answer> {
        let log = self.logs.join(format!("{}.log", job.prefix()));
        let command = self.kit.command(job.client);
        scenario::run(job, command, bootstrap, log, handover).await
    }
}
