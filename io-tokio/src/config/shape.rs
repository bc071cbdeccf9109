//! Checks the tree of a file against the JSON schema of the types and finds everything that does
//! not fit: serde alone would stop at the first.

use serde_json::Value as Json;

use super::leaf::{FORMATS, Format};
use super::near_miss::near_miss;
use super::problem::{Problem, Severity};
use super::tree::{Entry, Node, Path, Position, Value};

/// Keys that have a meaning in Kafka proxies, and none here yet.
const NOT_YET: &[&str] = &["authorization", "identity", "proxy_protocol", "sni"];

/// Everything in the tree that does not fit the schema.
pub(super) fn check(root: &Node, schema: &Json) -> Vec<Problem> {
    let mut shape = Shape {
        schema,
        problems: Vec::new(),
    };
    shape.value(schema, root, &Path::default());
    shape.problems
}

struct Shape<'a> {
    schema: &'a Json,
    problems: Vec<Problem>,
}

impl<'a> Shape<'a> {
    fn value(&mut self, schema: &'a Json, node: &Node, path: &Path) {
        let schema = self.resolved(schema);
        if node.value == Value::Null {
            let message = match path == &Path::default() {
                true => "the file is empty: it needs clusters and listeners",
                false => "has no value: remove the key or give it one",
            };
            self.error(node.at, path, message);
        } else if let Some(names) = names(schema) {
            self.name(&names, node, path);
        } else if let Some(variants) = schema.get("oneOf").and_then(Json::as_array) {
            self.variant(variants, node, path);
        } else if let Some(format) = format(schema) {
            self.leaf(format, schema, node, path);
        } else if has_type(schema, "object") {
            self.object(schema, node, path);
        } else if has_type(schema, "array") {
            self.array(schema, node, path);
        } else if has_type(schema, "integer") {
            self.integer(schema, node, path);
        } else if has_type(schema, "string") && !matches!(node.value, Value::Text(_)) {
            let found = describe(node);
            let message = format!("expected a text, found {found}: write it in quotes");
            self.error(node.at, path, message);
        }
    }

    /// Follows references, and looks through `Option`.
    fn resolved(&self, schema: &'a Json) -> &'a Json {
        if let Some(name) = schema.get("$ref").and_then(Json::as_str) {
            let name = name.trim_start_matches("#/$defs/");
            let definition = self.schema.get("$defs").and_then(|all| all.get(name));
            return definition.map_or(schema, |definition| self.resolved(definition));
        }
        let real = |it: &&Json| it.get("type").and_then(Json::as_str) != Some("null");
        match schema.get("anyOf").and_then(Json::as_array) {
            Some(any) => any
                .iter()
                .find(real)
                .map_or(schema, |schema| self.resolved(schema)),
            None => schema,
        }
    }

    fn object(&mut self, schema: &'a Json, node: &Node, path: &Path) {
        let Value::Map(entries) = &node.value else {
            let message = format!("expected keys and values, found {}", describe(node));
            return self.error(node.at, path, message);
        };
        let properties = schema.get("properties").and_then(Json::as_object);
        let rest = schema
            .get("additionalProperties")
            .filter(|rest| rest.is_object());
        for entry in entries {
            let known = properties.and_then(|all| all.get(&entry.key));
            match known.or(rest) {
                Some(schema) => self.value(schema, &entry.node, &path.key(&entry.key)),
                None => {
                    let known = properties.into_iter().flat_map(|all| all.keys());
                    self.unknown_key(entry, &known.map(String::as_str).collect::<Vec<_>>(), path);
                }
            }
        }
        let required = schema.get("required").and_then(Json::as_array);
        for key in required.into_iter().flatten().filter_map(Json::as_str) {
            let is_there = entries.iter().any(|entry| entry.key == key);
            // A misspelt key has its own error, which names the right one.
            let is_misspelt = || {
                let unknown = |key: &str| properties.is_some_and(|all| !all.contains_key(key));
                entries
                    .iter()
                    .any(|entry| unknown(&entry.key) && near_miss(&entry.key, [key]).is_some())
            };
            if !is_there && !is_misspelt() {
                let about = properties.and_then(|all| all.get(key)).map(first_sentence);
                let about = about.unwrap_or_default();
                self.error(node.at, path, format!("the key {key} is missing. {about}"));
            }
        }
    }

    fn unknown_key(&mut self, entry: &Entry, known: &[&str], path: &Path) {
        let path = path.key(&entry.key);
        let message = if NOT_YET.contains(&entry.key.as_str()) {
            "not supported by this version of doorkeeper".to_owned()
        } else if let Some(meant) = near_miss(&entry.key, known.iter().copied()) {
            format!("unknown key; did you mean {meant}?")
        } else {
            format!("unknown key; known here: {}", known.join(", "))
        };
        self.error(entry.at, &path, message);
    }

    /// An enum whose variants hold data: one key, which names the variant.
    fn variant(&mut self, variants: &'a [Json], node: &Node, path: &Path) {
        let keys: Vec<&str> = variants.iter().filter_map(variant_key).collect();
        let Value::Map(entries) = &node.value else {
            let message = format!(
                "expected one of {}, found {}",
                keys.join(", "),
                describe(node)
            );
            return self.error(node.at, path, message);
        };
        if entries.len() != 1 {
            let message = format!("expected exactly one of {}", keys.join(", "));
            self.error(node.at, path, message);
        }
        for entry in entries {
            let chosen = variants
                .iter()
                .find(|variant| variant_key(variant) == Some(&entry.key));
            let schema = chosen.and_then(|variant| variant.get("properties")?.get(&entry.key));
            match schema {
                Some(schema) => self.value(schema, &entry.node, &path.key(&entry.key)),
                None => self.unknown_key(entry, &keys, path),
            }
        }
    }

    fn array(&mut self, schema: &'a Json, node: &Node, path: &Path) {
        let Value::List(items) = &node.value else {
            let message = format!("expected a list, like [a, b], found {}", describe(node));
            return self.error(node.at, path, message);
        };
        if items.is_empty() && schema.get("minItems").is_some() {
            self.error(node.at, path, "the list is empty");
        }
        if let Some(schema) = schema.get("items") {
            for (i, item) in items.iter().enumerate() {
                self.value(schema, item, &path.index(i));
            }
        }
    }

    fn integer(&mut self, schema: &Json, node: &Node, path: &Path) {
        let bound = |key| schema.get(key).and_then(Json::as_i64).map(i128::from);
        let (least, most) = (bound("minimum"), bound("maximum"));
        let fits = |number: i128| {
            least.is_none_or(|least| number >= least) && most.is_none_or(|most| number <= most)
        };
        if matches!(node.value, Value::Integer(number) if fits(number)) {
            return;
        }
        let range = match (least, most) {
            (Some(least), Some(most)) => format!(" from {least} to {most}"),
            (Some(least), None) => format!(" from {least}"),
            (None, Some(most)) => format!(" up to {most}"),
            (None, None) => String::new(),
        };
        let message = format!("expected a number{range}, found {}", describe(node));
        self.error(node.at, path, message);
    }

    fn name(&mut self, names: &[&str], node: &Node, path: &Path) {
        let message = match &node.value {
            Value::Text(text) if names.contains(&text.as_str()) => return,
            Value::Text(text) => match near_miss(text, names.iter().copied()) {
                Some(meant) => format!("{text:?} is not known here; did you mean {meant}?"),
                None => format!("{text:?} is not known here; known: {}", names.join(", ")),
            },
            Value::Null
            | Value::Bool(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::List(_)
            | Value::Map(_) => format!(
                "expected one of {}, found {}",
                names.join(", "),
                describe(node)
            ),
        };
        self.error(node.at, path, message);
    }

    fn leaf(&mut self, format: &Format, schema: &Json, node: &Node, path: &Path) {
        let fits = match &node.value {
            Value::Text(_) => true,
            Value::Integer(_) => has_type(schema, "integer"),
            Value::List(_) => has_type(schema, "array"),
            Value::Null | Value::Bool(_) | Value::Float(_) | Value::Map(_) => false,
        };
        let Some(text) = text(node).filter(|_| fits) else {
            let message = format!("expected {}, found {}", format.expected, describe(node));
            return self.error(node.at, path, message);
        };
        if let Err(message) = (format.check)(&text) {
            return self.error(node.at, path, message);
        }
        let bound = |key| schema.get(key).and_then(Json::as_str);
        let measured = |text: Option<&str>| text.and_then(format.measure);
        let value = (format.measure)(&text);
        let too_small = value < measured(bound("x-min"));
        let too_large = measured(bound("x-max")).is_some_and(|most| value > Some(most));
        if let (Some(least), Some(most)) = (bound("x-min"), bound("x-max"))
            && (too_small || too_large)
        {
            let message = format!("must be from {least} to {most}, found {text}");
            self.error(node.at, path, message);
        }
    }

    fn error(&mut self, at: Position, path: &Path, message: impl Into<String>) {
        self.problems.push(Problem {
            severity: Severity::Error,
            at,
            path: path.clone(),
            message: message.into(),
        });
    }
}

/// The names of an enum without data.
fn names(schema: &Json) -> Option<Vec<&str>> {
    if let Some(names) = schema.get("enum").and_then(Json::as_array) {
        return Some(names.iter().filter_map(Json::as_str).collect());
    }
    let variants = schema.get("oneOf").and_then(Json::as_array)?;
    let name = |variant: &'_ Json| variant.get("const").is_some();
    variants.iter().any(name).then(|| {
        // Variants with a doc comment stand alone, the others together in one `enum`.
        let alone = variants
            .iter()
            .filter_map(|variant| variant.get("const")?.as_str());
        let together = variants.iter().filter_map(names_of_enum).flatten();
        alone.chain(together).collect()
    })
}

fn names_of_enum(variant: &Json) -> Option<Vec<&str>> {
    let names = variant.get("enum")?.as_array()?;
    Some(names.iter().filter_map(Json::as_str).collect())
}

fn variant_key(variant: &Json) -> Option<&str> {
    variant.get("required")?.as_array()?.first()?.as_str()
}

fn format(schema: &Json) -> Option<&'static Format> {
    let name = schema.get("x-format").and_then(Json::as_str)?;
    FORMATS.iter().find(|format| format.name == name)
}

fn has_type(schema: &Json, name: &str) -> bool {
    match schema.get("type") {
        Some(Json::String(only)) => only == name,
        Some(Json::Array(any)) => any.iter().any(|it| it == name),
        _ => false,
    }
}

/// The text of a leaf, as its type reads it.
fn text(node: &Node) -> Option<String> {
    match &node.value {
        Value::Text(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::List(items) => {
            let texts: Option<Vec<_>> = items.iter().map(text).collect();
            texts.map(|texts| texts.join(","))
        }
        Value::Null | Value::Bool(_) | Value::Float(_) | Value::Map(_) => None,
    }
}

fn describe(node: &Node) -> String {
    match &node.value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(value) => format!("{value}"),
        Value::Integer(number) => format!("the number {number}"),
        Value::Float(number) => format!("the number {number}"),
        Value::Text(text) => format!("{text:?}"),
        Value::List(_) => "a list".to_owned(),
        Value::Map(_) => "keys and values".to_owned(),
    }
}

/// The first sentence of a description.
fn first_sentence(schema: &Json) -> String {
    let text = schema.get("description").and_then(Json::as_str);
    let text = text.unwrap_or_default().replace('\n', " ");
    match text.split_once(". ") {
        Some((first, _)) => format!("{first}."),
        None => text,
    }
}
