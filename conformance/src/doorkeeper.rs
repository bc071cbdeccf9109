//! doorkeeper in front of a cluster, with a tap on each of its ports.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tokio::process::Command;
use tokio::time::sleep;

use crate::certificates::Certificates;
use crate::cluster::{Cluster, IDS};
use crate::folders::{self, RunFolder};
use crate::leak::Secrets;
use crate::metrics::{self, Metrics};
use crate::ports::{BEHIND, FRONT, Ports};
use crate::process::{self, Process};
use crate::security::{BadCertificate, Legs, Security};
use crate::tap::{Flow, Taps};

/// Broker ids 0 to 9, as in the examples of the documentation.
const BROKER_IDS: u16 = 10;
/// The bootstrap port, and one for each broker id.
const PORTS_OF_LISTENER: u16 = 1 + BROKER_IDS;
/// Open, strict, and one for each way to secure both sides.
const LISTENERS: u16 = 2 + 8 + 2;
/// The admin port, and those of all listeners.
pub(crate) const PORTS: u16 = 1 + LISTENERS * PORTS_OF_LISTENER;
const READY_WITHIN: Duration = Duration::from_secs(60);
/// `drain_timeout` is 30 s by default.
const DRAIN_WITHIN: Duration = Duration::from_secs(45);
/// Counters may be added up a little after the bytes went by.
const METRICS_WITHIN: Duration = Duration::from_secs(30);

pub(crate) struct Doorkeeper {
    binary: PathBuf,
    config: PathBuf,
    process: Process,
    starts: u32,
    front: Arc<Front>,
}

/// What the clients of a doorkeeper meet, whichever process serves them at the time.
pub(crate) struct Front {
    taps: Taps,
    admin: String,
    listeners: Ports,
}

/// One of doorkeeper's listeners, in front of the same brokers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listener {
    /// Allows what clients of the suite do to the cluster itself.
    Open,
    /// Allows nothing by name, which is the default.
    Strict,
    /// With TLS on one side or on both.
    Secured(Legs),
    /// Shows clients a certificate that is for another name.
    WrongName,
    /// Shows clients a certificate that has expired.
    Expired,
}

impl Listener {
    fn all() -> impl Iterator<Item = Self> {
        let special = [Self::Open, Self::Strict, Self::WrongName, Self::Expired];
        special
            .into_iter()
            .chain(Legs::secured().map(Self::Secured))
    }

    /// Where a client with a bad certificate finds a good doorkeeper, or the other way round.
    pub(crate) const fn of_bad_certificate(bad: BadCertificate) -> Self {
        let (client, broker) = (Security::MutualTls, Security::Plaintext);
        match bad {
            BadCertificate::ExpiredClient
            | BadCertificate::ForeignClient
            | BadCertificate::RevokedClient
            | BadCertificate::NoClient => Self::Secured(Legs { client, broker }),
            BadCertificate::ForeignServer => Self::Secured(Legs {
                client: Security::Tls,
                broker,
            }),
            BadCertificate::ExpiredServer => Self::Expired,
            BadCertificate::WrongNameServer => Self::WrongName,
        }
    }

    pub(crate) fn name(self) -> String {
        match self {
            Self::Open => "open".to_owned(),
            Self::Strict => "strict".to_owned(),
            Self::Secured(legs) => legs.name(),
            Self::WrongName => "wrong_name".to_owned(),
            Self::Expired => "expired".to_owned(),
        }
    }

    fn ports(self, all: Ports) -> Ports {
        let place = Self::all().position(|it| it == self).unwrap_or(0);
        let place = u16::try_from(place).unwrap_or(0);
        all.part(place * PORTS_OF_LISTENER, PORTS_OF_LISTENER)
    }

    const fn allowed(self) -> &'static str {
        match self {
            Self::Open => ALLOWED,
            Self::Strict | Self::Secured(_) | Self::WrongName | Self::Expired => "",
        }
    }

    const fn legs(self) -> Legs {
        match self {
            Self::Open | Self::Strict => Legs::PLAINTEXT,
            Self::Secured(legs) => legs,
            Self::WrongName | Self::Expired => Legs {
                client: Security::Tls,
                broker: Security::Plaintext,
            },
        }
    }

    fn tls(self, certificates: &Certificates) -> String {
        let identity = match self {
            Self::Open | Self::Strict | Self::Secured(_) => &certificates.server,
            Self::WrongName => &certificates.wrong_name_server,
            Self::Expired => &certificates.expired_server,
        };
        let shown = format!(
            "    tls:\n      certificates:\n        - certificate_file: {}\n          \
             key_file: {}\n",
            identity.certificate.display(),
            identity.key.display()
        );
        match self.legs().client {
            Security::Plaintext => String::new(),
            Security::Tls => shown,
            Security::MutualTls => format!(
                "{shown}      client_auth: required\n      client_ca_file: {}\n      \
                 crl_files: [\"{}\"]\n",
                certificates.ca.display(),
                certificates.crl.display()
            ),
        }
    }
}

impl Doorkeeper {
    pub(crate) async fn start(
        binary: &Path,
        cluster: &Cluster,
        ports: Ports,
        run: &RunFolder,
    ) -> Result<Self> {
        let admin = format!("{FRONT}:{}", ports.at(0));
        let count = LISTENERS * PORTS_OF_LISTENER;
        let listeners = ports.part(1, count);
        let file = run.file("doorkeeper.yaml");
        folders::write(&file, &config(cluster, listeners, &admin))?;
        let taps = Taps::open(listeners, count, &secrets(cluster)).await?;
        let mut doorkeeper = Self {
            binary: binary.to_owned(),
            process: spawn(binary, &file, 1)?,
            config: file,
            starts: 1,
            front: Arc::new(Front {
                taps,
                admin,
                listeners,
            }),
        };
        doorkeeper.ready().await?;
        Ok(doorkeeper)
    }

    pub(crate) fn front(&self) -> &Arc<Front> {
        &self.front
    }

    pub(crate) fn check_alive(&mut self) -> Result<()> {
        self.process.check_alive()
    }

    /// SIGKILL, and another process in its place.
    pub(crate) async fn kill_and_start(&mut self) -> Result<()> {
        self.check_clean().await?;
        self.process.kill().await?;
        self.again().await
    }

    /// SIGTERM, on which it has to end by itself, and another process in its place.
    pub(crate) async fn drain_and_start(&mut self) -> Result<()> {
        self.check_clean().await?;
        self.drain().await?;
        self.again().await
    }

    async fn again(&mut self) -> Result<()> {
        self.starts += 1;
        self.process = spawn(&self.binary, &self.config, self.starts)?;
        self.ready().await
    }

    /// After all scenarios: no leak anywhere, nothing odd counted, and a drain that ends by itself.
    pub(crate) async fn finish(&mut self) -> Result<()> {
        self.check_clean().await?;
        self.drain().await
    }

    async fn check_clean(&mut self) -> Result<()> {
        self.check_alive()?;
        let leaks = self.front.taps.leaks(None);
        if !leaks.is_empty() {
            bail!("clients received: {}", leaks.join("\n    "));
        }
        let metrics = self.front.metrics().await?;
        for (pattern, what) in [
            (
                &metrics::INTERNAL_ERRORS,
                "sessions ended by an internal error",
            ),
            (&metrics::WITHHELD, "responses of brokers could not be read"),
        ] {
            if metrics.sum(pattern).is_some_and(|it| it > 0.0) {
                bail!("{what}: {}", process::ending(self.process.log(), 15));
            }
        }
        Ok(())
    }

    async fn drain(&mut self) -> Result<()> {
        match self.process.stop(DRAIN_WITHIN).await? {
            Some(status) if status.success() => Ok(()),
            Some(status) => bail!("doorkeeper ended with {status} on SIGTERM"),
            None => bail!("doorkeeper did not end within {DRAIN_WITHIN:?} of SIGTERM"),
        }
    }

    async fn ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            self.process.check_alive()?;
            let said = match metrics::get(&self.front.admin, "/readyz").await {
                Ok((200, _)) => return Ok(()),
                Ok((status, body)) => format!("{status} {body}"),
                Err(error) => format!("{error:#}"),
            };
            if Instant::now() > deadline {
                let log = process::ending(self.process.log(), 15);
                bail!("doorkeeper does not get ready: {said}\n{log}");
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
}

fn spawn(binary: &Path, config: &Path, start: u32) -> Result<Process> {
    let mut command = Command::new(binary);
    command.args(["run", "--config"]).arg(config);
    let log = config.with_file_name(format!("doorkeeper-start-{start}.log"));
    Process::spawn("doorkeeper", &mut command, &log)
}

impl Front {
    pub(crate) fn taps(&self) -> &Taps {
        &self.taps
    }

    pub(crate) fn admin(&self) -> &str {
        &self.admin
    }

    pub(crate) fn bootstrap(&self, listener: Listener) -> String {
        format!("{FRONT}:{}", listener.ports(self.listeners).at(0))
    }

    /// The addresses that clients must receive, by broker id.
    pub(crate) fn advertised(
        &self,
        listener: Listener,
        ids: impl Iterator<Item = u16>,
    ) -> BTreeMap<String, String> {
        let ports = listener.ports(self.listeners);
        let address = |id| format!("{FRONT}:{}", ports.at(1 + id));
        ids.map(|id| (id.to_string(), address(id))).collect()
    }

    pub(crate) async fn metrics(&self) -> Result<Metrics> {
        Metrics::scrape(&self.admin).await
    }

    /// Each bad certificate must have been counted by its reason.
    pub(crate) async fn check_bad_certificates(&self, before: &Metrics) -> Result<()> {
        let now = self.metrics().await?;
        for bad in BadCertificate::ALL {
            let listener = Listener::of_bad_certificate(bad).name();
            let has_grown = |reason: &&str| {
                let count =
                    |it: &Metrics| metrics::handshake_failures(it, &listener, "client", reason);
                count(&now) > count(before)
            };
            let reasons = bad.reasons();
            if !reasons.is_empty() && !reasons.iter().any(has_grown) {
                bail!("{bad:?} is not counted: none of {reasons:?} of {listener}");
            }
        }
        Ok(())
    }

    /// Its counters must have grown by at least what the taps saw.
    pub(crate) async fn check_counted(&self, before: &Metrics, flow: Flow) -> Result<()> {
        let deadline = Instant::now() + METRICS_WITHIN;
        loop {
            let now = self.metrics().await?;
            let mut short = Vec::new();
            for (pattern, expected) in [
                (&metrics::FROM_CLIENTS, flow.up),
                (&metrics::TO_CLIENTS, flow.down),
                // Every client asks where the brokers are.
                (&metrics::REWRITTEN, 1),
            ] {
                let Some(count) = now.sum(pattern) else {
                    bail!("/metrics has no {} with {:?}", pattern.name, pattern.labels);
                };
                let grown = count - before.sum(pattern).unwrap_or(0.0);
                if grown < expected as f64 {
                    short.push(format!(
                        "{pattern:?} grew by {grown}, the taps saw {expected}"
                    ));
                }
            }
            if short.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("{}", short.join("; "));
            }
            sleep(Duration::from_millis(100)).await;
        }
    }
}

/// What clients must never receive: where doorkeeper binds is as much a secret as where the
/// brokers are.
pub(crate) fn secrets(cluster: &Cluster) -> Secrets {
    let mut secrets = cluster.secrets();
    secrets.texts.push(BEHIND.to_owned());
    secrets
}

/// What clients of the suite do to the cluster itself. What is on principals stays denied.
const ALLOWED: &str = "WriteTxnMarkers, AlterReplicaLogDirs, ElectLeaders, \
                       AlterPartitionReassignments, UpdateFeatures, UnregisterBroker, \
                       UnregisterController, AddRaftVoter, RemoveRaftVoter, AlterBrokerConfigs";

/// The cluster by one of its listeners.
fn upstream(cluster: &Cluster, security: Security) -> String {
    let mut text = format!("  {}:\n    bootstrap:\n", security.name());
    let advertised = cluster.advertised(security);
    for (name, _) in advertised.iter().take(IDS.len()) {
        let _ = writeln!(text, "      - \"{name}\"");
    }
    text.push_str("    dial:\n");
    for (name, address) in advertised {
        let _ = writeln!(text, "      \"{name}\": \"{address}\"");
    }
    let certificates = cluster.certificates();
    if security != Security::Plaintext {
        let ca = certificates.ca.display();
        let _ = write!(text, "    tls:\n      ca_file: {ca}\n");
    }
    if security == Security::MutualTls {
        let (certificate, key) = (&certificates.client.certificate, &certificates.client.key);
        let _ = write!(
            text,
            "      certificate:\n        certificate_file: {}\n        key_file: {}\n",
            certificate.display(),
            key.display()
        );
    }
    text
}

fn config(cluster: &Cluster, listeners: Ports, admin: &str) -> String {
    let mut text = String::from("clusters:\n");
    for security in Security::ALL {
        text.push_str(&upstream(cluster, security));
    }
    text.push_str("listeners:\n");
    for listener in Listener::all() {
        let ports = listener.ports(listeners);
        let _ = write!(
            text,
            "  {name}:\n    cluster: {cluster}\n    bind: {BEHIND}\n    \
             advertised_host: {FRONT}\n    route:\n      ports:\n        \
             bootstrap: {bootstrap}\n        brokers: {brokers}\n        \
             broker_ids: 0-{last}\n    allow_apis: [{allowed}]\n    \
             limits: {{ connections: 1000 }}\n{tls}",
            name = listener.name(),
            cluster = listener.legs().broker.name(),
            tls = listener.tls(cluster.certificates()),
            bootstrap = ports.at(0),
            brokers = ports.at(1),
            last = BROKER_IDS - 1,
            allowed = listener.allowed(),
        );
    }
    let _ = writeln!(text, "admin:\n  bind: \"{admin}\"");
    text
}
