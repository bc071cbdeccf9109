//! What the program prints: one line of JSON a case.

use serde::Deserialize;
use serde_json::Value;

use super::table::Claim;

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Line {
    /// A chapter of the program failed.
    Failure {
        failure: String,
    },
    NotForwarded(UnforwardedRequest),
    Case(Box<Case>),
}

/// A request that was sent to doorkeeper only, because doorkeeper must not forward it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UnforwardedRequest {
    pub(crate) api: String,
    pub(crate) key: i16,
    pub(crate) version: i16,
    pub(crate) case: String,
    #[serde(rename = "not_forwarded")]
    _not_forwarded: bool,
    pub(crate) closed: bool,
    /// The error codes of a response that denies it.
    #[serde(default)]
    pub(crate) errors: Vec<i64>,
}

/// One request on both ways.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    pub(crate) api: String,
    pub(crate) key: i16,
    pub(crate) version: i16,
    pub(crate) case: String,
    pub(crate) claim: Claim,
    pub(crate) direct: Response,
    pub(crate) behind: Response,
}

/// What came back on one way.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Response {
    pub(crate) closed: bool,
    pub(crate) ms: u64,
    /// The frame behind its size.
    #[serde(default)]
    pub(crate) hex: String,
    /// The body as Kafka's own classes read it.
    #[serde(default)]
    pub(crate) json: Value,
}

impl Case {
    pub(crate) fn name(&self) -> String {
        format!("{} v{} {}", self.api, self.version, self.case)
    }
}

impl Response {
    pub(crate) fn frame(&self) -> Vec<u8> {
        let digits: Vec<u32> = self
            .hex
            .chars()
            .filter_map(|digit| digit.to_digit(16))
            .collect();
        let pairs = digits.chunks_exact(2);
        pairs
            .filter_map(|pair| match pair {
                [high, low] => u8::try_from(high * 16 + low).ok(),
                _ => None,
            })
            .collect()
    }

    /// Whether it is a success or not, whatever the case hoped for.
    pub(crate) fn meets(&self, claim: Claim) -> bool {
        match claim {
            Claim::Any => true,
            Claim::Ok => !self.closed && !has_error(&self.json),
            Claim::Error => self.closed || has_error(&self.json),
        }
    }
}

fn has_error(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.iter().any(|(name, value)| {
            let is_code = name == "errorCode" || name.ends_with("ErrorCode");
            is_code && value.as_i64() != Some(0) || has_error(value)
        }),
        Value::Array(elements) => elements.iter().any(has_error),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lines_are_parsed_by_their_kind() {
        let failure = r#"{"failure": "setup: broke"}"#;
        assert!(matches!(
            serde_json::from_str(failure).unwrap(),
            Line::Failure { .. }
        ));
        let not_forwarded = r#"{"api": "Envelope", "key": 58, "version": 0, "case": "not offered",
            "not_forwarded": true, "closed": true}"#;
        assert!(matches!(
            serde_json::from_str(not_forwarded).unwrap(),
            Line::NotForwarded(_)
        ));
        let case = r#"{"api": "Produce", "key": 0, "version": 3, "case": "records",
            "claim": "ok", "direct": {"closed": true, "ms": 1},
            "behind": {"closed": false, "ms": 2, "hex": "00ff", "json": {}}}"#;
        let Line::Case(case) = serde_json::from_str(case).unwrap() else {
            panic!("not a case");
        };
        assert_eq!(case.behind.frame(), [0, 255]);
    }

    #[test]
    fn claims_look_at_every_error_code() {
        let response = |json| Response {
            json,
            ..Response::default()
        };
        let fine = response(json!({"errorCode": 0, "topics": [{"errorCode": 0}]}));
        assert!(fine.meets(Claim::Ok) && !fine.meets(Claim::Error));
        for failed in [
            json!({"topics": [{"errorCode": 3}]}),
            json!({"responses": [{"acknowledgeErrorCode": 121}]}),
        ] {
            let failed = response(failed);
            assert!(!failed.meets(Claim::Ok) && failed.meets(Claim::Error));
        }
        let closed = Response {
            closed: true,
            ..Response::default()
        };
        assert!(!closed.meets(Claim::Ok) && closed.meets(Claim::Error));
    }
}
