//! Brokers whose certificates must not hold for doorkeeper, and brokers that must not accept its:
//! discovery does not find them, and says why.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;
use tokio::time::sleep;

use crate::Args;
use crate::cluster::Cluster;
use crate::folders::{self, RunFolder};
use crate::metrics::{self, Metrics, Pattern};
use crate::ports::{FRONT, Ports};
use crate::process::{self, Process};
use crate::report::Report;
use crate::security::{BadCertificate, Security};

const NAME: &str = "bad_brokers";
/// The bootstrap port and that of one broker.
const PORTS_OF_LISTENER: u16 = 2;
const TOLD_WITHIN: Duration = Duration::from_secs(30);

/// What is wrong between doorkeeper and a broker.
#[derive(Debug, Clone, Copy)]
enum BadBroker {
    ForeignCa,
    WrongName,
    Expired,
    /// It requires a certificate, and doorkeeper has none.
    CertificateRequired,
}

impl BadBroker {
    const ALL: [Self; 4] = [
        Self::ForeignCa,
        Self::WrongName,
        Self::Expired,
        Self::CertificateRequired,
    ];

    /// Of its cluster and its listener.
    const fn name(self) -> &'static str {
        match self {
            Self::ForeignCa => "foreign_ca",
            Self::WrongName => "wrong_name",
            Self::Expired => "expired",
            Self::CertificateRequired => "certificate_required",
        }
    }

    /// The reason that the log must give.
    const fn reason(self) -> &'static str {
        match self {
            Self::ForeignCa => "tls_certificate_unknown_ca",
            Self::WrongName => "tls_certificate_name_mismatch",
            Self::Expired => "tls_certificate_expired",
            // In TLS 1.3 the broker says so after the handshake.
            Self::CertificateRequired => "reset",
        }
    }

    /// The name of the broker, and where it is if that does not follow from the name.
    fn address(self, cluster: &Cluster) -> (String, Option<String>) {
        let canary = |security| {
            let first = cluster.advertised(security).into_iter().next();
            let (name, address) = first.unwrap_or_default();
            (name, Some(address))
        };
        match self {
            Self::ForeignCa => canary(Security::Tls),
            Self::WrongName => (
                cluster.bad_certificate(BadCertificate::WrongNameServer),
                None,
            ),
            Self::Expired => (cluster.bad_certificate(BadCertificate::ExpiredServer), None),
            Self::CertificateRequired => canary(Security::MutualTls),
        }
    }
}

/// Whether `--only` asks for this.
pub(crate) fn wanted(args: &Args) -> bool {
    match &args.only {
        Some(only) => only == NAME,
        None => !args.direct && !args.through,
    }
}

pub(crate) async fn run(
    version: &str,
    cluster: &Cluster,
    binary: &Path,
    run: &RunFolder,
    report: &Report,
) -> Result<()> {
    let count = u16::try_from(BadBroker::ALL.len()).unwrap_or(0);
    let ports = Ports::find(1 + count * PORTS_OF_LISTENER)?;
    let file = run.file("bad-brokers.yaml");
    folders::write(&file, &config(cluster, ports))?;
    let mut command = Command::new(binary);
    command.args(["run", "--config"]).arg(&file);
    let mut process = Process::spawn(NAME, &mut command, &run.file("bad-brokers.log"))?;
    let admin = format!("{FRONT}:{}", ports.at(0));
    for bad in BadBroker::ALL {
        let begun = Instant::now();
        let told = is_told(bad, &mut process, &admin).await;
        let failure = told.err().map(|error| format!("{error:#}"));
        let name = format!("{NAME} {}", bad.name());
        report.check(version, &name, begun.elapsed(), failure);
    }
    check_not_ready(&admin).await?;
    process.kill().await
}

fn port(ports: Ports, place: u16) -> u16 {
    ports.at(1 + place * PORTS_OF_LISTENER)
}

/// Until discovery has failed for the reason, in the log and in the metric.
async fn is_told(bad: BadBroker, process: &mut Process, admin: &str) -> Result<()> {
    let cluster = format!("cluster=\"{}\"", bad.name());
    let why = format!("why=\"{}\"", bad.reason());
    let pattern = Pattern {
        name: "doorkeeper_discovery_failures_total",
        labels: &[&cluster],
    };
    let deadline = Instant::now() + TOLD_WITHIN;
    loop {
        process.check_alive()?;
        let log = std::fs::read_to_string(process.log()).context("the log")?;
        let mut lines = log.lines();
        let is_logged = lines.any(|it| it.contains(&cluster) && it.contains(&why));
        let counted = Metrics::scrape(admin).await.ok();
        let count = counted.and_then(|it| it.sum(&pattern)).unwrap_or(0.0);
        if is_logged && count > 0.0 {
            return Ok(());
        }
        if Instant::now() > deadline {
            let log = process::ending(process.log(), 15);
            bail!("no {why} of {cluster}, which failed {count} times: {log}");
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// Nothing is served while no broker was found.
async fn check_not_ready(admin: &str) -> Result<()> {
    let (status, body) = metrics::get(admin, "/readyz").await?;
    if status == 200 {
        bail!("doorkeeper is ready: {body}");
    }
    Ok(())
}

fn config(cluster: &Cluster, ports: Ports) -> String {
    let certificates = cluster.certificates();
    let mut text = String::from("clusters:\n");
    for bad in BadBroker::ALL {
        let ca = match bad {
            BadBroker::ForeignCa => &certificates.foreign_ca,
            BadBroker::WrongName | BadBroker::Expired | BadBroker::CertificateRequired => {
                &certificates.ca
            }
        };
        let (name, address) = bad.address(cluster);
        let _ = write!(
            text,
            "  {}:\n    bootstrap: [\"{name}\"]\n    tls: {{ ca_file: \"{}\" }}\n",
            bad.name(),
            ca.display()
        );
        if let Some(address) = address {
            let _ = writeln!(text, "    dial: {{ \"{name}\": \"{address}\" }}");
        }
    }
    text.push_str("listeners:\n");
    for (bad, place) in BadBroker::ALL.into_iter().zip(0..) {
        let first = port(ports, place);
        let _ = write!(
            text,
            "  {name}:\n    cluster: {name}\n    route: {{ ports: {{ bootstrap: {first}, \
             brokers: {first}, broker_ids: [1] }} }}\n    limits: {{ connections: 100 }}\n",
            name = bad.name(),
        );
    }
    let _ = writeln!(text, "admin:\n  bind: \"{FRONT}:{}\"", ports.at(0));
    text
}
