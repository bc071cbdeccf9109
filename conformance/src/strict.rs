//! A broker of its own with Kafka's `StandardAuthorizer`, which denies its clients what doorkeeper
//! denies where nothing is allowed by name: an ACL leaves the cluster to another principal.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::clients::Kit;
use crate::cluster::{await_start, uuid};
use crate::event;
use crate::folders::{self, RunFolder};
use crate::ports::{FRONT, Ports};
use crate::process::{self, Process};

/// Controller, internal and client listener.
pub(crate) const PORTS: u16 = 3;
/// As one of the brokers behind doorkeeper: clients name it.
const ID: u16 = 1;

pub(crate) struct Strict {
    process: Process,
    address: String,
}

impl Strict {
    pub(crate) async fn start(kit: &Kit, ports: Ports, run: &RunFolder) -> Result<Self> {
        let address = format!("{FRONT}:{}", ports.at(2));
        let file = run.file("strict.properties");
        folders::write(&file, &settings(ports, &run.data().join("strict")))?;
        format(kit, ports, &file).await?;
        let mut command = kit.kafka.class_path.broker("INFO", &[]);
        command.arg("kafka.Kafka").arg(&file);
        let log: PathBuf = run.file("strict.log");
        let mut process = Process::spawn("the strict broker", &mut command, &log)?;
        await_start(&mut process).await?;
        event::make_strict(kit, &address).await?;
        Ok(Self { process, address })
    }

    /// Its id and its address, as clients receive them.
    pub(crate) fn node(&self) -> (String, String) {
        (ID.to_string(), self.address.clone())
    }

    pub(crate) async fn kill(mut self) -> Result<()> {
        self.process.check_alive()?;
        self.process.kill().await
    }
}

async fn format(kit: &Kit, ports: Ports, settings: &Path) -> Result<()> {
    let mut tool = kit.kafka.class_path.broker("WARN", &[]);
    let controller = format!("{ID}@{FRONT}:{}:{}", ports.at(0), uuid());
    tool.args(["kafka.tools.StorageTool", "format"])
        .args(["--cluster-id", &uuid()])
        .args(["--initial-controllers", &controller])
        .arg("--config")
        .arg(settings);
    process::run(&mut tool).await.context("StorageTool")?;
    Ok(())
}

/// The broker logs in at itself. Its clients do not log in, so they have another principal. A
/// resource without an ACL is open to all.
fn settings(ports: Ports, data: &Path) -> String {
    let [controller, internal, client] = [0, 1, 2].map(|index| ports.at(index));
    let login = "org.apache.kafka.common.security.plain.PlainLoginModule required \
                 username=\"node\" password=\"node\" user_node=\"node\";";
    format!(
        "process.roles=broker,controller\n\
         node.id={ID}\n\
         controller.quorum.bootstrap.servers={FRONT}:{controller}\n\
         controller.listener.names=CONTROLLER\n\
         inter.broker.listener.name=INTERNAL\n\
         listener.security.protocol.map=CONTROLLER:SASL_PLAINTEXT,INTERNAL:SASL_PLAINTEXT,\
         CLIENT:PLAINTEXT\n\
         listeners=CONTROLLER://{FRONT}:{controller},INTERNAL://{FRONT}:{internal},\
         CLIENT://{FRONT}:{client}\n\
         sasl.enabled.mechanisms=PLAIN\n\
         sasl.mechanism.inter.broker.protocol=PLAIN\n\
         sasl.mechanism.controller.protocol=PLAIN\n\
         listener.name.controller.plain.sasl.jaas.config={login}\n\
         listener.name.internal.plain.sasl.jaas.config={login}\n\
         authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
         super.users=User:node\n\
         allow.everyone.if.no.acl.found=true\n\
         default.replication.factor=1\n\
         offsets.topic.replication.factor=1\n\
         log.dirs={data}\n",
        data = data.display(),
    )
}
