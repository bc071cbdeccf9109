//! The order of the modules inside core: a module names only its own layer and the ones below.

use serde::Deserialize;

use super::Finding;
use super::sleeps::is_test_file;
use super::tokens::Token;

/// The layers of core and the one file that may name the codec.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Core {
    /// The folder of the sources, with a `/` at its end.
    source: String,
    /// Lowest first; modules of one layer may name each other.
    layers: Vec<Vec<String>>,
    /// The crate that only `codec_files` may name.
    codec_crate: String,
    codec_files: Vec<String>,
    /// The modules of the standard library that core may name.
    std: Vec<String>,
}

impl Core {
    fn layer(&self, module: &str) -> Option<usize> {
        self.layers
            .iter()
            .position(|layer| layer.iter().any(|it| it == module))
    }
}

/// `allow_file` is where `core` stands, to name it in findings.
pub(super) fn check(
    path: &str,
    tokens: &[Token],
    core: &Core,
    allow_file: &str,
    findings: &mut Vec<Finding>,
) {
    let Some(inside) = path.strip_prefix(&core.source) else {
        return;
    };
    if is_test_file(path) {
        return;
    }
    let is_codec = core.codec_files.iter().any(|it| it == path);
    let mut codec_uses = tokens
        .iter()
        .filter(|it| it.text == core.codec_crate && !it.in_test);
    if let Some(token) = codec_uses.next()
        && !is_codec
    {
        let message = format!("names {}: only the codec may", core.codec_crate);
        findings.push(Finding::at(path, token.line, message));
    }
    for (module, line) in of_std(tokens) {
        if !core.std.contains(&module) {
            let message = format!("core may not name `std::{module}`: see {allow_file}");
            findings.push(Finding::at(path, line, message));
        }
    }
    let module_path = module_path(inside);
    // The root re-exports from everywhere.
    let Some(own) = module_path.first() else {
        return;
    };
    let Some(own_layer) = core.layer(own) else {
        let message = format!("the core module `{own}` has no layer in {allow_file}");
        findings.push(Finding::whole(path, message));
        return;
    };
    for (module, line) in references(tokens, module_path.len()) {
        let message = match core.layer(&module) {
            _ if module == *own => continue,
            Some(layer) if layer <= own_layer => continue,
            Some(_) => format!("`{own}` names `{module}`, which lies above it"),
            // Macros and constants that the root itself defines are lower case or exported.
            None if module.starts_with(char::is_uppercase) => {
                format!("`crate::{module}` hides its module: name the module")
            }
            None => continue,
        };
        findings.push(Finding::at(path, line, message));
    }
}

/// `wire/walk.rs` is `["wire", "walk"]`; `lib.rs` is the root.
fn module_path(inside: &str) -> Vec<&str> {
    let stem = inside.strip_suffix(".rs").unwrap_or(inside);
    let parts: Vec<&str> = stem.split('/').filter(|it| *it != "mod").collect();
    if parts == ["lib"] { Vec::new() } else { parts }
}

/// The top-level modules that non-test code names, through `crate::` or a chain of `super::`.
fn references(tokens: &[Token], depth: usize) -> Vec<(String, usize)> {
    let text = |at: usize| tokens.get(at).map_or("", |it| it.text.as_str());
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let mut next = at + 1;
        let mut reaches_root = token.text == "crate";
        if token.text == "super" {
            let mut climbed = 1;
            while text(next) == ":" && text(next + 1) == ":" && text(next + 2) == "super" {
                climbed += 1;
                next += 3;
            }
            reaches_root = climbed >= depth + token.inline_modules;
        }
        if reaches_root && !token.in_test && text(next) == ":" && text(next + 1) == ":" {
            named_at(tokens, next + 2, &mut found);
        }
        at = next;
    }
    found
}

/// The modules of the standard library that non-test code names.
fn of_std(tokens: &[Token]) -> Vec<(String, usize)> {
    let text = |at: usize| tokens.get(at).map_or("", |it| it.text.as_str());
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        if token.text == "std" && !token.in_test && text(at + 1) == ":" && text(at + 2) == ":" {
            named_at(tokens, at + 3, &mut found);
        }
    }
    found
}

/// The names at the head of a path, or of each path of a `{}` group.
fn named_at(tokens: &[Token], at: usize, found: &mut Vec<(String, usize)>) {
    let Some(first) = tokens.get(at) else { return };
    if first.text != "{" {
        found.push((first.text.clone(), first.line));
        return;
    }
    let mut depth = 0_usize;
    let mut is_head = true;
    for token in tokens.iter().skip(at) {
        match token.text.as_str() {
            "{" => depth += 1,
            "}" => depth = depth.saturating_sub(1),
            "," if depth == 1 => {
                is_head = true;
                continue;
            }
            _ if is_head => found.push((token.text.clone(), token.line)),
            _ => {}
        }
        is_head = depth == 1 && token.text == "{";
        if depth == 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tokens;

    fn core() -> Core {
        let layers = [
            vec!["id"],
            vec!["wire"],
            vec!["acl", "topology"],
            vec!["session"],
        ];
        Core {
            source: "core/src/".to_owned(),
            layers: layers
                .map(|it| it.into_iter().map(str::to_owned).collect())
                .to_vec(),
            codec_crate: "kafka_protocol".to_owned(),
            codec_files: vec!["core/src/wire/codec.rs".to_owned()],
            std: vec!["fmt".to_owned(), "sync".to_owned()],
        }
    }

    fn found(path: &str, text: &str) -> Vec<String> {
        let mut findings = Vec::new();
        check(
            path,
            &tokens::flatten(text.parse().unwrap()),
            &core(),
            "layering.toml",
            &mut findings,
        );
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn downwards_and_sideways_is_allowed() {
        let text = "use crate::{id::{Id, Other}, wire, topology};\nfn f(it: crate::acl::Policy) {}";
        assert_eq!(found("core/src/acl.rs", text), Vec::<String>::new());
    }

    #[test]
    fn upwards_is_found_in_imports_paths_and_macros() {
        let above =
            |line| format!("core/src/wire/walk.rs:{line}: `wire` names `acl`, which lies above it");
        let text = "use crate::{id, acl::{self}};\nfn f() { vec![crate::acl::x()] }\n\
                    use super::super::acl;";
        assert_eq!(
            found("core/src/wire/walk.rs", text),
            [above(1), above(2), above(3)]
        );
    }

    #[test]
    fn super_is_counted_from_where_it_stands() {
        assert_eq!(
            found("core/src/wire/walk.rs", "use super::acl;"),
            Vec::<String>::new()
        );
        assert_eq!(found("core/src/wire.rs", "use super::acl;").len(), 1);
        assert_eq!(
            found("core/src/wire.rs", "mod a { use super::acl; }"),
            Vec::<String>::new()
        );
    }

    #[test]
    fn tests_may_name_anything() {
        let text =
            "#[cfg(test)]\nmod tests { use crate::session::Session; use kafka_protocol::x; }";
        assert_eq!(found("core/src/wire.rs", text), Vec::<String>::new());
    }

    #[test]
    fn only_listed_modules_of_std_are_named() {
        let text = "use std::{fmt, fs::{self, File}};\nfn f() { std::io::stdout(); }\n\
                    #[cfg(test)] mod tests { use std::env; }";
        let disallowed = |line, module| {
            format!("core/src/wire.rs:{line}: core may not name `std::{module}`: see layering.toml")
        };
        assert_eq!(
            found("core/src/wire.rs", text),
            [disallowed(1, "fs"), disallowed(2, "io")]
        );
    }

    #[test]
    fn one_file_names_the_codec() {
        let text = "use kafka_protocol::messages;";
        assert_eq!(found("core/src/wire/codec.rs", text), Vec::<String>::new());
        assert_eq!(found("core/src/wire/walk.rs", text).len(), 1);
        assert_eq!(found("core/src/lib.rs", text).len(), 1);
    }

    #[test]
    fn a_module_without_a_layer_and_a_name_without_its_module_are_found() {
        let no_layer = "core/src/new.rs: the core module `new` has no layer in layering.toml";
        assert_eq!(found("core/src/new.rs", ""), [no_layer]);
        let hidden = "core/src/acl.rs:1: `crate::Session` hides its module: name the module";
        assert_eq!(found("core/src/acl.rs", "use crate::Session;"), [hidden]);
    }
}
