//! `docs/conformance.md`: the scenarios that were run, with their clients, releases and results.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::SystemTime;

use anyhow::Result;

use crate::catalog::SCENARIOS;
use crate::clients::{CLIENTS, Client};
use crate::differences::Differences;
use crate::report::{Report, say};
use crate::versions::Versions;
use crate::{folders, go};

/// Whether a client passed a scenario.
type ScenarioResults = BTreeMap<(String, &'static str), bool>;

pub(crate) fn write(
    is_full: bool,
    report: &Report,
    versions: &Versions,
    differences: &Differences,
) -> Result<()> {
    let commit = std::process::Command::new("git")
        .args(["describe", "--always", "--dirty", "--abbrev=12"])
        .current_dir(folders::source("."))
        .output();
    let commit = commit.map_or_else(
        |_| "an unknown commit".to_owned(),
        |it| String::from_utf8_lossy(&it.stdout).trim().to_owned(),
    );
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let date = now.split('T').next().unwrap_or_default();
    let text = page(is_full, report, versions, differences, (date, &commit));
    let path = folders::source("../docs/conformance.md");
    folders::write(&path, &text)?;
    say(format!("wrote {}", path.display()));
    Ok(())
}

fn page(
    is_full: bool,
    report: &Report,
    versions: &Versions,
    differences: &Differences,
    (date, commit): (&str, &str),
) -> String {
    let mut text = format!(
        "# Conformance\n\n\
         <!-- Written by `cargo xtask conformance --write-docs`, {part}. -->\n\n\
         Real clients against real Apache Kafka clusters of three brokers, each scenario once \
         direct and once\nthrough doorkeeper: both must agree, and no byte towards a client may \
         hold an address of the cluster. CI\nplays every scenario with every commit; which \
         clients play it goes round, and `--full` plays all.\n\n\
         `tls_to_mtls` is a group whose clients speak TLS with doorkeeper, which shows a \
         certificate of its own\nto the brokers; all others of this form likewise. Where clients \
         speak TLS, the addresses that they\nlearned must be doorkeeper's, and their logs must \
         have no name of the cluster. `bad_certificates` compares\nthe exceptions of clients \
         whose certificate or whose server's does not hold; the brokers look up\nrevocation as \
         JVMs do, doorkeeper in its `crl_files`.\n\n\
         Run on {date}, {part}, doorkeeper {version} at commit {commit}.\n\n\
         `yes`: direct and through doorkeeper alike. `FAILED`: not. Empty: not run.\n",
        part = if is_full {
            "in full"
        } else {
            "the part that CI runs"
        },
        version = env!("CARGO_PKG_VERSION"),
    );
    for release in &versions.kafka {
        let results = results(report, &release.version);
        if !results.is_empty() {
            let _ = write!(text, "\n## Kafka {}\n\n", release.version);
            table(&mut text, &results);
        }
    }
    text.push_str("\n## Versions of the clients\n\n| Client | Version |\n|---|---|\n");
    for &client in CLIENTS {
        let _ = writeln!(
            text,
            "| {} | {} |",
            client.name(),
            version(client, versions)
        );
    }
    text.push_str("\n## Differences that are meant\n\n");
    text.push_str("| Scenario | Results | Direct | Through doorkeeper | Why |\n");
    text.push_str("|---|---|---|---|---|\n");
    for it in &differences.all {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} |",
            it.scenario,
            it.results.join(", "),
            it.direct.join(" or "),
            it.through,
            it.why
        );
    }
    text
}

/// A scenario has failed for a client if one of its jobs has.
fn results(report: &Report, version: &str) -> ScenarioResults {
    let mut results = ScenarioResults::new();
    for row in report.rows().iter().filter(|it| it.version == version) {
        let key = (row.name.clone(), row.client);
        *results.entry(key).or_insert(true) &= row.failure.is_none();
    }
    results
}

fn table(text: &mut String, results: &ScenarioResults) {
    let seen: BTreeSet<&str> = results.keys().map(|&(_, client)| client).collect();
    let columns: Vec<&str> = CLIENTS
        .iter()
        .map(|it| it.name())
        .filter(|it| seen.contains(it))
        .collect();
    let _ = writeln!(text, "| Scenario | {} |", columns.join(" | "));
    let _ = writeln!(text, "|---|{}", "---|".repeat(columns.len()));
    for scenario in SCENARIOS {
        let cells: Vec<&str> = columns
            .iter()
            .map(
                |client| match results.get(&(scenario.name.to_owned(), *client)) {
                    None => "",
                    Some(true) => "yes",
                    Some(false) => "FAILED",
                },
            )
            .collect();
        if cells.iter().any(|it| !it.is_empty()) {
            let _ = writeln!(text, "| `{}` | {} |", scenario.name, cells.join(" | "));
        }
    }
}

fn version(client: Client, versions: &Versions) -> String {
    let by_release = |of: fn(&crate::versions::Release) -> Option<&str>| {
        let all: Vec<&str> = versions.kafka.iter().filter_map(of).collect();
        all.join(", ")
    };
    let pinned = |it: Option<&str>| it.unwrap_or_default().to_owned();
    match client {
        Client::Java => by_release(|it| Some(&it.version)),
        Client::OldJava => by_release(|it| it.old_clients.as_deref()),
        Client::Tools | Client::Streams => by_release(|it| Some(&it.tools.version)),
        Client::Librdkafka => {
            let wrapper = versions.python.version_of("confluent-kafka");
            format!("of confluent-kafka {}", wrapper.unwrap_or_default())
        }
        Client::KafkaPython => pinned(versions.python.version_of("kafka-python")),
        Client::Aiokafka => pinned(versions.python.version_of("aiokafka")),
        Client::FranzGo => go::version().unwrap_or_default(),
        Client::Kafkajs => pinned(versions.node.version_of("kafkajs")),
        Client::Kcat => "of the system".to_owned(),
        Client::Sockets => "written here".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Job, Way};

    #[test]
    fn the_page_shows_what_passed_and_what_failed() {
        let versions = Versions::load().unwrap();
        let release = versions.newest().unwrap();
        let report = Report::new(3);
        let job = |client, way| Job {
            scenario: SCENARIOS[0],
            client,
            way,
            turn: 0,
        };
        let took = std::time::Duration::ZERO;
        report.job(release, &job(Client::Java, Way::Direct), took, [None, None]);
        let why = Some("why".to_owned());
        report.job(release, &job(Client::Java, Way::Through), took, [None, why]);
        report.job(
            release,
            &job(Client::Kcat, Way::Through),
            took,
            [None, None],
        );
        let differences = Differences::load().unwrap();
        let page = page(
            true,
            &report,
            &versions,
            &differences,
            ("2026-01-02", "abc"),
        );
        assert!(page.contains("| Scenario | java | kcat |"), "{page}");
        let row = format!("| `{}` | FAILED | yes |", SCENARIOS[0].name);
        assert!(page.contains(&row), "{page}");
        assert!(page.contains("on 2026-01-02, in full") && page.contains("commit abc"));
        for difference in &differences.all {
            assert!(page.contains(&difference.why));
        }
    }
}
