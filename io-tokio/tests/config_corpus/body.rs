//! The body of the fuzz target `config`: what must hold for any file whatever.
//!
//! The target in `fuzz/` includes this file by its path, so that the product has nothing of it.

use std::collections::HashMap;

use doorkeeper_io_tokio::config::{self, Compiled, Loaded, Problem, Problems, Severity};

/// How much memory may be had at once, for each byte of the file and whatever it is. The schema of
/// the configuration is made anew for each file, and a listener has an address for each broker.
pub(crate) const PER_BYTE: usize = 16 * 1024;
pub(crate) const FLOOR: usize = 4 << 20;

/// A key that the configuration does not have.
const PLANTED: &str = "no_such_key";

/// What the loader puts in the place of a variable that is not set.
const UNSET: char = '\u{e000}';

/// Input: the file.
pub(crate) fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let loaded = match config::parse("given", text, variables()) {
        Ok(loaded) => loaded,
        Err(problems) => return are_told(&problems, text),
    };
    match config::compile(&loaded) {
        Err(problems) => {
            are_told(&problems, text);
            // All errors are reported at once: mending them shows no others.
            for problem in &loaded.problems {
                assert!(
                    problems.problems.contains(problem),
                    "kept back: {problem:?}"
                );
            }
        }
        Ok(compiled) => {
            is_right(&loaded, &compiled);
            comes_to_the_same_again(&loaded, &compiled);
            a_mistake_is_told(text);
        }
    }
}

fn variables() -> HashMap<String, String> {
    let variables = [("KAFKA", "kafka"), ("PORT", "29092")];
    variables
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

/// There is an error, and everything is reported with its place in the file.
fn are_told(problems: &Problems, text: &str) {
    assert!(problems.has_errors(), "rejected for nothing");
    // Both end a line in YAML.
    let lines = 1 + text.matches(['\n', '\r']).count();
    // Inside, this stands for what a variable that is not set would have said; a file can have it
    // as well, as it is or escaped.
    let is_own = text.contains([UNSET, '\\']);
    for problem in &problems.problems {
        assert!(is_own || !problem.message.contains(UNSET), "{problem:?}");
        is_told(problem, lines);
    }
    let said = problems.to_string();
    assert!(said.lines().count() >= problems.problems.len());
    let in_order = problems.problems.is_sorted_by_key(|problem| problem.at);
    assert!(in_order, "not in the order of the file:\n{said}");
}

fn is_told(problem: &Problem, lines: usize) {
    assert!(!problem.message.is_empty(), "{problem:?}");
    let line = usize::try_from(problem.at.line).unwrap_or(usize::MAX);
    assert!(line <= lines, "{problem:?} in {lines} lines");
}

/// What is taken has no error, and every listener serves a cluster.
fn is_right(loaded: &Loaded, compiled: &Compiled) {
    let is_error = |problem: &&Problem| problem.severity == Severity::Error;
    let error = loaded.problems.iter().find(is_error);
    assert!(error.is_none(), "taken in spite of {error:?}");
    assert!(!compiled.warnings.has_errors());
    let plan = &compiled.plan;
    assert_eq!(plan.listeners.len(), compiled.reach.len());
    for (listener, addresses) in plan.listeners.iter().zip(&compiled.reach) {
        assert!(plan.clusters.iter().any(|it| it.id == listener.cluster));
        assert!(!addresses.is_empty(), "{} has no address", listener.id);
    }
}

/// What `check` prints could be used instead.
fn comes_to_the_same_again(loaded: &Loaded, compiled: &Compiled) {
    let printed = config::written_out(&loaded.config);
    let again = match config::parse("printed", &printed, HashMap::new()) {
        Ok(again) => again,
        Err(problems) => panic!("{problems}\n{printed}"),
    };
    assert_eq!(config::written_out(&again.config), printed);
    let plan = |compiled: &Compiled| format!("{:?} {:?}", compiled.plan, compiled.reach);
    match config::compile(&again) {
        Ok(again) => assert_eq!(plan(&again), plan(compiled), "{printed}"),
        Err(problems) => panic!("{problems}\n{printed}"),
    }
}

/// The same file with a key that nobody knows is rejected with an error.
fn a_mistake_is_told(text: &str) {
    let planted = format!("{PLANTED}: 1\n{text}");
    let said = match config::parse("planted", &planted, variables()) {
        Err(problems) => problems,
        Ok(loaded) => match config::compile(&loaded) {
            Err(problems) => problems,
            Ok(_) => panic!("a key that nobody knows is taken:\n{planted}"),
        },
    };
    assert!(said.has_errors());
}
