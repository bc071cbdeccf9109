//! Kafka's message definitions as they are in the jars: JSON with comments.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// An inclusive range of versions; empty when `first > last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) first: i16,
    pub(crate) last: i16,
}

impl Range {
    pub(crate) const NONE: Self = Self { first: 0, last: -1 };

    pub(crate) fn contains(self, version: i16) -> bool {
        self.first <= version && version <= self.last
    }

    pub(crate) fn is_empty(self) -> bool {
        self.first > self.last
    }

    /// What both ranges have.
    pub(crate) fn meet(self, other: Self) -> Self {
        let met = Self {
            first: self.first.max(other.first),
            last: self.last.min(other.last),
        };
        if met.is_empty() { Self::NONE } else { met }
    }

    /// `none`, `3`, `3-13` or `3+`.
    fn parse(text: &str) -> Result<Self> {
        if text == "none" {
            return Ok(Self::NONE);
        }
        let range = if let Some(first) = text.strip_suffix('+') {
            Self {
                first: first.parse()?,
                last: i16::MAX,
            }
        } else if let Some((first, last)) = text.split_once('-') {
            Self {
                first: first.parse()?,
                last: last.parse()?,
            }
        } else {
            Self {
                first: text.parse()?,
                last: text.parse()?,
            }
        };
        ensure!(!range.is_empty(), "the range of versions {text:?} is empty");
        Ok(range)
    }
}

/// One message of one release.
#[derive(Clone, Debug)]
pub(crate) struct Definition {
    pub(crate) name: String,
    pub(crate) api_key: i16,
    pub(crate) is_request: bool,
    pub(crate) listeners: Vec<String>,
    pub(crate) valid: Range,
    pub(crate) flexible: Range,
    pub(crate) latest_unstable: bool,
    pub(crate) fields: Vec<FieldDef>,
}

/// One field.
#[derive(Clone, Debug)]
pub(crate) struct FieldDef {
    pub(crate) name: String,
    pub(crate) kind: KindDef,
    pub(crate) versions: Range,
    pub(crate) nullable: Range,
    pub(crate) tag: Option<(u32, Range)>,
    pub(crate) entity: Option<String>,
}

/// The type of a field.
#[derive(Clone, Debug)]
pub(crate) enum KindDef {
    Primitive(String),
    Struct(String, Vec<FieldDef>),
    Array(Box<Self>),
}

const PRIMITIVES: &[&str] = &[
    "bool", "int8", "int16", "uint16", "int32", "uint32", "int64", "float64", "uuid", "string",
    "bytes", "records",
];

impl Definition {
    /// Reads one definition; `None` for what is no request or response.
    pub(crate) fn parse(text: &str) -> Result<Option<Self>> {
        let json: Value = serde_json::from_str(&without_comments(text))?;
        let is_request = match string(&json, "type")? {
            "request" => true,
            "response" => false,
            _ => return Ok(None),
        };
        let name = string(&json, "name")?.to_owned();
        let parsed = Self::from_json(&json, is_request, &name);
        parsed
            .with_context(|| format!("in the definition of {name}"))
            .map(Some)
    }

    fn from_json(json: &Value, is_request: bool, name: &str) -> Result<Self> {
        let listeners = json.get("listeners").and_then(Value::as_array);
        let texts = listeners.into_iter().flatten().filter_map(Value::as_str);
        let common = json.get("commonStructs").and_then(Value::as_array);
        Ok(Self {
            name: name.to_owned(),
            api_key: i16::try_from(json["apiKey"].as_i64().context("no apiKey")?)?,
            is_request,
            listeners: texts.map(str::to_owned).collect(),
            valid: Range::parse(string(json, "validVersions")?)?,
            flexible: range(json, "flexibleVersions")?,
            latest_unstable: json["latestVersionUnstable"].as_bool().unwrap_or(false),
            fields: fields(json, common.map_or(&[], Vec::as_slice), 0)?,
        })
    }
}

fn fields(json: &Value, common: &[Value], depth: usize) -> Result<Vec<FieldDef>> {
    ensure!(depth < 16, "structures are nested without end");
    let list = json.get("fields").and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .map(|each| field(each, common, depth))
        .collect()
}

fn field(json: &Value, common: &[Value], depth: usize) -> Result<FieldDef> {
    let name = string(json, "name")?.to_owned();
    let inner = || -> Result<FieldDef> {
        ensure!(
            json.get("flexibleVersions").is_none(),
            "flexibleVersions of a field"
        );
        let tag = match json.get("tag").and_then(Value::as_u64) {
            Some(number) => Some((u32::try_from(number)?, range(json, "taggedVersions")?)),
            None => None,
        };
        Ok(FieldDef {
            name: name.clone(),
            kind: kind(string(json, "type")?, json, common, depth)?,
            versions: Range::parse(string(json, "versions")?)?,
            nullable: range(json, "nullableVersions")?,
            tag,
            entity: json["entityType"].as_str().map(str::to_owned),
        })
    };
    inner().with_context(|| format!("in field {name}"))
}

fn kind(text: &str, json: &Value, common: &[Value], depth: usize) -> Result<KindDef> {
    if let Some(element) = text.strip_prefix("[]") {
        return Ok(KindDef::Array(Box::new(kind(
            element, json, common, depth,
        )?)));
    }
    if PRIMITIVES.contains(&text) {
        return Ok(KindDef::Primitive(text.to_owned()));
    }
    let Some(first) = text.chars().next().filter(char::is_ascii_uppercase) else {
        bail!("unknown type {text}");
    };
    debug_assert!(
        first.is_ascii_uppercase(),
        "names of structures are capitalised"
    );
    if json.get("fields").is_some() {
        return Ok(KindDef::Struct(
            text.to_owned(),
            fields(json, common, depth + 1)?,
        ));
    }
    let shared = common
        .iter()
        .find(|each| each["name"].as_str() == Some(text));
    let shared = shared.with_context(|| format!("unknown structure {text}"))?;
    Ok(KindDef::Struct(
        text.to_owned(),
        fields(shared, common, depth + 1)?,
    ))
}

fn string<'a>(json: &'a Value, key: &str) -> Result<&'a str> {
    json.get(key)
        .and_then(Value::as_str)
        .with_context(|| format!("no {key}"))
}

fn range(json: &Value, key: &str) -> Result<Range> {
    json.get(key)
        .and_then(Value::as_str)
        .map_or(Ok(Range::NONE), Range::parse)
}

/// Blanks `// ...` outside of strings.
fn without_comments(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    for line in text.lines() {
        let (mut in_string, mut escaped, mut previous) = (false, false, ' ');
        let mut end = line.len();
        for (at, letter) in line.char_indices() {
            if !in_string && letter == '/' && previous == '/' {
                end = at - 1;
                break;
            }
            in_string ^= letter == '"' && !escaped;
            escaped = letter == '\\' && !escaped;
            previous = letter;
        }
        kept.push_str(line.get(..end).unwrap_or(line));
        kept.push('\n');
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_versions() {
        assert_eq!(Range::parse("none").unwrap(), Range::NONE);
        assert_eq!(Range::parse("3").unwrap(), Range { first: 3, last: 3 });
        assert_eq!(Range::parse("3-13").unwrap(), Range { first: 3, last: 13 });
        assert_eq!(
            Range::parse("3+").unwrap(),
            Range {
                first: 3,
                last: i16::MAX
            }
        );
        assert!(Range::parse("5-3").is_err());
    }

    #[test]
    fn comments_end_at_the_line_and_not_in_strings() {
        let text = "{ // one\n  \"about\": \"see http://x \\\" // y\" // two\n}";
        assert_eq!(
            without_comments(text),
            "{ \n  \"about\": \"see http://x \\\" // y\" \n}\n"
        );
    }
}
