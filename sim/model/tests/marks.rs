//! Every state worth reaching has a script of its own in `testdata/marks` that reaches it: what a
//! seed may miss is reached by every run of the tests.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use doorkeeper_model::direct::{Options, run};
use doorkeeper_model::mark::Mark;
use doorkeeper_model::script::Script;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/marks")
}

fn file_of(mark: Mark) -> String {
    let name = mark.name().to_lowercase().replace([' ', '='], "-");
    format!("{name}.txt")
}

#[test]
fn every_mark_has_a_script_in_which_it_fires() {
    for mark in Mark::ALL {
        let file = file_of(*mark);
        let text = fs::read_to_string(folder().join(&file));
        let text = text.unwrap_or_else(|error| format!("there is no {file}: {error}"));
        let script: Script = text.parse().unwrap();
        let outcome = run(&script, Options::default());
        assert_eq!(outcome.failure, None, "{file}");
        let missed = outcome.marks.contains(&(*mark, 0));
        assert!(!missed, "{file} does not reach: {}", mark.name());
    }
}

#[test]
fn every_script_has_its_mark() {
    let files = fs::read_dir(folder()).unwrap();
    let files: BTreeSet<String> = files
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let expected: BTreeSet<String> = Mark::ALL.iter().map(|mark| file_of(*mark)).collect();
    assert_eq!(files, expected);
}
