//! The JSON schema of the file, and the reference that is generated from it.

use std::fmt::Write as _;

use serde_json::Value as Json;

use super::leaf::FORMATS;
use super::schema::Config;

const INTRODUCTION: &str = r#"# Configuration

<!-- Generated from the types in io-tokio/src/config/schema.rs; a test compares. -->

One YAML file. The smallest useful one:

```yaml
clusters:
  main:
    bootstrap: [kafka-1.internal:9092]
listeners:
  local:
    cluster: main
    route:
      ports: { bootstrap: 19092, brokers: 19093, broker_ids: 0-9 }
```

Clients then use `127.0.0.1:19092` as their `bootstrap.servers`, and see broker n at port 19093 + n
of `127.0.0.1`.

- `doorkeeper check --config FILE` names every error with its line, prints the configuration with
  all defaults, and where each broker will be reachable. `doorkeeper run` rejects what `check`
  rejects.
- `doorkeeper schema` prints the JSON schema, for editors.
- An unknown key is an error.
- Durations and sizes have units: `10s`, `500ms`, `5m`; `64KiB`, `100MiB`, `512B`.
- `${VAR}` and `${VAR:-default}` stand for variables of the environment, in plain (unquoted) texts,
  and are expanded after the YAML is read, so that no value can change the structure. In quotes
  they stay as they are. Inside `[...]` and `{...}` YAML ends a plain text at the brace: give such
  a value a line of its own.
"#;

/// The JSON schema of the configuration file, for editors.
#[must_use]
pub fn json_schema() -> Json {
    schemars::schema_for!(Config).into()
}

/// The reference of all keys, in Markdown.
#[must_use]
pub fn reference() -> String {
    let schema = json_schema();
    let mut reference = Reference {
        schema: &schema,
        out: INTRODUCTION.to_owned(),
        done: Vec::new(),
    };
    reference.section("The file", &schema);
    reference.out
}

struct Reference<'a> {
    schema: &'a Json,
    out: String,
    done: Vec<&'a str>,
}

impl<'a> Reference<'a> {
    /// One table of keys, then the tables of what its keys hold.
    fn section(&mut self, title: &str, schema: &'a Json) {
        let description = one_line(schema);
        let _ = write!(self.out, "\n## {title}\n\n{description}\n");
        let variants = schema.get("oneOf").and_then(Json::as_array);
        let mut rows: Vec<(&'a str, &'a Json, bool)> = Vec::new();
        for object in variants.into_iter().flatten().chain([schema]) {
            let Some(properties) = object.get("properties").and_then(Json::as_object) else {
                continue;
            };
            let required = object.get("required").and_then(Json::as_array);
            let is_required = |key: &str| {
                variants.is_none() && required.is_some_and(|all| all.iter().any(|it| it == key))
            };
            let row = |(key, value): (&'a String, &'a Json)| {
                // A variant's text stands at the variant, a field's at the field.
                let about = if variants.is_some() { object } else { value };
                (key.as_str(), about, value, is_required(key))
            };
            let mut sorted: Vec<_> = properties.iter().map(row).collect();
            sorted.sort_by_key(|(_, _, _, is_required)| !is_required);
            for (key, about, value, is_required) in sorted {
                self.row(key, about, value, is_required, rows.is_empty());
                rows.push((key, value, is_required));
            }
        }
        for (key, value, _) in rows {
            self.below(title, key, value);
        }
    }

    fn row(&mut self, key: &str, about: &Json, value: &'a Json, required: bool, first: bool) {
        if first {
            self.out
                .push_str("\n| Key | Value | Default | |\n|---|---|---|---|\n");
        }
        let kind = self.kind(value);
        let default = match value.get("default") {
            Some(Json::Object(fields)) if fields.is_empty() => "none".to_owned(),
            Some(Json::Object(_)) => "see below".to_owned(),
            Some(Json::Array(items)) if items.is_empty() => "none".to_owned(),
            Some(Json::String(text)) => format!("`{text}`"),
            Some(other) => format!("`{other}`"),
            None if required => "**required**".to_owned(),
            None => "none".to_owned(),
        };
        let about = one_line(about);
        let _ = writeln!(self.out, "| `{key}` | {kind} | {default} | {about} |");
    }

    /// What a value looks like, in words.
    fn kind(&self, value: &'a Json) -> String {
        let schema = self.resolved(value);
        if let Some(names) = names(schema) {
            let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
            return names.join(", ");
        }
        let format = schema.get("x-format").and_then(Json::as_str);
        let known = FORMATS.iter().find(|known| Some(known.name) == format);
        let text = |key| schema.get(key).or_else(|| value.get(key));
        let range = match (text("x-min"), text("x-max")) {
            (Some(least), Some(most)) => format!(", {} to {}", plain(least), plain(most)),
            _ => match (schema.get("minimum"), schema.get("maximum")) {
                (Some(least), Some(most)) => format!(", {least} to {most}"),
                _ => String::new(),
            },
        };
        if let Some(known) = known {
            return match range.is_empty() {
                true => known.expected.to_owned(),
                false => format!("{}{range}", known.name),
            };
        }
        let is = |name: &str| match schema.get("type") {
            Some(Json::String(only)) => only == name,
            Some(Json::Array(any)) => any.iter().any(|it| it == name),
            _ => false,
        };
        if is("array") {
            let item = schema.get("items").map(|item| self.kind(item));
            return format!("list of: {}", item.unwrap_or_default());
        }
        if is("integer") {
            return format!("number{range}");
        }
        if let Some(item) = map_item(schema) {
            return format!("by name: {}", self.kind(item));
        }
        match is("object") || schema.get("oneOf").is_some() {
            true => "keys, see below".to_owned(),
            false => "text".to_owned(),
        }
    }

    /// The section of what a key holds, if it holds keys.
    fn below(&mut self, title: &str, key: &str, value: &'a Json) {
        let mut path = match title {
            "The file" => key.to_owned(),
            _ => format!("{}.{key}", title.trim_matches('`')),
        };
        let mut inner = self.resolved(value);
        if let Some(item) = map_item(inner) {
            path.push_str(".<name>");
            inner = self.resolved(item);
        } else if let Some(item) = inner.get("items") {
            path.push_str("[]");
            inner = self.resolved(item);
        }
        let holds_keys = inner.get("properties").is_some()
            || inner.get("oneOf").is_some() && names(inner).is_none();
        let title = inner.get("description").and_then(Json::as_str);
        let seen = title.is_some_and(|title| self.done.contains(&title));
        if holds_keys && !seen {
            self.done.extend(title);
            self.section(&format!("`{path}`"), inner);
        }
    }

    fn resolved(&self, schema: &'a Json) -> &'a Json {
        if let Some(name) = schema.get("$ref").and_then(Json::as_str) {
            let name = name.trim_start_matches("#/$defs/");
            let definition = self.schema.get("$defs").and_then(|all| all.get(name));
            return definition.map_or(schema, |definition| self.resolved(definition));
        }
        let any = schema.get("anyOf").and_then(Json::as_array);
        match any.and_then(|any| any.first()) {
            Some(first) => self.resolved(first),
            None => schema,
        }
    }
}

fn map_item(schema: &Json) -> Option<&Json> {
    schema
        .get("additionalProperties")
        .filter(|item| item.is_object())
}

fn names(schema: &Json) -> Option<Vec<&str>> {
    if let Some(names) = schema.get("enum").and_then(Json::as_array) {
        return Some(names.iter().filter_map(Json::as_str).collect());
    }
    let variants = schema.get("oneOf").and_then(Json::as_array)?;
    variants
        .iter()
        .map(|variant| variant.get("const").and_then(Json::as_str))
        .collect()
}

fn plain(json: &Json) -> String {
    json.as_str()
        .map_or_else(|| json.to_string(), str::to_owned)
}

fn one_line(schema: &Json) -> String {
    let text = schema.get("description").and_then(Json::as_str);
    text.unwrap_or_default()
        .replace('\n', " ")
        .replace('|', "\\|")
}
