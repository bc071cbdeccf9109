//! Two responses, field by field: what may differ is in the table, all else must be the same.

use super::fields;
use super::play::Exchange;
use super::table::Table;
use crate::compare::{self, ALL_LEVELS, UsedRules};

/// What differs and must not, one line each.
pub(super) fn compare(
    real: &Exchange,
    model: &Exchange,
    table: &Table,
    used: &mut UsedRules,
) -> Vec<String> {
    let read = |played: &Exchange| {
        let (key, version) = (played.api_key, played.version);
        let read = |frame: &bytes::Bytes| fields::read(key, version, frame);
        played.response.as_ref().map(read).transpose()
    };
    let (real_fields, model_fields) = match (read(real), read(model)) {
        (Ok(real), Ok(model)) => (real, model),
        (Err(error), _) => return vec![format!("Kafka's response cannot be read: {error:#}")],
        (_, Err(error)) => return vec![format!("the model's response cannot be read: {error:#}")],
    };
    let [real_fields, model_fields] = [real_fields, model_fields].map(Option::unwrap_or_default);
    let rules = table.rules(real.api_key);
    let found = compare::compare(&rules, ALL_LEVELS, [&real_fields, &model_fields]);
    used.add_all(&found.used);
    let differences = found.differences.iter();
    differences
        .map(|it| it.line(["Kafka", "the model"]))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const METADATA: i16 = 3;

    fn differences(real: &Value, model: &Value) -> (Vec<String>, Option<String>) {
        let rules = [
            ("Brokers", "any_order"),
            ("Brokers[].Rack", "unknown"),
            ("ClusterId", "id"),
            ("Topics", "without_internal"),
        ];
        let rule = |(path, how)| {
            format!(
                "[[differs]]\napis = [\"Metadata\"]\npath = \"{path}\"\nhow = \"{how}\"\n\
                 why = \"\"\n"
            )
        };
        let table: Table = toml::from_str(&rules.map(rule).concat()).unwrap();
        let found = compare::compare(&table.rules(METADATA), ALL_LEVELS, [real, model]);
        let lines = found.differences.iter();
        let lines = lines.map(|it| it.line(["Kafka", "the model"])).collect();
        (lines, table.unused(&found.used))
    }

    #[test]
    fn what_a_rule_is_about_may_differ_in_its_way_and_nothing_else() {
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
        assert_eq!(differences(&real, &model), (Vec::new(), None));
    }

    #[test]
    fn a_difference_is_reported_with_its_path() {
        let real = json!({"ClusterId": "a", "Brokers": [{"NodeId": 1}]});
        let model = json!({"ClusterId": "", "Brokers": [{"NodeId": 3}], "More": 1});
        let (differences, unused) = differences(&real, &model);
        assert_eq!(
            differences,
            [
                "Brokers[].NodeId must be the same: Kafka 1, the model 3",
                "ClusterId must be an id on both sides or on none: Kafka \"a\", the model \"\"",
                "More must be the same: Kafka (nothing), the model 1",
            ]
        );
        let unused = unused.unwrap();
        assert_eq!(
            unused,
            "about nothing: Metadata Brokers[].Rack; Metadata Topics"
        );
    }
}
