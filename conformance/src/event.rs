//! What happens while records flow: to a broker, to leaders, to doorkeeper.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::time::sleep;

use crate::clients::Kit;
use crate::cluster::{Cluster, IDS, NEWCOMER};
use crate::doorkeeper::Doorkeeper;
use crate::process;

/// Done by the suite when every client of a scenario has its records flowing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// In order, and back at once.
    BrokerRestarts,
    /// With SIGKILL, and back at once.
    BrokerIsKilled,
    /// In order, and away for a while.
    BrokerStops,
    /// Stands still for longer than the controller waits for its heartbeats.
    BrokerPauses,
    /// Every partition changes its leader, several times.
    LeadersMove,
    /// A fourth broker comes, leads, and leaves for good.
    BrokerJoinsAndLeaves,
    /// With SIGKILL, and back at once.
    DoorkeeperIsKilled,
    /// With SIGTERM, so that due responses still come; and back.
    DoorkeeperDrains,
}

/// The broker that suffers: it leads partitions of every topic.
const VICTIM: u16 = 2;
const AWAY: Duration = Duration::from_secs(5);
/// `broker.session.timeout.ms` is 9 s: the controller takes it for dead.
const STILL: Duration = Duration::from_secs(14);

impl Event {
    /// Whether it changes nothing for clients that come direct.
    pub(crate) fn is_doorkeepers(self) -> bool {
        matches!(self, Self::DoorkeeperIsKilled | Self::DoorkeeperDrains)
    }

    /// Makes it happen, and waits until all is as it was. `topics` begin with this text.
    pub(crate) async fn happen(
        self,
        cluster: &mut Cluster,
        doorkeeper: Option<&mut Doorkeeper>,
        kit: &Kit,
        topics: &str,
    ) -> Result<()> {
        match self {
            Self::BrokerRestarts => {
                cluster.stop(VICTIM).await?;
                cluster.restart(VICTIM).await
            }
            Self::BrokerIsKilled => {
                cluster.kill_one(VICTIM).await?;
                cluster.restart(VICTIM).await
            }
            Self::BrokerStops => {
                cluster.stop(VICTIM).await?;
                sleep(AWAY).await;
                cluster.restart(VICTIM).await
            }
            Self::BrokerPauses => {
                cluster.pause(VICTIM)?;
                sleep(STILL).await;
                cluster.resume(VICTIM)
            }
            Self::LeadersMove => place(kit, cluster, topics, &IDS, 3).await,
            Self::BrokerJoinsAndLeaves => {
                cluster.join().await?;
                place(kit, cluster, topics, &[NEWCOMER, 1, 2, 3], 2).await?;
                place(kit, cluster, topics, &IDS, 1).await?;
                cluster.stop(NEWCOMER).await?;
                cluster.forget(NEWCOMER)?;
                admin(kit, cluster, "unregister", &[NEWCOMER.to_string()]).await
            }
            Self::DoorkeeperIsKilled => match doorkeeper {
                Some(doorkeeper) => doorkeeper.kill_and_start().await,
                None => Ok(()),
            },
            Self::DoorkeeperDrains => match doorkeeper {
                Some(doorkeeper) => doorkeeper.drain_and_start().await,
                None => Ok(()),
            },
        }
    }
}

/// Gives each partition other replicas of these brokers and another leader, in rounds.
async fn place(kit: &Kit, cluster: &Cluster, topics: &str, ids: &[u16], rounds: u16) -> Result<()> {
    let ids: Vec<String> = ids.iter().map(u16::to_string).collect();
    let args = [topics.to_owned(), ids.join(","), rounds.to_string()];
    admin(kit, cluster, "place", &args).await
}

/// Gives the producer of a scenario its quota: its client id begins with this text.
pub(crate) async fn set_quota(kit: &Kit, bootstrap: &str, prefix: &str) -> Result<()> {
    change(kit, bootstrap, "quota", &[prefix.to_owned()]).await
}

/// Leaves the cluster to another principal than that of clients, and waits until it is so.
pub(crate) async fn make_strict(kit: &Kit, bootstrap: &str) -> Result<()> {
    change(kit, bootstrap, "strict", &["suite".to_owned()]).await
}

/// The suite's own changes go direct.
async fn admin(kit: &Kit, cluster: &Cluster, what: &str, args: &[String]) -> Result<()> {
    change(kit, &cluster.bootstrap(), what, args).await
}

async fn change(kit: &Kit, bootstrap: &str, what: &str, args: &[String]) -> Result<()> {
    let mut command = kit.admin();
    command.args([what, bootstrap]).args(args);
    let said = process::run(&mut command).await.context("admin")?;
    if said.contains("\"error\"") {
        bail!("{what}: {said}");
    }
    Ok(())
}
