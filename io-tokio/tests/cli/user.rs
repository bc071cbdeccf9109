//! `doorkeeper user`: the file of users.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use crate::process::doorkeeper;

/// A file that is not there yet.
fn users_file(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-users.yaml"));
    let _ = fs::remove_file(&path);
    path
}

fn user(file: &Path, args: &[&str], stdin: &str) -> Output {
    let mut child = doorkeeper()
        .arg("user")
        .args(args)
        .arg("--users")
        .arg(file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // One that wants no password may have ended already.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    child.wait_with_output().unwrap()
}

fn ends_well(output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

#[test]
fn users_are_added_listed_checked_and_removed() {
    let file = users_file("all");
    ends_well(&user(
        &file,
        &["add", "alice", "--iterations", "4096"],
        "pencil\n",
    ));
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    ends_well(&user(&file, &["add", "bob"], "a password\r\n"));
    let listed = user(&file, &["list"], "");
    let expected = "alice\tSCRAM-SHA-256 SCRAM-SHA-512\nbob\tSCRAM-SHA-256 SCRAM-SHA-512\n";
    assert_eq!(String::from_utf8(listed.stdout).unwrap(), expected);
    ends_well(&user(&file, &["check", "alice"], "pencil"));
    ends_well(&user(&file, &["check", "bob"], "a password"));
    for (name, password) in [("alice", "pen"), ("eve", "pencil")] {
        assert_eq!(
            user(&file, &["check", name], password).status.code(),
            Some(1)
        );
    }
    let text = fs::read_to_string(&file).unwrap();
    assert!(!text.contains("pencil") && !text.contains("a password"));

    ends_well(&user(&file, &["add", "alice"], "crayon"));
    ends_well(&user(&file, &["check", "alice"], "crayon"));
    assert_eq!(
        user(&file, &["check", "alice"], "pencil").status.code(),
        Some(1)
    );
    ends_well(&user(&file, &["remove", "alice"], ""));
    assert_eq!(
        user(&file, &["check", "alice"], "crayon").status.code(),
        Some(1)
    );
    assert_eq!(user(&file, &["remove", "alice"], "").status.code(), Some(1));
    fs::remove_file(&file).unwrap();
}

#[test]
fn what_cannot_be_changes_nothing() {
    let file = users_file("bad");
    for (args, password) in [
        (&["add", "alice"][..], ""),
        (&["add", "alice"], "\n"),
        (&["add", "alice", "--iterations", "100"], "pencil"),
        (&["add", ""], "pencil"),
    ] {
        assert_eq!(
            user(&file, args, password).status.code(),
            Some(2),
            "{args:?}"
        );
        assert!(!file.exists());
    }
    fs::write(&file, "users: {}\n").unwrap();
    let output = user(&file, &["add", "alice"], "pencil");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("bad-users.yaml: line 1"), "{said}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "users: {}\n");
    fs::remove_file(&file).unwrap();
}
