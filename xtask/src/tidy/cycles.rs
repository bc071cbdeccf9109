//! No circles between modules: of the modules in one folder, with all beneath them, none depends on
//! itself through the others.
//!
//! A module and those beneath it are one thing, so what a child names of its parent counts for
//! nothing. A name that a module re-exports counts as that of the module where it is defined.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::Finding;
use super::sleeps::is_test_file;
use super::tokens::Token;

/// The crates that are checked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cycles {
    /// Folders of sources, each with a `/` at its end.
    sources: Vec<String>,
    /// Folders inside these that are crates of their own.
    except: Vec<String>,
}

/// A module by its path inside its crate; the root has none.
type Module = Vec<String>;

/// A path in the source: `super::a::B`, with what surrounds it.
struct Mention {
    path: Vec<String>,
    line: usize,
    inline_modules: usize,
}

/// One file of a crate.
struct Source<'a> {
    file: &'a str,
    mentions: Vec<Mention>,
    /// What it re-exports, by name.
    exports: BTreeMap<String, Vec<String>>,
}

/// Where one module names another.
struct Edge<'a> {
    file: &'a str,
    line: usize,
}

/// By the names of two modules of one folder.
type Edges<'a> = BTreeMap<String, BTreeMap<String, Edge<'a>>>;

pub(super) fn check(
    tokens_of: &BTreeMap<&str, Vec<Token>>,
    rule: &Cycles,
    findings: &mut Vec<Finding>,
) {
    for source in &rule.sources {
        let mut modules = BTreeMap::new();
        for (file, tokens) in tokens_of {
            let Some(inside) = file.strip_prefix(source.as_str()) else {
                continue;
            };
            let is_other = rule.except.iter().any(|it| file.starts_with(it.as_str()));
            if !is_other && !is_test_file(file) {
                modules.insert(module(inside), read(file, tokens));
            }
        }
        for edges in by_folder(&modules).values() {
            findings.extend(circles(edges));
        }
    }
}

/// `wire/walk.rs` is `["wire", "walk"]`; `lib.rs` is the root.
fn module(inside: &str) -> Module {
    let stem = inside.strip_suffix(".rs").unwrap_or(inside);
    let parts = stem.split('/').filter(|it| !matches!(*it, "mod" | "lib"));
    parts.map(str::to_owned).collect()
}

fn read<'a>(file: &'a str, tokens: &[Token]) -> Source<'a> {
    let text = |at: usize| tokens.get(at).map_or("", |it| it.text.as_str());
    let is_path = |at: usize| text(at) == ":" && text(at + 1) == ":";
    let children: BTreeSet<&str> = (0..tokens.len())
        .filter(|at| text(*at) == "mod" && text(at + 2) == ";")
        .map(|at| text(at + 1))
        .collect();
    let mut source = Source {
        file,
        mentions: Vec::new(),
        exports: BTreeMap::new(),
    };
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let is_exported = text(at) == "use" && at > 0 && matches!(text(at - 1), "pub" | ")");
        let is_head = matches!(text(at), "crate" | "super" | "self") || children.contains(text(at));
        let goes_on = at > 1 && is_path(at - 2);
        let mut next = at + 1;
        if !token.in_test && is_exported {
            let mut paths = Vec::new();
            next = expand(tokens, at + 1, &[], &mut paths);
            let named = paths
                .into_iter()
                .filter_map(|path| Some((path.last()?.clone(), path)));
            source.exports.extend(named);
        } else if !token.in_test && is_head && is_path(at + 1) && !goes_on {
            let mut paths = Vec::new();
            next = expand(tokens, at, &[], &mut paths);
            source
                .mentions
                .extend(paths.into_iter().map(|path| Mention {
                    path,
                    line: token.line,
                    inline_modules: token.inline_modules,
                }));
        }
        at = next;
    }
    source
}

/// Reads a path or a group of paths, and gives the place behind it.
fn expand(tokens: &[Token], at: usize, before: &[String], found: &mut Vec<Vec<String>>) -> usize {
    let text = |at: usize| tokens.get(at).map_or("", |it| it.text.as_str());
    let mut path = before.to_vec();
    let mut at = at;
    loop {
        if text(at) == "{" {
            at += 1;
            while !matches!(text(at), "}" | "") {
                at = match text(at) {
                    "," => at + 1,
                    // A name of its own: `a::B as C`.
                    "as" => at + 2,
                    _ => expand(tokens, at, &path, found),
                };
            }
            return at + 1;
        }
        path.push(text(at).to_owned());
        at += 1;
        if text(at) != ":" || text(at + 1) != ":" {
            found.push(path);
            return at;
        }
        at += 2;
    }
}

/// The edges between the modules of each folder.
fn by_folder<'a>(modules: &BTreeMap<Module, Source<'a>>) -> BTreeMap<Module, Edges<'a>> {
    let mut folders: BTreeMap<Module, Edges<'_>> = BTreeMap::new();
    for (own, source) in modules {
        for mention in &source.mentions {
            let other = resolve(modules, own, &mention.path, mention.inline_modules);
            let shared = own.iter().zip(&other).take_while(|(a, b)| a == b).count();
            let (Some(from), Some(to)) = (own.get(shared), other.get(shared)) else {
                continue;
            };
            let folder = own.iter().take(shared).cloned().collect();
            let edges = folders.entry(folder).or_default();
            let of_module = edges.entry(from.clone()).or_default();
            of_module.entry(to.clone()).or_insert(Edge {
                file: source.file,
                line: mention.line,
            });
        }
    }
    folders
}

/// The module where what a path names is defined.
fn resolve(
    modules: &BTreeMap<Module, Source<'_>>,
    own: &[String],
    path: &[String],
    inline_modules: usize,
) -> Module {
    let mut at = own.to_vec();
    let mut climbed = 0;
    for name in path {
        match name.as_str() {
            "crate" => at.clear(),
            "self" => {}
            "super" => {
                climbed += 1;
                if climbed > inline_modules {
                    at.pop();
                }
            }
            _ => {
                at.push(name.clone());
                if modules.contains_key(&at) {
                    continue;
                }
                at.pop();
                let exported = modules.get(&at).and_then(|it| it.exports.get(name));
                // A module that exports what it names itself would never come to an end.
                return match exported {
                    Some(to) if to.as_slice() != path => resolve(modules, &at, to, 0),
                    Some(_) | None => at,
                };
            }
        }
    }
    at
}

/// One finding for each module that comes back to itself by the shortest way.
fn circles(edges: &Edges<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut seen = BTreeSet::new();
    for start in edges.keys() {
        let Some(way) = shortest_circle(edges, start) else {
            continue;
        };
        let members: BTreeSet<&str> = way.iter().copied().collect();
        if !seen.insert(members) {
            continue;
        }
        let first = way.get(1).copied().unwrap_or(start.as_str());
        if let Some(edge) = edges.get(start).and_then(|it| it.get(first)) {
            let message = format!("modules depend on each other: {}", way.join(" -> "));
            findings.push(Finding::at(edge.file, edge.line, message));
        }
    }
    findings
}

fn shortest_circle<'e>(edges: &'e Edges<'_>, start: &'e str) -> Option<Vec<&'e str>> {
    let mut ways: Vec<Vec<&str>> = vec![vec![start]];
    let mut reached = BTreeSet::new();
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in ways {
            for next in edges.get(*way.last()?).into_iter().flat_map(BTreeMap::keys) {
                let way = [&way[..], &[next.as_str()]].concat();
                if next == start {
                    return Some(way);
                }
                if reached.insert(next) {
                    longer.push(way);
                }
            }
        }
        ways = longer;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tokens;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let parse = |text: &str| tokens::flatten(text.parse().unwrap());
        let tokens_of = files.iter().map(|(file, text)| (*file, parse(text)));
        let rule = Cycles {
            sources: vec!["a/src/".to_owned()],
            except: vec!["a/src/bin/".to_owned()],
        };
        let mut findings = Vec::new();
        check(&tokens_of.collect(), &rule, &mut findings);
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn modules_that_name_each_other_are_found_once() {
        let files = [
            (
                "a/src/error.rs",
                "use std::fmt;\nuse crate::{id::Id, io::{End, Leg}};",
            ),
            ("a/src/id.rs", "pub struct Id;"),
            ("a/src/io.rs", "fn f(it: super::error::Reason) {}"),
        ];
        let circle = "a/src/error.rs:2: modules depend on each other: error -> io -> error";
        assert_eq!(found(&files), [circle]);
    }

    #[test]
    fn a_circle_through_folders_is_found_where_they_meet() {
        let files = [
            ("a/src/one.rs", "mod deep;"),
            ("a/src/one/deep.rs", "use crate::two;"),
            ("a/src/two.rs", "mod deep;"),
            ("a/src/two/deep.rs", "use super::super::three::Three;"),
            ("a/src/three.rs", "use crate::one::deep::Deep;"),
        ];
        let circle = "modules depend on each other: one -> two -> three -> one";
        assert_eq!(found(&files), [format!("a/src/one/deep.rs:1: {circle}")]);
        assert_eq!(found(&files[..4]), Vec::<String>::new());
    }

    #[test]
    fn a_module_and_those_beneath_it_are_one() {
        let files = [
            (
                "a/src/one.rs",
                "mod deep; use deep::Deep; pub(super) fn f() {}",
            ),
            ("a/src/one/deep.rs", "use super::One;"),
            ("a/src/lib.rs", "mod one; pub use one::One;"),
        ];
        assert_eq!(found(&files), Vec::<String>::new());
    }

    #[test]
    fn a_name_counts_for_the_module_that_defines_it() {
        let files = [
            (
                "a/src/one.rs",
                "mod low; mod high; pub use low::Low; pub use self::high::High;",
            ),
            ("a/src/one/low.rs", "use super::High;"),
            ("a/src/one/high.rs", "use crate::one::Low;"),
        ];
        let circle = "a/src/one/high.rs:1: modules depend on each other: high -> low -> high";
        assert_eq!(found(&files), [circle]);
    }

    #[test]
    fn tests_and_other_crates_do_not_count() {
        let files = [
            ("a/src/one.rs", "use crate::two::Two;"),
            (
                "a/src/two.rs",
                "#[cfg(test)] mod tests { use crate::one::One; }",
            ),
            ("a/src/two/tests.rs", "use crate::one::One;"),
            ("a/src/bin/two.rs", "use crate::one::One;"),
        ];
        assert_eq!(found(&files), Vec::<String>::new());
    }
}
