//! The model of a cluster against Kafka: scripts of `testdata/scripts` are played against real
//! brokers and against `doorkeeper-kafka-model`, which stands in for them in simulations, and both
//! responses are compared field by field. Where they differ the model is wrong, but for what
//! `model.toml` lists.

mod brokers;
mod compare;
mod fields;
mod play;
mod real;
mod simulated;
mod table;
mod topics;

use std::time::Instant;

use anyhow::{Context as _, Result};
use doorkeeper_model::script::Script;

use crate::Args;
use crate::cluster::Cluster;
use crate::compare::UsedRules;
use crate::folders::{self, RunFolder};
use crate::report::Report;
use crate::security::Security;
use crate::versions::Versions;
use play::Exchange;
use real::Real;
use simulated::Simulated;
use table::Table;
use topics::Layout;

const NAME: &str = "model";

/// Whether `--only` asks for this, against this release: the model is one of the newest.
pub(crate) fn wanted(args: &Args, versions: &Versions, version: &str) -> bool {
    let asked = match &args.only {
        Some(only) => only == NAME,
        None => !args.direct && !args.through,
    };
    asked && versions.newest() == Some(version)
}

/// Plays every script that `model.toml` does not skip; one check for each.
pub(crate) async fn run(
    kafka: &str,
    cluster: &Cluster,
    run: &RunFolder,
    report: &Report,
) -> Result<()> {
    let table = Table::load()?;
    let scripts = scripts()?;
    let mut real = Real::new(&cluster.direct(Security::Plaintext))?;
    let mut used = UsedRules::default();
    for (name, script) in &scripts {
        if table.skips(name) {
            continue;
        }
        let begun = Instant::now();
        let compared = one(script, &mut real, &table, &mut used).await;
        let failure = match compared {
            Ok(differences) if differences.is_empty() => None,
            Ok(differences) => {
                folders::write(&run.file(&format!("{NAME}-{name}.txt")), &differences)?;
                Some(differences.lines().take(3).collect::<Vec<_>>().join("; "))
            }
            Err(error) => Some(format!("{error:#}")),
        };
        report.check(kafka, &format!("{NAME} {name}"), begun.elapsed(), failure);
    }
    // No later test may find topics of scripts.
    topics::again(&mut real, &Layout::new()).await?;
    let begun = Instant::now();
    let unused = table.unused(&used);
    report.check(kafka, "model table", begun.elapsed(), unused);
    Ok(())
}

/// Plays a script on both sides; what differs, one line each.
async fn one(
    script: &Script,
    real: &mut Real,
    table: &Table,
    used: &mut UsedRules,
) -> Result<String> {
    let mut simulated = Simulated::new(script.setting.seed, real.places());
    let layout = topics::layout(&mut simulated).await?;
    let ids = topics::again(real, &layout).await?;
    real.learn_ids(ids);
    let kafka = play::play(script, real).await.context("Kafka")?;
    let model = play::play(script, &mut simulated).await.context("model")?;
    Ok(differences(&kafka, &model, table, used))
}

fn differences(
    real: &[Exchange],
    model: &[Exchange],
    table: &Table,
    used: &mut UsedRules,
) -> String {
    let mut lines = String::new();
    for (real, model) in real.iter().zip(model) {
        for difference in compare::compare(real, model, table, used) {
            lines.push_str(&format!(
                "step {} `{}`: {difference}\n",
                real.step, real.text
            ));
        }
    }
    lines
}

/// All scripts, by name.
fn scripts() -> Result<Vec<(String, Script)>> {
    let folder = folders::source("../testdata/scripts");
    let mut scripts = Vec::new();
    for entry in std::fs::read_dir(&folder).context("no scripts")? {
        let path = entry?.path();
        let name = path.file_stem().and_then(|it| it.to_str());
        let name = name.context("a script without a name")?.to_owned();
        let text = std::fs::read_to_string(&path).with_context(|| name.clone())?;
        let script = text.parse().with_context(|| name.clone())?;
        scripts.push((name, script));
    }
    scripts.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(scripts)
}

#[cfg(test)]
mod tests {
    use doorkeeper_core::id::HostPort;

    use super::*;

    #[tokio::test]
    async fn the_model_plays_every_script_that_is_not_skipped() {
        let table = Table::load().unwrap();
        let places: Vec<HostPort> = (1..=3)
            .map(|id| HostPort::new("broker.example", 9092 + id).unwrap())
            .collect();
        let mut played = 0;
        for (name, script) in scripts().unwrap() {
            if table.skips(&name) {
                continue;
            }
            let mut simulated = Simulated::new(script.setting.seed, &places);
            let all = play::play(&script, &mut simulated).await;
            let all = all.unwrap_or_else(|error| panic!("{name}: {error:#}"));
            for one in all
                .iter()
                .filter_map(|it| Some((it, it.response.as_ref()?)))
            {
                let (asked, response) = one;
                fields::read(asked.api_key, asked.version, response).unwrap();
                played += 1;
            }
        }
        assert!(played > 50, "{played}");
    }

    #[test]
    fn the_table_is_about_scripts_and_apis_that_there_are() {
        let table = Table::load().unwrap();
        assert_eq!(table.unknown(&scripts().unwrap()), Vec::<String>::new());
    }
}
