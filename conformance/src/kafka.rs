//! Apache Kafka from Maven Central: one class path for each release, resolved once.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;

use crate::report::say;
use crate::versions::{Maven, Release};
use crate::{folders, process};

/// A release that lies on this machine.
#[derive(Debug, Clone)]
pub(crate) struct Kafka {
    pub(crate) release: Release,
    pub(crate) class_path: String,
    /// What is cached for this release.
    pub(crate) folder: PathBuf,
}

impl Kafka {
    /// Brings it, unless all of it is here already.
    pub(crate) async fn bring(release: &Release, maven: &Maven) -> Result<Self> {
        let folder = folders::cache(&format!("kafka-{}", release.version))?;
        let pom = pom(release, maven)?;
        let pom_file = folder.join("pom.xml");
        let list = folder.join("classpath.txt");
        let is_same = std::fs::read_to_string(&pom_file).is_ok_and(|it| it == pom);
        let known = std::fs::read_to_string(&list)
            .ok()
            .filter(|it| is_same && is_complete(it));
        let class_path = match known {
            Some(class_path) => class_path,
            None => {
                say(format!(
                    "bringing Kafka {} from Maven Central",
                    release.version
                ));
                folders::write(&pom_file, &pom)?;
                resolve(&folder, &list).await?
            }
        };
        Ok(Self {
            release: release.clone(),
            class_path,
            folder,
        })
    }

    /// A JVM with this release on its class path; `level` is that of its log.
    pub(crate) fn java(&self, heap_mib: u32, level: &str) -> Command {
        let settings = folders::source("kafka");
        let logging = self
            .release
            .jvm_logging
            .replace("{folder}", &settings.to_string_lossy());
        let mut command = Command::new("java");
        command
            .arg(format!("-Xmx{heap_mib}m"))
            // Small and quick to start: three brokers and the clients share two cores.
            .args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
            .arg(logging)
            .arg(format!("-Dconformance.level={level}"));
        command
    }
}

async fn resolve(folder: &Path, list: &Path) -> Result<String> {
    let mut maven = Command::new("mvn");
    maven
        .args(["--batch-mode", "--quiet", "dependency:build-classpath"])
        .arg(format!("-Dmdep.outputFile={}", list.display()))
        .current_dir(folder);
    process::run(&mut maven)
        .await
        .context("Maven cannot resolve Kafka")?;
    let class_path = std::fs::read_to_string(list).context("Maven wrote no class path")?;
    if !is_complete(&class_path) {
        bail!(
            "Maven's class path has files that are not there: {}",
            list.display()
        );
    }
    Ok(class_path)
}

fn is_complete(class_path: &str) -> bool {
    !class_path.trim().is_empty() && class_path.split(':').all(|jar| Path::new(jar).is_file())
}

fn pom(release: &Release, maven: &Maven) -> Result<String> {
    let mut dependencies = String::new();
    for artifact in &release.artifacts {
        let parts: Vec<&str> = artifact.split(':').collect();
        let [group, name, version] = parts.as_slice() else {
            bail!("versions.toml: {artifact} is not group:artifact:version");
        };
        dependencies.push_str(&format!(
            "    <dependency><groupId>{group}</groupId><artifactId>{name}</artifactId>\
             <version>{version}</version></dependency>\n"
        ));
    }
    Ok(format!(
        r#"<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>doorkeeper</groupId>
  <artifactId>conformance</artifactId>
  <version>{version}</version>
  <packaging>pom</packaging>
  <build><pluginManagement><plugins><plugin>
    <groupId>org.apache.maven.plugins</groupId>
    <artifactId>maven-dependency-plugin</artifactId>
    <version>{plugin}</version>
  </plugin></plugins></pluginManagement></build>
  <dependencies>
{dependencies}  </dependencies>
</project>
"#,
        version = release.version,
        plugin = maven.dependency_plugin,
    ))
}
