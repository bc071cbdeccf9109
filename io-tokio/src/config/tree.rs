//! The file as a tree that remembers where each key and value stands.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// A place in the file, both from 1. Line 0 stands for "nowhere in particular".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: u64,
    /// The column, in characters.
    pub column: u64,
}

impl From<serde_saphyr::Location> for Position {
    fn from(at: serde_saphyr::Location) -> Self {
        Self {
            line: at.line(),
            column: at.column(),
        }
    }
}

/// The keys and places in lists that lead to a value.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Key(String),
    Index(usize),
}

impl Path {
    /// The path of a value under this key.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        self.with(Step::Key(key.to_owned()))
    }

    /// The path of a value at this place of the list, from 0.
    #[must_use]
    pub fn index(&self, at: usize) -> Self {
        self.with(Step::Index(at))
    }

    /// Several keys at once.
    #[must_use]
    pub fn keys(&self, keys: &[&str]) -> Self {
        keys.iter().fold(self.clone(), |path, key| path.key(key))
    }

    /// The keys from the top, up to the first place in a list.
    pub(super) fn keys_down(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map_while(|step| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Index(_) => None,
        })
    }

    fn with(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |key: &str| {
            !key.is_empty()
                && key
                    .chars()
                    .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'))
        };
        for (i, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if !plain(key) => write!(f, "[{key:?}]")?,
                Step::Key(key) if i == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(at) => write!(f, "[{at}]")?,
            }
        }
        Ok(())
    }
}

/// One value of the file and where it begins.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) at: Position,
    pub(super) value: Value,
}

/// What YAML makes of a value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One key of a mapping and its value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) at: Position,
    pub(super) node: Node,
}

impl Node {
    /// Whether the file gives the key.
    pub(super) fn has(&self, path: &Path) -> bool {
        let mut node = self;
        path.0.iter().all(|step| {
            let next = match (&node.value, step) {
                (Value::Map(entries), Step::Key(key)) => {
                    let found = entries.iter().find(|entry| entry.key == *key);
                    found.map(|entry| &entry.node)
                }
                (Value::List(items), Step::Index(index)) => items.get(*index),
                _ => None,
            };
            next.is_some_and(|next| {
                node = next;
                true
            })
        })
    }

    /// Where the value of `path` stands, or the nearest one around it.
    pub(super) fn position_of(&self, path: &Path) -> Position {
        let mut node = self;
        let mut at = self.at;
        for step in &path.0 {
            match (&node.value, step) {
                (Value::Map(entries), Step::Key(key)) => {
                    let Some(entry) = entries.iter().find(|entry| entry.key == *key) else {
                        break;
                    };
                    // A mapping or list begins a line further down: people look for its key.
                    at = match entry.node.value {
                        Value::Map(_) | Value::List(_) => entry.at,
                        Value::Null
                        | Value::Bool(_)
                        | Value::Integer(_)
                        | Value::Float(_)
                        | Value::Text(_) => entry.node.at,
                    };
                    node = &entry.node;
                }
                (Value::List(items), Step::Index(index)) => {
                    let Some(item) = items.get(*index) else {
                        break;
                    };
                    at = item.at;
                    node = item;
                }
                _ => break,
            }
        }
        at
    }

    /// Every text and where it stands, in the order of the file.
    pub(super) fn texts(&self) -> Vec<(Path, &Self)> {
        let mut found = Vec::new();
        self.collect_texts(&Path::default(), &mut found);
        found
    }

    fn collect_texts<'a>(&'a self, path: &Path, found: &mut Vec<(Path, &'a Self)>) {
        match &self.value {
            Value::Text(_) => found.push((path.clone(), self)),
            Value::List(items) => {
                for (i, item) in items.iter().enumerate() {
                    item.collect_texts(&path.index(i), found);
                }
            }
            Value::Map(entries) => {
                for entry in entries {
                    entry.node.collect_texts(&path.key(&entry.key), found);
                }
            }
            Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) => {}
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self {
            at: spanned.referenced.into(),
            value: spanned.value,
        })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Value, E> {
        Ok(Value::Integer(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            entries.push(Entry {
                key: key.value,
                at: key.referenced.into(),
                node: map.next_value()?,
            });
        }
        Ok(Value::Map(entries))
    }
}
