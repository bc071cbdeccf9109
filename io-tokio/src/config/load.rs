//! Reads the file: YAML, variables, and the shape that the types demand.

use std::collections::HashMap;

use super::problem::{Problem, Problems, Severity};
use super::readable::{Unread, readable};
use super::reference::json_schema;
use super::schema::Config;
use super::shape;
use super::sources::Sources;
use super::tree::{Node, Path, Position, Value};

/// A configuration of a thousand listeners is far smaller.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// The most variables that are found unset before the file is given up.
const UNSET_MAX: usize = 100;

/// Stands for the value of a variable that is not set. Not seen: whatever has it is left out.
const UNSET: &str = "\u{e000}";

/// A file that is YAML. Only [`super::compile`] says whether it can be used.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The file, as it was named.
    pub file: String,
    /// What it says, defaults included, as far as its shape is right.
    pub config: Config,
    /// What does not fit its shape, and what is probably not meant.
    pub problems: Vec<Problem>,
    pub(super) unread: Unread,
    pub(super) tree: Node,
}

/// The variables of this process, for `${VAR}`. One that is no UTF-8 counts as unset.
#[must_use]
pub fn environment() -> HashMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Reads a file, which is one of the sources then.
///
/// # Errors
/// Why it cannot be read, or why nothing of it can be understood.
pub fn load(
    file: &str,
    variables: HashMap<String, String>,
    sources: &mut Sources,
) -> Result<Loaded, Problems> {
    let unreadable = |why: String| failed(file, Position::default(), why);
    let bytes = sources.read(file, FILE_BYTES_MAX);
    let bytes = bytes.map_err(|error| unreadable(format!("cannot read it: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|_| unreadable("not UTF-8".to_owned()))?;
    parse(file, &text, variables)
}

/// Reads a text of `file`.
///
/// # Errors
/// Why nothing of it can be understood.
pub fn parse(
    file: &str,
    text: &str,
    mut variables: HashMap<String, String>,
) -> Result<Loaded, Problems> {
    let mut unset = Vec::new();
    let tree = loop {
        let error = match serde_saphyr::from_str_with_options(text, options(&variables)) {
            Ok(tree) => break tree,
            Err(error) => error,
        };
        let mut problems = syntax(file, text, &error);
        match unset_variable(&error) {
            Some(name) if unset.len() < UNSET_MAX && !variables.contains_key(&name) => {
                unset.append(&mut problems.problems);
                variables.insert(name, UNSET.to_owned());
            }
            Some(_) | None => {
                problems.problems.append(&mut unset);
                return Err(Problems::new(file, problems.problems));
            }
        }
    };
    shaped(file, text, &variables, tree, unset)
}

fn options(variables: &HashMap<String, String>) -> serde_saphyr::Options {
    let mut options = serde_saphyr::Options::default();
    // A snippet would show the neighbouring lines, and with them what is none of a log's business.
    options.with_snippet = false;
    options.strict_booleans = true;
    options.with_properties(variables.clone())
}

/// Checks the tree against the types.
fn shaped(
    file: &str,
    text: &str,
    variables: &HashMap<String, String>,
    tree: Node,
    unset: Vec<Problem>,
) -> Result<Loaded, Problems> {
    let schema = json_schema();
    // A file may have that character itself, which is an error like any other wrong character.
    let some_are_unset = !unset.is_empty();
    let is_unset = |text: &str| some_are_unset && text.contains(UNSET);
    let mut problems = shape::check(&tree, &schema);
    let mut wrong: Vec<Path> = problems.iter().map(|it| it.path.clone()).collect();
    let texts = tree.texts().into_iter();
    let unset_paths =
        texts.filter(|(_, node)| matches!(&node.value, Value::Text(text) if is_unset(text)));
    let unset_paths: Vec<Path> = unset_paths.map(|(path, _)| path).collect();
    // That the variable is not set is an error of its own; its value is not known.
    problems.retain(|it| !unset_paths.contains(&it.path) && !is_unset(&it.message));
    wrong.extend(unset_paths);
    problems.extend(unset);
    let read = if wrong.is_empty() {
        let config = serde_saphyr::from_str_with_options(text, options(variables));
        let config = config.map_err(|error| syntax(file, text, &error))?;
        Some((config, Unread::default()))
    } else {
        readable(&tree, &wrong, &schema)
    };
    let Some((config, unread)) = read else {
        return Err(Problems::new(file, problems));
    };
    problems.extend(quoted_variables(&tree, text));
    Ok(Loaded {
        file: file.to_owned(),
        config,
        problems,
        unread,
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
    // The place has its own place in our line, and the name of an option does not help.
    let message = match whole.rsplit_once(" at line ") {
        Some((message, _)) => message,
        None => &whole,
    };
    let message = message.split(", set DuplicateKeyPolicy").next();
    let mut message = message.unwrap_or(&whole).to_owned();
    if let Some(name) = message.strip_prefix(UNSET_PREFIX) {
        message = format!("the variable {name} is not set (${{NAME:-default}} gives a default)");
    } else if message.starts_with("multiple YAML documents") {
        "a second document begins here: the configuration is one, without ---"
            .clone_into(&mut message);
    } else if flow_with_variable(text, at) {
        message.push_str(
            " (inside [...] and {...} a brace ends the value: give a ${VAR} a line of its own)",
        );
    }
    failed(file, at, message)
}

/// How the reader of YAML says that a variable is not set; its name follows.
const UNSET_PREFIX: &str = "missing property ";

fn unset_variable(error: &serde_saphyr::Error) -> Option<String> {
    let whole = error.to_string();
    let (_, rest) = whole.split_once(UNSET_PREFIX)?;
    let name = rest.trim_start_matches('`').split(['`', ' ']).next()?;
    (!name.is_empty()).then(|| name.to_owned())
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

/// Quoted texts that look as if they should contain a variable.
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
