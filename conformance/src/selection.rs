//! Which scenarios run: the part that fits into CI, all of them, or those of `--only`.

use anyhow::{Result, bail};

use crate::Args;
use crate::bad_brokers;
use crate::catalog::{SCENARIOS, Scenario};
use crate::clients::{Client, Kit};
use crate::every_api;
use crate::model;
use crate::quickstart;
use crate::rotation::{self, Pairing};
use crate::scenario::{Job, Way};
use crate::versions::Versions;

/// The jobs of each release that has any.
pub(crate) fn choose(
    args: &Args,
    versions: &Versions,
    kits: &[Kit],
    rotation: u64,
) -> Result<Vec<(Kit, Vec<Job>)>> {
    let mut chosen = Vec::new();
    for kit in kits {
        let release = &kit.kafka.release;
        let on_newest = versions.newest() == Some(release.version.as_str());
        let all = pairings(kit);
        let wanted = match &args.only {
            Some(patterns) => by_name(all, patterns, &release.version),
            None if args.full => all,
            None => rotation::part(&all, on_newest, rotation),
        };
        let jobs: Vec<Job> = wanted
            .into_iter()
            .flat_map(|(scenario, client)| each_way(args, &scenario, client))
            .collect();
        let is_asked = every_api::wanted(args).is_some()
            || quickstart::wanted(args)
            || bad_brokers::wanted(args)
            || model::wanted(args, versions, &release.version);
        if !jobs.is_empty() || is_asked {
            chosen.push((kit.clone(), jobs));
        }
    }
    if chosen.is_empty() {
        bail!("nothing to run: --only is matched against SCENARIO/CLIENT/KAFKA");
    }
    Ok(chosen)
}

/// All that can be played against a release, in the order of the scenarios.
fn pairings(kit: &Kit) -> Vec<Pairing> {
    let release = &kit.kafka.release;
    let players = |scenario: &'static Scenario| {
        let is_there = |&&(client, since): &&(Client, u32)| {
            release.major() >= since && kit.command(client).is_some()
        };
        let there = scenario.players.iter().filter(is_there);
        there.map(|&(client, _)| (*scenario, client))
    };
    SCENARIOS.iter().flat_map(players).collect()
}

fn by_name(all: Vec<Pairing>, patterns: &str, version: &str) -> Vec<Pairing> {
    let is_wanted = |(scenario, client): &Pairing| {
        let place = format!("{}/{}/{version}", scenario.name, client.name());
        patterns.split(',').any(|it| matches(it, &place))
    };
    all.into_iter().filter(is_wanted).collect()
}

/// Whether the parts of the pattern between its stars stand in the text, in this order.
fn matches(pattern: &str, text: &str) -> bool {
    let mut rest = text;
    for part in pattern.split('*') {
        let Some((_, after)) = rest.split_once(part) else {
            return part.is_empty();
        };
        rest = after;
    }
    true
}

fn each_way(args: &Args, scenario: &Scenario, client: Client) -> Vec<Job> {
    let ways: &[Way] = match (args.direct, args.through) {
        (true, _) => &[Way::Direct],
        (_, true) => &[Way::Through],
        (false, false) => &[Way::Through, Way::Direct],
    };
    let turns = (0..args.repeat).flat_map(|turn| ways.iter().map(move |&way| (turn, way)));
    let job = |(turn, way)| Job {
        scenario: *scenario,
        client,
        way,
        turn,
    };
    turns.map(job).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_found_anywhere_and_a_star_stands_for_anything() {
        let place = "group_classic/java/4.4.0";
        for pattern in [
            "group",
            "java",
            "4.4",
            "group*java",
            "",
            "classic/java",
            "*",
            "g*4.4.0",
        ] {
            assert!(matches(pattern, place), "{pattern}");
        }
        for pattern in ["kcat", "java*group", "group_classic/java/3"] {
            assert!(!matches(pattern, place), "{pattern}");
        }
    }
}
