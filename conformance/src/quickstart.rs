//! What `doorkeeper quickstart` serves, for real clients: its cluster in memory must be good enough
//! to produce, to consume, to share the work in groups of either protocol, and for transactions.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::sleep;

use crate::Args;
use crate::catalog::SCENARIOS;
use crate::clients::{Client, Kit};
use crate::folders::RunFolder;
use crate::ports::{FRONT, Ports};
use crate::process::{self, Process};
use crate::report::Report;
use crate::scenario::{self, Job, Way};

const NAME: &str = "quickstart";
/// The bootstrap port, and one for each of its three brokers.
const PORTS: u16 = 4;
const READY_WITHIN: Duration = Duration::from_secs(30);
const ENDS_WITHIN: Duration = Duration::from_secs(45);

const PLAYS: [(&str, Client); 9] = [
    ("acks_all", Client::Java),
    ("acks_all", Client::Librdkafka),
    ("acks_all", Client::Kcat),
    ("group_classic", Client::Java),
    ("group_classic", Client::Librdkafka),
    ("group_consumer", Client::Java),
    ("group_consumer", Client::Librdkafka),
    ("transactions", Client::Java),
    ("transactions", Client::Librdkafka),
];

/// Whether `--only` asks for this.
pub(crate) fn wanted(args: &Args) -> bool {
    match &args.only {
        Some(only) => only == NAME,
        None => !args.direct && !args.through,
    }
}

pub(crate) async fn run(kit: &Kit, binary: &Path, run: &RunFolder, report: &Report) -> Result<()> {
    let kafka = &kit.kafka.release.version;
    let ports = Ports::find(PORTS)?;
    let bootstrap = format!("{FRONT}:{}", ports.at(0));
    let mut command = Command::new(binary);
    command.args([NAME, "--port", &ports.at(0).to_string()]);
    let mut process = Process::spawn(NAME, &mut command, &run.file("quickstart.log"))?;
    ready(&mut process, &bootstrap).await?;
    for (name, client) in PLAYS {
        let begun = Instant::now();
        let played = play(kit, ports, name, client, run).await;
        let failure = played.err().map(|error| format!("{error:#}"));
        let name = format!("{NAME} {name} {}", client.name());
        report.check(kafka, &name, begun.elapsed(), failure);
    }
    match process.stop(ENDS_WITHIN).await? {
        Some(status) if status.success() => Ok(()),
        other => bail!(
            "quickstart ended with {other:?}; {}",
            process::ending(process.log(), 15)
        ),
    }
}

async fn ready(process: &mut Process, bootstrap: &str) -> Result<()> {
    let deadline = Instant::now() + READY_WITHIN;
    while TcpStream::connect(bootstrap).await.is_err() {
        process.check_alive()?;
        if Instant::now() > deadline {
            bail!("quickstart does not listen at {bootstrap}");
        }
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

async fn play(kit: &Kit, ports: Ports, name: &str, client: Client, run: &RunFolder) -> Result<()> {
    let scenario = SCENARIOS.iter().find(|it| it.name == name);
    let job = Job {
        scenario: *scenario.context("no such scenario")?,
        client,
        way: Way::Through,
        turn: 0,
    };
    let command = kit.command(client).context("no such client")?;
    let log = run.file(&format!("{NAME}-{}.log", job.prefix()));
    let bootstrap = format!("{FRONT}:{}", ports.at(0));
    let response = scenario::run(&job, command, &bootstrap, log, None).await?;
    let address = |id: u16| (id.to_string(), format!("{FRONT}:{}", ports.at(id)));
    let expected: BTreeMap<String, String> = (1..PORTS).map(address).collect();
    if response.nodes != expected {
        bail!(
            "got the addresses {:?}, doorkeeper's are {expected:?}",
            response.nodes
        );
    }
    Ok(())
}
