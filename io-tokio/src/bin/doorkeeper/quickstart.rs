//! `doorkeeper quickstart`: an embedded in-memory Kafka with doorkeeper in front.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::net::Ipv4Addr;
use std::process::ExitCode;

use anyhow::Context as _;
use doorkeeper_core::id::{BrokerId, HostPort};
use doorkeeper_host::{BrokerConfig, Host, HostConfig};
use doorkeeper_io_tokio::Net as _;
use doorkeeper_io_tokio::config::{self, schema};
use doorkeeper_io_tokio::net::{ListeningSocket, TokioNet};
use tokio_util::sync::CancellationToken;

use crate::cli::QuickstartArgs;
use crate::failure::Failure;
use crate::run;

/// The brokers of the embedded cluster.
const BROKER_IDS: [i32; 3] = [1, 2, 3];

/// Serves until a signal.
pub(crate) fn quickstart(args: &QuickstartArgs) -> Result<ExitCode, Failure> {
    let log = schema::Log {
        level: schema::LogLevel::Warn,
        ..schema::Log::default()
    };
    run::start_logging(&log, args.log.as_deref())?;
    run::block_on(serve(args.port))
}

async fn serve(port: u16) -> Result<ExitCode, Failure> {
    let net = TokioNet::default();
    let (brokers, listeners) = brokers(&net).await?;
    let bootstrap: Vec<String> = brokers.iter().map(|it| it.advertised.to_string()).collect();
    let loaded = config::parse("quickstart", &file(&bootstrap, port), HashMap::new())?;
    let compiled = config::compile(&loaded)?;

    let seed = u64::from(std::process::id());
    let host = Host::bound(net, HostConfig::new(brokers, seed), listeners);
    let stop = CancellationToken::new();
    let hosted = tokio::spawn(host.serve(stop.child_token()));
    let announce = move || {
        let mut out = io::stdout();
        // A reader that has closed it wants no more.
        let _ = out.write_all(lines_to_paste(port).as_bytes());
        let _ = out.flush();
    };
    let served = run::served(compiled.plan, None, None, stop.clone(), announce).await;
    stop.cancel();
    let hosted = hosted.await.context("the embedded cluster failed")?;
    hosted.context("the embedded cluster failed")?;
    served.map_err(|failure| match failure {
        Failure::Runtime(error) => Failure::Runtime(anyhow::anyhow!(
            "{error:#} (--port PORT takes four other ports in a row)"
        )),
        Failure::Config(_) | Failure::Usage(_) => failure,
    })
}

/// Brokers at ports that the system chose, and their listeners.
async fn brokers(
    net: &TokioNet,
) -> Result<(Vec<BrokerConfig>, Vec<(BrokerId, ListeningSocket)>), Failure> {
    let mut brokers = Vec::new();
    let mut listeners = Vec::new();
    for id in BROKER_IDS.map(BrokerId) {
        let listener = net.bind((Ipv4Addr::LOCALHOST, 0).into()).await?;
        let bind = listener.local_addr();
        let advertised = HostPort::new(&bind.ip().to_string(), bind.port());
        let advertised = advertised.context("a port that the system chose")?;
        brokers.push(BrokerConfig {
            id,
            bind,
            advertised,
        });
        listeners.push((id, listener));
    }
    Ok((brokers, listeners))
}

/// The configuration of doorkeeper in front of them: broker n is at `port` plus n.
fn file(bootstrap: &[String], port: u16) -> String {
    format!(
        "clusters: {{ quickstart: {{ bootstrap: [{}] }} }}\n\
         listeners:\n  quickstart:\n    cluster: quickstart\n    route:\n      \
         ports: {{ bootstrap: {port}, brokers: {port}, broker_ids: 1-3 }}\n",
        bootstrap.join(", ")
    )
}

fn lines_to_paste(port: u16) -> String {
    let at = format!("127.0.0.1:{port}");
    format!(
        r#"An in-memory Kafka cluster of three brokers is behind doorkeeper at {at}.
Topics are created when they are first used. Nothing is kept. Ctrl-C ends it.

kcat:
  echo hello | kcat -b {at} -t greetings -P
  kcat -b {at} -t greetings -C -e

Kafka's console clients:
  kafka-console-producer.sh --bootstrap-server {at} --topic greetings
  kafka-console-consumer.sh --bootstrap-server {at} --topic greetings --from-beginning

Java properties:
  bootstrap.servers={at}

Python (confluent-kafka):
  producer = Producer({{"bootstrap.servers": "{at}"}})
  producer.produce("greetings", b"hello"); producer.flush()
"#
    )
}
