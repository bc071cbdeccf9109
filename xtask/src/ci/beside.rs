//! A step that runs beside others, because it mostly waits or keeps one processor busy: its output
//! is shown between two other steps, once it has ended.

use std::process::Command;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Result;

use super::run::capture;
use super::steps::Outcome;

/// What a body says goes here instead of to the terminal.
#[derive(Default)]
pub(super) struct Output {
    lines: Vec<String>,
}

impl Output {
    /// Runs a command to its end, and keeps what it says.
    pub(super) fn run(&mut self, command: &mut Command) -> Result<()> {
        let (lines, result) = capture(command)?;
        self.lines.extend(lines);
        result
    }
}

/// It runs.
pub(super) struct Beside {
    thread: JoinHandle<Ended>,
}

/// It has run.
pub(super) struct Ended {
    pub(super) lines: Vec<String>,
    pub(super) took: Duration,
    pub(super) outcome: Result<Outcome>,
}

impl Beside {
    pub(super) fn start(body: fn(&mut Output) -> Result<Outcome>) -> Self {
        let thread = thread::spawn(move || {
            let begun = Instant::now();
            let mut output = Output::default();
            let outcome = body(&mut output);
            Ended {
                lines: output.lines,
                took: begun.elapsed(),
                outcome,
            }
        });
        Self { thread }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    pub(super) fn join(self) -> Ended {
        self.thread.join().unwrap_or_else(|_| Ended {
            lines: Vec::new(),
            took: Duration::ZERO,
            outcome: Err(anyhow::anyhow!("it panicked")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_command_says_is_kept_and_a_failure_is_told() {
        let ended = Beside::start(|output| {
            output.run(Command::new("sh").args(["-c", "echo one; echo two >&2"]))?;
            output.run(Command::new("sh").args(["-c", "exit 3"]))?;
            Ok(Outcome::Passed)
        })
        .join();
        assert_eq!(ended.lines.len(), 2);
        let Err(error) = ended.outcome else {
            panic!("the second command failed")
        };
        assert_eq!(error.to_string(), "`sh -c` ended with exit status: 3");
    }
}
