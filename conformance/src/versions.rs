//! What is brought from outside, from `conformance/versions.toml`.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::folders;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Versions {
    pub(crate) maven: Maven,
    pub(crate) python: Packages,
    pub(crate) node: Packages,
    pub(crate) kafka: Vec<Release>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Maven {
    pub(crate) dependency_plugin: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Packages {
    /// As pip, or npm, wants them.
    pub(crate) packages: Vec<String>,
}

impl Packages {
    /// The version of one of them, after `==` or `@`.
    pub(crate) fn version_of(&self, name: &str) -> Option<&str> {
        self.packages.iter().find_map(|it| {
            let rest = it.strip_prefix(name)?;
            rest.strip_prefix("==").or_else(|| rest.strip_prefix('@'))
        })
    }
}

/// One release of Kafka.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Release {
    pub(crate) version: String,
    /// `group:artifact:version`.
    pub(crate) artifacts: Vec<String>,
    /// The option of the JVM for its log settings; `{folder}` is `conformance/kafka`.
    pub(crate) jvm_logging: String,
    /// Folders of `conformance/java` that compile against this release.
    pub(crate) java_sources: Vec<String>,
    /// The version, in this file, whose Java clients use these brokers as well.
    #[serde(default)]
    pub(crate) old_clients: Option<String>,
    /// Kafka's command line tools and Kafka Streams.
    pub(crate) tools: Tools,
    /// Settings of the broker that only this release needs.
    pub(crate) broker: BTreeMap<String, String>,
}

/// What of Kafka comes from another class path than the brokers.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tools {
    pub(crate) version: String,
    pub(crate) artifacts: Vec<String>,
    pub(crate) java_sources: Vec<String>,
}

impl Release {
    /// 4 for 4.4.0.
    pub(crate) fn major(&self) -> u32 {
        let first = self.version.split('.').next();
        first.and_then(|it| it.parse().ok()).unwrap_or(0)
    }
}

impl Versions {
    pub(crate) fn load() -> Result<Self> {
        folders::table("versions.toml")
    }

    /// The releases that `--kafka` asks for.
    pub(crate) fn select(&self, wanted: &str) -> Result<Vec<Release>> {
        if wanted == "all" {
            return Ok(self.kafka.clone());
        }
        self.release(wanted)
            .map(|it| vec![it.clone()])
            .context("--kafka")
    }

    pub(crate) fn release(&self, wanted: &str) -> Result<&Release> {
        let found = self.kafka.iter().find(|it| it.version == wanted);
        let Some(release) = found else {
            let known: Vec<&str> = self.kafka.iter().map(|it| it.version.as_str()).collect();
            bail!("{wanted}: versions.toml has {} (or all)", known.join(", "));
        };
        Ok(release)
    }

    /// The one on which every scenario runs by default.
    pub(crate) fn newest(&self) -> Option<&str> {
        self.kafka.first().map(|it| it.version.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_reads_and_selects() {
        let versions = Versions::load().unwrap();
        assert!(versions.kafka.len() >= 2);
        assert_eq!(versions.select("all").unwrap().len(), versions.kafka.len());
        for release in &versions.kafka {
            if let Some(old) = &release.old_clients {
                assert!(versions.release(old).is_ok());
            }
        }
        assert!(versions.node.version_of("kafkajs").is_some());
        assert!(versions.python.version_of("confluent-kafka").is_some());
        assert_eq!(versions.python.version_of("confluent"), None);
        let first = versions.kafka[0].clone();
        assert_eq!(
            versions.select(&first.version).unwrap()[0].version,
            first.version
        );
        assert!(versions.select("0.8").is_err());
    }
}
