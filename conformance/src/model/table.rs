//! `conformance/model.toml`: how responses of the model may differ from Kafka's, which scripts are
//! not compared, each with its reason.

use std::collections::BTreeSet;

use anyhow::Result;
use doorkeeper_core::api;
use doorkeeper_core::id::ApiKey;
#[cfg(test)]
use doorkeeper_model::script::Script;
use serde::Deserialize;

use crate::folders;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    #[serde(default)]
    left_out: Vec<LeftOut>,
    #[serde(default)]
    mask: Vec<Mask>,
}

/// Scripts that are not played against brokers.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LeftOut {
    scripts: Vec<String>,
    /// For the reader: nothing is listed without a reason.
    #[serde(rename = "why")]
    _why: String,
}

/// A field that may differ.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mask {
    /// Of the responses of these APIs.
    apis: Vec<String>,
    /// By the names in Kafka's schema, with dots between; arrays count for nothing.
    path: String,
    how: How,
    #[serde(rename = "why")]
    _why: String,
}

/// How it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum How {
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

    pub(super) fn leaves_out(&self, script: &str) -> bool {
        let mut all = self.left_out.iter().flat_map(|it| &it.scripts);
        all.any(|it| it == script)
    }

    /// What is said of a field, with the places in the table.
    pub(super) fn masks(&self, api_key: i16, path: &str) -> Vec<(usize, How)> {
        let name = api::name(ApiKey(api_key));
        let masks = self.mask.iter().enumerate();
        let of_field =
            masks.filter(|(_, it)| it.path == path && it.apis.iter().any(|api| *api == name));
        of_field.map(|(index, it)| (index, it.how)).collect()
    }

    /// Masks of fields that no response had.
    pub(super) fn idle(&self, used: &BTreeSet<usize>) -> Option<String> {
        let masks = self.mask.iter().enumerate();
        let masks = masks.filter(|(index, _)| !used.contains(index));
        let masks = masks.map(|(_, it)| format!("{} {}", it.apis.join(", "), it.path));
        let all: Vec<String> = masks.collect();
        (!all.is_empty()).then(|| format!("about nothing: {}", all.join("; ")))
    }

    /// Scripts and APIs that there are not.
    #[cfg(test)]
    pub(super) fn unknown(&self, scripts: &[(String, Script)]) -> Vec<String> {
        let listed = self.left_out.iter().flat_map(|it| &it.scripts);
        let gone = listed.filter(|it| !scripts.iter().any(|(name, _)| name == *it));
        let apis = self.mask.iter().flat_map(|it| &it.apis);
        let apis = apis.filter(|it| api::by_name(it).is_none());
        gone.chain(apis).cloned().collect()
    }
}
