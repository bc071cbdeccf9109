//! How many file descriptors the process may have open: two for each client that is served, and a
//! third while its broker is dialled.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The most that the process may allow itself; nothing where there is no limit.
pub(crate) fn most() -> Option<u64> {
    getrlimit(Resource::Nofile).maximum
}

/// Raises the limit as far as it goes, and gives the new limit, nothing where there is none. The
/// soft limit that processes are started with is meant for programs that use `select` and is often
/// 1024.
pub(crate) fn raise() -> Option<u64> {
    let before = getrlimit(Resource::Nofile);
    let wanted = Rlimit {
        current: before.maximum,
        maximum: before.maximum,
    };
    let raised = setrlimit(Resource::Nofile, wanted);
    let after = getrlimit(Resource::Nofile).current;
    let limit = limit_text(after);
    let was = limit_text(before.current);
    match raised {
        Ok(()) => tracing::info!(limit, was, "file descriptors"),
        Err(error) => tracing::warn!(limit, %error, "file descriptors: the limit stays"),
    }
    after
}

fn limit_text(limit: Option<u64>) -> String {
    limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string())
}
