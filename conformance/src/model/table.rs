//! `conformance/model.toml`: how responses of the model may differ from Kafka's, which scripts are
//! not compared, each with its reason.

use anyhow::Result;
use doorkeeper_core::api;
use doorkeeper_core::id::ApiKey;
#[cfg(test)]
use doorkeeper_model::script::Script;
use serde::Deserialize;
use serde_json::Value;

use crate::compare::{self, Check, Problem, UsedRules};
use crate::folders;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    #[serde(default)]
    skipped: Vec<SkippedScripts>,
    #[serde(default)]
    differs: Vec<Rule>,
}

/// Scripts that are not played against brokers.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SkippedScripts {
    scripts: Vec<String>,
    /// For the reader: nothing is listed without a reason.
    #[serde(rename = "why")]
    _why: String,
}

/// A field that may differ.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    /// Of the responses of these APIs.
    apis: Vec<String>,
    /// By the names in Kafka's schema, as in `Topics[].TopicId`.
    path: String,
    how: How,
    #[serde(rename = "why")]
    _why: String,
}

/// How it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum How {
    /// Another value of the same kind.
    Varies,
    /// Another id: neither is empty or zero unless both are.
    Id,
    /// The model says nothing.
    Unknown,
    /// The same elements in another order.
    AnyOrder,
    /// What is internal is left out.
    WithoutInternal,
}

impl Table {
    pub(super) fn load() -> Result<Self> {
        folders::table("model.toml")
    }

    pub(super) fn skips(&self, script: &str) -> bool {
        let mut all = self.skipped.iter().flat_map(|it| &it.scripts);
        all.any(|it| it == script)
    }

    /// The rules about an API, with their indexes in the table.
    pub(super) fn rules(&self, api_key: i16) -> Vec<(usize, &Rule)> {
        let name = api::name(ApiKey(api_key));
        let rules = self.differs.iter().enumerate();
        rules
            .filter(|(_, rule)| rule.apis.iter().any(|api| *api == name))
            .collect()
    }

    /// Rules about fields that no response had.
    pub(super) fn unused(&self, used: &UsedRules) -> Option<String> {
        let rules = used.unused(&self.differs);
        let rules = rules.map(|it| format!("{} {}", it.apis.join(", "), it.path));
        let all: Vec<String> = rules.collect();
        (!all.is_empty()).then(|| format!("about nothing: {}", all.join("; ")))
    }

    /// Scripts and APIs that there are not.
    #[cfg(test)]
    pub(super) fn unknown(&self, scripts: &[(String, Script)]) -> Vec<String> {
        let listed = self.skipped.iter().flat_map(|it| &it.scripts);
        let gone = listed.filter(|it| !scripts.iter().any(|(name, _)| name == *it));
        let apis = self.differs.iter().flat_map(|it| &it.apis);
        let apis = apis.filter(|it| api::by_name(it).is_none());
        gone.chain(apis).cloned().collect()
    }
}

impl compare::Rule for &Rule {
    fn path(&self) -> &str {
        &self.path
    }

    fn check(&self, [real, model]: [&Value; 2]) -> Check {
        let must =
            |is_right: bool, why: &str| Check::done(true, (!is_right).then(|| Problem::new(why)));
        let with = |act: fn(&mut Vec<Value>)| {
            let mut rest = [real.clone(), model.clone()];
            rest.iter_mut()
                .filter_map(Value::as_array_mut)
                .for_each(act);
            Check::rest(true, Vec::new(), rest)
        };
        match self.how {
            How::Varies => must(is_alike(real, model), "varies, but not in kind"),
            How::Id => must(
                is_alike(real, model) && is_none(real) == is_none(model),
                "must be an id on both sides or on none",
            ),
            How::Unknown if is_none(model) => Check::done(true, None),
            How::Unknown => Check::skip(true),
            How::AnyOrder => with(|items| items.sort_by_key(ToString::to_string)),
            How::WithoutInternal => {
                with(|items| items.retain(|item| item.get("IsInternal") != Some(&1.into())))
            }
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

/// Whether both are of one kind.
fn is_alike(real: &Value, model: &Value) -> bool {
    std::mem::discriminant(real) == std::mem::discriminant(model)
}
