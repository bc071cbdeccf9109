//! `doorkeeper user`: the file of users.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use crate::process::doorkeeper;

/// A file that is not there yet.
fn users_file(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-users.yaml"));
    let _ = fs::remove_file(&path);
    path
}

fn command(file: &Path, args: &[&str]) -> Command {
    let mut command = doorkeeper();
    command.arg("user").args(args).arg("--users").arg(file);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn user(file: &Path, args: &[&str], stdin: &str) -> Output {
    told(command(file, args).spawn().unwrap(), stdin)
}

/// What becomes of a command that reads this.
fn told(mut child: Child, stdin: &str) -> Output {
    // One that wants no password may have ended already.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    child.wait_with_output().unwrap()
}

/// The file that is written and then takes the place of the other.
fn beside(file: &Path) -> PathBuf {
    file.with_extension("yaml.new")
}

fn names(file: &Path) -> Vec<String> {
    let listed = user(file, &["list"], "");
    ends_well(&listed);
    let text = String::from_utf8(listed.stdout).unwrap();
    let names = text.lines().filter_map(|it| it.split('\t').next());
    names.map(str::to_owned).collect()
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

/// A service reads the file as its own user, and an administrator changes it as root.
#[test]
fn a_changed_file_belongs_to_whom_it_belonged() {
    let file = users_file("owned");
    ends_well(&user(&file, &["add", "alice"], "pencil"));
    // Only root can give a file away.
    if chown(&file, Some(4242), Some(4343)).is_err() {
        return;
    }
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    ends_well(&user(&file, &["add", "bob"], "pencil"));
    let after = fs::metadata(&file).unwrap();
    assert_eq!(
        (after.uid(), after.gid(), after.mode() & 0o777),
        (4242, 4343, 0o666)
    );

    // Somebody else may write it, and cannot make a file that belongs to its owner.
    let folder = std::env::temp_dir().join(format!("doorkeeper-owned-{}", std::process::id()));
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    let there = folder.join("users.yaml");
    fs::rename(&file, &there)
        .or_else(|_| fs::copy(&file, &there).map(drop))
        .unwrap();
    chown(&there, Some(4242), Some(4343)).unwrap();
    let binary = folder.join("doorkeeper");
    fs::copy(env!("CARGO_BIN_EXE_doorkeeper"), &binary).unwrap();
    let before = fs::read_to_string(&there).unwrap();
    let mut other = Command::new(&binary);
    other.args(["user", "remove", "bob", "--users"]).arg(&there);
    let output = other.current_dir("/").uid(4444).gid(4444).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("owner"), "{said}");
    assert_eq!(fs::read_to_string(&there).unwrap(), before);
    assert!(!beside(&there).exists());
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_link_to_the_file_stays_a_link() {
    let (file, link) = (users_file("linked"), users_file("link"));
    ends_well(&user(&file, &["add", "alice"], "pencil"));
    symlink(&file, &link).unwrap();
    ends_well(&user(&link, &["add", "bob"], "pencil"));
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(names(&file), ["alice", "bob"]);
    fs::remove_file(&link).unwrap();
    fs::remove_file(&file).unwrap();
}

/// One that waits for its password has read nothing that it would bring back.
#[test]
fn a_user_that_is_removed_meanwhile_stays_removed() {
    let file = users_file("meanwhile");
    ends_well(&user(
        &file,
        &["add", "alice", "--iterations", "4096"],
        "pencil",
    ));
    ends_well(&user(&file, &["add", "bob"], "pencil"));
    let waits = command(&file, &["add", "carol"]).spawn().unwrap();
    ends_well(&user(&file, &["remove", "alice"], ""));
    ends_well(&told(waits, "pencil"));
    assert_eq!(names(&file), ["bob", "carol"]);
    fs::remove_file(&file).unwrap();
}

#[test]
fn of_changes_at_once_each_is_made_or_says_that_it_is_not() {
    let file = users_file("at-once");
    ends_well(&user(
        &file,
        &["add", "user-0", "--iterations", "4096"],
        "pencil",
    ));
    let added = |number| {
        let name = format!("user-{number}");
        let child = command(&file, &["add", &name]).spawn().unwrap();
        (name, child)
    };
    let all: Vec<_> = (1..8).map(added).collect();
    let mut expected = vec!["user-0".to_owned()];
    for (name, child) in all {
        let output = told(child, "pencil");
        if output.status.success() {
            expected.push(name);
        } else {
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(said.contains("at-once-users.yaml.new"), "{said}");
        }
    }
    assert_eq!(names(&file), expected);
    assert!(!beside(&file).exists());

    // What another run writes is left alone.
    fs::write(beside(&file), "half").unwrap();
    let output = user(&file, &["remove", "user-0"], "");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(fs::read_to_string(beside(&file)).unwrap(), "half");
    assert_eq!(names(&file), expected);
    fs::remove_file(beside(&file)).unwrap();
    fs::remove_file(&file).unwrap();
}
