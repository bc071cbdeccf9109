//! The part of all pairings (scenario, client, release) that one commit plays.
//!
//! Every scenario is played with every commit; which clients play it goes round. `--full` plays
//! all.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::catalog::Scenario;
use crate::clients::Client;
use crate::folders;

/// A scenario with one of its clients.
pub(crate) type Pairing = (Scenario, Client);

/// How many clients play a scenario on the newest release: one that stands for its kind,
const REPRESENTATIVE: usize = 3;
/// one whose event takes the same time for any number,
const WITH_EVENT: usize = 2;
/// and another.
const OTHER: usize = 1;
/// On older releases so many play what stands for its kind,
const OLDER: usize = 1;
/// and so many pairings come from all the rest.
const OLDER_REST: usize = 7;

/// What of `all`, a release's pairings in the order of the scenarios, is played.
pub(crate) fn part(all: &[Pairing], on_newest: bool, rotation: u64) -> Vec<Pairing> {
    let (always, rest): (Vec<Pairing>, Vec<Pairing>) = all
        .iter()
        .partition(|(scenario, _)| on_newest || scenario.is_representative);
    let mut part = Vec::new();
    // How many were taken of the same row of clients: each scenario goes on where the one before
    // left off, so that all of them come to play.
    let mut taken: BTreeMap<Vec<Client>, u64> = BTreeMap::new();
    for players in always.chunk_by(|(one, _), (other, _)| one.name == other.name) {
        let Some((scenario, _)) = players.first() else {
            continue;
        };
        let count = match (on_newest, scenario.is_representative, scenario.event) {
            (false, _, _) => OLDER,
            (true, true, _) => REPRESENTATIVE,
            (true, false, Some(_)) => WITH_EVENT,
            (true, false, None) => OTHER,
        };
        let clients = players.iter().map(|it| it.1).collect();
        let taken = taken.entry(clients).or_default();
        let window = window(players, count, rotation.wrapping_add(*taken));
        *taken += u64::try_from(window.len()).unwrap_or(0);
        part.extend(window);
    }
    let step = u64::try_from(OLDER_REST).unwrap_or(1);
    part.extend(window(&rest, OLDER_REST, rotation.wrapping_mul(step)));
    part
}

/// `count` of `all` in a ring.
fn window(all: &[Pairing], count: usize, first: u64) -> Vec<Pairing> {
    let size = u64::try_from(all.len()).unwrap_or(u64::MAX).max(1);
    // Below the length of a slice.
    let first = usize::try_from(first % size).unwrap_or(0);
    let ring = all.iter().cycle().skip(first);
    ring.take(count.min(all.len())).copied().collect()
}

/// Goes on by one with every commit of a history without merges. Where it is not whole, any number
/// serves, as long as it is the same for the same commit; there is no promise then of when a
/// pairing comes.
pub(crate) fn of_this_commit() -> Result<u64> {
    let is_shallow = git(&["rev-parse", "--is-shallow-repository"])?;
    if is_shallow == "false" {
        let count = git(&["rev-list", "--count", "HEAD"])?;
        return count.parse().context("git counts no commits");
    }
    let commit = git(&["rev-parse", "--short=8", "HEAD"])?;
    Ok(u64::from_str_radix(commit.get(..8).unwrap_or_default(), 16).unwrap_or(0))
}

fn git(args: &[&str]) -> Result<String> {
    let output = Command::new("git")
        .args(args)
        .current_dir(folders::source("."))
        .output()
        .context("git is missing")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::catalog::SCENARIOS;
    use crate::clients::CLIENTS;

    /// What CONTRIBUTING.md promises of commits in a row.
    const COMMITS: u64 = 20;

    fn all(major: u32) -> Vec<Pairing> {
        let players = |it: &Scenario| {
            let scenario = *it;
            let there = it.players.iter().filter(move |it| it.1 <= major);
            there.map(move |&(client, _)| (scenario, client))
        };
        SCENARIOS.iter().flat_map(players).collect()
    }

    fn names(part: &[Pairing]) -> BTreeSet<(&'static str, &'static str)> {
        part.iter()
            .map(|(it, client)| (it.name, client.name()))
            .collect()
    }

    #[test]
    fn every_pairing_comes_within_so_many_commits() {
        for (major, on_newest) in [(4, true), (3, false)] {
            let all = all(major);
            for first in [0, 7, 1000] {
                let parts = first..first + COMMITS;
                let seen: BTreeSet<_> = parts
                    .flat_map(|rotation| names(&part(&all, on_newest, rotation)))
                    .collect();
                assert_eq!(seen, names(&all), "Kafka {major}");
            }
        }
    }

    #[test]
    fn every_commit_plays_every_scenario_and_every_client_on_the_newest_release() {
        let all = all(4);
        for rotation in 0..50 {
            let part = part(&all, true, rotation);
            let scenarios: BTreeSet<&str> = part.iter().map(|(it, _)| it.name).collect();
            assert_eq!(scenarios.len(), SCENARIOS.len());
            let clients: BTreeSet<Client> = part.iter().map(|it| it.1).collect();
            assert_eq!(clients.len(), CLIENTS.len(), "{rotation}");
            assert_eq!(names(&part).len(), part.len(), "none is played twice");
        }
    }

    #[test]
    fn every_commit_plays_what_stands_for_its_kind_on_older_releases() {
        let all = all(3);
        let kinds = SCENARIOS
            .iter()
            .filter(|it| it.is_representative && it.players.iter().any(|&(_, since)| since <= 3));
        let kinds: BTreeSet<&str> = kinds.map(|it| it.name).collect();
        for rotation in 0..50 {
            let part = part(&all, false, rotation);
            let scenarios: BTreeSet<&str> = part.iter().map(|(it, _)| it.name).collect();
            assert!(scenarios.is_superset(&kinds), "{rotation}");
            assert!(scenarios.len() > kinds.len(), "{rotation}");
        }
    }
}
