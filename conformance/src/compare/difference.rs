//! One difference, as reports show it.

use serde_json::Value;

/// Two values that differ and must not.
#[derive(Debug, PartialEq)]
pub(crate) struct Difference {
    pub(crate) path: String,
    /// A field that is missing on one side is none.
    pub(crate) values: [Option<Value>; 2],
    pub(crate) why: String,
}

impl Difference {
    /// The path, and what is wrong there.
    pub(crate) fn headline(&self) -> String {
        match self.path.as_str() {
            "" => self.why.clone(),
            path => format!("{path} {}", self.why),
        }
    }

    /// One line, in which long values are cut.
    pub(crate) fn line(&self, sides: [&str; 2]) -> String {
        let [one, other] = sides;
        let [first, second] = self.texts().map(short);
        format!("{}: {one} {first}, {other} {second}", self.headline())
    }

    /// A headline, then the whole value of each side on a line of its own.
    pub(crate) fn block(&self, sides: [&str; 2]) -> String {
        let width = sides.map(str::len).into_iter().max().unwrap_or(0);
        let mut text = self.headline();
        for (side, value) in sides.iter().zip(self.texts()) {
            text.push_str(&format!("\n    {side:<width$}  {value}"));
        }
        text
    }

    fn texts(&self) -> [String; 2] {
        let text = |it: &Option<Value>| match it {
            Some(value) => value.to_string(),
            None => "(nothing)".to_owned(),
        };
        self.values.each_ref().map(text)
    }
}

/// No line shows the fields of a whole response.
fn short(text: String) -> String {
    const MOST: usize = 120;
    match text.char_indices().nth(MOST) {
        None => text,
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_values_are_shown_side_by_side() {
        let difference = Difference {
            path: "x[].y".to_owned(),
            values: [Some(json!(1)), None],
            why: "must be the same".to_owned(),
        };
        assert_eq!(
            difference.line(["direct", "through"]),
            "x[].y must be the same: direct 1, through (nothing)"
        );
        assert_eq!(
            difference.block(["direct", "through"]),
            "x[].y must be the same\n    direct   1\n    through  (nothing)"
        );
    }

    #[test]
    fn long_values_are_cut_in_a_line_only() {
        let difference = Difference {
            path: String::new(),
            values: [Some("a".repeat(1000).into()), None],
            why: "wrong".to_owned(),
        };
        assert!(difference.line(["one", "other"]).len() < 200);
        assert!(difference.block(["one", "other"]).len() > 1000);
    }
}
