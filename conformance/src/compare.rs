//! Compares two values by path: they must be the same wherever no rule lets them differ.
//!
//! What a rule looks like in its file is its owner's business: `differences.toml` has rules about
//! results of clients, `every_api.toml` about responses on both ways, `model.toml` about responses
//! of the model. Here a rule is a path and a check of the two values at it.

mod difference;
mod used;

use std::collections::BTreeSet;

use serde_json::{Map, Value};

pub(crate) use difference::Difference;
pub(crate) use used::UsedRules;

/// Compares all levels of a value field by field.
pub(crate) const ALL_LEVELS: usize = usize::MAX;

/// Lets two values differ in its own way.
pub(crate) trait Rule {
    /// As in `topics[].partitions[].leaderId`; empty for the value as a whole.
    fn path(&self) -> &str;

    /// Checks the values at that path; one that is missing is null.
    fn check(&self, values: [&Value; 2]) -> Check;
}

/// What a rule says of two values.
#[derive(Debug)]
pub(crate) struct Check {
    is_used: bool,
    problems: Vec<Problem>,
    next: Next,
}

/// A way in which two values differ and must not.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) why: String,
    /// What the second value should be like; without it, like the first one.
    pub(crate) expected: Option<Value>,
}

#[derive(Debug)]
enum Next {
    /// Other rules of the path, then the comparison of the values as they are.
    Same,
    /// The same with these values in their place.
    Instead([Value; 2]),
    /// Nothing: the rule has compared the values.
    Done,
}

impl Check {
    /// The rule says nothing of these values.
    pub(crate) const fn skip(is_used: bool) -> Self {
        Self {
            is_used,
            problems: Vec::new(),
            next: Next::Same,
        }
    }

    /// The rule has compared the values.
    pub(crate) fn done(is_used: bool, problem: Option<Problem>) -> Self {
        Self {
            is_used,
            problems: problem.into_iter().collect(),
            next: Next::Done,
        }
    }

    /// The rule has compared a part of the values, and leaves the rest.
    pub(crate) const fn rest(is_used: bool, problems: Vec<Problem>, rest: [Value; 2]) -> Self {
        Self {
            is_used,
            problems,
            next: Next::Instead(rest),
        }
    }
}

impl Problem {
    pub(crate) fn new(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            expected: None,
        }
    }
}

/// The result of a comparison.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    pub(crate) differences: Vec<Difference>,
    pub(crate) used: UsedRules,
}

impl Comparison {
    pub(crate) fn add(&mut self, path: &str, values: [Option<&Value>; 2], why: impl Into<String>) {
        self.differences.push(Difference {
            path: path.to_owned(),
            values: values.map(|it| it.cloned()),
            why: why.into(),
        });
    }
}

/// Compares two values. A rule comes with its index in its table. Below so many `levels` values are
/// compared as a whole.
pub(crate) fn compare(
    rules: &[(usize, impl Rule)],
    levels: usize,
    values: [&Value; 2],
) -> Comparison {
    let mut walk = Walk {
        rules,
        levels,
        found: Comparison::default(),
    };
    walk.value("", 0, values.map(Some));
    walk.found
}

struct Walk<'a, R> {
    rules: &'a [(usize, R)],
    levels: usize,
    found: Comparison,
}

impl<R: Rule> Walk<'_, R> {
    fn value(&mut self, path: &str, level: usize, values: [Option<&Value>; 2]) {
        let mut instead: Option<[Value; 2]> = None;
        for (index, rule) in self.rules.iter().filter(|(_, rule)| rule.path() == path) {
            let now = match &instead {
                Some(instead) => instead.each_ref(),
                None => values.map(|it| it.unwrap_or(&Value::Null)),
            };
            let check = rule.check(now);
            if check.is_used {
                self.found.used.add(*index);
            }
            for Problem { why, expected } in check.problems {
                let [first, second] = now;
                let first = expected.as_ref().unwrap_or(first);
                self.found.add(path, [Some(first), Some(second)], why);
            }
            match check.next {
                Next::Same => {}
                Next::Instead(values) => instead = Some(values),
                Next::Done => return,
            }
        }
        match &instead {
            Some(instead) => self.plain(path, level, instead.each_ref().map(Some)),
            None => self.plain(path, level, values),
        }
    }

    /// Compares two values once the rules of their path have been applied.
    fn plain(&mut self, path: &str, level: usize, values: [Option<&Value>; 2]) {
        match values {
            [Some(Value::Object(one)), Some(Value::Object(other))] if level < self.levels => {
                self.fields(path, level, [one, other]);
            }
            [Some(Value::Array(one)), Some(Value::Array(other))] if level < self.levels => {
                self.elements(path, level, [one, other]);
            }
            [one, other] if one == other => {}
            _ => self.found.add(path, values, "must be the same"),
        }
    }

    fn fields(&mut self, path: &str, level: usize, objects: [&Map<String, Value>; 2]) {
        let [one, other] = objects;
        let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
        for name in names {
            let inner = match path {
                "" => name.clone(),
                _ => format!("{path}.{name}"),
            };
            self.value(&inner, level + 1, objects.map(|it| it.get(name)));
        }
    }

    fn elements(&mut self, path: &str, level: usize, arrays: [&Vec<Value>; 2]) {
        let [one, other] = arrays;
        if one.len() != other.len() {
            let values = arrays.map(|it| Value::Array(it.clone()));
            let values = values.each_ref().map(Some);
            return self.found.add(path, values, "must be as many");
        }
        let inner = format!("{path}[]");
        for (one, other) in one.iter().zip(other) {
            self.value(&inner, level + 1, [Some(one), Some(other)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Lets numbers be greater by one, and takes a field `extra` off.
    struct OneMore(&'static str);

    impl Rule for OneMore {
        fn path(&self) -> &str {
            self.0
        }

        fn check(&self, [one, other]: [&Value; 2]) -> Check {
            if let Some(number) = one.as_i64() {
                let problem = (other.as_i64() != Some(number + 1)).then(|| Problem {
                    why: "must be one more".to_owned(),
                    expected: Some((number + 1).into()),
                });
                return Check::done(true, problem);
            }
            let mut rest = [one.clone(), other.clone()];
            for value in &mut rest {
                value.as_object_mut().map(|it| it.remove("extra"));
            }
            Check::rest(false, Vec::new(), rest)
        }
    }

    fn differences(levels: usize, one: &Value, other: &Value) -> (Vec<String>, Vec<&'static str>) {
        let rules = [OneMore("a[].n"), OneMore("a[]"), OneMore("gone")];
        let rules: Vec<(usize, OneMore)> = rules.into_iter().enumerate().collect();
        let found = compare(&rules, levels, [one, other]);
        let lines = found.differences.iter().map(|it| it.line(["one", "other"]));
        let unused = found.used.unused(&rules).map(|(_, rule)| rule.0);
        (lines.collect(), unused.collect())
    }

    #[test]
    fn a_rule_applies_at_its_path_in_every_element() {
        let one = json!({"a": [{"n": 1, "extra": 1}, {"n": 5}], "b": 1});
        let other = json!({"a": [{"n": 2, "extra": 2}, {"n": 6}], "b": 1});
        let (lines, unused) = differences(ALL_LEVELS, &one, &other);
        assert_eq!((lines.as_slice(), unused.len()), (&[] as &[String], 2));
        let other = json!({"a": [{"n": 2}, {"n": 5}], "b": 2});
        assert_eq!(
            differences(ALL_LEVELS, &one, &other).0,
            [
                "a[].n must be one more: one 6, other 5",
                "b must be the same: one 1, other 2"
            ]
        );
    }

    #[test]
    fn a_missing_field_or_element_differs_from_null() {
        let one = json!({"b": null, "c": [1, 2]});
        let other = json!({"c": [1]});
        assert_eq!(
            differences(ALL_LEVELS, &one, &other).0,
            [
                "b must be the same: one null, other (nothing)",
                "c must be as many: one [1,2], other [1]"
            ]
        );
    }

    #[test]
    fn below_the_last_level_a_value_is_compared_as_a_whole() {
        let (one, other) = (json!({"c": {"d": [1]}}), json!({"c": {"d": [2]}}));
        let path = |levels| differences(levels, &one, &other).0.concat();
        assert!(path(1).starts_with("c must"));
        assert!(path(2).starts_with("c.d must"));
        assert!(path(ALL_LEVELS).starts_with("c.d[] must"));
    }
}
