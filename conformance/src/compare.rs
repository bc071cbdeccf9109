//! Direct and through doorkeeper a client must see the same, save what `differences.toml` explains.

use std::collections::BTreeSet;

use anyhow::Result;
use serde::Deserialize;
use serde_json::Value;

use crate::folders;

/// The differences that are meant.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Differences {
    #[serde(rename = "difference")]
    pub(crate) all: Vec<Difference>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Difference {
    pub(crate) scenario: String,
    /// The names of the results that differ in this way.
    pub(crate) results: Vec<String>,
    /// The result of a client that comes direct; any of these.
    pub(crate) direct: Vec<String>,
    pub(crate) through: String,
    pub(crate) reason: String,
}

impl Differences {
    pub(crate) fn load() -> Result<Self> {
        folders::table("differences.toml")
    }

    /// Both results side by side for each that differs and should not, or should and does not.
    pub(crate) fn unexplained(&self, scenario: &str, direct: &Value, through: &Value) -> String {
        let none = serde_json::Map::new();
        let [direct, through] = [direct, through].map(|it| it.as_object().unwrap_or(&none));
        let names: BTreeSet<&String> = direct.keys().chain(through.keys()).collect();
        let mut lines = String::new();
        for name in names {
            let [direct, through] = [direct, through].map(|it| it.get(name));
            let explained = self.find(scenario, name);
            let is_as_meant = match explained {
                None => direct == through,
                Some(meant) => meant.is(direct, through),
            };
            if !is_as_meant {
                let text = |it: Option<&Value>| {
                    it.map_or_else(|| "(nothing)".to_owned(), Value::to_string)
                };
                lines.push_str(&format!(
                    "\n    {name}\n        direct   {}\n        through  {}",
                    text(direct),
                    text(through),
                ));
                if let Some(meant) = explained {
                    lines.push_str(&format!(
                        "\n        meant    {} and {}",
                        meant.direct.join(" or "),
                        meant.through
                    ));
                }
            }
        }
        lines
    }

    fn find(&self, scenario: &str, result: &str) -> Option<&Difference> {
        self.all
            .iter()
            .find(|it| it.scenario == scenario && it.results.iter().any(|name| name == result))
    }
}

impl Difference {
    fn is(&self, direct: Option<&Value>, through: Option<&Value>) -> bool {
        let [direct, through] = [direct, through].map(|it| it.and_then(Value::as_str));
        direct.is_some_and(|it| self.direct.iter().any(|meant| meant == it))
            && through == Some(self.through.as_str())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::catalog::SCENARIOS;

    fn differences() -> Differences {
        let text = "[[difference]]\nscenario = \"s\"\nresults = [\"a\", \"b\"]\n\
                    direct = [\"yes\", \"off\"]\nthrough = \"no\"\nreason = \"because\"\n";
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
                    .contains("meant    yes or off and no")
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
            "\n    x\n        direct   [1]\n        through  [2]\
             \n    y\n        direct   2\n        through  (nothing)"
        );
    }

    #[test]
    fn the_file_reads_and_names_scenarios_that_exist() {
        for difference in Differences::load().unwrap().all {
            assert!(SCENARIOS.iter().any(|it| it.name == difference.scenario));
            assert!(!difference.reason.is_empty() && !difference.results.is_empty());
        }
    }
}
