//! `doorkeeper quickstart`: an embedded in-memory Kafka with doorkeeper in front.

mod certificates;
mod lines;

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::net::Ipv4Addr;
use std::process::ExitCode;

use anyhow::Context as _;
use doorkeeper_core::id::{BrokerId, HostPort};
use doorkeeper_host::{BrokerConfig, Host, HostConfig};
use doorkeeper_io_tokio::Net as _;
use doorkeeper_io_tokio::config::{self, Sources, schema};
use doorkeeper_io_tokio::net::{ListeningSocket, TokioNet};
use tokio_util::sync::CancellationToken;

use self::certificates::Certificates;
use crate::cli::QuickstartArgs;
use crate::failure::Failure;
use crate::run::{self, Serving};

/// The brokers of the embedded cluster.
const BROKER_IDS: [i32; 3] = [1, 2, 3];

/// Serves until a signal.
pub(crate) fn quickstart(args: &QuickstartArgs) -> Result<ExitCode, Failure> {
    let log = schema::Log {
        level: schema::LogLevel::Warn,
        ..schema::Log::default()
    };
    run::start_logging(&log, args.log.as_deref())?;
    let is_tls = args.tls || args.mtls;
    if args.certs.is_some() && !is_tls {
        let message = "--certs is of no use without --tls or --mtls";
        return Err(Failure::Usage(message.to_owned()));
    }
    let certificates = is_tls.then(|| Certificates::make(args.certs.as_deref(), args.mtls));
    let certificates = certificates.transpose()?;
    run::block_on(serve(args.port, certificates.as_ref()))
}

async fn serve(port: u16, certificates: Option<&Certificates>) -> Result<ExitCode, Failure> {
    let net = TokioNet::default();
    let (brokers, listeners) = brokers(&net).await?;
    let bootstrap: Vec<String> = brokers.iter().map(|it| it.advertised.to_string()).collect();
    let text = file(&bootstrap, port, certificates);
    let loaded = config::parse("quickstart", &text, HashMap::new())?;
    let mut compiled = config::compile(&loaded)?;
    compiled.read_files(&loaded, &mut Sources::default())?;
    let lines = lines::to_paste(port, certificates);

    let seed = u64::from(std::process::id());
    let host = Host::bound(net, HostConfig::new(brokers, seed), listeners);
    let stop = CancellationToken::new();
    let hosted = tokio::spawn(host.serve(stop.child_token()));
    let announce = move || {
        let mut out = io::stdout();
        // A reader that has closed it wants no more.
        let _ = out.write_all(lines.as_bytes());
        let _ = out.flush();
    };
    let serving = Serving {
        plan: compiled.plan,
        record: None,
        files: None,
        stop: stop.clone(),
    };
    let served = serving.run(announce).await;
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
fn file(bootstrap: &[String], port: u16, certificates: Option<&Certificates>) -> String {
    let tls = certificates.map_or(String::new(), Certificates::listener_tls);
    format!(
        "clusters: {{ quickstart: {{ bootstrap: [{}] }} }}\n\
         listeners:\n  quickstart:\n    cluster: quickstart\n    route:\n      \
         ports: {{ bootstrap: {port}, brokers: {port}, broker_ids: 1-3 }}\n{tls}",
        bootstrap.join(", ")
    )
}
