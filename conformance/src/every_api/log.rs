//! Two responses side by side, so that one can find out why they differ.

use std::fmt::Write as _;

use serde_json::Value;

use super::line::{Case, Response};
use crate::compare::Difference;

const COLUMN: usize = 78;

/// The differences of a case, then both responses with a mark on each line that is not the same.
pub(crate) fn side_by_side(case: &Case, failures: &[String], differ: &[Difference]) -> String {
    let mut text = format!("{}\n\n", case.name());
    for failure in failures {
        let _ = writeln!(text, "{failure}");
    }
    for it in differ {
        let _ = writeln!(text, "{}", it.block(["direct", "through"]));
    }
    let (direct, behind) = (lines(&case.direct), lines(&case.behind));
    let _ = writeln!(text, "\n  {:<COLUMN$} | through doorkeeper", "direct");
    for at in 0..direct.len().max(behind.len()) {
        let of = |side: &[String]| side.get(at).cloned().unwrap_or_default();
        let (direct, behind) = (of(&direct), of(&behind));
        let mark = if direct == behind { ' ' } else { '!' };
        let _ = writeln!(text, "{mark} {direct:<COLUMN$} | {behind}");
    }
    let _ = writeln!(
        text,
        "\ndirect  {}\nthrough {}",
        case.direct.hex, case.behind.hex
    );
    text
}

fn lines(response: &Response) -> Vec<String> {
    if response.closed {
        return vec!["the connection was closed".to_owned()];
    }
    pretty(&response.json).lines().map(str::to_owned).collect()
}

fn pretty(json: &Value) -> String {
    serde_json::to_string_pretty(json).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::every_api::table::Claim;

    #[test]
    fn lines_that_differ_are_marked() {
        let response = |port| Response {
            json: json!({"host": "a", "port": port}),
            ..Response::default()
        };
        let case = Case {
            api: "Metadata".to_owned(),
            key: 3,
            version: 1,
            case: "all".to_owned(),
            claim: Claim::Ok,
            direct: response(1),
            behind: response(2),
        };
        let text = side_by_side(&case, &["why".to_owned()], &[]);
        let marked: Vec<&str> = text.lines().filter(|it| it.starts_with("! ")).collect();
        assert_eq!(marked.len(), 1);
        assert!(marked[0].contains("\"port\": 1") && marked[0].ends_with("\"port\": 2"));
    }
}
