//! Warns of limits of connections for which the process may not open enough file descriptors.

use super::super::load::Loaded;
use super::super::problem::{Problem, Problems, Severity};
use super::super::tree::Path;
use super::Compiled;

impl Compiled {
    /// Adds a warning if this many file descriptors allow fewer connections than the listeners
    /// would take.
    pub fn warn_of_descriptors(&mut self, loaded: &Loaded, most: u64) {
        let wanted = self.plan.descriptors();
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        if wanted <= most {
            return;
        }
        let connections = self.plan.connections();
        let within = self.plan.connections_within(most);
        let path = Path::default().key("listeners");
        let message = format!(
            "{connections} connections (limits.connections of all listeners) take up to {wanted} \
             file descriptors, and this process may open {most}: only {within} connections are \
             let in at a time, so that some are left for the rest. Raise its hard limit \
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
