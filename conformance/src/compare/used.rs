//! Which rules of a table were needed: one that never was shows nothing, or is out of date.

use std::collections::BTreeSet;

/// Rules by their index in the table.
#[derive(Debug, Default)]
pub(crate) struct UsedRules(BTreeSet<usize>);

impl UsedRules {
    pub(crate) fn add(&mut self, index: usize) {
        self.0.insert(index);
    }

    pub(crate) fn add_all(&mut self, others: &Self) {
        self.0.extend(&others.0);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The rules of the table that were not needed.
    pub(crate) fn unused<'a, R>(&self, table: &'a [R]) -> impl Iterator<Item = &'a R> {
        let all = table.iter().enumerate();
        all.filter(|(index, _)| !self.0.contains(index))
            .map(|(_, rule)| rule)
    }
}
