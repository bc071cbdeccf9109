//! Threads of their own for sessions that forward much at a time.
//!
//! A small request waits for every chunk that its thread forwards before it, and the kernel is in
//! no hurry to wake a thread that has used much of its processor. So a session that forwards much
//! moves to threads where all sessions do, and the other threads are asleep when a small request
//! arrives.

use std::fmt;
use std::sync::{Arc, OnceLock};

use tokio::runtime::{Builder, Handle, Runtime};

/// As many threads as there are processors, started for the first session that needs them.
#[derive(Clone, Default)]
pub struct Bulk {
    threads: Arc<Threads>,
}

#[derive(Default)]
struct Threads {
    /// Nothing if the system would not give them.
    runtime: OnceLock<Option<Runtime>>,
}

impl Bulk {
    /// Where to spawn; nothing if the system gives no threads: then sessions stay where they are.
    pub(crate) fn handle(&self) -> Option<&Handle> {
        let runtime = self.threads.runtime.get_or_init(start);
        runtime.as_ref().map(Runtime::handle)
    }
}

fn start() -> Option<Runtime> {
    let mut threads = Builder::new_multi_thread();
    threads.thread_name("doorkeeper-bulk").enable_all();
    threads
        .build()
        .inspect_err(|error| tracing::warn!(%error, "no threads for bulk: it stays with the rest"))
        .ok()
}

impl fmt::Debug for Bulk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bulk").finish_non_exhaustive()
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(Some(runtime)) = self.runtime.take() {
            // The last owner may be a task, which must not wait for threads.
            runtime.shutdown_background();
        }
    }
}
