//! Frames for the tests of the walker, made by Kafka's own message classes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use xshell::{Shell, cmd};

use super::editions::ApiPlan;
use super::jar::{Jar, bring};

/// What Kafka's JSON converters need and the clients jar does not bring.
const LIBRARIES: &[[&str; 3]] = &[
    ["com.fasterxml.jackson.core", "jackson-databind", "2.21.2"],
    ["com.fasterxml.jackson.core", "jackson-core", "2.21.2"],
    ["com.fasterxml.jackson.core", "jackson-annotations", "2.21"],
    ["org.slf4j", "slf4j-nop", "1.7.36"],
    ["org.slf4j", "slf4j-api", "1.7.36"],
];

/// Runs the oracle with each jar, and keeps the versions for which the tables follow that jar.
pub(super) fn write(
    sh: &Shell,
    root: &Path,
    cache: &Path,
    jars: &[Jar],
    apis: &[ApiPlan<'_>],
) -> Result<()> {
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    for jar in jars {
        let output = run(sh, root, cache, jar)?;
        for line in output.lines() {
            let mut columns = line.splitn(3, '\t');
            let (Some(message), Some(version), Some(rest)) =
                (columns.next(), columns.next(), columns.next())
            else {
                bail!("the oracle printed {line:?}");
            };
            if is_from(apis, message, version.parse()?, &jar.release) {
                let text = texts
                    .entry(message.to_owned())
                    .or_insert_with(|| head(message));
                let origin = format!("# From kafka-clients {}.\n", jar.release);
                if !text.contains(&origin) {
                    text.push_str(&origin);
                }
                writeln!(text, "{version}\t{rest}")?;
            }
        }
    }
    let folder = root.join("testdata/frames");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    for (message, text) in &texts {
        ensure!(
            text.len() < 1 << 20,
            "the frames of {message} are larger than 1 MiB"
        );
        fs::write(folder.join(format!("{message}.txt")), text)?;
    }
    Ok(())
}

fn run(sh: &Shell, root: &Path, cache: &Path, jar: &Jar) -> Result<String> {
    let mut classpath = vec![jar.path.clone()];
    for library in LIBRARIES {
        classpath.push(bring(sh, cache, *library)?);
    }
    let classes = cache.join("schema").join(format!("oracle-{}", jar.release));
    fs::create_dir_all(&classes)?;
    let libraries = std::env::join_paths(&classpath)?;
    let sources = root.join("conformance/oracle");
    let (oracle, filler) = (sources.join("Oracle.java"), sources.join("Filler.java"));
    cmd!(
        sh,
        "javac -Xlint:all -d {classes} -cp {libraries} {oracle} {filler}"
    )
    .quiet()
    .run()
    .context("cannot compile the oracle: is a JDK of 17 or later installed?")?;
    classpath.push(classes);
    let classpath = std::env::join_paths(&classpath)?;
    cmd!(sh, "java -cp {classpath} Oracle")
        .quiet()
        .read()
        .context("the oracle failed")
}

/// Whether the tables describe this version of the message after this release.
fn is_from(apis: &[ApiPlan<'_>], message: &str, version: i16, release: &str) -> bool {
    let editions = apis
        .iter()
        .flat_map(|api| api.request.iter().chain(&api.response));
    let mut fitting = editions.filter(|edition| edition.release == release);
    fitting.any(|edition| edition.definition.name == message && edition.versions.contains(version))
}

fn head(message: &str) -> String {
    format!(
        "# Bodies of {message} as Kafka's own message classes write them, with what they were\n\
         # filled with as Kafka's own converter tells it. Made by `cargo xtask schema --frames`.\n\
         # Columns: version, filling, body in hex, JSON.\n"
    )
}
