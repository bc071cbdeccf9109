//! The real binary: its exit codes, and what it says.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests may unwrap"
)]

mod broker;
#[path = "../support/ca.rs"]
mod ca;
mod certs;
#[path = "../serve/frames.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    reason = "the tests of `serve` use all of it"
)]
mod frames;
mod log;
mod process;
#[cfg(feature = "quickstart")]
mod quickstart;
mod record;
mod reload;
mod signals;
mod stopped;
#[path = "../support/mod.rs"]
mod support;
mod user;

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::process::{File, doorkeeper};
use crate::support::free_ports;

/// A name that no resolver knows.
const NO_SUCH_HOST: &str = "no-such-host.invalid:9092";

fn config(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    root.join("testdata/configs").join(name)
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
    assert!(said.contains("idle_timeout: 10m"), "{said}");
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
fn all_ports_in_use_are_named_at_once() {
    let first = free_ports(3);
    let take = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    let taken = [0, 1, 2].map(|n| take(first + n));
    let file = File::at("port-in-use", NO_SUCH_HOST, [first, first + 1, first + 2]);
    let output = file.command().stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    for named in [
        format!("listener local: cannot bind 127.0.0.1:{first}: "),
        format!("listener local: cannot bind 127.0.0.1:{}: ", first + 1),
        format!("admin: cannot bind 127.0.0.1:{}: ", first + 2),
    ] {
        assert!(said.contains(&named), "{said}");
    }
    drop(taken);
}

#[test]
fn a_reader_that_has_read_enough_is_no_failure() {
    let smallest = config("good/smallest.yaml");
    let check = ["check", "--config", smallest.to_str().unwrap()];
    for arguments in [&check[..], &["schema"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let status = doorkeeper().args(arguments).stdout(writer).status();
        assert_eq!(status.unwrap().code(), Some(0), "{arguments:?}");
    }
}

#[test]
fn without_a_file_it_says_what_to_do() {
    let empty = Path::new(env!("CARGO_TARGET_TMPDIR")).join("empty");
    std::fs::create_dir_all(&empty).unwrap();
    let output = doorkeeper().arg("run").current_dir(empty).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("create it, or give --config FILE"), "{said}");
}
