//! Apache Kafka from Maven Central: one class path for each release, resolved once.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;

use crate::report::say;
use crate::versions::{Maven, Release};
use crate::{folders, process};

/// A release that is installed on this machine.
#[derive(Debug, Clone)]
pub(crate) struct Kafka {
    pub(crate) release: Release,
    pub(crate) class_path: ClassPath,
}

/// Jars that belong together.
#[derive(Debug, Clone)]
pub(crate) struct ClassPath {
    pub(crate) jars: String,
    /// What is cached for them.
    pub(crate) folder: PathBuf,
    /// The option of the JVM for its log settings.
    logging: String,
}

impl Kafka {
    /// Brings the brokers, unless they are here already.
    pub(crate) async fn bring(release: &Release, maven: &Maven) -> Result<Self> {
        let name = format!("kafka-{}", release.version);
        let class_path = ClassPath::bring(&name, release, &release.artifacts, maven).await?;
        Ok(Self {
            release: release.clone(),
            class_path,
        })
    }

    /// Brings the tools and Kafka Streams that go with a release.
    pub(crate) async fn bring_tools(release: &Release, maven: &Maven) -> Result<ClassPath> {
        let name = format!("tools-{}", release.tools.version);
        ClassPath::bring(&name, release, &release.tools.artifacts, maven).await
    }
}

impl ClassPath {
    async fn bring(
        name: &str,
        release: &Release,
        artifacts: &[String],
        maven: &Maven,
    ) -> Result<Self> {
        let folder = folders::cache(name)?;
        let pom = pom(artifacts, maven)?;
        let pom_file = folder.join("pom.xml");
        let list = folder.join("classpath.txt");
        let is_same = std::fs::read_to_string(&pom_file).is_ok_and(|it| it == pom);
        let known = std::fs::read_to_string(&list)
            .ok()
            .filter(|it| is_same && is_complete(it));
        let jars = match known {
            Some(jars) => jars,
            None => {
                say(format!("bringing {name} from Maven Central"));
                folders::write(&pom_file, &pom)?;
                resolve(&folder, &list).await?
            }
        };
        let settings = folders::source("kafka");
        let logging = release
            .jvm_logging
            .replace("{folder}", &settings.to_string_lossy());
        Ok(Self {
            jars,
            folder,
            logging,
        })
    }

    /// `java .. -cp ..` for a class of a broker, without the class.
    pub(crate) fn broker(&self, level: &str, options: &[String]) -> Command {
        let mut words = self.jvm(512, level).into_iter();
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).args(options).args(["-cp", &self.jars]);
        command
    }

    /// What goes in front of `-cp`: a JVM whose log has this level.
    pub(crate) fn jvm(&self, heap_mib: u32, level: &str) -> Vec<String> {
        vec![
            "java".to_owned(),
            format!("-Xmx{heap_mib}m"),
            // Small and quick to start: three brokers and the clients share two cores.
            "-XX:+UseSerialGC".to_owned(),
            "-XX:TieredStopAtLevel=1".to_owned(),
            self.logging.clone(),
            format!("-Dconformance.level={level}"),
        ]
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

fn pom(artifacts: &[String], maven: &Maven) -> Result<String> {
    let mut dependencies = String::new();
    for artifact in artifacts {
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
  <version>1</version>
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
        plugin = maven.dependency_plugin,
    ))
}
