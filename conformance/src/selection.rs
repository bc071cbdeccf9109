//! Which scenarios run: the part that fits into CI, all of them, or those that somebody asks for.

use anyhow::{Result, bail};

use crate::Args;
use crate::catalog::{SCENARIOS, Scenario};
use crate::clients::{Client, Kit};
use crate::every_api;
use crate::model;
use crate::quickstart;
use crate::scenario::{Job, Way};
use crate::versions::Versions;

/// The jobs of each release that has any.
pub(crate) fn choose(
    args: &Args,
    versions: &Versions,
    kits: &[Kit],
) -> Result<Vec<(Kit, Vec<Job>)>> {
    let mut chosen = Vec::new();
    for kit in kits {
        let release = &kit.kafka.release;
        let on_newest = versions.newest() == Some(release.version.as_str());
        let mut jobs = Vec::new();
        for scenario in SCENARIOS {
            for &(client, since) in scenario.players {
                let is_there = release.major() >= since && kit.command(client).is_some();
                let place = format!("{}/{}/{}", scenario.name, client.name(), release.version);
                if is_there && is_wanted(args, scenario, client, on_newest, &place) {
                    jobs.extend(each_way(args, scenario, client));
                }
            }
        }
        let is_asked = every_api::wanted(args).is_some()
            || quickstart::wanted(args)
            || model::wanted(args, versions, &release.version);
        if !jobs.is_empty() || is_asked {
            chosen.push((kit.clone(), jobs));
        }
    }
    if chosen.is_empty() {
        bail!("nothing to run: --only is held against SCENARIO/CLIENT/KAFKA");
    }
    Ok(chosen)
}

/// Who asks for something by its name gets it, whether or not it runs by default.
fn is_wanted(
    args: &Args,
    scenario: &Scenario,
    client: Client,
    on_newest: bool,
    place: &str,
) -> bool {
    match &args.only {
        Some(patterns) => patterns.split(',').any(|it| matches(it, place)),
        None => args.full || scenario.is_default(client, on_newest),
    }
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
