//! Holds the limits of connections against what the process may open.

use super::super::load::Loaded;
use super::super::problem::{Problem, Problems, Severity};
use super::super::tree::Path;
use super::Compiled;

/// A client and its broker.
const PER_CONNECTION: usize = 2;

/// The runtime, the log, the admin listener's connections, and what libraries open for a moment.
const SPARE: usize = 64;

impl Compiled {
    /// How many file descriptors are open when every listener has all connections that it may.
    #[must_use]
    pub fn descriptors(&self) -> usize {
        let of_listeners = self.plan.listeners.iter().map(|listener| {
            let connections = listener.limits.connections.saturating_mul(PER_CONNECTION);
            connections.saturating_add(listener.binds.len())
        });
        let of_discovery = self.plan.clusters.len();
        of_listeners
            .fold(SPARE, usize::saturating_add)
            .saturating_add(of_discovery)
    }

    /// Adds a warning if the process may open fewer file descriptors than that.
    pub fn hold_against_descriptors(&mut self, loaded: &Loaded, most: u64) {
        let wanted = self.descriptors();
        if wanted as u64 <= most {
            return;
        }
        let limits = self.plan.listeners.iter().map(|it| it.limits.connections);
        let connections = limits.fold(0, usize::saturating_add);
        let path = Path::default().key("listeners");
        let message = format!(
            "{connections} connections (limits.connections of all listeners) take up to {wanted} \
             file descriptors, and this process may open {most}: raise its hard limit \
             (LimitNOFILE of systemd, ulimit -Hn), or lower limits.connections"
        );
        let warning = Problem {
            severity: Severity::Warning,
            at: loaded.tree.position_of(&path),
            path,
            message,
        };
        let mut problems = std::mem::take(&mut self.warnings.problems);
        problems.push(warning);
        self.warnings = Problems::new(&loaded.file, problems);
    }
}
