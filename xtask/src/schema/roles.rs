//! The reviewed list of what fields mean, and the check that nothing is left out of it.

use std::cell::RefCell;
use std::collections::BTreeSet;

use anyhow::{Result, bail, ensure};

use super::definition::{FieldDef, KindDef};

const LIST: &str = include_str!("roles.txt");

/// Kafka's `entityType`s, which are in every jar.
const ENTITIES: &[(&str, &str)] = &[
    ("topicName", "TopicName"),
    ("groupId", "GroupId"),
    ("transactionalId", "TransactionalId"),
    ("producerId", "ProducerId"),
    ("brokerId", "BrokerId"),
];

/// The rules of `roles.txt`.
pub(super) struct Rules {
    rules: Vec<(&'static str, &'static str)>,
    used: RefCell<BTreeSet<&'static str>>,
}

impl Rules {
    /// Reads the list that this program was built with.
    pub(super) fn load() -> Result<Self> {
        let mut rules = Vec::new();
        let mut seen = BTreeSet::new();
        for line in LIST
            .lines()
            .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        {
            let mut words = line.split_whitespace();
            let Some(role) = words.next() else { continue };
            for pattern in words {
                ensure!(seen.insert(pattern), "roles.txt has {pattern} twice");
                rules.push((pattern, role));
            }
        }
        Ok(Self {
            rules,
            used: RefCell::default(),
        })
    }

    /// The role of the field at `path`, or why it cannot stay without one.
    pub(super) fn role(&self, path: &str, field: &FieldDef) -> Result<&'static str> {
        let fitting = self
            .rules
            .iter()
            .filter(|(pattern, _)| match pattern.strip_prefix('*') {
                Some(end) => path.ends_with(end),
                None => path == *pattern,
            });
        let mut best: Option<(&'static str, &'static str)> = None;
        for &(pattern, role) in fitting {
            self.used.borrow_mut().insert(pattern);
            best = match best {
                Some((longer, kept)) if longer.len() >= pattern.len() => Some((longer, kept)),
                _ => Some((pattern, role)),
            };
        }
        if let Some((_, role)) = best {
            return Ok(role);
        }
        if let Some(entity) = &field.entity {
            let known = ENTITIES.iter().find(|(name, _)| name == entity);
            let Some((_, role)) = known else {
                bail!("{path}: unknown entityType {entity}")
            };
            return Ok(role);
        }
        self.without_rule(path, field)
    }

    fn without_rule(&self, path: &str, field: &FieldDef) -> Result<&'static str> {
        let mut kind = &field.kind;
        let mut is_array = false;
        while let KindDef::Array(element) = kind {
            (kind, is_array) = (element, true);
        }
        let role = match kind {
            KindDef::Struct(_, inner) if is_array => named_by_elements(inner),
            KindDef::Struct(..) | KindDef::Array(_) => "Plain",
            KindDef::Primitive(name) => {
                let names = matches!(name.as_str(), "string" | "bytes" | "records" | "uuid");
                let address = [
                    "Port",
                    "NodeId",
                    "BrokerId",
                    "LeaderId",
                    "ReplicaId",
                    "VoterId",
                ];
                let looks = address.iter().any(|end| field.name.ends_with(end));
                ensure!(
                    !names && !looks,
                    "{path} ({name}) may name a resource or an address and is not in roles.txt"
                );
                "Plain"
            }
        };
        Ok(role)
    }

    /// The rules that fitted nothing.
    pub(super) fn check_all_used(&self) -> Result<()> {
        let used = self.used.borrow();
        let idle = self.rules.iter().map(|(pattern, _)| *pattern);
        let idle: Vec<_> = idle.filter(|pattern| !used.contains(pattern)).collect();
        ensure!(
            idle.is_empty(),
            "rules of roles.txt that fit no field: {}",
            idle.join(", ")
        );
        Ok(())
    }
}

fn named_by_elements(fields: &[FieldDef]) -> &'static str {
    let is = |entity: &str| {
        fields
            .iter()
            .any(|field| field.entity.as_deref() == Some(entity))
    };
    if is("topicName") || fields.iter().any(|field| field.name == "TopicId") {
        "Topics"
    } else if is("groupId") {
        "Groups"
    } else if is("transactionalId") {
        "Transactions"
    } else {
        "Plain"
    }
}
