//! Every API at every version: requests of Kafka's own message classes go to a broker directly and
//! through doorkeeper, and both responses are compared field by field.
//!
//! The requests are a Java program (`java/probe`), because Kafka's classes are Java; the
//! comparison is here, and what may differ is listed in `every_api.toml`.

mod compare;
mod coverage;
mod leaks;
mod line;
mod log;
mod names;
mod rules;
mod table;
mod without_addresses;
mod world;

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use crate::Args;
use crate::clients::Kit;
use crate::cluster::Cluster;
use crate::compare::{Difference, UsedRules};
use crate::doorkeeper::{self, Front, Listener};
use crate::folders::{self, RunFolder};
use crate::metrics::{CLOSED, Metrics, Pattern};
use crate::process;
use crate::report::Report;
use crate::security::Security;
use coverage::Coverage;
use line::{Case, Line, UnforwardedRequest};
use table::Table;
use world::World;

const NAME: &str = "every_api";
/// The broker that both ways lead to.
const BROKER: u16 = 1;
const CLIENT_ID: &str = "every_api.probe";
/// Half a minute on two cores that do nothing else.
const TIME_LIMIT: Duration = Duration::from_secs(150);
/// Sessions are counted when they have ended, a little after the client sees it.
const METRICS_WITHIN: Duration = Duration::from_secs(5);

/// Whether `--only` asks for this: for all APIs, or for the one that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiFilter {
    api: Option<String>,
}

pub(crate) fn wanted(args: &Args) -> Option<ApiFilter> {
    // It compares two ways, so it takes both.
    if args.direct || args.through {
        return None;
    }
    let Some(only) = &args.only else {
        return Some(ApiFilter { api: None });
    };
    let rest = only.strip_prefix(NAME)?;
    let api = rest.strip_prefix('/').map(str::to_owned);
    (rest.is_empty() || api.is_some()).then_some(ApiFilter { api })
}

impl ApiFilter {
    fn includes(&self, api: &str) -> bool {
        self.api
            .as_deref()
            .is_none_or(|it| it.eq_ignore_ascii_case(api))
    }
}

/// All lines of the program.
#[derive(Debug, Default)]
struct ProbeOutput {
    cases: Vec<Case>,
    not_forwarded: Vec<UnforwardedRequest>,
    failures: Vec<String>,
}

pub(crate) async fn run(
    kit: &Kit,
    cluster: &Cluster,
    front: &Front,
    run: &RunFolder,
    wanted: &ApiFilter,
    report: &Report,
) -> Result<()> {
    let kafka = &kit.kafka.release.version;
    let table = Table::load()?;
    let before = front.metrics().await?;
    let begun = Instant::now();
    let asked = ask(kit.program("probe.Probe"), cluster, front, run).await;
    let output = match asked {
        Ok(output) => output,
        Err(error) => {
            report.check(kafka, NAME, begun.elapsed(), Some(format!("{error:#}")));
            return Ok(());
        }
    };
    let failure = (!output.failures.is_empty()).then(|| output.failures.join("; "));
    report.check(kafka, NAME, begun.elapsed(), failure);
    let world = world(kafka, cluster, front, &output)?;
    let evaluation = Evaluation::new(&world, &table, &output, run)?;
    let reported = evaluation.report(wanted, report);
    if reported == 0 {
        let why = Some("neither this release nor doorkeeper has such an API".to_owned());
        report.check(kafka, "api of that name", Duration::ZERO, why);
    }
    if wanted.api.is_none() {
        let begun = Instant::now();
        let failures = check_not_forwarded(&world, &table, &output, front, &before).await?;
        report.check(
            kafka,
            "api requests not forwarded",
            begun.elapsed(),
            first(&failures),
        );
        report.check(
            kafka,
            "api carriers",
            Duration::ZERO,
            first(&evaluation.unseen()),
        );
    }
    Ok(())
}

/// Runs the program to its end; what it says is kept in the run's folder.
async fn ask(
    mut command: Command,
    cluster: &Cluster,
    front: &Front,
    run: &RunFolder,
) -> Result<ProbeOutput> {
    let direct = cluster.client_address(BROKER);
    let behind = front.advertised(Listener::Open, std::iter::once(BROKER));
    let behind = behind.get(&BROKER.to_string()).context("no broker")?;
    let (responses, errors) = (run.file("every_api.jsonl"), run.file("every_api.log"));
    let mut child = process::isolate(&mut command)
        .args([direct.as_str(), behind, CLIENT_ID])
        .stdin(Stdio::null())
        .stdout(process::create_log(&responses)?)
        .stderr(process::create_log(&errors)?)
        .spawn()
        .context("cannot start the program")?;
    let Ok(status) = timeout(TIME_LIMIT, child.wait()).await else {
        let _ = child.kill().await;
        bail!(
            "no end within {TIME_LIMIT:?}; {}",
            process::ending(&errors, 15)
        );
    };
    if !status.context("cannot wait for the program")?.success() {
        bail!("{}", process::ending(&errors, 15));
    }
    let text = std::fs::read_to_string(&responses).context("cannot read the responses")?;
    let mut output = ProbeOutput::default();
    for line in text.lines() {
        match serde_json::from_str(line)
            .with_context(|| line.chars().take(200).collect::<String>())?
        {
            Line::Failure { failure } => output.failures.push(failure),
            Line::NotForwarded(request) => output.not_forwarded.push(request),
            Line::Case(case) => output.cases.push(*case),
        }
    }
    if output.cases.is_empty() {
        bail!("it asked nothing; {}", process::ending(&errors, 15));
    }
    Ok(output)
}

fn world(kafka: &str, cluster: &Cluster, front: &Front, output: &ProbeOutput) -> Result<World> {
    let split = |address: &str| -> Result<(String, i64)> {
        let (host, port) = address.rsplit_once(':').context("no port")?;
        Ok((host.to_owned(), port.parse().context("no port")?))
    };
    let mut world = World {
        kafka: kafka.to_owned(),
        secrets: doorkeeper::secrets(cluster),
        ..World::default()
    };
    let advertised = cluster.advertised(Security::Plaintext);
    for ((id, _), (name, _)) in cluster.direct(Security::Plaintext).iter().zip(advertised) {
        world.upstream.insert(i64::from(*id), split(&name)?);
    }
    world.hosts = world.upstream.values().map(|it| it.0.clone()).collect();
    // The names that are dialled in their place.
    world.hosts.push(split(&cluster.client_address(BROKER))?.0);
    let ids = cluster.direct(Security::Plaintext);
    for (id, address) in front.advertised(Listener::Open, ids.iter().map(|it| it.0)) {
        world
            .ours
            .insert(id.parse().context("no id")?, split(&address)?);
    }
    let cases = output.cases.iter().map(|it| (it.api.clone(), it.key));
    let not_forwarded = output
        .not_forwarded
        .iter()
        .map(|it| (it.api.clone(), it.key));
    world.keys = cases.chain(not_forwarded).collect();
    Ok(world)
}

/// The result of one API.
#[derive(Debug, Default)]
struct Outcome {
    cases: usize,
    ms: u64,
    failures: Vec<String>,
}

struct Evaluation<'a> {
    world: &'a World,
    table: &'a Table,
    coverage: Coverage,
    outcomes: BTreeMap<i16, (String, Outcome)>,
    used: UsedRules,
}

impl<'a> Evaluation<'a> {
    fn new(
        world: &'a World,
        table: &'a Table,
        output: &ProbeOutput,
        run: &RunFolder,
    ) -> Result<Self> {
        let mut evaluation = Self {
            world,
            table,
            coverage: Coverage::default(),
            outcomes: BTreeMap::new(),
            used: UsedRules::default(),
        };
        for case in &output.cases {
            evaluation.coverage.case(case);
            evaluation.case(case, run)?;
        }
        let names: BTreeMap<i16, &String> =
            world.keys.iter().map(|(name, it)| (*it, name)).collect();
        for key in evaluation.coverage.common_keys() {
            let name = names
                .get(&key)
                .map_or_else(|| key.to_string(), |it| (*it).clone());
            let gaps = evaluation.coverage.gaps(table, &world.kafka, &name, key);
            let outcome = evaluation
                .outcomes
                .entry(key)
                .or_insert_with(|| (name, Outcome::default()));
            outcome.1.failures.extend(gaps);
        }
        Ok(evaluation)
    }

    fn case(&mut self, case: &Case, run: &RunFolder) -> Result<()> {
        let mut failures = Vec::new();
        if !case.direct.meets(case.claim) {
            failures.push(format!("the direct response is not {:?}", case.claim));
        }
        let compared = compare::compare(self.world, self.table, case);
        self.used.add_all(&compared.used);
        failures.extend(compared.differences.iter().map(Difference::headline));
        let frame = case.behind.frame();
        let secrets = &self.world.secrets;
        failures.extend(leaks::find(secrets, &frame, &case.behind.json));
        let entry = self.outcomes.entry(case.key);
        let (_, outcome) = entry.or_insert_with(|| (case.api.clone(), Outcome::default()));
        outcome.cases += 1;
        outcome.ms += case.direct.ms + case.behind.ms;
        if failures.is_empty() {
            return Ok(());
        }
        let text = log::side_by_side(case, &failures, &compared.differences);
        folders::create(&run.file(NAME))?;
        let file = format!("{}.txt", case.name().replace([' ', '/', '\''], "-"));
        folders::write(&run.file(NAME).join(file), &text)?;
        let (_, outcome) = self.outcomes.entry(case.key).or_default();
        let name = format!("v{} {}", case.version, case.case);
        outcome
            .failures
            .extend(failures.iter().map(|it| format!("{name}: {it}")));
        Ok(())
    }

    /// One line an API; how many there are.
    fn report(&self, wanted: &ApiFilter, report: &Report) -> usize {
        let mut reported = 0;
        for (key, (name, outcome)) in &self.outcomes {
            if !wanted.includes(name) {
                continue;
            }
            let versions = match self.coverage.common(*key) {
                Some((first, last)) if first == last => first.to_string(),
                Some((first, last)) => format!("{first}-{last}"),
                None => "unadvertised".to_owned(),
            };
            let line = format!("api {name} {versions}");
            let took = Duration::from_millis(outcome.ms);
            report.check(&self.world.kafka, &line, took, first(&outcome.failures));
            reported += 1;
        }
        reported
    }

    /// Places of addresses that no response showed, so that nothing was proven of them.
    fn unseen(&self) -> Vec<String> {
        let kafka = &self.world.kafka;
        let rules = self.used.unused(&self.table.differs);
        rules
            .filter(|rule| rule.is_carrier() && rule.must_be_seen(kafka))
            .map(|it| format!("{} {}: never seen", it.apis.join(", "), it.path))
            .collect()
    }
}

/// The first few, and how many there are.
fn first(failures: &[String]) -> Option<String> {
    let shown: Vec<&str> = failures.iter().take(3).map(String::as_str).collect();
    match failures.len() {
        0 => None,
        count @ 1..=3 => Some(format!("{count}: {}", shown.join("; "))),
        count => Some(format!("{count}: {}; ...", shown.join("; "))),
    }
}

/// Requests that must not be forwarded are not, and the metrics say why.
async fn check_not_forwarded(
    world: &World,
    table: &Table,
    output: &ProbeOutput,
    front: &Front,
    before: &Metrics,
) -> Result<Vec<String>> {
    let (reasons, mut failures) =
        coverage::not_forwarded(table, &world.kafka, &output.not_forwarded);
    let deadline = Instant::now() + METRICS_WITHIN;
    loop {
        let now = front.metrics().await?;
        let mut wrong = Vec::new();
        for (reason, count) in &reasons {
            let label = format!("reason=\"{reason}\"");
            let labels = [label.as_str()];
            let pattern = Pattern {
                name: CLOSED,
                labels: &labels,
            };
            let grown = now.sum(&pattern).unwrap_or(0.0) - before.sum(&pattern).unwrap_or(0.0);
            if grown != f64::from(*count) {
                wrong.push(format!("{count} closed with {reason}, counted {grown}"));
            }
        }
        if wrong.is_empty() || Instant::now() > deadline {
            failures.extend(wrong);
            return Ok(failures);
        }
        sleep(Duration::from_millis(50)).await;
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn it_runs_with_all_and_by_its_name() {
        let wanted = |args: &[&str]| {
            let program = std::iter::once("conformance");
            wanted(&Args::parse_from(program.chain(args.iter().copied())))
        };
        let all = Some(ApiFilter { api: None });
        assert_eq!(wanted(&[]), all);
        assert_eq!(wanted(&["--only", "every_api"]), all);
        let one = wanted(&["--only", "every_api/fetch"]).unwrap();
        assert!(one.includes("Fetch") && !one.includes("ShareFetch"));
        assert_eq!(wanted(&["--only", "group"]), None);
        assert_eq!(wanted(&["--only", "every_apis"]), None);
        assert_eq!(wanted(&["--direct"]), None);
        assert_eq!(wanted(&["--through", "--only", "every_api"]), None);
    }

    #[test]
    fn only_the_first_failures_are_listed() {
        assert_eq!(first(&[]), None);
        let all: Vec<String> = (1..=5).map(|it| it.to_string()).collect();
        assert_eq!(first(&all).unwrap(), "5: 1; 2; 3; ...");
        assert_eq!(first(&all[..1]).unwrap(), "1: 1");
    }
}
