//! Writes a value as YAML, its defaults included.

use serde::Serialize;
use serde_json::{Map, Value as Json};

use super::schema::Config;

/// The value as block-style YAML, or nothing if it has no such form.
#[must_use]
pub fn to_yaml(value: &impl Serialize) -> Option<String> {
    let json = serde_json::to_value(value).ok()?;
    let mut out = String::new();
    write_block(&json, 0, &mut out);
    Some(out)
}

/// A configuration with its defaults, as a file that means the same.
#[must_use]
pub fn written_out(config: &Config) -> String {
    let mut json = serde_json::to_value(config).unwrap_or_default();
    let listeners = json.get_mut("listeners").and_then(Json::as_object_mut);
    for listener in listeners.into_iter().flat_map(Map::values_mut) {
        // It has a default for route.ports only, and no place beside addresses with their own.
        let is_explicit = listener.pointer("/route/explicit").is_some();
        if let (true, Json::Object(fields)) = (is_explicit, listener) {
            fields.remove("bind");
        }
    }
    to_yaml(&json).unwrap_or_default()
}

fn write_block(json: &Json, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    match json {
        Json::Object(fields) => {
            for (key, value) in fields {
                out.push_str(&format!("{indent}{}:", scalar(key)));
                write_value(value, depth + 1, out);
            }
        }
        Json::Array(items) => {
            for item in items {
                out.push_str(&format!("{indent}-"));
                let mut inner = String::new();
                write_value(item, depth + 1, &mut inner);
                // A mapping begins on the line of its dash.
                out.push_str(&match inner.strip_prefix('\n') {
                    Some(block) => format!(" {}", block.trim_start()),
                    None => inner,
                });
            }
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {
            write_value(json, depth, out);
        }
    }
}

fn write_value(json: &Json, depth: usize, out: &mut String) {
    match json {
        Json::Object(fields) if fields.is_empty() => out.push_str(" {}\n"),
        Json::Array(items) if items.is_empty() => out.push_str(" []\n"),
        Json::Object(_) | Json::Array(_) => {
            out.push('\n');
            write_block(json, depth, out);
        }
        Json::String(text) => out.push_str(&format!(" {}\n", scalar(text))),
        Json::Null | Json::Bool(_) | Json::Number(_) => out.push_str(&format!(" {json}\n")),
    }
}

/// A text, quoted unless nothing could take it for something else.
fn scalar(text: &str) -> String {
    let begins_plain = text.starts_with(|c: char| c.is_ascii_alphabetic());
    let begins_number = text.starts_with(|c: char| c.is_ascii_digit());
    let ends_as_word = text.ends_with(|c: char| c.is_ascii_alphabetic());
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    let word = begins_plain || (begins_number && ends_as_word && !text.contains(['e', 'E', 'x']));
    let reserved = matches!(
        text.to_ascii_lowercase().as_str(),
        "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n"
    );
    if word && !reserved && text.chars().all(plain) {
        text.to_owned()
    } else {
        Json::String(text.to_owned()).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_back_as_they_were() {
        let json = serde_json::json!({
            "a": {"b": ["x", "1", {"c": 1, "d": [{"e": "f: g"}]}, [], {}], "on": true},
            "times": ["10s", "64KiB", "0-9", "1e3", "yes", "", "* x", "kafka:9092", "tab\there"],
        });
        let yaml = to_yaml(&json).unwrap();
        let back: Json = serde_saphyr::from_str(&yaml).unwrap();
        assert_eq!(back, json, "{yaml}");
    }
}
