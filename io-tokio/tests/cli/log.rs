//! Whatever becomes of standard error, doorkeeper goes on serving.

use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::process::Stdio;

use crate::process::{File, Serving};
use crate::support::until;

/// Nobody is at home here, which is found out without asking anybody.
const NOWHERE: &str = "127.0.0.1:1";

fn sessions_live(serving: &Serving) {
    let before = serving.sample("doorkeeper_connections_opened_total");
    let clients: Vec<TcpStream> = (0..3).map(|_| serving.connect()).collect();
    until("all sessions have begun", || {
        serving.sample("doorkeeper_connections_opened_total") >= before + 3.0
    });
    assert!(serving.sample("doorkeeper_connections{") >= 3.0);
    assert!(serving.is_healthy());
    drop(clients);
}

#[test]
fn a_reader_of_the_log_that_goes_away_takes_nothing_with_it() {
    let file = File::new("log-closed", NOWHERE);
    let mut serving = Serving::start(&file, Stdio::piped());
    drop(serving.stderr());
    sessions_live(&serving);
    let failed = "doorkeeper_log_lines_dropped_total{why=\"failed\"}";
    until("the lost lines are counted", || {
        serving.sample(failed) >= 1.0
    });
    sessions_live(&serving);
    serving.signal("TERM");
    assert_eq!(serving.status().code(), Some(0));
}

#[test]
fn a_full_disk_under_the_log_is_survived() {
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let file = File::new("log-full", NOWHERE);
    let mut serving = Serving::start(&file, full.into());
    sessions_live(&serving);
    serving.signal("TERM");
    assert_eq!(serving.status().code(), Some(0));
}

#[test]
fn a_reader_of_the_log_that_stalls_stops_nobody() {
    let file = File::new("log-stalled", NOWHERE);
    let mut serving = Serving::start(&file, Stdio::piped());
    let unread = serving.stderr();
    // Two lines each: far more than fit a pipe.
    for _ in 0..1000 {
        drop(serving.connect());
    }
    until("all sessions have come and gone", || {
        let opened = serving.sample("doorkeeper_connections_opened_total");
        opened >= 1000.0 && serving.sample("doorkeeper_connections{") == 0.0
    });
    assert!(serving.is_healthy());
    serving.signal("TERM");
    assert_eq!(serving.status().code(), Some(0));
    let mut lines = BufReader::new(unread).lines();
    assert!(lines.any(|line| line.unwrap().contains(" INFO ")));
}

#[test]
fn json_lines_hold_numbers_and_the_fatal_error() {
    let file = File::new("log-json", NOWHERE);
    file.append("log: { format: json }");
    let mut serving = Serving::start(&file, Stdio::piped());
    let taken = file.command().stderr(Stdio::piped()).output().unwrap();
    assert_eq!(taken.status.code(), Some(1));
    let said = String::from_utf8(taken.stderr).unwrap();
    let last: serde_json::Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!(last["level"], "ERROR");
    assert!(last["message"].as_str().unwrap().contains("cannot bind"));

    let lines = BufReader::new(serving.stderr()).lines();
    drop(serving.connect());
    let closed = lines
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .find(|line: &serde_json::Value| line["message"] == "session closed");
    assert!(closed.unwrap()["lasted_ms"].is_u64());
}

#[test]
fn an_empty_filter_counts_as_none_and_a_bad_one_is_named() {
    let file = File::new("log-filter", NOWHERE);
    let mut command = file.command();
    command.env("RUST_LOG", " ").args(["--log", ""]);
    let mut serving = Serving::spawn(&file, command.stderr(Stdio::piped()));
    let mut lines = BufReader::new(serving.stderr()).lines();
    assert!(lines.any(|line| line.unwrap().contains("listening")));

    for (argument, variable, name) in [
        (Some("a=b=c"), None, "--log: "),
        (None, Some("info,=loud"), "RUST_LOG: "),
    ] {
        let mut command = file.command();
        command.args(argument.iter().flat_map(|filter| ["--log", filter]));
        command.envs(variable.map(|filter| ("RUST_LOG", filter)));
        let output = command.stderr(Stdio::piped()).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(name), "{said}");
    }
}
