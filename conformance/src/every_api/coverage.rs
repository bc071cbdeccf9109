//! Whether everything was exercised: each API at each version that both sides have.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::line::{Case, UnforwardedRequest};
use super::table::{Claim, Table};

/// Versions of an API, both ends included.
type Ranges = BTreeMap<i16, (i16, i16)>;

/// The requests that were sent, and the versions that both sides say that they have.
#[derive(Debug, Default)]
pub(crate) struct Coverage {
    advertised: Ranges,
    offered: Ranges,
    /// Claims that direct responses met, by key and version.
    met: BTreeMap<(i16, i16), BTreeSet<Claim>>,
}

impl Coverage {
    pub(crate) fn case(&mut self, case: &Case) {
        let met = self.met.entry((case.key, case.version)).or_default();
        met.extend(
            [Claim::Ok, Claim::Error]
                .iter()
                .filter(|it| case.direct.meets(**it)),
        );
        if case.api == "ApiVersions" && case.case == "all" {
            self.advertised = ranges(&case.direct.json);
            self.offered = ranges(&case.behind.json);
        }
    }

    /// The versions of an API that both sides have.
    pub(crate) fn common(&self, key: i16) -> Option<(i16, i16)> {
        let (one, other) = (self.advertised.get(&key)?, self.offered.get(&key)?);
        Some((one.0.max(other.0), one.1.min(other.1)))
    }

    pub(crate) fn common_keys(&self) -> impl Iterator<Item = i16> {
        let offered = self.offered.keys().copied();
        offered.filter(|it| self.advertised.contains_key(it))
    }

    /// Versions that were not exercised, or neither with success nor with an error.
    pub(crate) fn gaps(&self, table: &Table, kafka: &str, api: &str, key: i16) -> Vec<String> {
        let Some((first, last)) = self.common(key) else {
            return Vec::new();
        };
        let mut gaps = Vec::new();
        if table.denied.iter().any(|it| it.is_whole(kafka, api)) {
            return gaps;
        }
        for version in first..=last {
            let Some(met) = self.met.get(&(key, version)) else {
                gaps.push(format!("version {version} is not exercised"));
                continue;
            };
            for (claim, what) in [(Claim::Ok, "a success"), (Claim::Error, "an error")] {
                let mut exempt = table.exempt.iter();
                if !met.contains(&claim) && !exempt.any(|it| it.is_for(kafka, api, version, claim))
                {
                    gaps.push(format!("version {version} never showed {what}"));
                }
            }
        }
        gaps
    }
}

fn ranges(json: &Value) -> Ranges {
    let keys = json.get("apiKeys").and_then(Value::as_array);
    let number = |range: &Value, name| {
        let number = range.get(name).and_then(Value::as_i64)?;
        i16::try_from(number).ok()
    };
    keys.into_iter()
        .flatten()
        .filter_map(|it| {
            let versions = (number(it, "minVersion")?, number(it, "maxVersion")?);
            Some((number(it, "apiKey")?, versions))
        })
        .collect()
}

/// Requests for which doorkeeper closed the connection, counted by the reason that its metrics must
/// show.
pub(crate) fn not_forwarded(
    table: &Table,
    kafka: &str,
    requests: &[UnforwardedRequest],
) -> (BTreeMap<String, u32>, Vec<String>) {
    let mut reasons = BTreeMap::new();
    let mut failures = Vec::new();
    let mut seen = BTreeSet::new();
    failures.extend(denials(table, kafka, requests));
    for request in requests.iter().filter(|it| !is_denied(table, kafka, it)) {
        let name = format!("{} v{} {}", request.api, request.version, request.case);
        if !request.closed {
            failures.push(format!("{name}: the connection stayed"));
            continue;
        }
        let reason = match request.case.as_str() {
            "unsupported version" => "unsupported_version",
            "as a replica" => "replica_request",
            _ => {
                let mut listed = table.closed.iter().filter(|it| it.is_in(kafka));
                let Some(entry) = listed.find(|it| it.apis.contains(&request.api)) else {
                    failures.push(format!("{name}: closed, which the table does not say"));
                    continue;
                };
                seen.insert(request.api.as_str());
                entry.reason.as_str()
            }
        };
        *reasons.entry(reason.to_owned()).or_default() += 1;
    }
    let listed = table.closed.iter().filter(|it| it.is_in(kafka));
    for api in listed.flat_map(|it| &it.apis) {
        if !seen.contains(api.as_str()) {
            failures.push(format!("{api}: the table says closed, but it was not"));
        }
    }
    (reasons, failures)
}

fn is_denied(table: &Table, kafka: &str, request: &UnforwardedRequest) -> bool {
    let mut denied = table.denied.iter();
    !request.closed && denied.any(|it| it.is_for(kafka, &request.api, &request.case))
}

/// Requests that doorkeeper must deny, and those that were not even sent.
fn denials(table: &Table, kafka: &str, requests: &[UnforwardedRequest]) -> Vec<String> {
    let mut failures = Vec::new();
    for entry in table.denied.iter().filter(|it| it.is_in(kafka)) {
        for api in &entry.apis {
            let sent: Vec<&UnforwardedRequest> = requests
                .iter()
                .filter(|it| it.api == *api && entry.is_for(kafka, api, &it.case))
                .filter(|it| !it.closed)
                .collect();
            if sent.is_empty() {
                failures.push(format!("{api}: the table says denied, but it was not"));
            }
            for it in sent {
                let is_right = it.errors.iter().all(|code| *code == entry.error);
                if it.errors.is_empty() || !is_right {
                    let errors = &it.errors;
                    failures.push(format!("{api} v{}: denied with {errors:?}", it.version));
                }
            }
        }
    }
    failures
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::every_api::line::Response;

    fn response(json: Value) -> Response {
        Response {
            json,
            ..Response::default()
        }
    }

    fn case(api: &str, key: i16, version: i16, direct: Value, behind: Value) -> Case {
        Case {
            api: api.to_owned(),
            key,
            version,
            case: "all".to_owned(),
            claim: Claim::Any,
            direct: response(direct),
            behind: response(behind),
        }
    }

    fn ranges_of(last: i16) -> Value {
        json!({"apiKeys": [{"apiKey": 3, "minVersion": 0, "maxVersion": last}]})
    }

    #[test]
    fn a_version_that_nobody_exercised_is_a_gap() {
        let mut coverage = Coverage::default();
        coverage.case(&case("ApiVersions", 18, 3, ranges_of(3), ranges_of(2)));
        for error in [0, 3] {
            let json = json!({"errorCode": error});
            coverage.case(&case("Metadata", 3, 0, json.clone(), json));
        }
        let json = json!({"errorCode": 0});
        coverage.case(&case("Metadata", 3, 1, json.clone(), json));
        assert_eq!(coverage.common(3), Some((0, 2)));
        assert_eq!(
            coverage.gaps(&Table::default(), "4.4.0", "Metadata", 3),
            [
                "version 1 never showed an error",
                "version 2 is not exercised"
            ]
        );
    }

    #[test]
    fn closed_connections_and_the_table_must_agree() {
        let table: Table = toml::from_str(
            "[[closed]]\napis = [\"Envelope\", \"Vote\"]\nreason = \"api_not_offered\"\n\
             why = \"\"",
        )
        .unwrap();
        let request = |api: &str, closed| -> UnforwardedRequest {
            serde_json::from_value(json!({"api": api, "key": 58, "version": 0,
                "case": "not offered", "not_forwarded": true, "closed": closed}))
            .unwrap()
        };
        let (reasons, failures) = not_forwarded(
            &table,
            "4.4.0",
            &[request("Envelope", true), request("Vote", true)],
        );
        assert_eq!(failures, [""; 0]);
        assert_eq!(reasons["api_not_offered"], 2);
        let (_, failures) = not_forwarded(
            &table,
            "4.4.0",
            &[request("Envelope", false), request("Other", true)],
        );
        assert_eq!(failures.len(), 4, "{failures:?}");
    }
}
