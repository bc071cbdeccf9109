//! Replays `corpus/` through the bodies of the fuzz targets: what a fuzzer once found stays found.
#![expect(
    clippy::unwrap_used,
    reason = "these are tests, also where no function says so"
)]

#[path = "../../../fuzz/src/counting.rs"]
mod counting;

use std::fs;
use std::path::{Path, PathBuf};

use doorkeeper_model::fuzzing::{TARGETS, Target};

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;

/// Targets whose bodies are elsewhere, because the model does not know what they are about, and
/// which are replayed there.
const ELSEWHERE: &[&str] = &["config", "token"];

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus")
}

/// The inputs of a target, by the paths of their files.
fn inputs(target: &Target) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = corpus().join(target.name);
    let paths = fs::read_dir(&folder).unwrap();
    let mut paths: Vec<PathBuf> = paths.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", folder.display());
    let read = |path: PathBuf| {
        let input = fs::read(&path).unwrap();
        (path, input)
    };
    paths.into_iter().map(read).collect()
}

fn run(target: &Target, input: &[u8]) {
    counting::bounded(
        input,
        target.body,
        target.bound.per_byte,
        target.bound.floor,
    );
}

#[test]
fn every_input_of_the_corpus_passes() {
    for target in TARGETS {
        for (path, input) in inputs(target) {
            // Shown by the test runner when the body panics.
            eprintln!("{}", path.display());
            run(target, &input);
        }
    }
}

#[test]
fn every_target_has_a_corpus_and_every_corpus_a_target() {
    let names = |folder: &str| {
        let entries = fs::read_dir(corpus().join(folder)).unwrap();
        let stem = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
        let mut names: Vec<String> = entries.map(|it| stem(it.unwrap().path())).collect();
        names.sort();
        names
    };
    let here = TARGETS.iter().map(|target| target.name);
    let mut known: Vec<&str> = here.chain(ELSEWHERE.iter().copied()).collect();
    known.sort_unstable();
    assert_eq!(names("."), known);
    assert_eq!(names("../fuzz/fuzz_targets"), known);
}

#[test]
fn prefixes_of_the_corpus_pass() {
    for target in TARGETS {
        for (path, input) in inputs(target) {
            eprintln!("{}", path.display());
            // Every cut of a long input would take long and find little more.
            let step = (input.len() / 16).max(1);
            for end in (0..input.len()).step_by(step) {
                run(target, &input[..end]);
            }
        }
    }
}
