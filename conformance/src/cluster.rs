//! A KRaft cluster of three brokers, each a controller too, with names that do not resolve; a
//! fourth, a broker only, may join and leave.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;
use tokio::time::sleep;

use crate::canary::Canary;
use crate::certificates::{Certificates, Identity};
use crate::folders::{self, RunFolder};
use crate::kafka::Kafka;
use crate::leak::Secrets;
use crate::ports::{FRONT, Ports};
use crate::process::{self, Process};
use crate::security::{BadCertificate, Security};

pub(crate) const IDS: [u16; 3] = [1, 2, 3];
/// The broker that may join.
pub(crate) const NEWCOMER: u16 = 4;
/// How many listeners each broker has.
const LISTENERS: u16 = 10;
/// How many ports a cluster takes.
pub(crate) const PORTS: u16 = NEWCOMER * LISTENERS;
/// The port that the brokers advertise to clients: no one listens on it.
// None that stands in an example of Kafka's own documentation, which brokers show on request.
const CANARY_PORT: u16 = 39_393;
const START_WITHIN: Duration = Duration::from_secs(180);
/// A node that is broker and controller may wait for a quorum that has ended.
const STOP_WITHIN: Duration = Duration::from_secs(30);
/// What the broker writes when it is registered, unfenced and serves.
const STARTED: &str = "Kafka Server started";

pub(crate) struct Cluster {
    kafka: Kafka,
    canary: Canary,
    certificates: Certificates,
    ports: Ports,
    folder: PathBuf,
    data: PathBuf,
    /// Its id in Kafka's form.
    cluster_id: String,
    nodes: Vec<Node>,
}

struct Node {
    id: u16,
    process: Process,
    starts: u32,
}

impl Cluster {
    pub(crate) async fn start(kafka: &Kafka, ports: Ports, run: &RunFolder) -> Result<Self> {
        let canary = Canary::new();
        let hosts: Vec<String> = (1..=NEWCOMER).map(|id| canary.client_host(id)).collect();
        let mut cluster = Self {
            kafka: kafka.clone(),
            canary,
            certificates: Certificates::make(run.file("certificates"), &hosts)?,
            ports,
            folder: run.path().to_owned(),
            data: run.data(),
            cluster_id: uuid(),
            nodes: Vec::new(),
        };
        cluster.write_settings()?;
        cluster.format_all().await?;
        for id in IDS {
            cluster.add(id)?;
        }
        for node in &mut cluster.nodes {
            node.started().await?;
        }
        Ok(cluster)
    }

    /// The fourth broker, with nothing on it; waits until it serves.
    pub(crate) async fn join(&mut self) -> Result<()> {
        let _ = std::fs::remove_dir_all(self.data_folder(NEWCOMER));
        self.format(NEWCOMER, &["--no-initial-controllers".to_owned()])
            .await?;
        self.add(NEWCOMER)?;
        self.node(NEWCOMER)?.started().await
    }

    fn add(&mut self, id: u16) -> Result<()> {
        let process = self.spawn(id, 1)?;
        self.nodes.push(Node {
            id,
            process,
            starts: 1,
        });
        Ok(())
    }

    /// A broker that has been stopped is no part of the cluster any more.
    pub(crate) fn forget(&mut self, id: u16) -> Result<()> {
        self.node(id)?;
        self.nodes.retain(|it| it.id != id);
        Ok(())
    }

    /// Stops a broker in order.
    pub(crate) async fn stop(&mut self, id: u16) -> Result<()> {
        self.node(id)?.process.stop(STOP_WITHIN).await.map(|_| ())
    }

    pub(crate) async fn kill_one(&mut self, id: u16) -> Result<()> {
        self.node(id)?.process.kill().await
    }

    pub(crate) fn pause(&mut self, id: u16) -> Result<()> {
        self.node(id)?.process.pause()
    }

    pub(crate) fn resume(&mut self, id: u16) -> Result<()> {
        self.node(id)?.process.resume()
    }

    /// Starts a broker that has ended, and waits until it serves.
    pub(crate) async fn restart(&mut self, id: u16) -> Result<()> {
        let starts = self.node(id)?.starts + 1;
        let process = self.spawn(id, starts)?;
        let node = self.node(id)?;
        node.process = process;
        node.starts = starts;
        node.started().await
    }

    fn node(&mut self, id: u16) -> Result<&mut Node> {
        let found = self.nodes.iter_mut().find(|it| it.id == id);
        found.with_context(|| format!("no broker {id}"))
    }

    /// An error when a broker has ended by itself.
    pub(crate) fn check_alive(&mut self) -> Result<()> {
        self.nodes
            .iter_mut()
            .try_for_each(|it| it.process.check_alive())
    }

    /// Its data is of no use any more, so nothing is stopped in order.
    pub(crate) async fn kill(mut self) -> Result<()> {
        for node in &mut self.nodes {
            node.process.kill().await?;
        }
        Ok(())
    }

    pub(crate) fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    /// The address that each broker advertises, and the one where it listens; the newcomer is last.
    pub(crate) fn advertised(&self, security: Security) -> Vec<(String, String)> {
        let name = |id| format!("{}:{CANARY_PORT}", self.canary.client_host(id));
        (1..=NEWCOMER)
            .map(|id| {
                (
                    name(id),
                    self.address(id, Listener::of_doorkeeper(security)),
                )
            })
            .collect()
    }

    /// The listeners whose addresses anyone can dial, by broker id.
    pub(crate) fn direct(&self, security: Security) -> Vec<(u16, String)> {
        IDS.iter()
            .map(|&id| (id, self.address(id, Listener::of_clients(security))))
            .collect()
    }

    /// `bootstrap.servers` for clients that come direct.
    pub(crate) fn bootstrap(&self) -> String {
        let direct = self.direct(Security::Plaintext).into_iter();
        let all: Vec<String> = direct.map(|(_, it)| it).collect();
        all.join(",")
    }

    /// Where a client with a bad certificate finds a good broker, or the other way round.
    pub(crate) fn bad_certificate(&self, bad: BadCertificate) -> String {
        let listener = match bad {
            BadCertificate::ExpiredClient
            | BadCertificate::ForeignClient
            | BadCertificate::RevokedClient
            | BadCertificate::NoClient => Listener::DirectMutualTls,
            BadCertificate::ExpiredServer => Listener::Expired,
            BadCertificate::ForeignServer => Listener::DirectTls,
            BadCertificate::WrongNameServer => Listener::WrongName,
        };
        IDS.first()
            .map_or_else(String::new, |&id| self.address(id, listener))
    }

    /// What must never be seen behind doorkeeper.
    pub(crate) fn secrets(&self) -> Secrets {
        let ports = (0..PORTS).map(|index| self.ports.at(index));
        Secrets {
            texts: vec![self.canary.token().to_owned()],
            ports: ports.chain([CANARY_PORT]).collect(),
        }
    }

    /// Where the listener that advertises a canary really is.
    pub(crate) fn client_address(&self, id: u16) -> String {
        self.address(id, Listener::Client)
    }

    fn port(&self, id: u16, listener: Listener) -> u16 {
        self.ports.at((id - 1) * LISTENERS + listener as u16)
    }

    fn address(&self, id: u16, listener: Listener) -> String {
        format!("{FRONT}:{}", self.port(id, listener))
    }

    fn controller(&self, id: u16) -> String {
        format!(
            "{}:{}",
            self.canary.controller_host(id),
            self.port(id, Listener::Controller)
        )
    }

    fn settings_file(&self, id: u16) -> PathBuf {
        self.folder.join(format!("broker-{id}.properties"))
    }

    fn hosts_file(&self) -> PathBuf {
        self.folder.join("hosts")
    }

    fn write_settings(&self) -> Result<()> {
        let mut hosts = format!("{FRONT} localhost\n");
        if let Ok(own) = std::fs::read_to_string("/proc/sys/kernel/hostname") {
            let _ = writeln!(hosts, "{FRONT} {}", own.trim());
        }
        for id in 1..=NEWCOMER {
            for host in [self.canary.broker_host(id), self.canary.controller_host(id)] {
                let _ = writeln!(hosts, "{FRONT} {host}");
            }
            folders::write(&self.settings_file(id), &self.settings(id))?;
        }
        folders::write(&self.hosts_file(), &hosts)
    }

    fn data_folder(&self, id: u16) -> PathBuf {
        self.data.join(id.to_string())
    }

    fn settings(&self, id: u16) -> String {
        let port = |listener| self.port(id, listener);
        let controllers: Vec<String> = IDS.iter().map(|&id| self.controller(id)).collect();
        let is_controller = IDS.contains(&id);
        let roles = if is_controller {
            "broker,controller"
        } else {
            "broker"
        };
        let [mut protocols, mut bound, mut shown] = [const { String::new() }; 3];
        for &listener in Listener::OF_CLIENTS {
            let (name, port) = (listener.name(), port(listener));
            let _ = write!(protocols, ",{name}:{}", listener.protocol());
            let _ = write!(bound, ",{name}://{FRONT}:{port}");
            if listener.is_canary() {
                let host = self.canary.client_host(id);
                let _ = write!(shown, ",{name}://{host}:{CANARY_PORT}");
            } else {
                let _ = write!(shown, ",{name}://{FRONT}:{port}");
            }
        }
        let [mut listeners, mut advertised] = [String::new(), String::new()];
        if is_controller {
            let _ = write!(
                listeners,
                "CONTROLLER://{FRONT}:{},",
                port(Listener::Controller)
            );
            let _ = write!(advertised, "CONTROLLER://{},", self.controller(id));
        }
        let mut text = format!(
            "process.roles={roles}\n\
             node.id={id}\n\
             broker.rack={rack}\n\
             controller.quorum.bootstrap.servers={controllers}\n\
             controller.listener.names=CONTROLLER\n\
             inter.broker.listener.name=INTERNAL\n\
             listener.security.protocol.map=CONTROLLER:PLAINTEXT,INTERNAL:PLAINTEXT{protocols}\n\
             listeners={listeners}INTERNAL://{FRONT}:{internal}{bound}\n\
             advertised.listeners={advertised}INTERNAL://{internal_host}:{internal}{shown}\n\
             log.dirs={data}\n",
            rack = rack(id),
            controllers = controllers.join(","),
            internal = port(Listener::Internal),
            internal_host = self.canary.broker_host(id),
            data = self.data_folder(id).display(),
        );
        text.push_str(COMMON_SETTINGS);
        text.push_str(&self.tls_settings());
        for (key, value) in &self.kafka.release.broker {
            let _ = writeln!(text, "{key}={value}");
        }
        text
    }

    /// Of the listeners that speak TLS.
    fn tls_settings(&self) -> String {
        let mut text = String::new();
        let mut store = |prefix: &str, identity: &Identity| {
            let _ = write!(
                text,
                "{prefix}ssl.keystore.type=PEM\n{prefix}ssl.keystore.location={}\n",
                identity.both.display()
            );
        };
        let certificates = &self.certificates;
        store("", &certificates.server);
        store("listener.name.wrong_name.", &certificates.wrong_name_server);
        store("listener.name.expired.", &certificates.expired_server);
        let _ = write!(
            text,
            "ssl.truststore.type=PEM\nssl.truststore.location={}\n\
             listener.name.client_mtls.ssl.client.auth=required\n\
             listener.name.direct_mtls.ssl.client.auth=required\n",
            certificates.ca.display()
        );
        text
    }

    async fn format_all(&self) -> Result<()> {
        let voters: Vec<String> = IDS
            .iter()
            .map(|&id| format!("{id}@{}:{}", self.controller(id), uuid()))
            .collect();
        let args = ["--initial-controllers".to_owned(), voters.join(",")];
        let [one, two, three] = IDS.map(|id| self.format(id, &args));
        tokio::try_join!(one, two, three).map(|_| ())
    }

    async fn format(&self, id: u16, args: &[String]) -> Result<()> {
        let mut tool = self.java("WARN");
        tool.args(["kafka.tools.StorageTool", "format"])
            .args(["--cluster-id", &self.cluster_id])
            .args(args)
            .arg("--config")
            .arg(self.settings_file(id));
        process::run(&mut tool).await.context("StorageTool")?;
        Ok(())
    }

    fn spawn(&self, id: u16, start: u32) -> Result<Process> {
        let mut command = self.java("INFO");
        command.arg("kafka.Kafka").arg(self.settings_file(id));
        let name = format!("broker-{id}");
        let log = self.folder.join(format!("{name}-start-{start}.log"));
        Process::spawn(&name, &mut command, &log)
    }

    /// A JVM that resolves the names of its own hosts file, which nothing else resolves.
    fn java(&self, level: &str) -> Command {
        let hosts = self.hosts_file();
        let options = [
            format!("-Djdk.net.hosts.file={}", hosts.display()),
            // Kafka leaves revocation to the JVM, which looks where a certificate says.
            "-Dcom.sun.net.ssl.checkRevocation=true".to_owned(),
            "-Dcom.sun.security.enableCRLDP=true".to_owned(),
        ];
        self.kafka.class_path.broker(level, &options)
    }
}

/// Each broker stands alone in its rack. The programs know the names.
fn rack(id: u16) -> String {
    format!("rack-{id}")
}

#[derive(Clone, Copy)]
enum Listener {
    Controller = 0,
    Internal = 1,
    /// Advertises a canary: for doorkeeper.
    Client = 2,
    /// Advertises where it is: for clients that come direct.
    Direct = 3,
    ClientTls = 4,
    ClientMutualTls = 5,
    DirectTls = 6,
    DirectMutualTls = 7,
    /// Shows a certificate that is for another name.
    WrongName = 8,
    /// Shows a certificate that has expired.
    Expired = 9,
}

impl Listener {
    /// All but those that brokers and controllers have for each other.
    const OF_CLIENTS: &[Self] = &[
        Self::Client,
        Self::Direct,
        Self::ClientTls,
        Self::ClientMutualTls,
        Self::DirectTls,
        Self::DirectMutualTls,
        Self::WrongName,
        Self::Expired,
    ];

    const fn of_doorkeeper(security: Security) -> Self {
        match security {
            Security::Plaintext => Self::Client,
            Security::Tls => Self::ClientTls,
            Security::MutualTls => Self::ClientMutualTls,
        }
    }

    const fn of_clients(security: Security) -> Self {
        match security {
            Security::Plaintext => Self::Direct,
            Security::Tls => Self::DirectTls,
            Security::MutualTls => Self::DirectMutualTls,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Controller => "CONTROLLER",
            Self::Internal => "INTERNAL",
            Self::Client => "CLIENT",
            Self::Direct => "DIRECT",
            Self::ClientTls => "CLIENT_TLS",
            Self::ClientMutualTls => "CLIENT_MTLS",
            Self::DirectTls => "DIRECT_TLS",
            Self::DirectMutualTls => "DIRECT_MTLS",
            Self::WrongName => "WRONG_NAME",
            Self::Expired => "EXPIRED",
        }
    }

    const fn protocol(self) -> &'static str {
        match self {
            Self::Controller | Self::Internal | Self::Client | Self::Direct => "PLAINTEXT",
            Self::ClientTls
            | Self::ClientMutualTls
            | Self::DirectTls
            | Self::DirectMutualTls
            | Self::WrongName
            | Self::Expired => "SSL",
        }
    }

    const fn is_canary(self) -> bool {
        matches!(self, Self::Client | Self::ClientTls | Self::ClientMutualTls)
    }
}

impl Node {
    async fn started(&mut self) -> Result<()> {
        await_start(&mut self.process).await
    }
}

/// Until a broker serves.
pub(crate) async fn await_start(broker: &mut Process) -> Result<()> {
    let deadline = Instant::now() + START_WITHIN;
    while !contains(broker.log(), STARTED) {
        broker.check_alive()?;
        if Instant::now() > deadline {
            let log = process::ending(broker.log(), 15);
            bail!("a broker does not start: {log}");
        }
        sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

fn contains(log: &Path, text: &str) -> bool {
    std::fs::read_to_string(log).is_ok_and(|it| it.contains(text))
}

/// A random id in Kafka's form: 16 bytes in URL-safe base64 without padding.
pub(crate) fn uuid() -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let letter = |bits: u64| {
        let index = usize::try_from(bits & 63).unwrap_or(0);
        ALPHABET.get(index).map_or('A', |&it| char::from(it))
    };
    let (high, low) = (crate::ports::random(), crate::ports::random());
    // Kafka's tools reject ids that begin with a dash.
    let mut text = String::from("k");
    text.extend((0..10).map(|index| letter(high >> (6 * index))));
    text.extend((0..10).map(|index| letter(low >> (6 * index))));
    // The last letter has only two bits.
    text.push('A');
    text
}

/// Enough for three brokers on one machine, and quick. The scenarios' records have fixed times
/// of long ago, so nothing may be deleted for its age.
const COMMON_SETTINGS: &str = "\
num.partitions=3
default.replication.factor=3
min.insync.replicas=1
offsets.topic.replication.factor=3
offsets.topic.num.partitions=3
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=3
share.coordinator.state.topic.replication.factor=3
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=3
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
log.retention.ms=-1
replica.selector.class=org.apache.kafka.common.replica.RackAwareReplicaSelector
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_look_like_those_of_kafka() {
        let id = uuid();
        assert_eq!(id.len(), 22);
        assert_ne!(id, uuid());
    }
}
