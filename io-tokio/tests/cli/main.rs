//! The real binary: its exit codes, and what it says.

#![expect(clippy::unwrap_used, reason = "tests may unwrap")]

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn doorkeeper() -> Command {
    Command::new(env!("CARGO_BIN_EXE_doorkeeper"))
}

fn config(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    root.join("testdata/configs").join(name)
}

/// A file that serves one broker at these ports, in the build's folder for tests.
fn serving(name: &str, bootstrap: u16, broker: u16) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let text = format!(
        "clusters: {{ main: {{ bootstrap: [no-such-host.invalid:9092] }} }}\n\
         listeners:\n  local:\n    cluster: main\n    route:\n      \
         ports: {{ bootstrap: {bootstrap}, brokers: {broker}, broker_ids: 0 }}\n"
    );
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn a_wrong_configuration_ends_with_2_and_says_where() {
    for command in ["check", "run"] {
        let file = config("bad/nothing.yaml");
        let output = doorkeeper().arg(command).arg("--config").arg(file).output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            said.contains("nothing.yaml:1:1: error: clusters: "),
            "{said}"
        );
    }
}

#[test]
fn check_prints_the_defaults_and_the_addresses() {
    let file = config("good/smallest.yaml");
    let output = doorkeeper().arg("check").arg("--config").arg(file).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(0));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("idle: 10m"), "{said}");
    assert!(
        said.contains("#     broker 2     127.0.0.1:19095"),
        "{said}"
    );
}

#[test]
fn schema_is_json() {
    let output = doorkeeper().arg("schema").output().unwrap();
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(schema.get("title").unwrap(), "Config");
}

#[test]
fn a_port_in_use_ends_with_1_and_is_named() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let other = if port > 1 { port - 1 } else { 2 };
    let file = serving("port-in-use.yaml", port, other);
    let output = doorkeeper().arg("run").arg("--config").arg(file).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    let named = format!("listener local: cannot bind 127.0.0.1:{port}: ");
    assert!(said.contains(&named), "{said}");
}

#[test]
fn sigterm_ends_with_0() {
    let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (first, second) = (free(), free());
    let port = |it: &TcpListener| it.local_addr().unwrap().port();
    let file = serving("sigterm.yaml", port(&first), port(&second));
    drop((first, second));
    let mut command = doorkeeper();
    command.arg("run").arg("--config").arg(file);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    // Signals are obeyed from before the first address is bound.
    assert!(lines.any(|line| line.unwrap().contains("listening")));
    let killed = Command::new("kill").arg(child.id().to_string()).status();
    assert!(killed.unwrap().success());
    assert!(lines.any(|line| line.unwrap().contains("stopped")));
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
