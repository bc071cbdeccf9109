//! Medians, ratios and their spread, and whether the bars hold.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::proxy::Kind;

/// What must hold.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bar {
    /// Our value over the baseline's.
    RatioAtMost(f64),
    /// Our value over the baseline's.
    RatioAtLeast(f64),
    /// Our value by itself.
    ValueAtMost(f64),
}

/// One thing that is measured.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    unit: &'static str,
    less_is_better: bool,
    baseline: Kind,
    bar: Option<Bar>,
}

impl Figure {
    pub(crate) const fn less(
        name: &'static str,
        unit: &'static str,
        baseline: Kind,
        bar: Option<Bar>,
    ) -> Self {
        Self {
            name,
            unit,
            less_is_better: true,
            baseline,
            bar,
        }
    }

    pub(crate) const fn more(
        name: &'static str,
        unit: &'static str,
        baseline: Kind,
        bar: Option<Bar>,
    ) -> Self {
        Self {
            less_is_better: false,
            ..Self::less(name, unit, baseline, bar)
        }
    }
}

/// The values of one figure, by proxy, one a round.
pub(crate) type Rounds = BTreeMap<Kind, Vec<f64>>;

/// One line of the report.
pub(crate) struct Line {
    scenario: String,
    figure: Figure,
    rounds: Rounds,
    /// Ours over the baseline's, round by round, sorted.
    ratios: Vec<f64>,
}

impl Line {
    pub(crate) fn new(scenario: &str, figure: Figure, rounds: Rounds) -> Self {
        let of = |kind| rounds.get(&kind).cloned().unwrap_or_default();
        let (ours, theirs) = (of(Kind::Doorkeeper), of(figure.baseline));
        let mut ratios: Vec<f64> = ours.iter().zip(&theirs).map(|(a, b)| a / b).collect();
        ratios.retain(|ratio| ratio.is_finite());
        ratios.sort_by(f64::total_cmp);
        Self {
            scenario: scenario.to_owned(),
            figure,
            rounds,
            ratios,
        }
    }

    fn value(&self, kind: Kind) -> Option<f64> {
        let mut values = self.rounds.get(&kind)?.clone();
        values.sort_by(f64::total_cmp);
        quantile(&values, 0.5)
    }

    fn ratio(&self, part: f64) -> Option<f64> {
        quantile(&self.ratios, part)
    }

    /// Whether the bar holds; nothing where there is none.
    pub(crate) fn holds(&self) -> Option<bool> {
        let ours = self.value(Kind::Doorkeeper);
        Some(match self.figure.bar? {
            Bar::RatioAtMost(most) => self.ratio(0.5)? <= most,
            Bar::RatioAtLeast(least) => self.ratio(0.5)? >= least,
            Bar::ValueAtMost(most) => ours? <= most,
        })
    }

    fn bar(&self) -> String {
        match self.figure.bar {
            None => String::new(),
            Some(Bar::RatioAtMost(most)) => format!("<= {most} x {}", self.figure.baseline.name()),
            Some(Bar::RatioAtLeast(least)) => {
                format!(">= {least} x {}", self.figure.baseline.name())
            }
            Some(Bar::ValueAtMost(most)) => format!("<= {most} {}", self.figure.unit),
        }
    }

    fn json(&self) -> Value {
        let values: BTreeMap<&str, &Vec<f64>> = self
            .rounds
            .iter()
            .map(|(kind, values)| (kind.name(), values))
            .collect();
        let medians: BTreeMap<&str, Option<f64>> = self
            .rounds
            .keys()
            .map(|kind| (kind.name(), self.value(*kind)))
            .collect();
        json!({
            "scenario": self.scenario,
            "figure": self.figure.name,
            "unit": self.figure.unit,
            "less_is_better": self.figure.less_is_better,
            "baseline": self.figure.baseline.name(),
            "median": medians,
            "rounds": values,
            "ratio": {
                "median": self.ratio(0.5),
                "first_quartile": self.ratio(0.25),
                "third_quartile": self.ratio(0.75),
            },
            "bar": self.bar(),
            "holds": self.holds(),
        })
    }
}

fn quantile(sorted: &[f64], part: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place in the list"
    )]
    let below = (last as f64 * part) as usize;
    let rest = (last as f64).mul_add(part, -(below as f64));
    let low = sorted.get(below)?;
    let high = sorted.get(below + 1).unwrap_or(low);
    Some(rest.mul_add(high - low, *low))
}

/// All lines for a program.
pub(crate) fn json_of(lines: &[Line], machine: &Value) -> Value {
    let lines: Vec<Value> = lines.iter().map(Line::json).collect();
    json!({ "machine": machine, "lines": lines })
}

/// All lines for a person: a table in Markdown, with its columns aligned.
pub(crate) fn table(lines: &[Line]) -> String {
    let head = [
        "what",
        "figure",
        "unit",
        "doorkeeper",
        "relay",
        "haproxy",
        "ratio",
        "spread",
        "bar",
        "",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    for line in lines {
        let value = |kind| line.value(kind).map(short).unwrap_or_default();
        let spread = line.ratio(0.25).zip(line.ratio(0.75));
        rows.push([
            line.scenario.clone(),
            line.figure.name.to_owned(),
            line.figure.unit.to_owned(),
            value(Kind::Doorkeeper),
            value(Kind::Relay),
            value(Kind::Haproxy),
            line.ratio(0.5)
                .map(|it| format!("{it:.2} x {}", line.figure.baseline.name()))
                .unwrap_or_default(),
            spread
                .map(|(low, high)| format!("{low:.2}-{high:.2}"))
                .unwrap_or_default(),
            line.bar(),
            match line.holds() {
                None => "",
                Some(true) => "holds",
                Some(false) => "MISSED",
            }
            .to_owned(),
        ]);
    }
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(text, "| {cell:<width$} ");
        }
        text.push_str("|\n");
        if index == 0 {
            for width in &widths {
                let _ = write!(text, "|{}", "-".repeat(width + 2));
            }
            text.push_str("|\n");
        }
    }
    text
}

/// Three digits that matter.
fn short(value: f64) -> String {
    let digits = match value.abs() {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}
