//! Every script of `testdata/scripts` has the same transcript on the direct backend, a simulated
//! network and on this machine's: one transcript, which `doorkeeper-model` keeps a snapshot of.
#![expect(
    clippy::unwrap_used,
    reason = "these are tests, also where no function says so"
)]

use std::fs;
use std::path::Path;
use std::time::Duration;

use doorkeeper_io_tokio::recorder::{Counts, Recorder, Settings};
use doorkeeper_model::direct::{self, Options};
use doorkeeper_model::script::Script;
use doorkeeper_recording::{Key, Recording, ReplayResult};
use doorkeeper_sim::choppy::FaultRates;
use doorkeeper_sim::parity::{on_loopback, on_turmoil, recorded_on_turmoil};

/// All scripts that networks can play, by name.
fn scripts() -> Vec<(String, Script)> {
    let all = every_script();
    let playable = all.into_iter().filter(|(_, script)| !script.setting.direct);
    playable.collect()
}

fn every_script() -> Vec<(String, Script)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/scripts");
    let paths = fs::read_dir(folder).unwrap();
    let mut paths: Vec<_> = paths.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let read = |path: &std::path::PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let script = fs::read_to_string(path).unwrap().parse().unwrap();
        (name, script)
    };
    paths.iter().map(read).collect()
}

fn directly(script: &Script) -> String {
    let options = Options {
        transcript: true,
        ..Options::default()
    };
    direct::run(script, options).transcript
}

/// Plays scripts and holds each against the direct backend; reports all that differ.
fn held(
    which: &str,
    scripts: Vec<(String, Script)>,
    play: impl Fn(&Script) -> Result<String, String>,
) {
    assert!(!scripts.is_empty());
    let differ = |(name, script): &(String, Script)| {
        let direct = directly(script);
        let differs = match play(script) {
            Ok(other) if other == direct => None,
            Ok(other) => Some(difference(&direct, &other)),
            Err(error) => Some(error),
        };
        Some(format!("{name} {which}: {}\n", differs?))
    };
    let differences: String = scripts.iter().filter_map(differ).collect();
    assert!(differences.is_empty(), "\n{differences}");
}

/// The first line in which two transcripts differ.
fn difference(direct: &str, other: &str) -> String {
    let pairs = direct.lines().zip(other.lines()).zip(1..);
    let mut different = pairs.filter(|((direct, other), _)| direct != other);
    match different.next() {
        Some(((direct, other), line)) => format!("line {line}\n  {direct}\n  {other}"),
        None => format!("one is longer\n{direct}\n{other}"),
    }
}

#[test]
fn a_simulated_network_gives_the_same_transcripts() {
    held("on turmoil", scripts(), |script| {
        on_turmoil(script, 1, FaultRates::default())
    });
}

#[test]
fn pieces_of_one_byte_change_nothing() {
    let one_byte = FaultRates {
        one_byte_permille: 1000,
        ..FaultRates::choppy()
    };
    held("byte by byte", scripts(), |script| {
        on_turmoil(script, 2, one_byte)
    });
}

#[test]
fn pieces_of_any_size_change_nothing() {
    held("in pieces", scripts(), |script| {
        on_turmoil(script, 3, FaultRates::choppy())
    });
}

#[test]
fn real_sockets_give_the_same_transcripts() {
    // Where time is real, what depends on it is not the same each time.
    let mut scripts = scripts();
    scripts.retain(|(_, script)| !script.setting.timed);
    held("on loopback", scripts, on_loopback);
}

#[test]
fn a_script_says_direct_if_no_network_can_play_it_and_only_then() {
    for (name, script) in every_script() {
        let playable = script.playable();
        assert_eq!(
            script.setting.direct,
            playable.is_err(),
            "{name} {playable:?}"
        );
    }
}

#[test]
fn a_step_that_no_network_can_play_is_an_error_that_names_it() {
    let script: Script = "---\nwait 1\nreload deny=orders\n".parse().unwrap();
    let error = on_loopback(&script).unwrap_err();
    assert_eq!(
        error,
        "step 2 `reload deny=orders`: a server is not reloaded"
    );
}

/// Recording a session changes nothing, and each that was recorded does the same again.
#[test]
fn recorded_sessions_replay() {
    for (name, fault_rates) in [
        ("whole", FaultRates::default()),
        ("pieces", FaultRates::choppy()),
    ] {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("recorded-{name}"));
        held(name, scripts(), |script| {
            let _ = fs::remove_dir_all(&dir);
            let settings = Settings {
                dir: dir.clone(),
                file_bytes_max: 1 << 30,
                bytes_max: 1 << 30,
            };
            let recorder = Recorder::start(&settings, Key([1; 32]), Counts::default()).unwrap();
            let transcript = recorded_on_turmoil(script, 2, fault_rates, recorder.clone());
            recorder.flush(Duration::from_secs(60));
            let mut sessions = 0;
            for file in fs::read_dir(&dir).unwrap() {
                let text = fs::read_to_string(file.unwrap().path()).unwrap();
                replays(&Recording::parse(&text).unwrap());
                sessions += 1;
            }
            assert!(sessions > 0);
            transcript
        });
    }
}

fn replays(recording: &Recording) {
    assert!(recording.end.is_some() && recording.cut.is_none() && !recording.torn);
    let came = doorkeeper_recording::replay(recording, |_| {})
        .unwrap()
        .result;
    assert!(matches!(came, ReplayResult::Same), "{came:?}");
}
