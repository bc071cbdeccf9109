//! Every file in `testdata/configs`, with what doorkeeper says to it.

#![expect(clippy::unwrap_used, reason = "tests may unwrap")]

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use doorkeeper_io_tokio::config::{self, Compiled, Problems};

fn folder(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    root.join("testdata/configs").join(name)
}

/// The files of a folder, in order.
fn files(name: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder(name)).unwrap();
    let mut files: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "yaml"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

fn compile(path: &Path) -> Result<Compiled, Problems> {
    let variables = [
        ("AUDIT_HOST", "audit.internal"),
        ("BOOTSTRAP_PORT", "29092"),
        ("KAFKA", "kafka"),
    ];
    let variables: HashMap<_, _> = variables
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let name = path.file_name().unwrap().to_str().unwrap();
    let text = fs::read_to_string(path).unwrap();
    config::compile(&config::parse(name, &text, variables)?)
}

fn snapshot(name: &str, path: &Path, said: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(folder(name));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        insta::assert_snapshot!(path.file_stem().unwrap().to_str().unwrap(), said);
    });
}

#[test]
fn bad_files_name_every_problem_and_its_place() {
    for path in files("bad") {
        let problems = compile(&path).unwrap_err();
        assert!(problems.has_errors());
        snapshot("bad", &path, &problems.to_string());
    }
}

#[test]
fn good_files_come_to_their_plan() {
    for path in files("good") {
        let compiled = compile(&path).unwrap();
        let mut said = String::new();
        if !compiled.warnings.problems.is_empty() {
            let _ = writeln!(said, "{}\n", compiled.warnings);
        }
        for (listener, doors) in compiled.plan.listeners.iter().zip(&compiled.reach) {
            let _ = writeln!(said, "{}: {:?}", listener.name, listener.limits);
            for reach in doors {
                let at = format!("{} at {}", reach.advertised, reach.bind);
                let _ = writeln!(said, "  {}: {at}", reach.door);
            }
            let shared = &listener.shared;
            let _ = writeln!(said, "  {:#?}\n  {:?}", shared.limits, shared.offered);
        }
        for cluster in &compiled.plan.clusters {
            let _ = writeln!(said, "{}: {:#?}", cluster.name, cluster.discovery);
        }
        snapshot("good", &path, &said);
    }
}

#[test]
fn a_file_that_is_not_there_says_so() {
    let problems = config::load("no-such-file.yaml", HashMap::new()).unwrap_err();
    let said = problems.to_string();
    assert!(
        said.starts_with("no-such-file.yaml: error: cannot read it: "),
        "{said}"
    );
}

#[test]
fn the_reference_in_docs_is_the_generated_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let generated = config::reference();
    if std::env::var_os("DOORKEEPER_WRITE_DOCS").is_some() {
        fs::write(&path, &generated).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == generated,
        "docs/configuration.md is stale: run this test with DOORKEEPER_WRITE_DOCS=1"
    );
}
