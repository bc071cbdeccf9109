//! The command line.

use std::path::PathBuf;

use bytesize::ByteSize;
use clap::{Args, Parser, Subcommand};
use doorkeeper_io_tokio::recorder;

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
    /// Serve until SIGTERM or SIGINT; a second one does not wait for owed responses. SIGHUP is
    /// ignored
    Run(RunArgs),
    /// Check a configuration: all errors, or the configuration with all defaults, and where each
    /// broker will be reachable
    Check(CheckArgs),
    /// Print the JSON schema of the configuration file
    Schema,
    /// Serve an embedded in-memory Kafka of three brokers on loopback, with doorkeeper in front
    #[cfg(feature = "quickstart")]
    Quickstart(QuickstartArgs),
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

#[cfg(feature = "quickstart")]
#[derive(Debug, Args)]
pub(crate) struct QuickstartArgs {
    /// The bootstrap port; the brokers are at the next three
    #[arg(long, value_name = "PORT", default_value_t = 19092,
        value_parser = clap::value_parser!(u16).range(1..=65532))]
    pub(crate) port: u16,
    /// What is logged, like info; before RUST_LOG
    #[arg(long, value_name = "FILTER")]
    pub(crate) log: Option<String>,
}
