//! Who may depend on whom: `cargo metadata` against an allow-list of direct dependencies.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use xshell::{Shell, cmd};

use super::Finding;
use super::tokens::Token;
use crate::tree;

/// What one package may depend on directly; a normal dependency may be a dev one as well.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct May {
    #[serde(default)]
    normal: Vec<String>,
    #[serde(default)]
    dev: Vec<String>,
    #[serde(default)]
    build: Vec<String>,
}

/// A library whose binary alone may name some packages.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BinaryOnly {
    /// The folder of the sources, with a `/` at its end.
    source: String,
    /// The folder of the binary's own modules inside it, with a `/` at its end.
    binary: String,
    /// In their Rust form, with `_`.
    crates: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
}

/// Compares the packages of this workspace, and those of the fuzz targets, with `allowed`.
pub(super) fn check(
    allowed: &BTreeMap<String, May>,
    allow_file: &str,
    findings: &mut Vec<Finding>,
) -> Result<()> {
    let mut packages = Vec::new();
    for manifest in ["Cargo.toml", "fuzz/Cargo.toml"] {
        if tree::root().join(manifest).exists() {
            packages.extend(metadata(manifest)?.packages);
        }
    }
    compare(&packages, allowed, allow_file, findings);
    Ok(())
}

fn metadata(manifest: &str) -> Result<Metadata> {
    let shell = Shell::new()?;
    shell.change_dir(tree::root());
    let json = cmd!(
        shell,
        "cargo metadata --no-deps --format-version 1 --manifest-path {manifest}"
    )
    .quiet()
    .read()?;
    serde_json::from_str(&json).with_context(|| format!("the metadata of {manifest}"))
}

fn compare(
    packages: &[Package],
    allowed: &BTreeMap<String, May>,
    allow_file: &str,
    findings: &mut Vec<Finding>,
) {
    for Package { name, dependencies } in packages {
        let Some(may) = allowed.get(name) else {
            let message = format!("the package {name} has no entry");
            findings.push(Finding::whole(allow_file, message));
            continue;
        };
        for dependency in dependencies {
            let kind = dependency.kind.as_deref().unwrap_or("normal");
            let is_in = |list: &[String]| list.contains(&dependency.name);
            let is_allowed = match kind {
                "dev" => is_in(&may.dev) || is_in(&may.normal),
                "build" => is_in(&may.build),
                _ => is_in(&may.normal),
            };
            if !is_allowed {
                let message = format!(
                    "{name} may not have {} as {kind} dependency",
                    dependency.name
                );
                findings.push(Finding::whole(allow_file, message));
            }
        }
    }
    for name in allowed
        .keys()
        .filter(|name| !packages.iter().any(|it| it.name == **name))
    {
        let message = format!("there is no package {name}: remove its entry");
        findings.push(Finding::whole(allow_file, message));
    }
}

/// Files under `binary` belong to the binary, every other one under `source` to the library.
pub(super) fn check_binary_only(
    tokens_of: &BTreeMap<&str, Vec<Token>>,
    rule: &BinaryOnly,
    findings: &mut Vec<Finding>,
) {
    let BinaryOnly {
        source,
        binary,
        crates,
    } = rule;
    for (path, tokens) in tokens_of {
        if !path.starts_with(source.as_str()) || path.starts_with(binary.as_str()) {
            continue;
        }
        for token in tokens.iter().filter(|token| crates.contains(&token.text)) {
            let message = format!("the library names {}: only its binary may", token.text);
            findings.push(Finding::at(path, token.line, message));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tokens;

    fn package(name: &str, dependencies: &[(&str, Option<&str>)]) -> Package {
        let dependency = |(name, kind): &(&str, Option<&str>)| Dependency {
            name: (*name).to_owned(),
            kind: kind.map(str::to_owned),
        };
        let dependencies = dependencies.iter().map(dependency).collect();
        Package {
            name: name.to_owned(),
            dependencies,
        }
    }

    fn found(packages: &[Package]) -> Vec<String> {
        let may = May {
            normal: vec!["bytes".to_owned()],
            dev: vec!["proptest".to_owned()],
            build: Vec::new(),
        };
        let allowed = BTreeMap::from([("core".to_owned(), may)]);
        let mut findings = Vec::new();
        compare(packages, &allowed, "layering.toml", &mut findings);
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn listed_dependencies_are_allowed_in_their_kind() {
        let dependencies = [
            ("bytes", None),
            ("bytes", Some("dev")),
            ("proptest", Some("dev")),
        ];
        assert_eq!(
            found(&[package("core", &dependencies)]),
            Vec::<String>::new()
        );
        let promoted = "layering.toml: core may not have proptest as normal dependency";
        assert_eq!(found(&[package("core", &[("proptest", None)])]), [promoted]);
        let build = "layering.toml: core may not have bytes as build dependency";
        assert_eq!(
            found(&[package("core", &[("bytes", Some("build"))])]),
            [build]
        );
    }

    #[test]
    fn packages_and_entries_must_match() {
        let unknown = "layering.toml: the package other has no entry";
        let stale = "layering.toml: there is no package core: remove its entry";
        assert_eq!(found(&[package("other", &[])]), [unknown, stale]);
    }

    #[test]
    fn a_binary_may_name_what_its_library_may_not() {
        let source = |text: &str| tokens::flatten(text.parse().unwrap());
        let tokens_of = BTreeMap::from([
            ("a/src/bin/a/main.rs", source("use model::x;")),
            ("a/src/bin/a/quick/start.rs", source("use model::x;")),
            ("a/src/serve.rs", source("\nuse model::x;")),
            ("b/src/lib.rs", source("use model::x;")),
        ]);
        let rule = BinaryOnly {
            source: "a/src/".to_owned(),
            binary: "a/src/bin/".to_owned(),
            crates: vec!["model".to_owned()],
        };
        let mut findings = Vec::new();
        check_binary_only(&tokens_of, &rule, &mut findings);
        let expected = Finding::at(
            "a/src/serve.rs",
            2,
            "the library names model: only its binary may",
        );
        assert_eq!(findings, [expected]);
    }
}
