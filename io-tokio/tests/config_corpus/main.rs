//! Replays `corpus/config`, and the files of `testdata/configs`, through the body of the fuzz
//! target of that name.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests may unwrap")]

mod body;
#[path = "../../../fuzz/src/counting.rs"]
mod counting;

use std::fs;
use std::path::{Path, PathBuf};

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;

fn files(folder: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let entries = fs::read_dir(root.join(folder)).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

fn run(input: &[u8]) {
    counting::bounded(input, body::config, body::PER_BYTE, body::FLOOR);
}

#[test]
fn every_input_of_the_corpus_passes() {
    for path in files("corpus/config") {
        // Shown by the test runner when the body panics.
        eprintln!("{}", path.display());
        run(&fs::read(&path).unwrap());
    }
}

#[test]
fn prefixes_of_configurations_pass() {
    for path in files("testdata/configs/good") {
        eprintln!("{}", path.display());
        let input = fs::read(&path).unwrap();
        let step = (input.len() / 64).max(1);
        for end in (0..=input.len()).step_by(step) {
            run(&input[..end]);
        }
    }
}
