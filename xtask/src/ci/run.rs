//! Running a command of a step, and finding the lines with which test runners close.

use std::io::{BufRead as _, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Sender};
use std::thread;

use anyhow::{Context as _, Result, bail};

/// Runs with the streams of this program, except that nothing can be asked of a person.
pub(super) fn run(command: &mut Command) -> Result<()> {
    let program = program(command);
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| program.clone())?;
    if !status.success() {
        bail!("{program} ended with {status}");
    }
    Ok(())
}

/// Runs, shows each line as it comes and keeps them all, of both streams.
pub(super) fn run_and_keep(command: &mut Command) -> Result<(Vec<String>, Result<()>)> {
    read_lines(command, |line| println!("{line}"))
}

/// Runs and keeps all lines of both streams, for later.
pub(super) fn capture(command: &mut Command) -> Result<(Vec<String>, Result<()>)> {
    read_lines(command, |_| {})
}

fn read_lines(
    command: &mut Command,
    mut each: impl FnMut(&str),
) -> Result<(Vec<String>, Result<()>)> {
    let program = program(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| program.clone())?;
    let (sender, receiver) = mpsc::channel();
    let readers = [
        child.stdout.take().map(|it| forward(it, sender.clone())),
        child.stderr.take().map(|it| forward(it, sender)),
    ];
    let mut lines = Vec::new();
    for line in receiver {
        each(&line);
        lines.push(line);
    }
    for reader in readers.into_iter().flatten() {
        // A reader that panicked has lost lines; its panic has been printed.
        let _ = reader.join();
    }
    let status = child.wait().with_context(|| program.clone())?;
    let result = if status.success() {
        Ok(())
    } else {
        Err(anyhow::anyhow!("{program} ended with {status}"))
    };
    Ok((lines, result))
}

fn forward(stream: impl Read + Send + 'static, to: Sender<String>) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            if to
                .send(String::from_utf8_lossy(&line).into_owned())
                .is_err()
            {
                return;
            }
        }
    })
}

fn program(command: &Command) -> String {
    let path = command.get_program().to_string_lossy();
    let name = path.rsplit('/').next().unwrap_or_default();
    let first = command
        .get_args()
        .next()
        .map(|it| it.to_string_lossy())
        .unwrap_or_default();
    format!("`{name} {first}`")
}

/// How nextest (`Summary [..]`) and libtest (`test result: ..`) end.
pub(super) fn closing_lines(lines: &[String]) -> Vec<String> {
    let plain = |line: &String| without_colour(line).trim().to_owned();
    let is_closing =
        |line: &String| line.starts_with("Summary [") || line.starts_with("test result: ");
    lines.iter().map(plain).filter(is_closing).collect()
}

fn without_colour(line: &str) -> String {
    let mut plain = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        plain.push_str(before);
        rest = after.split_once('m').map_or("", |(_, after)| after);
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closing_lines_of_both_runners_are_found() {
        let lines = [
            "   Compiling x",
            "\u{1b}[32;1m     Summary\u{1b}[0m [   0.2s] 2 tests run: \u{1b}[1m2\u{1b}[0m passed",
            "test result: ok. 3 passed; 0 failed",
            "test result_of::a_name ... ok",
        ];
        let expected = [
            "Summary [   0.2s] 2 tests run: 2 passed",
            "test result: ok. 3 passed; 0 failed",
        ];
        assert_eq!(closing_lines(&lines.map(str::to_owned)), expected);
    }

    #[test]
    fn lines_of_both_streams_are_kept_and_a_failure_is_told() {
        let mut command = Command::new("sh");
        let (mut lines, result) =
            run_and_keep(command.args(["-c", "echo out; echo err >&2; exit 3"])).unwrap();
        lines.sort();
        assert_eq!(lines, ["err", "out"]);
        assert_eq!(
            result.unwrap_err().to_string(),
            "`sh -c` ended with exit status: 3"
        );
    }
}
