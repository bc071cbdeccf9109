//! No sleeps in tests: a test waits for what it names, or moves a virtual clock.

use serde::Deserialize;

use super::Finding;
use super::tokens::Token;

/// A test file that may sleep.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MaySleep {
    path: String,
    reason: String,
}

pub(super) fn check(
    path: &str,
    tokens: &[Token],
    allowed: &[MaySleep],
    findings: &mut Vec<Finding>,
) {
    if allowed
        .iter()
        .any(|it| it.path == path && !it.reason.trim().is_empty())
    {
        return;
    }
    let is_test_file = is_test_file(path);
    for (at, token) in tokens.iter().enumerate() {
        let is_sleep = matches!(token.text.as_str(), "sleep" | "sleep_until" | "sleep_ms");
        if !is_sleep || !(is_test_file || token.in_test) {
            continue;
        }
        let text_at =
            |at: Option<usize>| at.and_then(|at| tokens.get(at)).map(|it| it.text.as_str());
        let is_called = text_at(Some(at + 1)) == Some("(");
        let is_own = matches!(text_at(at.checked_sub(1)), Some("fn" | "."));
        if is_called && !is_own {
            findings.push(Finding::at(
                path,
                token.line,
                "sleeps in a test: wait for a thing",
            ));
        }
    }
}

/// Files that hold nothing but tests.
pub(super) fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.starts_with("tests/") || path.contains("/tests/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tokens;

    fn lines(path: &str, text: &str, allowed: &[MaySleep]) -> Vec<usize> {
        let mut findings = Vec::new();
        check(
            path,
            &tokens::flatten(text.parse().unwrap()),
            allowed,
            &mut findings,
        );
        findings.into_iter().filter_map(|it| it.line).collect()
    }

    const TEXT: &str = "fn f() { thread::sleep(d) }\n#[test]\nfn t() { tokio::time::sleep(d) }\n";

    #[test]
    fn only_tests_may_not_sleep() {
        assert_eq!(lines("src/a.rs", TEXT, &[]), [3]);
        assert_eq!(lines("tests/a.rs", TEXT, &[]), [1, 3]);
        assert_eq!(
            lines("tests/a.rs", "fn f() { clock.sleep(1) }", &[]),
            Vec::<usize>::new()
        );
    }

    #[test]
    fn a_file_may_sleep_for_a_reason_only() {
        let entry = |reason: &str| MaySleep {
            path: "src/a.rs".to_owned(),
            reason: reason.to_owned(),
        };
        assert_eq!(
            lines("src/a.rs", TEXT, &[entry("asks the kernel")]),
            Vec::<usize>::new()
        );
        assert_eq!(lines("src/a.rs", TEXT, &[entry(" ")]), [3]);
    }
}
