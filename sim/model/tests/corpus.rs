//! Replays `corpus/` through the bodies of the fuzz targets: what a fuzzer once found stays found.

use std::fs;
use std::path::{Path, PathBuf};

use doorkeeper_model::fuzzing::TARGETS;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus")
}

#[test]
fn every_input_of_the_corpus_passes() {
    for (name, body) in TARGETS {
        let folder = corpus().join(name);
        let mut inputs = 0;
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            // Shown by the test runner when the body panics.
            eprintln!("{}", path.display());
            body(&fs::read(&path).unwrap());
            inputs += 1;
        }
        assert!(inputs > 0, "{} is empty", folder.display());
    }
}

#[test]
fn every_folder_of_the_corpus_has_a_target() {
    for entry in fs::read_dir(corpus()).unwrap() {
        let name = entry.unwrap().file_name();
        assert!(
            TARGETS.iter().any(|(target, _)| name == *target),
            "{}",
            name.display()
        );
    }
}

#[test]
fn prefixes_of_the_corpus_pass() {
    for (name, body) in TARGETS {
        for entry in fs::read_dir(corpus().join(name)).unwrap() {
            let input = fs::read(entry.unwrap().path()).unwrap();
            // Every cut of a long input would take long and find little more.
            let step = (input.len() / 64).max(1);
            for end in (0..input.len()).step_by(step) {
                body(&input[..end]);
            }
        }
    }
}
