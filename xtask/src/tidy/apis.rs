//! One row for each API, and nothing about a single API anywhere else in core.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::Finding;
use super::tokens::Token;

const ROWS: &str = "core/src/api/rows.rs";
const TABLES: &str = "core/src/wire/schema/tables/";
const CORE: &str = "core/src/";
const API: &str = "core/src/api/";
const API_ROOT: &str = "core/src/api.rs";

/// A file of core, outside `api`, that may name an API by its key.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MayNameApis {
    path: String,
    reason: String,
}

pub(super) fn check(
    files: &BTreeMap<&str, Vec<Token>>,
    allowed: &[MayNameApis],
    allow_file: &str,
    findings: &mut Vec<Finding>,
) {
    let (mut described, mut rows, mut constants) = (BTreeSet::new(), BTreeSet::new(), vec![]);
    for (path, tokens) in files {
        if path.starts_with(TABLES) {
            described.extend(described_api(tokens));
        } else if *path == ROWS {
            rows.extend(tokens.windows(7).filter_map(row));
        }
        if path.starts_with(API) {
            constants.extend(tokens.windows(4).filter_map(constant));
        }
    }
    for (key, name) in &described - &rows {
        let message = format!("{name} (API {key}) has tables and no row");
        findings.push(Finding::whole(ROWS, message));
    }
    let mut named = BTreeSet::new();
    for (path, tokens) in files {
        let is_of_api = path.starts_with(API) || *path == API_ROOT;
        if !path.starts_with(CORE) || is_of_api || path.starts_with(TABLES) {
            continue;
        }
        let Some(line) = first_key(tokens, &constants) else {
            continue;
        };
        named.insert(*path);
        let is_allowed = |it: &&MayNameApis| it.path == *path && !it.reason.trim().is_empty();
        if !allowed.iter().any(|it| is_allowed(&it)) {
            let message = "names an API by its key: what is said of one API belongs into its row";
            findings.push(Finding::at(path, line, message));
        }
    }
    for entry in allowed.iter().filter(|it| !named.contains(&*it.path)) {
        let message = format!("{} names no API any more: remove its entry", entry.path);
        findings.push(Finding::whole(allow_file, message));
    }
}

fn texts<const N: usize>(tokens: &[Token]) -> Option<[&str; N]> {
    let mut texts = [""; N];
    for (text, token) in texts.iter_mut().zip(tokens) {
        *text = &token.text;
    }
    (tokens.len() >= N).then_some(texts)
}

/// The key and the name of the API that a generated table begins with.
fn described_api(tokens: &[Token]) -> Option<(String, String)> {
    tokens.windows(8).find_map(|it| match texts(it)? {
        ["key", ":", key, ",", "name", ":", name, ","] => Some((key.to_owned(), name.to_owned())),
        _ => None,
    })
}

/// `Row::always(0, "Produce"`.
fn row(tokens: &[Token]) -> Option<(String, String)> {
    match (tokens.first()?.in_test, texts(tokens)?) {
        (false, [":", ":", _, "(", key, ",", name]) if name.starts_with('"') => {
            Some((key.to_owned(), name.to_owned()))
        }
        _ => None,
    }
}

/// `const METADATA: ApiKey`.
fn constant(tokens: &[Token]) -> Option<String> {
    match texts(tokens)? {
        ["const", name, ":", "ApiKey"] => Some(name.to_owned()),
        _ => None,
    }
}

/// Where the first key of a certain API stands outside of tests: as a number, as a constant, or as
/// kafka-protocol names it.
fn first_key(tokens: &[Token], constants: &[String]) -> Option<usize> {
    let is_key = |at: usize| {
        let rest = tokens.get(at..).unwrap_or_default();
        let is_constant = |it: &Token| constants.contains(&it.text);
        let is_number = |text: &str| text.starts_with(|first: char| first.is_ascii_digit());
        let is_spelt_out = match texts(rest) {
            Some(["ApiKey", "(", number, ")"]) => is_number(number),
            Some([":", ":", "KEY", _]) => true,
            Some(_) | None => false,
        };
        is_spelt_out || rest.first().is_some_and(is_constant)
    };
    let at = (0..tokens.len()).find(|at| {
        let is_code = tokens.get(*at).is_some_and(|it| !it.in_test);
        is_code && is_key(*at)
    })?;
    tokens.get(at).map(|it| it.line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tokens;

    const TABLE: &str = "pub(super) static API: Api = Api { key: 1, name: \"Fetch\", a: 1 };";
    const ROW: &str = "static ROWS: &[Row] = &[Row::always(1, \"Fetch\")];\n\
                       pub(crate) const FETCH: ApiKey = ApiKey(1);";

    fn messages(files: &[(&str, &str)], allowed: &[MayNameApis]) -> Vec<String> {
        let files = files
            .iter()
            .map(|(path, text)| (*path, tokens::flatten(text.parse().unwrap())));
        let mut findings = Vec::new();
        check(&files.collect(), allowed, "tidy.toml", &mut findings);
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_api_with_tables_and_without_a_row_is_found() {
        let table = ("core/src/wire/schema/tables/fetch.rs", TABLE);
        assert!(messages(&[table, (ROWS, ROW)], &[]).is_empty());
        let other = ROW.replace("(1, \"Fetch\")", "(2, \"ListOffsets\")");
        assert_eq!(
            messages(&[table, (ROWS, &other)], &[]),
            ["core/src/api/rows.rs: \"Fetch\" (API 1) has tables and no row"]
        );
    }

    #[test]
    fn a_key_outside_of_the_rows_needs_a_reason() {
        let path = "core/src/session.rs";
        let allowed = |reason: &str| MayNameApis {
            path: path.to_owned(),
            reason: reason.to_owned(),
        };
        for text in [
            "fn f() -> bool { api == ApiKey(18) }",
            "fn f() -> bool { api == api::FETCH }",
            "fn f() -> ApiKey { ApiKey(FetchRequest::KEY) }",
        ] {
            let files = [(ROWS, ROW), (path, text)];
            let found = "core/src/session.rs:1: names an API by its key: what is said of one API \
                         belongs into its row";
            assert_eq!(messages(&files, &[]), [found], "{text}");
            assert_eq!(messages(&files, &[allowed("")]), [found], "{text}");
            assert!(messages(&files, &[allowed("because")]).is_empty(), "{text}");
        }
        let in_test = "#[cfg(test)]\nmod tests { const API: ApiKey = ApiKey(18); }";
        assert!(messages(&[(ROWS, ROW), (path, in_test)], &[]).is_empty());
        assert_eq!(
            messages(&[(ROWS, ROW), (path, "fn f() {}")], &[allowed("because")]),
            ["tidy.toml: core/src/session.rs names no API any more: remove its entry"]
        );
    }
}
