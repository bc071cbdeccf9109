//! `run --record`: files that say what happened, and a process that goes on without them.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use doorkeeper_recording::line::Cut;
use doorkeeper_recording::{Recording, ReplayResult, replay};

use crate::process::{File, Serving, doorkeeper};
use crate::support::until;

/// Nobody is at home here, which is found out without asking anybody.
const NOWHERE: &str = "127.0.0.1:1";

/// An ApiVersions request of a version that nobody knows: doorkeeper responds itself.
const ASKED: [u8; 14] = [0, 0, 0, 10, 0, 18, 0x7f, 0xff, 0, 0, 0, 1, 0xff, 0xff];

fn dir(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&dir);
    dir
}

/// Asks, and has the whole response.
fn exchange(stream: &mut TcpStream) {
    stream.write_all(&ASKED).unwrap();
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut response = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut response).unwrap();
}

/// The only recording in a folder, which replays as far as it goes.
fn only(dir: &Path) -> Recording {
    let mut entries = fs::read_dir(dir).unwrap();
    let file = entries.next().unwrap().unwrap();
    assert!(entries.next().is_none(), "there is one session");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let recording = Recording::parse(&fs::read_to_string(file.path()).unwrap()).unwrap();
    let replayed = replay(&recording, |_| {}).unwrap();
    assert!(
        matches!(replayed.result, ReplayResult::Same),
        "{:?}",
        replayed.result
    );
    recording
}

#[test]
fn the_last_lines_are_written_before_the_process_ends() {
    let file = File::new("record", NOWHERE);
    let dir = dir("record");
    let mut command = file.command();
    command.arg("--record").arg(&dir).stderr(Stdio::null());
    let mut serving = Serving::spawn(&file, &mut command);
    let mut client = serving.connect();
    exchange(&mut client);
    serving.signal("TERM");
    assert_eq!(serving.status().code(), Some(0));
    let recording = only(&dir);
    assert_eq!(recording.end.as_deref(), Some("drained"));
    assert_eq!((recording.cut, recording.torn), (None, false));
}

/// Files may not become longer than four kibibytes, which is how a full disk looks.
#[test]
fn a_full_disk_under_a_recording_disturbs_nobody_and_is_counted() {
    let file = File::new("record-full", NOWHERE);
    let dir = dir("record-full");
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\""]);
    command.arg(doorkeeper().get_program());
    command.args(["run", "--config"]).arg(&file.path);
    command.arg("--record").arg(&dir);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut serving = Serving::spawn(&file, &mut command);
    let mut client = serving.connect();
    let failed = "doorkeeper_recordings_total{event=\"cut_failed\"}";
    until("the disk is full", || {
        exchange(&mut client);
        serving.sample(failed) == 1.0
    });
    exchange(&mut client);
    assert!(serving.is_healthy());
    serving.signal("TERM");
    assert_eq!(serving.status().code(), Some(0));
    let recording = only(&dir);
    assert!(recording.cut.is_none_or(|cut| cut == Cut::Failed));
    assert!(recording.steps.len() > 1);
}

#[test]
fn a_folder_that_cannot_be_made_is_said_before_anything_is_served() {
    let file = File::new("record-no-folder", NOWHERE);
    let mut command = file.command();
    command.arg("--record").arg(file.path.join("recordings"));
    let output = command.stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("cannot record in "), "{said}");
}

#[test]
fn sizes_without_a_folder_are_a_mistake() {
    let file = File::new("record-sizes", NOWHERE);
    for option in ["--record-bytes-max", "--record-file-bytes-max"] {
        let mut command = file.command();
        let output = command.args([option, "1MiB"]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{option}");
    }
}
