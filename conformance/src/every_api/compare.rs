//! Two responses, field by field: what may differ is in the table, all else must be the same.

use super::line::Case;
use super::names::{same_way, same_way_bytes};
use super::rules::CaseRule;
use super::table::Table;
use super::world::World;
use crate::compare::{self, ALL_LEVELS, Comparison};

/// Responses longer than this are streamed, and addresses behind their records blanked.
const STREAMED_BYTES_MIN: usize = 64 * 1024;

/// Compares what Kafka's classes read, and where no field was allowed to differ, the bytes.
pub(super) fn compare(world: &World, table: &Table, case: &Case) -> Comparison {
    let (direct, behind) = (&case.direct, &case.behind);
    if direct.closed != behind.closed {
        let mut found = Comparison::default();
        let values = [direct.closed.into(), behind.closed.into()];
        let values = values.each_ref().map(Some);
        found.add("", values, "only one way closed the connection");
        return found;
    }
    let rules = rules(world, table, case);
    let values = [same_way(&direct.json), same_way(&behind.json)];
    let mut found = compare::compare(&rules, ALL_LEVELS, values.each_ref());
    if found.used.is_empty() && found.differences.is_empty() {
        bytes(&direct.frame(), &behind.frame(), &mut found);
    }
    found
}

fn rules<'a>(world: &'a World, table: &'a Table, case: &Case) -> Vec<(usize, CaseRule<'a>)> {
    let is_streamed = case.direct.hex.len() / 2 > STREAMED_BYTES_MIN;
    let all = table.differs.iter().enumerate();
    let all = all.filter(|(_, rule)| rule.is_for(&world.kafka, &case.api, &case.case));
    all.map(|(index, rule)| {
        let rule = CaseRule {
            rule,
            world,
            cuts: &table.cut,
            is_streamed,
        };
        (index, rule)
    })
    .collect()
}

/// Nothing was to be changed, so every byte must be as the broker sent it.
fn bytes(direct: &[u8], behind: &[u8], found: &mut Comparison) {
    // Behind the correlation id, which counts the requests of a way.
    let of = |frame: &[u8]| same_way_bytes(frame.get(4..).unwrap_or_default());
    if of(direct) != of(behind) {
        let sizes = [direct.len().into(), behind.len().into()];
        let sizes = sizes.each_ref().map(Some);
        found.add("", sizes, "the same fields, but other bytes");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::every_api::line::Response;
    use crate::every_api::table::Claim;
    use crate::leak::Secrets;

    const RULES: &str = r#"
        [[cut]]
        apis = ["Narrowed"]
        last = 3
        why = ""
        [[cut]]
        apis = ["Gone"]
        why = ""
        [[differs]]
        apis = ["Test"]
        path = "brokers[]"
        how = "address"
        id = "nodeId"
        why = ""
        [[differs]]
        apis = ["Test"]
        path = "nodeEndpoints"
        how = "blanked"
        why = ""
        [[differs]]
        apis = ["Test"]
        path = "listeners"
        how = "emptied"
        why = ""
        [[differs]]
        apis = ["Test"]
        path = "configs[]"
        how = "hidden"
        names = ["listeners"]
        why = ""
        [[differs]]
        apis = ["Test"]
        path = "errorMessage"
        how = "text"
        why = ""
        [[differs]]
        apis = ["Test"]
        path = "set"
        how = "unordered"
        why = ""
        [[differs]]
        apis = ["Test"]
        path = "producerId"
        how = "varies"
        why = ""
        [[differs]]
        apis = ["Test"]
        path = "apiKeys"
        how = "ranges"
        why = ""
    "#;

    fn world() -> World {
        World {
            kafka: "4.4.0".to_owned(),
            upstream: [(1, ("kafka-1.canary".to_owned(), 9093))].into(),
            ours: [(1, ("127.0.0.1".to_owned(), 25_001))].into(),
            hosts: vec!["kafka-1.canary".to_owned()],
            secrets: Secrets {
                texts: vec!["canary".to_owned()],
                ports: vec![20_001],
            },
            keys: [("Narrowed".to_owned(), 1), ("Gone".to_owned(), 2)].into(),
        }
    }

    fn response(json: Value, size: usize) -> Response {
        Response {
            hex: "00".repeat(size),
            json,
            ..Response::default()
        }
    }

    fn case(direct: Response, behind: Response) -> Case {
        Case {
            api: "Test".to_owned(),
            key: 3,
            version: 0,
            case: "all".to_owned(),
            claim: Claim::Any,
            direct,
            behind,
        }
    }

    /// Where the two differ and must not.
    fn differ(direct: Value, behind: Value) -> Vec<String> {
        of_size(direct, behind, 100)
    }

    fn of_size(direct: Value, behind: Value, size: usize) -> Vec<String> {
        let table: Table = toml::from_str(RULES).unwrap();
        let case = case(response(direct, size), response(behind, size));
        let differences = compare(&world(), &table, &case).differences;
        differences.into_iter().map(|it| it.path).collect()
    }

    const NONE: [&str; 0] = [];

    fn broker(host: &str, port: u16) -> Value {
        json!({"brokers": [{"nodeId": 1, "host": host, "port": port, "rack": null}]})
    }

    #[test]
    fn one_address_that_was_not_rewritten_is_found() {
        let direct = broker("kafka-1.canary", 9093);
        assert_eq!(differ(direct.clone(), broker("127.0.0.1", 25_001)), NONE);
        assert_eq!(differ(direct.clone(), direct.clone()), ["brokers[]"]);
        assert_eq!(
            differ(direct.clone(), broker("127.0.0.1", 9093)),
            ["brokers[]"]
        );
        // Another broker's, or a direct response that shows none: both prove nothing.
        assert_eq!(differ(direct, broker("127.0.0.1", 25_002)), ["brokers[]"]);
        let ours = broker("127.0.0.1", 25_001);
        assert_eq!(differ(ours.clone(), ours), ["brokers[]"]);
        let nobody = json!({"brokers": [{"nodeId": -1, "host": "", "port": -1}]});
        assert_eq!(differ(nobody.clone(), nobody), NONE);
    }

    #[test]
    fn addresses_are_blanked_in_streamed_responses_only() {
        let direct = json!({"nodeEndpoints": [{"nodeId": 1}]});
        let large = STREAMED_BYTES_MIN + 1;
        assert_eq!(of_size(direct.clone(), json!({}), large), NONE);
        assert_eq!(
            of_size(direct.clone(), direct.clone(), large),
            ["nodeEndpoints"]
        );
        assert_eq!(differ(direct, json!({})), ["nodeEndpoints"]);
    }

    #[test]
    fn what_must_be_empty_or_hidden_is() {
        let listeners = json!({"listeners": [{"host": "a"}]});
        assert_eq!(differ(listeners.clone(), json!({"listeners": []})), NONE);
        assert_eq!(differ(listeners.clone(), listeners), ["listeners"]);
        let entry = |name: &str, value: Value, is_sensitive: bool| {
            let entry = json!({"name": name, "value": value, "isSensitive": is_sensitive});
            json!({"configs": [entry]})
        };
        let hidden = |name| entry(name, Value::Null, true);
        for (name, value) in [
            ("listeners", "CLIENT://a:1"),
            ("other", "at kafka-1.canary"),
        ] {
            let shown = entry(name, value.into(), false);
            assert_eq!(differ(shown.clone(), hidden(name)), NONE);
            assert_eq!(differ(shown.clone(), shown), ["configs[]"]);
        }
        let harmless = entry("other", "5".into(), false);
        assert_eq!(differ(harmless.clone(), harmless.clone()), NONE);
        assert_eq!(differ(harmless, hidden("other")), ["configs[]"]);
    }

    #[test]
    fn texts_name_no_host() {
        let text = |text: &str| json!({"errorMessage": text});
        let direct = text("at kafka-1.canary:9093");
        assert_eq!(differ(direct.clone(), text("at [upstream]")), NONE);
        assert_eq!(
            differ(direct.clone(), text("at [upstream]:9093")),
            ["errorMessage"]
        );
        assert_eq!(differ(direct.clone(), direct.clone()), ["errorMessage"]);
        assert_eq!(differ(direct, json!({})), ["errorMessage"]);
        let listeners = text("'A://other:1,B://kafka-1.canary:9093'");
        let hidden = text("'A://[upstream],B://[upstream]'");
        assert_eq!(differ(listeners, hidden), NONE);
        let listed = text("from '[A://other:1, B://kafka-1.canary:9093, C://[::1]:9]': none");
        let hidden = text("from '[A://[upstream], B://[upstream], C://[upstream]]': none");
        assert_eq!(differ(listed, hidden), NONE);
        assert_eq!(differ(text("none"), text("none")), NONE);
        let nothing = json!({"errorMessage": null});
        assert_eq!(differ(nothing.clone(), nothing), NONE);
    }

    #[test]
    fn order_and_values_may_differ_where_they_may() {
        assert_eq!(differ(json!({"set": [1, 2]}), json!({"set": [2, 1]})), NONE);
        assert_eq!(
            differ(json!({"set": [1, 2]}), json!({"set": [1, 3]})),
            ["set[]"]
        );
        assert_eq!(
            differ(json!({"list": [1, 2]}), json!({"list": [2, 1]})).len(),
            2
        );
        assert_eq!(
            differ(json!({"list": [1]}), json!({"list": [1, 1]})),
            ["list"]
        );
        assert_eq!(
            differ(json!({"producerId": 1}), json!({"producerId": 2})),
            NONE
        );
        assert_eq!(
            differ(json!({"producerId": 1}), json!({"producerId": -1})),
            ["producerId"]
        );
        assert_eq!(differ(json!({"epoch": 1}), json!({"epoch": 2})), ["epoch"]);
        assert_eq!(differ(json!({"epoch": 1}), json!({})), ["epoch"]);
    }

    #[test]
    fn ranges_are_cut_exactly_as_listed() {
        let range = |key, last| json!({"apiKey": key, "minVersion": 0, "maxVersion": last});
        let ranges = |all: &[Value]| json!({"apiKeys": all});
        let direct = ranges(&[range(0, 9), range(1, 5), range(2, 0)]);
        let cut = ranges(&[range(0, 9), range(1, 3)]);
        assert_eq!(differ(direct.clone(), cut), NONE);
        for wrong in [
            ranges(&[range(0, 9), range(1, 5)]),
            ranges(&[range(0, 8), range(1, 3)]),
            ranges(&[range(1, 3)]),
            ranges(&[range(0, 9), range(1, 3), range(2, 0)]),
        ] {
            assert_eq!(differ(direct.clone(), wrong), ["apiKeys"]);
        }
    }

    #[test]
    fn the_bytes_must_be_the_same_where_the_fields_are() {
        let table = Table::default();
        let mut one = case(response(json!({}), 4), response(json!({}), 4));
        // The correlation ids differ, and names by their way.
        let hex = |text: &str| {
            text.bytes()
                .map(|it| format!("{it:02x}"))
                .collect::<String>()
        };
        one.direct.hex = hex("aaaa way_direct_123-topic");
        one.behind.hex = hex("bbbb way_behind_456-topic");
        assert_eq!(compare(&world(), &table, &one).differences, []);
        one.behind.hex = hex("bbbb way_behind_456-topiC");
        assert_eq!(compare(&world(), &table, &one).differences.len(), 1);
        one.behind.closed = true;
        assert_eq!(compare(&world(), &table, &one).differences.len(), 1);
    }
}
