//! `conformance/differences.toml`: results of clients that differ on purpose between both ways.

use anyhow::Result;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::compare::{self, Check, Problem, Rule};
use crate::folders;

/// Results of clients are compared as a whole, each under its name.
const LEVELS: usize = 1;

/// All differences that are on purpose.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Differences {
    #[serde(rename = "differs")]
    pub(crate) all: Vec<ExpectedDifference>,
}

/// Results that differ on purpose.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExpectedDifference {
    pub(crate) scenario: String,
    /// The names of the results that differ in this way.
    pub(crate) results: Vec<String>,
    /// The result of a client that comes direct; any of these.
    pub(crate) direct: Vec<String>,
    pub(crate) through: String,
    pub(crate) why: String,
}

/// One of the results that it is about.
struct ExpectedResult<'a>(&'a str, &'a ExpectedDifference);

impl Differences {
    pub(crate) fn load() -> Result<Self> {
        folders::table("differences.toml")
    }

    /// Both results side by side for each that differs and should not, or should and does not.
    pub(crate) fn unexplained(&self, scenario: &str, direct: &Value, through: &Value) -> String {
        let all = self.all.iter().enumerate();
        let rules: Vec<(usize, ExpectedResult<'_>)> = all
            .filter(|(_, expected)| expected.scenario == scenario)
            .flat_map(|(index, expected)| {
                let names = expected.results.iter();
                names.map(move |name| (index, ExpectedResult(name, expected)))
            })
            .collect();
        let none = Value::Object(Map::new());
        let values = [direct, through].map(|it| if it.is_object() { it } else { &none });
        let found = compare::compare(&rules, LEVELS, values);
        let blocks = found.differences.iter();
        let blocks = blocks.map(|it| format!("\n{}", it.block(["direct", "through"])));
        // Below the line of the report that they belong to.
        blocks.collect::<String>().replace('\n', "\n    ")
    }
}

impl Rule for ExpectedResult<'_> {
    fn path(&self) -> &str {
        self.0
    }

    fn check(&self, [direct, through]: [&Value; 2]) -> Check {
        let expected = self.1;
        let is_as_meant = direct
            .as_str()
            .is_some_and(|it| expected.direct.iter().any(|expected| expected == it))
            && through.as_str() == Some(&expected.through);
        let problem = (!is_as_meant).then(|| {
            let (direct, through) = (expected.direct.join(" or "), &expected.through);
            Problem::new(format!("is meant to be {direct} and {through}"))
        });
        Check::done(true, problem)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::catalog::SCENARIOS;

    fn differences() -> Differences {
        let text = "[[differs]]\nscenario = \"s\"\nresults = [\"a\", \"b\"]\n\
                    direct = [\"yes\", \"off\"]\nthrough = \"no\"\nwhy = \"because\"\n";
        toml::from_str(text).unwrap()
    }

    #[test]
    fn an_explained_difference_must_be_just_as_it_is_explained() {
        let all = differences();
        let through = json!({"a": "no", "c": 1});
        assert_eq!(
            all.unexplained("s", &json!({"a": "off", "c": 1}), &through),
            ""
        );
        for direct in [
            json!({"a": "no", "c": 1}),
            json!({"a": "on", "c": 1}),
            json!({"c": 1}),
        ] {
            assert!(
                all.unexplained("s", &direct, &through)
                    .contains("a is meant to be yes or off and no")
            );
        }
        assert!(
            !all.unexplained("t", &json!({"a": "off", "c": 1}), &through)
                .is_empty()
        );
    }

    #[test]
    fn both_results_are_listed_side_by_side() {
        let unexplained =
            differences().unexplained("s", &json!({"x": [1], "y": 2}), &json!({"x": [2]}));
        assert_eq!(
            unexplained,
            "\n    x must be the same\n        direct   [1]\n        through  [2]\
             \n    y must be the same\n        direct   2\n        through  (nothing)"
        );
    }

    #[test]
    fn the_file_reads_and_names_scenarios_that_exist() {
        for difference in Differences::load().unwrap().all {
            assert!(SCENARIOS.iter().any(|it| it.name == difference.scenario));
            assert!(!difference.why.is_empty() && !difference.results.is_empty());
        }
    }
}
