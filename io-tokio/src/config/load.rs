//! Reads the file: YAML, variables, and the shape that the types demand.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;

use super::problem::{Problem, Problems, Severity};
use super::reference::json_schema;
use super::schema::Config;
use super::shape;
use super::tree::{Node, Path, Position, Value};

/// A configuration of a thousand listeners is far smaller.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// A file whose shape is right.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The file, as it was named.
    pub file: String,
    /// What it says, defaults included.
    pub config: Config,
    /// What is probably not meant.
    pub warnings: Vec<Problem>,
    pub(super) tree: Node,
}

/// The variables of this process, for `${VAR}`. One that is no UTF-8 counts as unset.
#[must_use]
pub fn environment() -> HashMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Reads a file.
///
/// # Errors
/// Why it cannot be read, or everything that does not fit its shape.
pub fn load(file: &str, variables: HashMap<String, String>) -> Result<Loaded, Problems> {
    let unreadable = |why: String| failed(file, Position::default(), why);
    let opened =
        File::open(file).map_err(|error| unreadable(format!("cannot read it: {error}")))?;
    let mut bytes = Vec::new();
    opened
        .take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(format!("cannot read it: {error}")))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(unreadable(format!("larger than {FILE_BYTES_MAX} bytes")));
    }
    let text = String::from_utf8(bytes).map_err(|_| unreadable("not UTF-8".to_owned()))?;
    parse(file, &text, variables)
}

/// Reads a text that came from `file`.
///
/// # Errors
/// Everything that does not fit its shape.
pub fn parse(
    file: &str,
    text: &str,
    variables: HashMap<String, String>,
) -> Result<Loaded, Problems> {
    let mut options = serde_saphyr::Options::default();
    // A snippet would show the neighbouring lines, and with them what is none of a log's business.
    options.with_snippet = false;
    options.strict_booleans = true;
    let options = options.with_properties(variables);

    let no_yaml = |error: &serde_saphyr::Error| syntax(file, text, error);
    let tree: Node = serde_saphyr::from_str_with_options(text, options.clone())
        .map_err(|error| no_yaml(&error))?;
    let problems = shape::check(&tree, &json_schema());
    if !problems.is_empty() {
        return Err(Problems::new(file, problems));
    }
    let config: Config =
        serde_saphyr::from_str_with_options(text, options).map_err(|error| no_yaml(&error))?;
    Ok(Loaded {
        file: file.to_owned(),
        config,
        warnings: quoted_variables(&tree, text),
        tree,
    })
}

fn failed(file: &str, at: Position, message: String) -> Problems {
    let problem = Problem {
        severity: Severity::Error,
        at,
        path: Path::default(),
        message,
    };
    Problems::new(file, vec![problem])
}

fn syntax(file: &str, text: &str, error: &serde_saphyr::Error) -> Problems {
    let at = error.location().map(Position::from).unwrap_or_default();
    let whole = error.to_string();
    // The place has its own place in our line, and the name of an option helps nobody.
    let message = match whole.rsplit_once(" at line ") {
        Some((message, _)) => message,
        None => &whole,
    };
    let message = message.split(", set DuplicateKeyPolicy").next();
    let mut message = message.unwrap_or(&whole).to_owned();
    if let Some(name) = message.strip_prefix("missing property ") {
        message = format!("the variable {name} is not set (${{NAME:-default}} gives a default)");
    } else if flow_with_variable(text, at) {
        message.push_str(
            " (inside [...] and {...} a brace ends the value: give a ${VAR} a line of its own)",
        );
    }
    failed(file, at, message)
}

/// Whether the line has a variable inside a flow collection, which YAML cannot read.
fn flow_with_variable(text: &str, at: Position) -> bool {
    let line = usize::try_from(at.line.saturating_sub(1)).ok();
    let line = line
        .and_then(|line| text.lines().nth(line))
        .unwrap_or_default();
    let before = line.split_once("${").map(|(before, _)| before);
    before.is_some_and(|before| before.contains(['[', '{', ',']))
}

/// Quoted texts in which somebody may have hoped for a variable.
fn quoted_variables(tree: &Node, text: &str) -> Vec<Problem> {
    let lines: Vec<&str> = text.lines().collect();
    let begins_quoted = |at: Position| {
        let line = usize::try_from(at.line.saturating_sub(1)).ok();
        let column = usize::try_from(at.column.saturating_sub(1)).ok();
        let line = line.and_then(|line| lines.get(line));
        let first = line.and_then(|line| line.chars().nth(column?));
        matches!(first, Some('"' | '\''))
    };
    tree.texts()
        .into_iter()
        .filter(|(_, node)| matches!(&node.value, Value::Text(text) if text.contains("${")))
        .filter(|(_, node)| begins_quoted(node.at))
        .map(|(path, node)| Problem {
            severity: Severity::Warning,
            at: node.at,
            path,
            message: "${...} stays as it is in a quoted text: remove the quotes to expand it"
                .to_owned(),
        })
        .collect()
}
