//! How the process ends when it does not end well.

use std::io::{self, Write as _};
use std::process::ExitCode;

use doorkeeper_io_tokio::config::Problems;

/// Why the process ends.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The configuration is wrong: exit code 2, as for a wrong command line.
    Config(Problems),
    /// What else was asked for is wrong: exit code 2.
    Usage(String),
    /// Something failed while running: exit code 1.
    Runtime(anyhow::Error),
}

impl Failure {
    /// Tells it in the log once there is one, and on standard error before.
    pub(crate) fn report(self) -> ExitCode {
        // If standard error is gone there is no other place to report it.
        match self {
            Self::Usage(what) => {
                let _ = writeln!(io::stderr(), "doorkeeper: {what}");
                ExitCode::from(2)
            }
            Self::Config(problems) => {
                let _ = writeln!(io::stderr(), "{problems}");
                ExitCode::from(2)
            }
            Self::Runtime(error) => {
                if tracing::enabled!(tracing::Level::ERROR) {
                    tracing::error!("{error:#}");
                } else {
                    let _ = writeln!(io::stderr(), "doorkeeper: {error:#}");
                }
                ExitCode::from(1)
            }
        }
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::Config(problems)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Runtime(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Runtime(error.into())
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::Runtime(error.into())
    }
}
