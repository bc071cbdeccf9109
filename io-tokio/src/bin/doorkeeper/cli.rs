//! The command line.

use std::path::PathBuf;

use bytesize::ByteSize;
use clap::{Args, Parser, Subcommand};
use doorkeeper_io_tokio::recorder;

use crate::certs;

/// The file that is read when none is named.
pub(crate) const DEFAULT_CONFIG: &str = "doorkeeper.yaml";

/// A Kafka wire-protocol proxy: clients see only its addresses.
///
/// Exit codes: 0 after a clean stop, 1 if something failed while running, 2 if the command line
/// or the configuration is wrong, 130 or 143 if a second SIGINT or SIGTERM ended it at once.
#[derive(Debug, Parser)]
#[command(name = "doorkeeper", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve until SIGTERM or SIGINT; a second one does not wait for owed responses. SIGHUP reads
    /// all files again
    Run(RunArgs),
    /// Check a configuration: all errors, or the configuration with all defaults, and where each
    /// broker will be reachable
    Check(CheckArgs),
    /// Print the JSON schema of the configuration file
    Schema,
    /// Certificates to try TLS with, and what a server shows
    Certs {
        #[command(subcommand)]
        command: CertsCommand,
    },
    /// Say who may log in: the file that `sasl.users_file` of a listener names
    User {
        #[command(subcommand)]
        command: UserCommand,
    },
    /// Serve an embedded in-memory Kafka of three brokers on loopback, with doorkeeper in front
    #[cfg(feature = "quickstart")]
    Quickstart(QuickstartArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Add a user, or give it another password, which is read from the terminal or from standard
    /// input. The file is made if there is none
    Add {
        #[command(flatten)]
        file: UsersArg,
        /// Its name
        name: String,
        /// How often a password is hashed: the more, the longer it takes to guess one, and to log
        /// in with PLAIN [default: 8192]
        #[arg(long, value_name = "N")]
        iterations: Option<u32>,
    },
    /// Remove a user
    Remove {
        #[command(flatten)]
        file: UsersArg,
        /// Its name
        name: String,
    },
    /// Print all users, and the mechanisms of which there are keys
    List {
        #[command(flatten)]
        file: UsersArg,
    },
    /// Say whether a password, read from the terminal or from standard input, is right
    Check {
        #[command(flatten)]
        file: UsersArg,
        /// The name of the user
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct UsersArg {
    /// The file of users
    #[arg(long = "users", value_name = "FILE", default_value = "users.yaml")]
    pub(crate) users: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ConfigArg {
    /// The configuration file [default: doorkeeper.yaml in the working directory]
    #[arg(long, value_name = "FILE")]
    config: Option<String>,
}

impl ConfigArg {
    /// The file, and whether it was named.
    pub(crate) fn file(&self) -> (&str, bool) {
        match &self.config {
            Some(file) => (file, true),
            None => (DEFAULT_CONFIG, false),
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArg,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArg,
    /// What is logged, like info,doorkeeper_io_tokio=debug; before RUST_LOG and the file
    #[arg(long, value_name = "FILTER")]
    pub(crate) log: Option<String>,
    #[command(flatten)]
    pub(crate) record: RecordArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RecordArgs {
    /// Record what every session sees, without payloads, in files of this folder that can be
    /// replayed
    #[arg(long = "record", value_name = "DIR")]
    dir: Option<PathBuf>,
    /// How long all recordings together may become: the oldest of sessions that are over go first
    #[arg(
        long = "record-bytes-max",
        value_name = "SIZE",
        default_value = "1GiB",
        requires = "dir"
    )]
    bytes_max: ByteSize,
    /// How long one recording may become: then it ends, and the session goes on
    #[arg(
        long = "record-file-bytes-max",
        value_name = "SIZE",
        default_value = "16MiB",
        requires = "dir"
    )]
    file_bytes_max: ByteSize,
}

impl RecordArgs {
    /// Where to record, if at all.
    pub(crate) fn settings(&self) -> Option<recorder::Settings> {
        Some(recorder::Settings {
            dir: self.dir.clone()?,
            bytes_max: self.bytes_max.as_u64(),
            file_bytes_max: self.file_bytes_max.as_u64(),
        })
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum CertsCommand {
    /// Write a CA and certificates that it signs: ECDSA with P-256, in PEM. Nothing is overwritten
    Generate(GenerateArgs),
    /// Print, and save, the certificates that a server shows, and whether they are trusted.
    /// Exit codes: 0 if they are, 3 if they are not, 1 if none came
    Fetch(FetchArgs),
}

#[derive(Debug, Args)]
pub(crate) struct GenerateArgs {
    /// The folder; it is made if need be
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// A host name or address of the server: server.pem and server.key. May be given several times
    #[arg(long, value_name = "NAME")]
    pub(crate) server: Vec<String>,
    /// The name of a client: NAME.pem, NAME.key, and both in NAME.keystore.pem for Java. May be
    /// given several times
    #[arg(long, value_name = "NAME", value_parser = certs::client_name)]
    pub(crate) client: Vec<String>,
    /// Sign with the CA of this folder (ca.pem, ca.key) instead of a new one
    #[arg(long, value_name = "DIR", conflicts_with = "ca_days")]
    pub(crate) ca_dir: Option<PathBuf>,
    /// How long the CA is good
    #[arg(long, value_name = "DAYS", default_value_t = 3650,
        value_parser = clap::value_parser!(u32).range(1..=36500))]
    pub(crate) ca_days: u32,
    /// How long the certificates of server and clients are good
    #[arg(long, value_name = "DAYS", default_value_t = 365,
        value_parser = clap::value_parser!(u32).range(1..=36500))]
    pub(crate) days: u32,
}

#[derive(Debug, Args)]
pub(crate) struct FetchArgs {
    /// Where the server is
    #[arg(value_name = "HOST:PORT")]
    pub(crate) at: String,
    /// Save the certificates here, in PEM. Nothing is overwritten
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Ask for this name, and verify it, instead of the host
    #[arg(long, value_name = "NAME")]
    pub(crate) server_name: Option<String>,
    /// Trust the CAs of this file, in PEM, instead of those of the system
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// How long to wait
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    pub(crate) timeout: humantime::Duration,
}

#[cfg(feature = "quickstart")]
#[derive(Debug, Args)]
pub(crate) struct QuickstartArgs {
    /// Serve TLS, with certificates that are made for it
    #[arg(long)]
    pub(crate) tls: bool,
    /// Serve TLS, and ask clients for certificates; one is made for a client alice
    #[arg(long)]
    pub(crate) mtls: bool,
    /// Where the certificates are written, or are from the last time [default: a temporary folder
    /// that is removed at the end]
    #[arg(long, value_name = "DIR")]
    pub(crate) certs: Option<PathBuf>,
    /// The bootstrap port; the brokers are at the next three
    #[arg(long, value_name = "PORT", default_value_t = 19092,
        value_parser = clap::value_parser!(u16).range(1..=65532))]
    pub(crate) port: u16,
    /// What is logged, like info; before RUST_LOG
    #[arg(long, value_name = "FILTER")]
    pub(crate) log: Option<String>,
}
