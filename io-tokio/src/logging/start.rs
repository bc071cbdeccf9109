//! How logging starts, and what is logged.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::env::{self, VarError};
use std::fmt;
use std::io;
use std::panic;
use std::time::Duration;

use tracing::error;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use super::queue::{self, Lines, STDERR};
use super::text::{Fields, Rfc3339};
use crate::config::schema::{Log, LogFormat, LogLevel};

/// How long the last lines may take when the process ends.
const FLUSH_WITHIN: Duration = Duration::from_secs(1);

/// Why the log could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// What is to be logged cannot be read.
    #[error("{source_name}: {filter:?} is no log filter, like info or debug,hyper=warn: {why}")]
    Filter {
        /// Where it was given.
        source_name: &'static str,
        /// What was given.
        filter: String,
        /// What is wrong with it.
        why: ParseError,
    },
    /// The variable is no text.
    #[error("RUST_LOG: no log filter, because it is not UTF-8")]
    NotUtf8,
    /// The system gives no thread, or the log was started before.
    #[error("cannot start the log: {0}")]
    System(#[from] Box<dyn std::error::Error + Send + Sync>),
}

/// Starts to log. `filter` comes before `RUST_LOG`, and that before the configuration; an empty
/// one counts as none. Panics are logged as well.
///
/// # Errors
/// The filter cannot be read, or logging has been started before.
pub fn start(log: &Log, filter: Option<&str>) -> Result<LevelHandle, StartError> {
    let (filter, is_given) = chosen(log, filter)?;
    queue::start(&STDERR, io::stderr()).map_err(|error| StartError::System(error.into()))?;
    // A failure to format a line is not printed to standard error: that would block, or panic.
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Lines(&STDERR))
        .with_ansi(false)
        .with_timer(Rfc3339)
        .log_internal_errors(false);
    let set: SetFilter = match log.format {
        LogFormat::Text => {
            let builder = builder.fmt_fields(Fields).with_filter_reloading();
            let handle = builder.reload_handle();
            builder.try_init()?;
            Box::new(move |filter| handle.reload(filter))
        }
        LogFormat::Json => {
            let builder = builder.json().flatten_event(true).with_filter_reloading();
            let handle = builder.reload_handle();
            builder.try_init()?;
            Box::new(move |filter| handle.reload(filter))
        }
    };
    panic::set_hook(Box::new(|panic| {
        let backtrace = Backtrace::capture();
        match backtrace.status() {
            BacktraceStatus::Captured => error!(%panic, %backtrace, "panic"),
            BacktraceStatus::Unsupported | BacktraceStatus::Disabled | _ => {
                error!(%panic, "panic");
            }
        }
    }));
    Ok(LevelHandle((!is_given).then_some(set)))
}

type SetFilter =
    Box<dyn Fn(EnvFilter) -> Result<(), tracing_subscriber::reload::Error> + Send + Sync>;

/// Changes what is logged, unless an argument or a variable says that.
pub struct LevelHandle(Option<SetFilter>);

impl LevelHandle {
    /// Logs at this level from now on, and says whether the level is for the configuration to say.
    #[must_use]
    pub fn set(&self, level: LogLevel) -> bool {
        let Some(set) = &self.0 else { return false };
        set(EnvFilter::new(level.name())).is_ok()
    }
}

impl fmt::Debug for LevelHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LevelHandle").finish_non_exhaustive()
    }
}

/// Waits until what has been logged is written. Not for long: its reader may have stalled.
pub fn flush() {
    STDERR.flush(FLUSH_WITHIN);
}

/// The filter, and whether it was given by an argument or a variable.
fn chosen(log: &Log, argument: Option<&str>) -> Result<(EnvFilter, bool), StartError> {
    let variable = match env::var(EnvFilter::DEFAULT_ENV) {
        Ok(filter) => Some(filter),
        Err(VarError::NotPresent) => None,
        Err(VarError::NotUnicode(_)) => return Err(StartError::NotUtf8),
    };
    let given = [
        ("--log", argument),
        (EnvFilter::DEFAULT_ENV, variable.as_deref()),
    ];
    let given = given
        .into_iter()
        .filter_map(|(source_name, filter)| Some((source_name, filter?)))
        .find(|(_, filter)| !filter.trim().is_empty());
    let Some((source_name, filter)) = given else {
        return Ok((EnvFilter::new(log.level.name()), false));
    };
    let read = EnvFilter::try_new(filter).map_err(|why| StartError::Filter {
        source_name,
        filter: filter.to_owned(),
        why,
    });
    Ok((read?, true))
}
