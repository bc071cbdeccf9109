//! Words that must not be in any file: places of one machine, keys, and work that is put off.

use super::Finding;
use crate::tree::File;

/// Texts that nobody may commit. Split in two, so that this file does not contain them.
const FORBIDDEN: &[(&str, &str, &str)] = &[
    (
        "PRIVATE ",
        "KEY-----",
        "contains a private key: tests make their own",
    ),
    ("/ro", "ot/", "names a home directory"),
    ("/ho", "me/", "names a home directory"),
    ("/tmp/bash", "_jobs", "names a place of one machine"),
    ("arti", "factory", "names a registry mirror"),
    (
        "index-",
        "url",
        "names a package index: that belongs to the machine's own settings",
    ),
    (
        "replace",
        "-with",
        "names a registry mirror: that belongs to the machine's own settings",
    ),
    (
        "<mir",
        "ror>",
        "names a registry mirror: that belongs to the machine's own settings",
    ),
];

/// What may not stand in code: it is either done now or not at all.
const PUT_OFF: &[(&str, &str)] = &[("TO", "DO"), ("FIX", "ME"), ("X", "XX")];

/// Macros for code that is not there yet.
const HOLES: &[(&str, &str)] = &[("to", "do!"), ("unimple", "mented!")];

const CODE: &[&str] = &["rs", "toml", "sh", "yml", "yaml", "java", "py"];

/// `checkout` is the absolute path of this checkout.
pub(super) fn check(file: &File, checkout: &str, findings: &mut Vec<Finding>) {
    let Some(text) = &file.text else { return };
    for (line, number) in text.lines().zip(1..) {
        if line.contains(checkout) {
            findings.push(Finding::at(
                &file.path,
                number,
                "names the place of this checkout",
            ));
        }
        for (head, tail, message) in FORBIDDEN {
            if contains(line, head, tail) {
                findings.push(Finding::at(&file.path, number, *message));
            }
        }
        if file.path.ends_with("Cargo.lock") {
            check_source(file, line, number, findings);
        }
        if !file.is(CODE) {
            continue;
        }
        for (head, tail) in PUT_OFF {
            if contains_word(line, &format!("{head}{tail}")) {
                findings.push(Finding::at(
                    &file.path,
                    number,
                    "puts work off: do it or drop it",
                ));
            }
        }
        if file.rust().is_some() && HOLES.iter().any(|(head, tail)| contains(line, head, tail)) {
            findings.push(Finding::at(&file.path, number, "is a hole: write the code"));
        }
    }
}

fn check_source(file: &File, line: &str, number: usize, findings: &mut Vec<Finding>) {
    let Some(source) = line.strip_prefix("source = ") else {
        return;
    };
    if source != "\"registry+https://github.com/rust-lang/crates.io-index\"" {
        findings.push(Finding::at(
            &file.path,
            number,
            "a crate that is not from crates.io",
        ));
    }
}

fn contains(line: &str, head: &str, tail: &str) -> bool {
    line.match_indices(head).any(|(at, _)| {
        line.get(at + head.len()..)
            .is_some_and(|rest| rest.starts_with(tail))
    })
}

fn contains_word(line: &str, word: &str) -> bool {
    let is_part = |it: char| it.is_alphanumeric() || it == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).and_then(|it| it.chars().next_back());
        let after = line.get(at + word.len()..).and_then(|it| it.chars().next());
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<usize> {
        let mut findings = Vec::new();
        check(&File::new(path, text), "/place/of/checkout", &mut findings);
        findings.into_iter().filter_map(|it| it.line).collect()
    }

    #[test]
    fn keys_and_places_are_found_in_any_file() {
        let key = ["-----BEGIN RSA PRIVATE ", "KEY-----"].concat();
        let text = format!("fine\n{key}\nsee /place/of/checkout/core\n");
        assert_eq!(found("a.txt", &text), [2, 3]);
    }

    #[test]
    fn work_put_off_is_found_in_code_as_a_whole_word() {
        let text = ["// TO", "DO: later\nlet mastodo = 1;\nto", "do!()\n"].concat();
        assert_eq!(found("a.rs", &text), [1, 3]);
        assert_eq!(found("a.md", &text), Vec::<usize>::new());
    }

    #[test]
    fn crates_come_from_one_registry() {
        let text = "source = \"registry+https://github.com/rust-lang/crates.io-index\"\n\
                    source = \"git+https://example.com/x\"\n";
        assert_eq!(found("Cargo.lock", text), [2]);
    }
}
