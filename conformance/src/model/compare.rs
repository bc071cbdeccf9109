//! Two responses, field by field: what may differ is in the table, all else must be the same.

use std::collections::BTreeSet;

use serde_json::Value;

use super::fields;
use super::play::Played;
use super::table::{How, Table};

/// What differs and must not, one line each.
pub(super) fn compare(
    real: &Played,
    model: &Played,
    table: &Table,
    used: &mut BTreeSet<usize>,
) -> Vec<String> {
    let read = |played: &Played| {
        let (key, version) = (played.api_key, played.version);
        let read = |frame: &bytes::Bytes| fields::read(key, version, frame);
        played.response.as_ref().map(read).transpose()
    };
    let (real_fields, model_fields) = match (read(real), read(model)) {
        (Ok(real), Ok(model)) => (real, model),
        (Err(error), _) => return vec![format!("Kafka's response cannot be read: {error:#}")],
        (_, Err(error)) => return vec![format!("the model's response cannot be read: {error:#}")],
    };
    let mut comparison = Comparison {
        api_key: real.api_key,
        table,
        used,
        differences: Vec::new(),
    };
    let [real, model] = [real_fields, model_fields].map(Option::unwrap_or_default);
    comparison.value("", &real, &model);
    comparison.differences
}

struct Comparison<'a> {
    api_key: i16,
    table: &'a Table,
    used: &'a mut BTreeSet<usize>,
    differences: Vec<String>,
}

impl Comparison<'_> {
    fn value(&mut self, path: &str, real: &Value, model: &Value) {
        let (mut real, mut model) = (real.clone(), model.clone());
        for (index, how) in self.table.masks(self.api_key, path) {
            self.used.insert(index);
            let may_differ = match how {
                How::Varies => is_alike(&real, &model),
                How::Id => is_alike(&real, &model) && is_none(&real) == is_none(&model),
                How::Unknown => is_none(&model),
                How::AnyOrder => {
                    change(&mut real, &mut model, |items| {
                        items.sort_by_key(ToString::to_string);
                    });
                    false
                }
                How::WithoutInternal => {
                    change(&mut real, &mut model, |items| {
                        items.retain(|item| item.get("IsInternal") != Some(&1.into()));
                    });
                    false
                }
            };
            if may_differ {
                return;
            }
        }
        let (real, model) = (&real, &model);
        match (real, model) {
            (Value::Object(one), Value::Object(other)) => {
                let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
                for name in names {
                    let inner = match path {
                        "" => name.clone(),
                        _ => format!("{path}.{name}"),
                    };
                    let of = |side: &serde_json::Map<String, Value>| {
                        side.get(name).cloned().unwrap_or_default()
                    };
                    self.value(&inner, &of(one), &of(other));
                }
            }
            (Value::Array(one), Value::Array(other)) => self.array(path, one, other),
            _ if real == model => {}
            _ => self.differs(path, real, model),
        }
    }

    fn array(&mut self, path: &str, real: &[Value], model: &[Value]) {
        if real.len() != model.len() {
            return self.differs(path, &real.into(), &model.into());
        }
        for (real, model) in real.iter().zip(model) {
            self.value(path, real, model);
        }
    }

    fn differs(&mut self, path: &str, real: &Value, model: &Value) {
        let [real, model] = [real, model].map(short);
        self.differences
            .push(format!("{path}: Kafka says {real}, the model {model}"));
    }
}

/// For people: the fields of a whole response are in no line.
fn short(value: &Value) -> String {
    const MOST: usize = 120;
    let text = value.to_string();
    match text.char_indices().nth(MOST) {
        None => text,
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
    }
}

/// Changes both, if they are arrays.
fn change(real: &mut Value, model: &mut Value, act: impl Fn(&mut Vec<Value>)) {
    for side in [real, model] {
        if let Value::Array(items) = side {
            act(items);
        }
    }
}

/// Whether it stands for nothing.
fn is_none(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Number(number) => matches!(number.as_i64(), Some(0 | -1)),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Bool(_) | Value::Object(_) => false,
    }
}

/// Whether both are there, and of one kind.
const fn is_alike(real: &Value, model: &Value) -> bool {
    matches!(
        (real, model),
        (Value::Null, Value::Null)
            | (Value::Bool(_), Value::Bool(_))
            | (Value::Number(_), Value::Number(_))
            | (Value::String(_), Value::String(_))
            | (Value::Array(_), Value::Array(_))
            | (Value::Object(_), Value::Object(_))
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn differences(real: &Value, model: &Value) -> (Vec<String>, BTreeSet<usize>) {
        let masks = [
            ("Brokers", "any_order"),
            ("Brokers.Rack", "unknown"),
            ("ClusterId", "id"),
            ("Topics", "without_internal"),
        ];
        let mask = |(path, how)| {
            format!(
                "[[mask]]\napis = [\"Metadata\"]\npath = \"{path}\"\nhow = \"{how}\"\nwhy = \"\"\n"
            )
        };
        let table: Table = toml::from_str(&masks.map(mask).concat()).unwrap();
        let mut used = BTreeSet::new();
        let mut comparison = Comparison {
            api_key: 3,
            table: &table,
            used: &mut used,
            differences: Vec::new(),
        };
        comparison.value("", real, model);
        (comparison.differences, used)
    }

    #[test]
    fn what_is_masked_may_differ_in_its_way_and_nothing_else() {
        let real = json!({
            "ClusterId": "a",
            "Brokers": [{"NodeId": 1, "Rack": "r"}, {"NodeId": 2, "Rack": "r"}],
            "Topics": [{"IsInternal": 0}, {"IsInternal": 1}],
        });
        let model = json!({
            "ClusterId": "b",
            "Brokers": [{"NodeId": 2, "Rack": null}, {"NodeId": 1, "Rack": null}],
            "Topics": [{"IsInternal": 0}],
        });
        let (differences, used) = differences(&real, &model);
        assert_eq!((differences, used.len()), (Vec::new(), 4));
    }

    #[test]
    fn a_difference_is_reported_with_its_path() {
        let real = json!({"ClusterId": "a", "Brokers": [{"NodeId": 1}]});
        let model = json!({"ClusterId": "", "Brokers": [{"NodeId": 3}], "More": 1});
        let (differences, _) = differences(&real, &model);
        assert_eq!(
            differences,
            [
                "Brokers.NodeId: Kafka says 1, the model 3",
                "ClusterId: Kafka says \"a\", the model \"\"",
                "More: Kafka says null, the model 1",
            ]
        );
    }
}
