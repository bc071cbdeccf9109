//! How each rule of `every_api.toml` checks the two values at its path.

use std::collections::BTreeMap;

use serde_json::Value;

use super::table::{Cut, How, Rule};
use super::without_addresses::{without_host, without_listeners};
use super::world::World;
use crate::compare::{self, Check, Problem};
use crate::leak::Needles;

/// A rule about one case.
pub(super) struct CaseRule<'a> {
    pub(super) rule: &'a Rule,
    pub(super) world: &'a World,
    pub(super) cuts: &'a [Cut],
    /// Whether the response is so long that doorkeeper streams it.
    pub(super) is_streamed: bool,
}

impl compare::Rule for CaseRule<'_> {
    fn path(&self) -> &str {
        &self.rule.path
    }

    fn check(&self, values: [&Value; 2]) -> Check {
        let [direct, behind] = values;
        match self.rule.how {
            How::Varies => varies(direct, behind),
            How::Unordered => unordered(direct, behind),
            How::Address => self.address(direct, behind),
            How::Emptied => emptied(direct, behind),
            How::Blanked if self.is_streamed => emptied(direct, behind),
            How::Blanked => Check::skip(false),
            How::Hidden => self.hidden(direct, behind),
            How::Text => self.text(direct, behind),
            How::Ranges => self.ranges(direct, behind),
        }
    }
}

impl CaseRule<'_> {
    /// One node: its host and port are the broker's and doorkeeper's own for the same id.
    fn address(&self, direct: &Value, behind: &Value) -> Check {
        let of = |side: &Value| {
            let host = side.get("host").and_then(Value::as_str)?.to_owned();
            Some((host, side.get("port").and_then(Value::as_i64)?))
        };
        let mut rest = [direct.clone(), behind.clone()];
        for node in &mut rest {
            let Some(fields) = node.as_object_mut() else {
                return Check::done(false, Some(Problem::new("is no node")));
            };
            for name in ["host", "port"] {
                fields.remove(name);
            }
        }
        let id = direct.get(&self.rule.id).and_then(Value::as_i64);
        let mut problems = Vec::new();
        let is_node = id.is_some_and(|it| it >= 0);
        if is_node {
            let known = |side: &BTreeMap<i64, _>| id.and_then(|it| side.get(&it).cloned());
            if of(direct) != known(&self.world.upstream) || of(direct).is_none() {
                problems.push(Problem::new("is not what the broker advertises"));
            }
            if of(behind) != known(&self.world.ours) {
                problems.push(Problem::new("is not what doorkeeper advertises"));
            }
        } else if of(direct) != of(behind) {
            // Nobody: no host, and a port that is none.
            problems.push(Problem::new("is no node and must be the same"));
        }
        Check::rest(is_node, problems, rest)
    }

    fn hidden(&self, direct: &Value, behind: &Value) -> Check {
        let mut expected = direct.clone();
        if self.hide(&mut expected) {
            set(&mut expected, "isSensitive", true.into());
        }
        if let Some(synonyms) = expected.get_mut("synonyms").and_then(Value::as_array_mut) {
            for synonym in synonyms {
                self.hide(synonym);
            }
        }
        let is_used = expected != *direct;
        must_be(is_used, behind, expected, "must be hidden, or left alone")
    }

    /// Makes a value null if it must not be seen; whether it was.
    fn hide(&self, entry: &mut Value) -> bool {
        let text = |name| entry.get(name).and_then(Value::as_str);
        // What is null already shows nothing, and stays as it is.
        let Some(value) = text("value").map(str::as_bytes) else {
            return false;
        };
        let needles = Needles::new(&self.world.secrets);
        let is_secret =
            text("name").is_some_and(|it| self.rule.names(it)) || !needles.hits(value).is_empty();
        if is_secret {
            set(entry, "value", Value::Null);
        }
        is_secret
    }

    fn text(&self, direct: &Value, behind: &Value) -> Check {
        let expected = direct.as_str().map(|text| {
            let hosts = self.world.hosts.iter();
            let text = hosts.fold(text.to_owned(), |text, host| without_host(&text, host));
            without_listeners(&text)
        });
        let expected = expected.map_or(Value::Null, Value::String);
        let is_used = expected != *direct;
        must_be(
            is_used,
            behind,
            expected,
            "must name no host of the cluster",
        )
    }

    /// In the broker's order, narrowed exactly as the table says.
    fn ranges(&self, direct: &Value, behind: &Value) -> Check {
        let mut expected = Vec::new();
        for range in direct.as_array().into_iter().flatten() {
            let key = range.get("apiKey").and_then(Value::as_i64);
            let mut names = self.world.keys.iter();
            let name = names.find(|(_, it)| Some(i64::from(**it)) == key);
            let cut = name.and_then(|(name, _)| {
                let mut cuts = self.cuts.iter();
                cuts.find(|it| it.is_for(&self.world.kafka, name))
            });
            let mut range = range.clone();
            match cut.map(|it| (it.first, it.last)) {
                Some((None, None)) => continue,
                Some((first, last)) => {
                    if let Some(first) = first {
                        set(&mut range, "minVersion", first.into());
                    }
                    if let Some(last) = last {
                        set(&mut range, "maxVersion", last.into());
                    }
                }
                None => {}
            }
            expected.push(range);
        }
        let expected = Value::Array(expected);
        must_be(true, behind, expected, "must be cut as the table says")
    }
}

fn must_be(is_used: bool, behind: &Value, expected: Value, why: &str) -> Check {
    let problem = (*behind != expected).then(|| Problem {
        why: why.to_owned(),
        expected: Some(expected),
    });
    Check::done(is_used, problem)
}

fn varies(direct: &Value, behind: &Value) -> Check {
    let why = "varies, but not in kind";
    let problem = (!is_alike(direct, behind)).then(|| Problem::new(why));
    Check::done(direct != behind, problem)
}

fn unordered(direct: &Value, behind: &Value) -> Check {
    let mut rest = [direct.clone(), behind.clone()];
    for elements in rest.iter_mut().filter_map(Value::as_array_mut) {
        elements.sort_by_key(Value::to_string);
    }
    Check::rest(direct != behind, Vec::new(), rest)
}

fn emptied(direct: &Value, behind: &Value) -> Check {
    let count = |side: &Value| side.as_array().map_or(0, Vec::len);
    let is_wrong = count(behind) > 0 || direct.is_null() && !behind.is_null();
    let problem = is_wrong.then(|| Problem::new("must be empty"));
    Check::done(count(direct) > 0, problem)
}

fn set(object: &mut Value, name: &str, value: Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(name.to_owned(), value);
    }
}

/// Of one kind: what varies is still there, and still a number of the same sign.
fn is_alike(direct: &Value, behind: &Value) -> bool {
    match (direct, behind) {
        (Value::Number(one), Value::Number(other)) => {
            let sign = |it: &serde_json::Number| it.as_i64().map(|it| it >= 0);
            sign(one) == sign(other)
        }
        (Value::String(one), Value::String(other)) => one.is_empty() == other.is_empty(),
        (Value::Array(one), Value::Array(other)) => one.is_empty() == other.is_empty(),
        _ => std::mem::discriminant(direct) == std::mem::discriminant(behind),
    }
}
