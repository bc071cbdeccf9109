//! The clients, and how the program of each is started.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::kafka::{ClassPath, Kafka};
use crate::{archive, folders};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Client {
    /// Kafka's own, of the brokers' version.
    Java,
    /// The same of an older version.
    OldJava,
    Librdkafka,
    KafkaPython,
    Aiokafka,
    Kafkajs,
    FranzGo,
    Kcat,
    /// Kafka's command line tools.
    Tools,
    /// Kafka Streams.
    Streams,
    /// Sockets and frames by hand, for what no library lets its user decide.
    Sockets,
}

pub(crate) const CLIENTS: &[Client] = &[
    Client::Java,
    Client::OldJava,
    Client::Librdkafka,
    Client::KafkaPython,
    Client::Aiokafka,
    Client::Kafkajs,
    Client::FranzGo,
    Client::Kcat,
    Client::Tools,
    Client::Streams,
    Client::Sockets,
];

impl Client {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Java => "java",
            Self::OldJava => "java-old",
            Self::Librdkafka => "librdkafka",
            Self::KafkaPython => "kafka-python",
            Self::Aiokafka => "aiokafka",
            Self::Kafkajs => "kafkajs",
            Self::FranzGo => "franz-go",
            Self::Kcat => "kcat",
            Self::Tools => "tools",
            Self::Streams => "streams",
            Self::Sockets => "sockets",
        }
    }
}

/// Jars of Kafka and the programs of the suite that were compiled against them.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    pub(crate) version: String,
    pub(crate) class_path: ClassPath,
    pub(crate) jar: PathBuf,
    /// Of classes; it need not be there.
    pub(crate) archive: PathBuf,
}

impl Programs {
    /// `java .. -cp ..`, without a class.
    fn java(&self) -> Vec<String> {
        let mut words = jvm(&self.class_path, &self.jar);
        words.splice(1..1, archive::options(&self.archive));
        words
    }
}

/// The same without an archive of classes.
pub(crate) fn jvm(class_path: &ClassPath, jar: &Path) -> Vec<String> {
    let mut words = class_path.jvm(256, "WARN");
    words.push("-cp".to_owned());
    words.push(format!("{}:{}", jar.display(), class_path.jars));
    words
}

fn run_class(programs: &Programs, class: &str) -> Command {
    let mut words = programs.java().into_iter();
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words).arg(class);
    command
}

/// All that is needed to run clients against one release.
#[derive(Debug, Clone)]
pub(crate) struct Kit {
    pub(crate) kafka: Kafka,
    pub(crate) java: Programs,
    pub(crate) old_java: Option<Programs>,
    pub(crate) tools: Programs,
    pub(crate) python: PathBuf,
    /// The folder with `node_modules`.
    pub(crate) node: PathBuf,
    /// The program of franz-go.
    pub(crate) franz_go: PathBuf,
}

impl Kit {
    /// A program that takes `SCENARIO BOOTSTRAP PREFIX`; `None` when this release has none.
    pub(crate) fn command(&self, client: Client) -> Option<Command> {
        Some(match client {
            Client::Java => run_class(&self.java, "Main"),
            Client::OldJava => run_class(self.old_java.as_ref()?, "Main"),
            Client::Streams => run_class(&self.tools, "Main"),
            Client::Librdkafka => self.python("librdkafka.py"),
            Client::KafkaPython => self.python("kafka_python.py"),
            Client::Aiokafka => self.python("aio_kafka.py"),
            Client::Kcat => self.python("kcat.py"),
            Client::Sockets => self.python("half_close.py"),
            Client::Tools => {
                let mut command = self.python("tools.py");
                let java = serde_json::Value::from(self.tools.java());
                command
                    .env("CONFORMANCE_JAVA", java.to_string())
                    .env("CONFORMANCE_TOOLS", &self.tools.version);
                command
            }
            Client::FranzGo => Command::new(&self.franz_go),
            Client::Kafkajs => {
                let mut command = Command::new("node");
                command
                    .env("NODE_PATH", self.node.join("node_modules"))
                    .arg(folders::source("node/main.js"));
                command
            }
        })
    }

    /// Kafka's admin client for what the suite itself changes: `Main NAME BOOTSTRAP ..`.
    pub(crate) fn admin(&self) -> Command {
        run_class(&self.java, "Main")
    }

    /// One of the Java programs, by its class.
    pub(crate) fn program(&self, class: &str) -> Command {
        run_class(&self.java, class)
    }

    fn python(&self, file: &str) -> Command {
        let mut command = Command::new(&self.python);
        // Its compiled files would lie among the sources.
        command.arg("-B").arg(folders::source("python").join(file));
        command
    }
}
