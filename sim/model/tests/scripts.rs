//! Runs `testdata/scripts`: every invariant holds in each, and how the bytes are cut into pieces
//! does not matter.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "these are tests, also where no function says so"
)]

use std::fs;
use std::path::{Path, PathBuf};

use doorkeeper_model::direct::{Options, Outcome, run};
use doorkeeper_model::script::{Chunk, Script};

fn scripts() -> Vec<(PathBuf, Script)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/scripts");
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty());
    let read = |path: PathBuf| {
        let script = fs::read_to_string(&path).unwrap().parse();
        (path, script.unwrap())
    };
    paths.into_iter().map(read).collect()
}

fn held(path: &Path, script: &Script) -> Outcome {
    let outcome = run(
        script,
        Options {
            transcript: true,
            ..Options::default()
        },
    );
    if let Some(failure) = &outcome.failure {
        let lines: Vec<&str> = outcome.trace.lines().collect();
        panic!(
            "{}\n{}\nstep {}: {}",
            lines.join("\n"),
            path.display(),
            failure.step,
            failure.violation
        );
    }
    outcome
}

#[test]
fn every_script_holds() {
    for (path, script) in scripts() {
        held(&path, &script);
    }
}

/// The transcript of each connection, on every backend: one snapshot a script.
#[test]
fn transcripts_stay_what_they_are() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../../../testdata/transcripts");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for (path, script) in scripts() {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let transcript = held(&path, &script).transcript;
        settings.bind(|| insta::assert_snapshot!(name, transcript));
    }
}

#[test]
fn chunks_do_not_matter() {
    for (path, script) in scripts() {
        if script.setting.timed {
            continue;
        }
        let whole = held(&path, &script).transcript;
        assert!(whole.contains(" closed: "), "{whole}");
        for chunk in [Chunk::One, Chunk::Any] {
            let mut script = script.clone();
            script.setting.chunk = chunk;
            let cut = held(&path, &script).transcript;
            assert_eq!(whole, cut, "{}", path.display());
        }
    }
}

#[test]
fn the_same_script_happens_the_same_way() {
    for (path, script) in scripts() {
        let hash = || held(&path, &script).trace.hash();
        assert_eq!(hash(), hash(), "{}", path.display());
    }
}
