//! Two responses, field by field: what may differ is in the table, all else must be the same.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::line::Case;
use super::table::{Cut, How, Rule, Table};
use crate::leak::{Needles, Secrets};

/// Responses longer than this are streamed, and addresses behind their records blanked.
const STREAMED_BYTES_MIN: usize = 64 * 1024;
/// Begins the part of a name that tells one way from the other.
const WAY: &[u8] = b"way_";

/// What both sides are known to say, and what belongs to the cluster alone.
#[derive(Debug, Default)]
pub(crate) struct World {
    /// As in `4.4.0`.
    pub(crate) kafka: String,
    /// Host and port that brokers advertise, by node id.
    pub(crate) upstream: BTreeMap<i64, (String, i64)>,
    /// Host and port that doorkeeper advertises, by node id.
    pub(crate) ours: BTreeMap<i64, (String, i64)>,
    /// Hosts that doorkeeper knows to be the cluster's, the longest first.
    pub(crate) hosts: Vec<String>,
    /// What belongs to the cluster alone.
    pub(crate) secrets: Secrets,
    /// The keys of APIs by name.
    pub(crate) keys: BTreeMap<String, i16>,
}

/// A field that differs and must not.
#[derive(Debug, PartialEq)]
pub(crate) struct Difference {
    pub(crate) path: String,
    pub(crate) direct: Value,
    pub(crate) behind: Value,
    pub(crate) why: &'static str,
}

/// The result of a comparison.
#[derive(Debug, Default)]
pub(crate) struct Differences {
    pub(crate) differences: Vec<Difference>,
    /// Which rules of the table were needed.
    pub(crate) used: BTreeSet<usize>,
}

/// Compares what Kafka's classes read, and where that is the same on both ways, the bytes.
pub(crate) fn compare(world: &World, table: &Table, case: &Case) -> Differences {
    let all = table.differs.iter().enumerate();
    let mut comparison = Comparison {
        world,
        cuts: &table.cut,
        rules: all
            .filter(|(_, rule)| rule.is_for(&world.kafka, &case.api, &case.case))
            .collect(),
        is_streamed: case.direct.hex.len() / 2 > STREAMED_BYTES_MIN,
        found: Differences::default(),
    };
    if case.direct.closed != case.behind.closed {
        let (direct, behind) = (case.direct.closed.into(), case.behind.closed.into());
        comparison.differ("", &direct, &behind, "only one way closed the connection");
    } else {
        let (direct, behind) = (same_way(&case.direct.json), same_way(&case.behind.json));
        comparison.value("", &direct, &behind);
        let found = &comparison.found;
        if found.used.is_empty() && found.differences.is_empty() {
            comparison.bytes(&case.direct.frame(), &case.behind.frame());
        }
    }
    comparison.found
}

struct Comparison<'a> {
    world: &'a World,
    cuts: &'a [Cut],
    rules: Vec<(usize, &'a Rule)>,
    is_streamed: bool,
    found: Differences,
}

impl<'a> Comparison<'a> {
    fn differ(&mut self, path: &str, direct: &Value, behind: &Value, why: &'static str) {
        self.found.differences.push(Difference {
            path: path.to_owned(),
            direct: direct.clone(),
            behind: behind.clone(),
            why,
        });
    }

    fn rule(&self, path: &str, how: How) -> Option<(usize, &'a Rule)> {
        let mut rules = self.rules.iter();
        rules
            .find(|(_, it)| it.how == how && it.path == path)
            .copied()
    }

    fn value(&mut self, path: &str, direct: &Value, behind: &Value) {
        if let Some((index, rule)) = self.rule(path, How::Address) {
            return self.address(path, index, rule, direct, behind);
        }
        if let Some((index, rule)) = self.rule(path, How::Hidden) {
            return self.hidden(path, index, rule, direct, behind);
        }
        if let Some((index, _)) = self.rule(path, How::Emptied) {
            return self.emptied(path, index, direct, behind);
        }
        if self.is_streamed
            && let Some((index, _)) = self.rule(path, How::Blanked)
        {
            return self.emptied(path, index, direct, behind);
        }
        if let Some((index, _)) = self.rule(path, How::Text) {
            return self.text(path, index, direct, behind);
        }
        if let Some((index, _)) = self.rule(path, How::Ranges) {
            return self.ranges(path, index, direct, behind);
        }
        if direct == behind && self.is_plain(path) {
            return;
        }
        if let Some((index, _)) = self.rule(path, How::Varies) {
            if direct != behind {
                self.found.used.insert(index);
            }
            if !is_alike(direct, behind) {
                self.differ(path, direct, behind, "varies, but not in kind");
            }
            return;
        }
        match (direct, behind) {
            (Value::Object(direct), Value::Object(behind)) => self.object(path, direct, behind),
            (Value::Array(direct), Value::Array(behind)) => self.array(path, direct, behind),
            _ if direct == behind => {}
            _ => self.differ(path, direct, behind, "must be the same"),
        }
    }

    /// Whether nothing in here has a rule that wants more than being the same.
    fn is_plain(&self, path: &str) -> bool {
        !self.rules.iter().any(|(_, rule)| {
            (rule.is_carrier() || rule.how == How::Ranges) && rule.path.starts_with(path)
        })
    }

    fn object(&mut self, path: &str, direct: &Map<String, Value>, behind: &Map<String, Value>) {
        let names: BTreeSet<&String> = direct.keys().chain(behind.keys()).collect();
        for name in names {
            let inner = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}.{name}")
            };
            let of = |side: &Map<String, Value>| side.get(name).cloned().unwrap_or_default();
            self.value(&inner, &of(direct), &of(behind));
        }
    }

    fn array(&mut self, path: &str, direct: &[Value], behind: &[Value]) {
        let (mut direct, mut behind) = (direct.to_vec(), behind.to_vec());
        if let Some((index, _)) = self.rule(path, How::Unordered) {
            if direct != behind {
                self.found.used.insert(index);
            }
            direct.sort_by_key(Value::to_string);
            behind.sort_by_key(Value::to_string);
        }
        if direct.len() != behind.len() {
            let (direct, behind) = (direct.into(), behind.into());
            return self.differ(path, &direct, &behind, "must be as many");
        }
        let inner = format!("{path}[]");
        for (direct, behind) in direct.iter().zip(&behind) {
            self.value(&inner, direct, behind);
        }
    }

    /// One node: its host and port are the broker's and doorkeeper's own for the same id.
    fn address(&mut self, path: &str, index: usize, rule: &Rule, direct: &Value, behind: &Value) {
        let of = |side: &Value| {
            let host = side.get("host").and_then(Value::as_str)?.to_owned();
            Some((host, side.get("port").and_then(Value::as_i64)?))
        };
        let id = direct.get(&rule.id).and_then(Value::as_i64);
        let (Value::Object(one), Value::Object(other)) = (direct, behind) else {
            return self.differ(path, direct, behind, "is no node");
        };
        if id.is_some_and(|it| it >= 0) {
            let known = |side: &BTreeMap<i64, _>| id.and_then(|it| side.get(&it).cloned());
            self.found.used.insert(index);
            if of(direct) != known(&self.world.upstream) || of(direct).is_none() {
                self.differ(path, direct, behind, "is not what the broker advertises");
            }
            if of(behind) != known(&self.world.ours) {
                self.differ(path, direct, behind, "is not what doorkeeper advertises");
            }
        } else if of(direct) != of(behind) {
            // Nobody: no host, and a port that is none.
            self.differ(path, direct, behind, "is no node and must be the same");
        }
        let (mut one, mut other) = (one.clone(), other.clone());
        for name in ["host", "port"] {
            one.remove(name);
            other.remove(name);
        }
        self.object(path, &one, &other);
    }

    fn hidden(&mut self, path: &str, index: usize, rule: &Rule, direct: &Value, behind: &Value) {
        let mut expected = direct.clone();
        if self.hide(rule, &mut expected) {
            set(&mut expected, "isSensitive", true.into());
        }
        if let Some(synonyms) = expected.get_mut("synonyms").and_then(Value::as_array_mut) {
            for synonym in synonyms {
                self.hide(rule, synonym);
            }
        }
        if expected != *direct {
            self.found.used.insert(index);
        }
        if expected != *behind {
            self.differ(path, &expected, behind, "must be hidden, or left alone");
        }
    }

    /// Makes a value null if it must not be seen; whether it was.
    fn hide(&self, rule: &Rule, entry: &mut Value) -> bool {
        let text = |name| entry.get(name).and_then(Value::as_str);
        // What is null already shows nothing, and stays as it is.
        let Some(value) = text("value").map(str::as_bytes) else {
            return false;
        };
        let needles = Needles::new(&self.world.secrets);
        let is_secret =
            text("name").is_some_and(|it| rule.names(it)) || !needles.hits(value).is_empty();
        if is_secret {
            set(entry, "value", Value::Null);
        }
        is_secret
    }

    fn emptied(&mut self, path: &str, index: usize, direct: &Value, behind: &Value) {
        let count = |side: &Value| side.as_array().map_or(0, Vec::len);
        if count(direct) > 0 {
            self.found.used.insert(index);
        }
        if count(behind) > 0 || direct.is_null() && !behind.is_null() {
            self.differ(path, direct, behind, "must be empty");
        }
    }

    fn text(&mut self, path: &str, index: usize, direct: &Value, behind: &Value) {
        let expected = direct.as_str().map(|text| {
            let hosts = self.world.hosts.iter();
            let text = hosts.fold(text.to_owned(), |text, host| without_host(&text, host));
            without_listeners(&text)
        });
        let expected = expected.map_or(Value::Null, Value::String);
        if expected != *direct {
            self.found.used.insert(index);
        }
        if expected != *behind {
            self.differ(path, direct, behind, "must name no host of the cluster");
        }
    }

    /// In the broker's order, narrowed exactly as the table says.
    fn ranges(&mut self, path: &str, index: usize, direct: &Value, behind: &Value) {
        let mut expected = Vec::new();
        for range in direct.as_array().into_iter().flatten() {
            let key = range.get("apiKey").and_then(Value::as_i64);
            let mut names = self.world.keys.iter();
            let name = names.find(|(_, it)| Some(i64::from(**it)) == key);
            let cut = name.and_then(|(name, _)| {
                let mut cuts = self.cuts.iter();
                cuts.find(|it| it.is_for(&self.world.kafka, name))
            });
            let mut range = range.clone();
            match cut.map(|it| (it.first, it.last)) {
                Some((None, None)) => continue,
                Some((first, last)) => {
                    if let Some(first) = first {
                        set(&mut range, "minVersion", first.into());
                    }
                    if let Some(last) = last {
                        set(&mut range, "maxVersion", last.into());
                    }
                }
                None => {}
            }
            expected.push(range);
        }
        self.found.used.insert(index);
        if *behind != Value::Array(expected) {
            self.differ(path, direct, behind, "must be cut as the table says");
        }
    }

    /// Nothing was to be changed, so every byte must be as the broker sent it.
    fn bytes(&mut self, direct: &[u8], behind: &[u8]) {
        // Behind the correlation id, which counts the requests of a way.
        let of = |frame: &[u8]| same_way_bytes(frame.get(4..).unwrap_or_default());
        if of(direct) != of(behind) {
            let sizes = (direct.len().into(), behind.len().into());
            self.differ("", &sizes.0, &sizes.1, "the same fields, but other bytes");
        }
    }
}

/// The text with `[upstream]` in the place of a host and of the port behind it.
fn without_host(text: &str, host: &str) -> String {
    let mut parts = text.split(host);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |before, behind| {
        // A colon without a port belongs to the text: `kafka-1.internal: gone`.
        let port = behind.strip_prefix(':');
        let port = port.filter(|port| port.starts_with(|c: char| c.is_ascii_digit()));
        let behind = port.map_or(behind, |port| port.trim_start_matches(char::is_numeric));
        format!("{before}[upstream]{behind}")
    })
}

/// The text with `[upstream]` in the place of whatever host and port stand behind `://`.
fn without_listeners(text: &str) -> String {
    let mut parts = text.split("://");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |before, behind| {
        // A bracket that the address did not open belongs to the text around it.
        let ends = |c: char| c.is_whitespace() || "/,;'\"()<>{}]".contains(c);
        let literal = behind.starts_with('[').then(|| behind.find(']')).flatten();
        let from = literal.map_or(0, |closing| closing + 1);
        let rest = behind.get(from..).unwrap_or_default();
        let (address, behind) = behind.split_at(from + rest.find(ends).unwrap_or(rest.len()));
        let address = if address.is_empty() { "" } else { "[upstream]" };
        format!("{before}://{address}{behind}")
    })
}

fn set(object: &mut Value, name: &str, value: Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(name.to_owned(), value);
    }
}

/// Takes the part of names out in which the two ways' own resources differ.
fn same_way(value: &Value) -> Value {
    match value {
        Value::String(text) => String::from_utf8_lossy(&same_way_bytes(text.as_bytes())).into(),
        Value::Array(elements) => elements.iter().map(same_way).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), same_way(value)))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// `way_direct_123` and `way_behind_456` both become `way_`.
fn same_way_bytes(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = memchr::memmem::find(rest, WAY) {
        let (before, tagged) = rest.split_at(at + WAY.len());
        out.extend_from_slice(before);
        let is_tag = tagged.starts_with(b"direct_") || tagged.starts_with(b"behind_");
        rest = tagged.get(10..).filter(|_| is_tag).unwrap_or(tagged);
    }
    out.extend_from_slice(rest);
    out
}

/// Of one kind: what varies is still there, and still a number of the same sign.
fn is_alike(direct: &Value, behind: &Value) -> bool {
    match (direct, behind) {
        (Value::Number(one), Value::Number(other)) => {
            let sign = |it: &serde_json::Number| it.as_i64().map(|it| it >= 0);
            sign(one) == sign(other)
        }
        (Value::String(one), Value::String(other)) => one.is_empty() == other.is_empty(),
        (Value::Array(one), Value::Array(other)) => one.is_empty() == other.is_empty(),
        _ => std::mem::discriminant(direct) == std::mem::discriminant(behind),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::every_api::line::Response;
    use crate::every_api::table::Claim;

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
    fn a_host_goes_with_its_port_and_leaves_any_other_colon() {
        for (text, expected) in [
            (
                "at b.internal:9092, b.internal",
                "at [upstream], [upstream]",
            ),
            ("b.internal: gone", "[upstream]: gone"),
            ("b.internal:9092: gone", "[upstream]: gone"),
            ("b.internal:", "[upstream]:"),
        ] {
            assert_eq!(without_host(text, "b.internal"), expected);
        }
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
