//! The order of a run: bring everything, then for each release a cluster, doorkeeper, scenarios.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use crate::catalog::Scenario;
use crate::certificates::Certificates;
use crate::clients::{Client, Kit};
use crate::cluster::{self, Cluster};
use crate::differences::Differences;
use crate::doorkeeper::{self, Doorkeeper, Front, Listener};
use crate::event::{self, Event};
use crate::folders::{self, RunFolder};
use crate::leak::Secrets;
use crate::metrics::Metrics;
use crate::ports::Ports;
use crate::report::{Report, say};
use crate::scenario::{self, ClientReport, Handover, Job, Way};
use crate::security::{BadCertificate, ClientTls, Security};
use crate::strict::{self, Strict};
use crate::tap::Flow;
use crate::versions::Versions;
use crate::{Args, bad_brokers, docs, every_api, kit, model, quickstart, rotation, selection};

/// What is the same for all scenarios of a release.
struct Stage {
    kit: Kit,
    /// Asked for its taps and counters.
    front: Option<Arc<Front>>,
    /// The addresses of the brokers for clients that come direct.
    direct: BTreeMap<Security, BTreeMap<String, String>>,
    /// Where a client that comes direct meets each bad certificate.
    bad_certificates: BTreeMap<BadCertificate, String>,
    certificates: Certificates,
    /// What no client may know.
    secrets: Secrets,
    /// The broker that denies what doorkeeper's strict listener denies, if anyone goes there.
    strict: BTreeMap<String, String>,
    logs: PathBuf,
}

/// The result of a job.
struct Outcome {
    job: Job,
    took: Duration,
    /// Why the first try failed, if there was a second one.
    first_failure: Option<String>,
    result: Result<ClientReport>,
}

impl Outcome {
    fn failure(&self) -> Option<String> {
        self.result.as_ref().err().map(|it| format!("{it:#}"))
    }
}

/// Clients have races of their own, and so have brokers: a job that fails on the direct side may
/// pass when it is played again. A failure through doorkeeper is final.
fn is_forgiven_once(job: &Job) -> bool {
    job.way == Way::Direct && !job.scenario.is_final
}

/// The jobs that failed direct and passed through doorkeeper.
fn direct_alone(outcomes: &[Outcome]) -> Vec<Job> {
    let passed_through = |direct: &Job| {
        outcomes.iter().any(|it| {
            it.job.way == Way::Through
                && it.job.client == direct.client
                && it.job.turn == direct.turn
                && it.result.is_ok()
        })
    };
    outcomes
        .iter()
        .filter(|it| it.job.way == Way::Direct && it.result.is_err() && passed_through(&it.job))
        .map(|it| it.job)
        .collect()
}

/// Replaces the outcomes of a first play by those of a second one, and keeps their failures.
fn replace(outcomes: &mut [Outcome], second: Vec<Outcome>) {
    for played in second {
        let is_same = |it: &&mut Outcome| {
            it.job.way == played.job.way
                && it.job.client == played.job.client
                && it.job.again().turn == played.job.turn
        };
        if let Some(first) = outcomes.iter_mut().find(is_same) {
            first.first_failure = first.failure();
            first.took += played.took;
            first.result = played.result;
        }
    }
}

/// All that runs against one release, while it runs.
struct Play {
    args: Arc<Args>,
    version: String,
    stage: Arc<Stage>,
    cluster: Cluster,
    strict: Option<Strict>,
    doorkeeper: Option<Doorkeeper>,
    report: Arc<Report>,
    outcomes: Vec<Outcome>,
}

/// Brings what is needed, and plays the releases side by side: much of the time each waits.
pub(crate) async fn run(args: &Arc<Args>) -> Result<ExitCode> {
    let versions = Versions::load()?;
    let differences = Arc::new(Differences::load()?);
    let releases = versions.select(&args.kafka)?;
    kit::check_installed().await?;
    let kits = kit::prepare(&versions, &releases).await?;
    if args.bring {
        return Ok(ExitCode::SUCCESS);
    }
    let rotation = match args.rotation {
        Some(rotation) => rotation,
        None => rotation::of_this_commit()?,
    };
    let chosen = selection::choose(args, &versions, &kits, rotation)?;
    if args.only.is_none() && !args.full {
        say(format!(
            "part {rotation} of all pairings; the same again: \
             cargo xtask conformance --rotation {rotation}"
        ));
    }
    folders::prune()?;
    let jobs = chosen.iter().map(|(_, jobs)| jobs.len()).sum();
    let report = Arc::new(Report::new(jobs));
    let mut plays = JoinSet::new();
    for (kit, jobs) in chosen {
        let (args, differences) = (Arc::clone(args), Arc::clone(&differences));
        let report = Arc::clone(&report);
        let model = model::wanted(&args, &versions, &kit.kafka.release.version);
        plays.spawn(async move {
            let version = kit.kafka.release.version.clone();
            let begun = Instant::now();
            let played = play(args, kit, jobs, &differences, model, Arc::clone(&report)).await;
            if let Err(error) = played {
                report.check(&version, "run", begun.elapsed(), Some(format!("{error:#}")));
            }
        });
    }
    while let Some(played) = plays.join_next().await {
        played.context("a release broke off")?;
    }
    report.print();
    if args.write_docs {
        docs::write(args.full, &report, &versions, &differences)?;
    }
    Ok(if report.failed() == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Everything against one release.
async fn play(
    args: Arc<Args>,
    kit: Kit,
    jobs: Vec<Job>,
    differences: &Differences,
    model: bool,
    report: Arc<Report>,
) -> Result<()> {
    let version = kit.kafka.release.version.clone();
    let run = RunFolder::create(&version, args.keep)?;
    say(format!("Kafka {version}: logs in {}", run.path().display()));
    let mut play = set_up(args, kit, &jobs, &run, report).await?;
    if model {
        // First: it asks for all topics, and there must be no others than its own.
        model::run(&play.version, &play.cluster, &run, &play.report).await?;
    }
    let (stage, report) = (Arc::clone(&play.stage), Arc::clone(&play.report));
    if bad_brokers::wanted(&play.args) {
        let doorkeeper = binary(&play.args)?;
        bad_brokers::run(&play.version, &play.cluster, &doorkeeper, &run, &report).await?;
    }
    let with_quickstart = quickstart::wanted(&play.args);
    let doorkeeper = binary(&play.args);
    // A cluster of its own, in memory.
    let quickstart = async {
        if with_quickstart {
            quickstart::run(&stage.kit, &doorkeeper?, &run, &report).await?;
        }
        Ok(())
    };
    let (played, served) = tokio::join!(play.scenarios(jobs), quickstart);
    played.and(served)?;
    play.compare(differences);
    // Last: it leaves many topics behind, which would be a burden when a broker restarts.
    play.every_api(&run).await?;
    if play.args.keep {
        play.keep().await;
    }
    play.finish().await
}

/// Starts all that runs against one release.
async fn set_up(
    args: Arc<Args>,
    kit: Kit,
    jobs: &[Job],
    run: &RunFolder,
    report: Arc<Report>,
) -> Result<Play> {
    let version = kit.kafka.release.version.clone();
    let ports = Ports::find(cluster::PORTS + doorkeeper::PORTS)?;
    let begun = Instant::now();
    let cluster = Cluster::start(&kit.kafka, ports.part(0, cluster::PORTS), run).await?;
    report.check(&version, "cluster_start", begun.elapsed(), None);
    let doorkeeper = if args.direct {
        None
    } else {
        let binary = binary(&args)?;
        let ports = ports.part(cluster::PORTS, doorkeeper::PORTS);
        Some(Doorkeeper::start(&binary, &cluster, ports, run).await?)
    };
    let strict = if goes_to_strict(jobs) {
        Some(Strict::start(&kit, Ports::find(strict::PORTS)?, run).await?)
    } else {
        None
    };
    let stage = Arc::new(Stage {
        front: doorkeeper.as_ref().map(|it| Arc::clone(it.front())),
        strict: strict.iter().map(Strict::node).collect(),
        logs: run.path().to_owned(),
        ..Stage::before(kit, &cluster)
    });
    Ok(Play {
        args,
        version,
        stage,
        cluster,
        strict,
        doorkeeper,
        report,
        outcomes: Vec::new(),
    })
}

fn goes_to_strict(jobs: &[Job]) -> bool {
    jobs.iter()
        .any(|it| it.scenario.is_strict && it.way == Way::Direct)
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

impl Play {
    /// First those that may run beside others, then the large ones, then those with an event.
    async fn scenarios(&mut self, jobs: Vec<Job>) -> Result<()> {
        let (events, others): (Vec<Job>, Vec<Job>) =
            jobs.into_iter().partition(|it| it.scenario.event.is_some());
        let (large, small): (Vec<Job>, Vec<Job>) =
            others.into_iter().partition(|it| it.scenario.is_large);
        self.together(small, self.args.jobs).await?;
        self.together(large, 1).await?;
        self.cluster.check_alive()?;
        let mut rest = events;
        while let Some(first) = rest.first() {
            let scenario = first.scenario;
            let (now, later): (Vec<Job>, Vec<Job>) = rest
                .into_iter()
                .partition(|it| it.scenario.name == scenario.name);
            self.with_event(&scenario, now).await?;
            self.cluster.check_alive()?;
            rest = later;
        }
        Ok(())
    }

    /// Runs jobs, some at a time.
    async fn together(&mut self, jobs: Vec<Job>, at_a_time: usize) -> Result<()> {
        let places = Arc::new(Semaphore::new(at_a_time.max(1)));
        let mut running = JoinSet::new();
        for job in jobs {
            let stage = Arc::clone(&self.stage);
            let places = Arc::clone(&places);
            running.spawn(async move {
                let _place = places.acquire_owned().await;
                stage.run(job).await
            });
        }
        while let Some(done) = running.join_next().await {
            self.record(done.context("a scenario broke off")?);
        }
        Ok(())
    }

    /// Runs all jobs of a scenario around its event. Those that failed on the direct side alone are
    /// played once more, with the event: doorkeeper took no part in the failure.
    async fn with_event(&mut self, scenario: &Scenario, jobs: Vec<Job>) -> Result<()> {
        let Some(event) = scenario.event else {
            return Ok(());
        };
        let mut outcomes = self.around_event(scenario, event, jobs).await?;
        let again = direct_alone(&outcomes);
        if !again.is_empty() {
            say(format!(
                "{}: {} failed on the direct side alone, a fault of the suite or of the cluster: \
                 played again",
                scenario.name,
                again.len()
            ));
            let jobs = again.iter().map(Job::again).collect();
            let second = self.around_event(scenario, event, jobs).await?;
            replace(&mut outcomes, second);
        }
        outcomes.into_iter().for_each(|it| self.record(it));
        Ok(())
    }

    /// Runs all jobs at once; when each has its records flowing, the event happens.
    async fn around_event(
        &mut self,
        scenario: &Scenario,
        event: Event,
        jobs: Vec<Job>,
    ) -> Result<Vec<Outcome>> {
        let (ready, mut waiting) = mpsc::channel::<()>(1);
        let (happened, done) = watch::channel(false);
        let mut running = JoinSet::new();
        for job in jobs {
            let stage = Arc::clone(&self.stage);
            let handover = Handover {
                ready: ready.clone(),
                done: done.clone(),
            };
            running.spawn(async move { stage.once(job, handover).await });
        }
        drop(ready);
        // Nothing is ever sent: the channel closes when all are ready, or have ended.
        waiting.recv().await;
        let begun = Instant::now();
        let doorkeeper = self.doorkeeper.as_mut();
        let topics = format!("{}-", scenario.name);
        let kit = &self.stage.kit;
        event
            .happen(&mut self.cluster, doorkeeper, kit, &topics)
            .await
            .with_context(|| format!("{event:?}"))?;
        let name = format!("{event:?}");
        self.report
            .check(&self.version, &name, begun.elapsed(), None);
        let _ = happened.send(true);
        let mut outcomes = Vec::new();
        while let Some(done) = running.join_next().await {
            outcomes.push(done.context("a scenario broke off")?);
        }
        Ok(outcomes)
    }

    fn record(&mut self, outcome: Outcome) {
        let failure = outcome.failure();
        let failures = [outcome.first_failure.clone(), failure];
        self.report
            .job(&self.version, &outcome.job, outcome.took, failures);
        self.outcomes.push(outcome);
    }

    /// Direct and through doorkeeper, a client must see the same.
    fn compare(&self, differences: &Differences) {
        let key = |job: &Job| (job.scenario.name, job.client, job.turn);
        let mut direct: BTreeMap<(&str, Client, u32), &ClientReport> = BTreeMap::new();
        for outcome in self.outcomes.iter().filter(|it| it.job.way == Way::Direct) {
            if let Ok(report) = &outcome.result {
                direct.insert(key(&outcome.job), report);
            }
        }
        for outcome in self.outcomes.iter().filter(|it| it.job.way == Way::Through) {
            let job = &outcome.job;
            let (Ok(through), Some(direct)) = (&outcome.result, direct.get(&key(job))) else {
                continue;
            };
            let name = job.scenario.name;
            let unexplained = differences.unexplained(name, &direct.agree, &through.agree);
            if !unexplained.is_empty() {
                self.report.comparison(&self.version, job, unexplained);
            }
        }
    }

    async fn every_api(&self, run: &RunFolder) -> Result<()> {
        let (Some(wanted), Some(front)) = (every_api::wanted(&self.args), &self.stage.front) else {
            return Ok(());
        };
        let (kit, cluster) = (&self.stage.kit, &self.cluster);
        every_api::run(kit, cluster, front, run, &wanted, &self.report).await
    }

    /// Leaves everything as it is, until the suite is interrupted.
    async fn keep(&self) {
        say(format!("brokers, direct: {}", self.cluster.bootstrap()));
        for (name, address) in self.cluster.advertised(Security::Plaintext) {
            say(format!("brokers advertise {name}, which is {address}"));
        }
        if let Some(front) = &self.stage.front {
            say(format!("doorkeeper: {}", front.bootstrap(Listener::Open)));
            say(format!(
                "doorkeeper's metrics: http://{}/metrics",
                front.admin()
            ));
        }
        say("kept until interrupted");
        std::future::pending::<()>().await;
    }

    async fn finish(mut self) -> Result<()> {
        self.cluster.check_alive()?;
        if let Some(mut doorkeeper) = self.doorkeeper {
            let begun = Instant::now();
            let flow = doorkeeper.front().taps().total();
            say(format!(
                "{} connections, {} bytes up, {} down",
                flow.connections, flow.up, flow.down
            ));
            let failure = doorkeeper.finish().await.err().map(|it| format!("{it:#}"));
            self.report
                .check(&self.version, "drain", begun.elapsed(), failure);
        }
        if let Some(strict) = self.strict {
            strict.kill().await?;
        }
        self.cluster.kill().await
    }
}

impl Stage {
    /// Without doorkeeper, and without what may run beside the cluster.
    fn before(kit: Kit, cluster: &Cluster) -> Self {
        let direct = |security| {
            let brokers = cluster.direct(security).into_iter();
            let brokers = brokers.map(|(id, it)| (id.to_string(), it)).collect();
            (security, brokers)
        };
        let bad = |bad| (bad, cluster.bad_certificate(bad));
        Self {
            kit,
            front: None,
            direct: Security::ALL.into_iter().map(direct).collect(),
            bad_certificates: BadCertificate::ALL.into_iter().map(bad).collect(),
            certificates: cluster.certificates().clone(),
            secrets: doorkeeper::secrets(cluster),
            strict: BTreeMap::new(),
            logs: PathBuf::new(),
        }
    }

    /// Runs a job, and once more under other names if it fails and that may be forgiven: the report
    /// says so.
    async fn run(&self, job: Job) -> Outcome {
        let begun = Instant::now();
        let mut result = self.attempt(&job, None).await;
        let mut first_failure = None;
        if let Err(error) = &result
            && is_forgiven_once(&job)
        {
            first_failure = Some(format!("{error:#}"));
            result = self.attempt(&job.again(), None).await;
        }
        Outcome {
            job,
            took: begun.elapsed(),
            first_failure,
            result,
        }
    }

    /// Runs a job around an event, which happens to others as well.
    async fn once(&self, job: Job, handover: Handover) -> Outcome {
        let begun = Instant::now();
        let result = self.attempt(&job, Some(handover)).await;
        Outcome {
            job,
            took: begun.elapsed(),
            first_failure: None,
            result,
        }
    }

    async fn attempt(&self, job: &Job, handover: Option<Handover>) -> Result<ClientReport> {
        match (job.way, &self.front) {
            (Way::Direct, _) => self.play_direct(job, handover).await,
            (Way::Through, Some(front)) => self.play_through(job, front, handover).await,
            (Way::Through, None) => Err(anyhow::anyhow!("doorkeeper does not run")),
        }
    }

    async fn play_direct(&self, job: &Job, handover: Option<Handover>) -> Result<ClientReport> {
        let brokers = if job.scenario.is_strict {
            &self.strict
        } else {
            self.direct(job.scenario.legs.client)?
        };
        let bootstrap: Vec<&str> = brokers.values().map(String::as_str).collect();
        let report = self.client(job, &bootstrap.join(","), handover).await?;
        if report.nodes != *brokers {
            bail!(
                "got the addresses {:?}, the brokers are {brokers:?}",
                report.nodes
            );
        }
        Ok(report)
    }

    async fn play_through(
        &self,
        job: &Job,
        front: &Front,
        handover: Option<Handover>,
    ) -> Result<ClientReport> {
        let before: Metrics = front.metrics().await?;
        let listener = job.scenario.listener();
        let bootstrap = front.bootstrap(listener);
        let result = self.client(job, &bootstrap, handover).await;
        let prefix = job.prefix();
        let leaks = front.taps().leaks(Some(&prefix));
        if !leaks.is_empty() {
            bail!("a client received: {}", leaks.join("\n    "));
        }
        let report = result?;
        let ids = self.direct(Security::Plaintext)?.keys();
        let ids = ids.filter_map(|it| it.parse().ok());
        let expected = front.advertised(listener, ids);
        if report.nodes != expected {
            bail!(
                "got the addresses {:?}, doorkeeper's are {expected:?}",
                report.nodes
            );
        }
        self.check_log(&prefix)?;
        let flow = if job.scenario.legs.client == Security::Plaintext {
            front.taps().flow(&prefix)
        } else {
            // The taps see no names of clients, so it is at least what the client itself counted.
            Flow {
                connections: 1,
                up: report.sent_bytes,
                down: report.received_bytes,
            }
        };
        if flow.up < report.sent_bytes || flow.down < report.received_bytes {
            bail!(
                "{} bytes sent and {} received, but the taps saw {flow:?}",
                report.sent_bytes,
                report.received_bytes,
            );
        }
        // The counters of a process end with it.
        if !job.scenario.event.is_some_and(Event::is_doorkeepers) {
            front.check_counted(&before, flow).await?;
        }
        if job.scenario.tries_bad_certificates() {
            front.check_bad_certificates(&before).await?;
        }
        Ok(report)
    }

    fn direct(&self, security: Security) -> Result<&BTreeMap<String, String>> {
        self.direct.get(&security).context("no such listener")
    }

    /// Over TLS no tap sees what a client received: a name of the cluster that it had learned would
    /// be a name that it cannot resolve, and it would say so.
    fn check_log(&self, prefix: &str) -> Result<()> {
        let log = std::fs::read_to_string(self.log(prefix)).context("the log of a client")?;
        match self.secrets.texts.iter().find(|it| log.contains(*it)) {
            Some(secret) => bail!("the log of a client has {secret}"),
            None => Ok(()),
        }
    }

    fn log(&self, prefix: &str) -> PathBuf {
        self.logs.join(format!("{prefix}.log"))
    }

    fn hand_bad_certificates(&self, way: Way, program: &mut Command) {
        BadCertificate::hand_all_to(program, &self.certificates, |bad| {
            match (way, &self.front) {
                (Way::Through, Some(front)) => front.bootstrap(Listener::of_bad_certificate(bad)),
                _ => self.bad_certificates.get(&bad).cloned().unwrap_or_default(),
            }
        });
    }

    async fn client(
        &self,
        job: &Job,
        bootstrap: &str,
        handover: Option<Handover>,
    ) -> Result<ClientReport> {
        if job.scenario.has_quota {
            let brokers = self.direct(Security::Plaintext)?;
            let bootstrap: Vec<&str> = brokers.values().map(String::as_str).collect();
            event::set_quota(&self.kit, &bootstrap.join(","), &job.prefix()).await?;
        }
        let log = self.log(&job.prefix());
        let mut command = self.kit.command(job.client).context("no such client")?;
        if let Some(tls) = ClientTls::good(job.scenario.legs.client, &self.certificates) {
            tls.hand_to(&mut command);
        }
        if job.scenario.tries_bad_certificates() {
            self.hand_bad_certificates(job.way, &mut command);
        }
        scenario::run(job, command, bootstrap, log, handover).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::SCENARIOS;

    fn outcome(client: Client, way: Way, turn: u32, failure: Option<&str>) -> Outcome {
        let job = Job {
            scenario: SCENARIOS[0],
            client,
            way,
            turn,
        };
        Outcome {
            job,
            took: Duration::from_secs(1),
            first_failure: None,
            result: match failure {
                Some(why) => Err(anyhow::anyhow!("{why}")),
                None => Ok(serde_json::from_str("{}").unwrap()),
            },
        }
    }

    #[test]
    fn no_failure_through_doorkeeper_is_forgiven_and_none_of_a_client_that_is_exact() {
        let forgiven = |name: &str, way| {
            let scenario = SCENARIOS.iter().find(|it| it.name == name).unwrap();
            let job = Job {
                scenario: *scenario,
                ..outcome(Client::Java, way, 0, None).job
            };
            is_forgiven_once(&job)
        };
        for scenario in SCENARIOS {
            assert!(!forgiven(scenario.name, Way::Through));
        }
        assert!(forgiven("group_classic", Way::Direct));
        for exact in ["half_close", "quota_throttle"] {
            assert!(!forgiven(exact, Way::Direct), "{exact}");
        }
    }

    #[test]
    fn what_failed_direct_and_passed_through_is_played_again() {
        let outcomes = [
            outcome(Client::Java, Way::Direct, 0, Some("alone")),
            outcome(Client::Java, Way::Through, 0, None),
            outcome(Client::Java, Way::Direct, 1, Some("on both ways")),
            outcome(Client::Java, Way::Through, 1, Some("on both ways")),
            outcome(Client::Kcat, Way::Direct, 0, None),
            outcome(Client::Kcat, Way::Through, 0, Some("through alone")),
            outcome(Client::Kafkajs, Way::Direct, 0, Some("not played through")),
        ];
        let again: Vec<String> = direct_alone(&outcomes).iter().map(Job::prefix).collect();
        assert_eq!(again, [outcomes[0].job.prefix()]);
    }

    #[test]
    fn a_second_play_takes_the_place_of_the_first_and_keeps_its_failure() {
        let mut outcomes = [
            outcome(Client::Java, Way::Direct, 0, Some("stuck")),
            outcome(Client::Java, Way::Through, 0, None),
        ];
        let mut second = outcome(Client::Java, Way::Direct, 0, None);
        second.job = second.job.again();
        replace(&mut outcomes, vec![second]);
        assert!(outcomes[0].result.is_ok());
        assert_eq!(outcomes[0].first_failure.as_deref(), Some("stuck"));
        assert_eq!(outcomes[0].job.turn, 0);
        assert_eq!(outcomes[1].first_failure, None);
    }
}
