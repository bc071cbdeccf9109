//! Replays `corpus/token` through the body of the fuzz target of that name.

#![expect(clippy::panic, reason = "a body panics when a rule is broken")]

mod body;
#[path = "../../../fuzz/src/counting.rs"]
mod counting;

use std::fs;
use std::path::{Path, PathBuf};

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;

fn run(input: &[u8]) {
    counting::bounded(input, body::token, body::PER_BYTE, body::FLOOR);
}

#[test]
fn every_input_of_the_corpus_and_its_prefixes_pass() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus/token");
    let entries = fs::read_dir(folder).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    for path in files {
        // Shown by the test runner when the body panics.
        eprintln!("{}", path.display());
        let input = fs::read(&path).unwrap();
        let step = (input.len() / 64).max(1);
        for end in (0..input.len()).step_by(step) {
            run(&input[..end]);
        }
        run(&input);
    }
}
