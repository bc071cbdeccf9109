//! Kafka's client jars: brought from Maven Central, or given by path.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use xshell::{Shell, cmd};

use super::definition::Definition;

/// The releases that the tables are made of, newest first.
pub(super) const RELEASES: &[&str] = &["4.4.0", "3.9.2"];

/// One kafka-clients jar.
pub(super) struct Jar {
    pub(super) path: PathBuf,
    pub(super) release: String,
    pub(super) definitions: Vec<Definition>,
}

impl Jar {
    /// Unpacks the definitions in the jar at `path` and reads them.
    pub(super) fn open(sh: &Shell, path: &Path, cache: &Path) -> Result<Self> {
        let path = fs::canonicalize(path).with_context(|| format!("no jar at {path:?}"))?;
        let stem = path
            .file_stem()
            .context("the jar has no name")?
            .to_string_lossy()
            .into_owned();
        let folder = cache.join("schema").join(&stem);
        fs::create_dir_all(&folder)?;
        {
            let _inside = sh.push_dir(&folder);
            cmd!(
                sh,
                "jar -xf {path} common/message kafka/kafka-version.properties"
            )
            .quiet()
            .run()
            .context("cannot unpack a jar: is a JDK of 17 or later installed?")?;
        }
        let version = fs::read_to_string(folder.join("kafka/kafka-version.properties"))?;
        let release = version
            .lines()
            .find_map(|line| line.strip_prefix("version="));
        let release = release
            .context("the jar does not say its version")?
            .trim()
            .to_owned();
        let mut definitions = Vec::new();
        for entry in fs::read_dir(folder.join("common/message"))? {
            let file = entry?.path();
            if file
                .extension()
                .is_some_and(|extension| extension == "json")
            {
                let text = fs::read_to_string(&file)?;
                let parsed = Definition::parse(&text).with_context(|| format!("in {file:?}"))?;
                definitions.extend(parsed);
            }
        }
        ensure!(
            !definitions.is_empty(),
            "{path:?} has no message definitions in it"
        );
        definitions.sort_by_key(|each| (each.api_key, !each.is_request));
        Ok(Self {
            path,
            release,
            definitions,
        })
    }

    /// The definition of an API in one direction.
    pub(super) fn definition(&self, api_key: i16, is_request: bool) -> Option<&Definition> {
        let mut all = self.definitions.iter();
        all.find(|each| each.api_key == api_key && each.is_request == is_request)
    }
}

/// Brings an artifact from Maven Central into the cache, unless it is there.
pub(super) fn bring(sh: &Shell, cache: &Path, coordinates: [&str; 3]) -> Result<PathBuf> {
    let [group, artifact, version] = coordinates;
    let folder = cache.join("jars");
    let path = folder.join(format!("{artifact}-{version}.jar"));
    if !path.exists() {
        fs::create_dir_all(&folder)?;
        let what = format!("{group}:{artifact}:{version}");
        cmd!(
            sh,
            "mvn -q -B dependency:copy -Dartifact={what} -DoutputDirectory={folder}"
        )
        .run()
        .with_context(|| format!("cannot bring {what} with mvn"))?;
        ensure!(path.exists(), "mvn did not leave {path:?}");
    }
    Ok(path)
}
