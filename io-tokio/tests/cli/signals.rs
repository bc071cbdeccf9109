//! What signals do.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::NO_SUCH_HOST;
use crate::broker::METADATA_REQUEST;
use crate::process::{File, Serving};
use crate::support::until;

#[test]
fn sigterm_ends_with_0() {
    let file = File::new("sigterm", NO_SUCH_HOST);
    let mut serving = Serving::start(&file, Stdio::piped());
    serving.signal("TERM");
    let mut lines = BufReader::new(serving.stderr()).lines();
    assert!(lines.any(|line| line.unwrap().contains("stopped")));
    assert_eq!(serving.status().code(), Some(0));
}

#[test]
fn a_hangup_reads_the_files_again_and_ends_nothing() {
    let file = File::new("sighup", NO_SUCH_HOST);
    let mut serving = Serving::start(&file, Stdio::piped());
    let mut lines = BufReader::new(serving.stderr()).lines();
    for _ in 0..2 {
        serving.signal("HUP");
        let said = lines.any(|line| line.unwrap().contains("reload: nothing has changed"));
        assert!(said);
    }
    assert!(serving.is_healthy());
    serving.signal("TERM");
    assert_eq!(serving.status().code(), Some(0));
}

#[test]
fn a_second_signal_does_not_wait_for_the_drain() {
    // Its backlog takes connections, and they never get a byte.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let file = File::new("second-signal", &silent.local_addr().unwrap().to_string());
    file.append("drain_timeout: 1h");
    let mut serving = Serving::start(&file, Stdio::null());
    let mut client = serving.connect();
    client.write_all(METADATA_REQUEST).unwrap();
    until("the request has come", || {
        serving.sample("doorkeeper_requests_total") >= 1.0
    });
    serving.signal("TERM");
    until("it drains", || serving.is_draining());
    serving.signal("INT");
    assert_eq!(serving.status().code(), Some(130));
}

/// glibc reads the file of aliases for a name without a dot, and nobody ever writes to this one:
/// the look-up hangs as with a name server that does not respond.
#[test]
fn a_resolver_that_hangs_does_not_keep_the_process() {
    let aliases = Path::new(env!("CARGO_TARGET_TMPDIR")).join("aliases");
    let _ = std::fs::remove_file(&aliases);
    assert!(
        Command::new("mkfifo")
            .arg(&aliases)
            .status()
            .unwrap()
            .success()
    );
    for signals in [&["TERM"][..], &["TERM", "TERM"]] {
        let file = File::new("resolver", "broker:9092");
        let mut command = file.command();
        command.env("HOSTALIASES", &aliases).stderr(Stdio::null());
        let mut serving = Serving::spawn(&file, &mut command);
        for signal in signals {
            serving.signal(signal);
        }
        // The second one may find it gone already, or end it.
        assert!(matches!(serving.status().code(), Some(0 | 143)));
    }
}
