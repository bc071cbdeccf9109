//! `doorkeeper quickstart`: an embedded in-memory Kafka with doorkeeper in front.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::ExitCode;

use anyhow::Context as _;
use doorkeeper_core::id::{BrokerId, HostPort};
use doorkeeper_host::{BrokerConfig, Host, HostConfig};
use doorkeeper_io_tokio::config::{self, schema};
use doorkeeper_io_tokio::net::TokioNet;
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
    run::runtime()?.block_on(serve(args.port))
}

async fn serve(port: u16) -> Result<ExitCode, Failure> {
    let brokers = brokers()?;
    let bootstrap: Vec<String> = brokers.iter().map(|it| it.advertised.to_string()).collect();
    let loaded = config::parse("quickstart", &file(&bootstrap, port), HashMap::new())?;
    let compiled = config::compile(&loaded)?;

    let seed = u64::from(std::process::id());
    let host = Host::bind(TokioNet, HostConfig::new(brokers, seed)).await?;
    let stop = CancellationToken::new();
    let hosted = tokio::spawn(host.serve(stop.child_token()));
    write!(io::stdout(), "{}", lines_to_paste(port))?;
    io::stdout().flush()?;
    let served = run::served(compiled.plan, None, stop.clone()).await;
    stop.cancel();
    let hosted = hosted.await.context("the embedded cluster failed")?;
    hosted.context("the embedded cluster failed")?;
    served
}

/// Brokers on ports that are free now; whoever takes one in between makes the start fail.
fn brokers() -> Result<Vec<BrokerConfig>, Failure> {
    let free: io::Result<Vec<TcpListener>> = BROKER_IDS
        .iter()
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .collect();
    let mut brokers = Vec::new();
    for (id, listener) in BROKER_IDS.into_iter().zip(&free?) {
        let bind: SocketAddr = listener.local_addr()?;
        let advertised = HostPort::new(&bind.ip().to_string(), bind.port());
        brokers.push(BrokerConfig {
            id: BrokerId(id),
            bind,
            advertised: advertised.context("a free port")?,
        });
    }
    Ok(brokers)
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
