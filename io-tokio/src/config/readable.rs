//! The parts of a file whose shape is right: they can be checked against each other although
//! others are wrong.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json};

use super::near_miss::near_miss;
use super::schema::Config;
use super::tree::{Node, Path, Value};

/// What was left out, so that it is not reported as missing: it has errors of its own.
#[derive(Clone, Debug, Default)]
pub(super) struct Unread {
    /// All clusters, or the names of some.
    pub(super) all_clusters: bool,
    pub(super) clusters: BTreeSet<String>,
    pub(super) all_listeners: bool,
    /// Some listeners by their names, with the cluster that each of them names.
    pub(super) listeners: BTreeMap<String, Option<String>>,
}

impl Unread {
    pub(super) fn some_cluster(&self) -> bool {
        self.all_clusters || !self.clusters.is_empty()
    }

    pub(super) fn some_listener(&self) -> bool {
        self.all_listeners || !self.listeners.is_empty()
    }
}

/// What can be read of the tree without the values at these paths. Nothing if that is no
/// configuration at all.
pub(super) fn readable(tree: &Node, wrong: &[Path], schema: &Json) -> Option<(Config, Unread)> {
    let Json::Object(fields) = json(tree) else {
        return None;
    };
    let mut cut = Cut {
        fields,
        unread: Unread::default(),
        schema,
    };
    for kind in ["clusters", "listeners"] {
        if !cut.fields.get(kind).is_some_and(Json::is_object) {
            cut.remove(&[kind]);
        }
    }
    for path in wrong {
        let keys: Vec<&str> = path.keys_down().collect();
        cut.remove(&keys);
    }
    for kind in ["clusters", "listeners"] {
        let empty = || Json::Object(Map::new());
        cut.fields.entry(kind).or_insert_with(empty);
    }
    let config = serde_json::from_value(Json::Object(cut.fields)).ok()?;
    Some((config, cut.unread))
}

struct Cut<'a> {
    fields: Map<String, Json>,
    unread: Unread,
    schema: &'a Json,
}

impl Cut<'_> {
    /// Takes away as little as leaves nothing that others could take for what was meant: a limit
    /// that has a default and is checked against nothing, or else the whole cluster or listener.
    fn remove(&mut self, keys: &[&str]) {
        match keys {
            [] => {}
            ["clusters", name, key, ..] if self.stands_alone("Cluster", key) => {
                self.remove_field("clusters", name, key);
            }
            ["clusters", name, ..] => {
                self.unread.clusters.insert((*name).to_owned());
                self.remove_named("clusters", name);
            }
            ["clusters"] => {
                self.unread.all_clusters = true;
                self.fields.remove("clusters");
            }
            ["listeners", name, key, ..] if self.stands_alone("Listener", key) => {
                self.remove_field("listeners", name, key);
            }
            ["listeners", name, key @ ..] => {
                let cluster = self.fields.get("listeners").and_then(|all| {
                    let cluster = all.get(name)?.get("cluster")?.as_str()?;
                    Some(cluster.to_owned())
                });
                let known = self
                    .unread
                    .listeners
                    .entry((*name).to_owned())
                    .or_insert(cluster);
                if key.first() == Some(&"cluster") {
                    *known = None;
                }
                self.remove_named("listeners", name);
            }
            ["listeners"] => {
                self.unread.all_listeners = true;
                self.fields.remove("listeners");
            }
            [key, ..] => drop(self.fields.remove(*key)),
        }
    }

    /// Whether nothing else means something else without it. A key that nobody knows does, unless
    /// it is a known one misspelt.
    fn stands_alone(&self, kind: &str, key: &str) -> bool {
        let properties = self.schema.get("$defs").and_then(|all| all.get(kind));
        let properties = properties.and_then(|kind| kind.get("properties")?.as_object());
        let known = || {
            properties
                .into_iter()
                .flat_map(Map::keys)
                .map(String::as_str)
        };
        matches!(key, "limits" | "refresh_every" | "allow_apis")
            || (known().all(|known| known != key) && near_miss(key, known()).is_none())
    }

    fn remove_named(&mut self, kind: &str, name: &str) {
        if let Some(Json::Object(all)) = self.fields.get_mut(kind) {
            all.remove(name);
        }
    }

    fn remove_field(&mut self, kind: &str, name: &str, key: &str) {
        let all = self.fields.get_mut(kind);
        if let Some(Json::Object(fields)) = all.and_then(|all| all.get_mut(name)) {
            fields.remove(key);
        }
    }
}

fn json(node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::Integer(number) => {
            serde_json::Number::from_i128(*number).map_or(Json::Null, Json::Number)
        }
        Value::Float(number) => Json::from(*number),
        Value::Text(text) => Json::String(text.clone()),
        Value::List(items) => items.iter().map(json).collect(),
        Value::Map(entries) => {
            let field = |entry: &super::tree::Entry| (entry.key.clone(), json(&entry.node));
            Json::Object(entries.iter().map(field).collect())
        }
    }
}
