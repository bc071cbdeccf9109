//! Lanes, and what stands on them. Whatever has a place in time also says which, in microseconds,
//! so that the page's script can put it elsewhere.

use std::fmt::Write as _;

use doorkeeper_core::Instant;
use doorkeeper_model::watch::SessionId;

use super::scale::Scale;
use super::text::EscapedText;

/// The height of a row of a lane.
pub(super) const ROW: u64 = 18;

/// How wide a letter is, at most.
const LETTER: u64 = 6;

/// Labels of the time line are at least so far from each other.
const LABEL: u64 = 84;

/// The height of what happens during a bar, at its foot.
const TICK: u64 = 4;

/// The least width of a bar.
const BAR: u64 = 5;

/// One lane.
pub(super) struct Lane {
    /// What it is about, for the style.
    pub(super) class: &'static str,
    /// Its name.
    pub(super) name: String,
    /// More of it.
    pub(super) about: String,
    /// The session that it belongs to alone.
    pub(super) session: Option<SessionId>,
    /// Something did not hold here.
    pub(super) failed: bool,
    /// How many rows it has.
    pub(super) rows: u64,
    /// What stands on it.
    pub(super) drawing: Drawing,
}

impl Lane {
    pub(super) fn write(&self, scale: &Scale, failing: Option<Instant>, out: &mut String) {
        let class = self.class;
        let failed = if self.failed { " failed" } else { "" };
        let session = match self.session {
            Some(id) => format!(" data-session=\"{id}\""),
            None => String::new(),
        };
        let (name, about) = (EscapedText(&self.name), EscapedText(&self.about));
        let (width, height) = (scale.width(), self.rows * ROW + 8);
        let _ = write!(
            out,
            "<div class=\"lane {class}{failed}\"{session}><div class=\"name\"><b>{name}</b> \
             {about}</div><svg width=\"{width}\" height=\"{height}\">{}",
            self.drawing.0
        );
        if let Some(at) = failing {
            let (x, micros) = (scale.place(at), scale.micros(at));
            let _ = write!(
                out,
                "<line class=\"failing\" data-t=\"{micros}\" x1=\"{x}\" x2=\"{x}\" y1=\"0\" \
                 y2=\"{height}\"/>"
            );
        }
        out.push_str("</svg></div>\n");
    }
}

/// What stands on a lane.
#[derive(Default)]
pub(super) struct Drawing(String);

/// Something that lasts.
pub(super) struct Bar<'a> {
    pub(super) class: &'static str,
    pub(super) from: Instant,
    pub(super) to: Instant,
    pub(super) row: u64,
    pub(super) label: &'a str,
    pub(super) tip: &'a str,
    /// What belongs together has the same name everywhere.
    pub(super) link: &'a str,
    /// What happens meanwhile.
    pub(super) ticks: &'a [Instant],
}

/// How something that happens at one moment is to be taken; the later ones matter more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PointStyle {
    /// In order.
    Plain,
    /// A client reads a response.
    Response,
    /// Something is different from now on.
    News,
    /// A state worth reaching.
    Mark,
    /// The end of a session.
    Close,
    /// It should not be.
    Fault,
}

impl PointStyle {
    const fn class(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Response => "response",
            Self::News => "news",
            Self::Mark => "mark",
            Self::Close => "close",
            Self::Fault => "fault",
        }
    }

    const fn path(self) -> &'static str {
        match self {
            Self::Plain | Self::Response => "M-3,0 a3,3 0 1,0 6,0 a3,3 0 1,0 -6,0",
            Self::News => "M0,5 L0,-5 L6,-2 L0,1",
            Self::Mark => "M0,-5 L4,0 L0,5 L-4,0 Z",
            Self::Close | Self::Fault => "M-4,-4 L4,4 M-4,4 L4,-4",
        }
    }
}

/// Something that happens at one moment.
pub(super) struct Moment {
    pub(super) at: Instant,
    pub(super) manner: PointStyle,
    pub(super) label: String,
    /// What belongs together has the same name everywhere.
    pub(super) link: String,
}

impl Moment {
    /// One that belongs to nothing else.
    pub(super) const fn new(at: Instant, manner: PointStyle, label: String) -> Self {
        Self {
            at,
            manner,
            label,
            link: String::new(),
        }
    }
}

impl Drawing {
    pub(super) fn bar(&mut self, scale: &Scale, bar: &Bar<'_>) {
        let (from, to) = (scale.place(bar.from), scale.place(bar.to));
        let (t, e) = (scale.micros(bar.from), scale.micros(bar.to));
        let (width, y) = ((to - from).max(BAR), bar.row * ROW + 4);
        let (height, middle) = (ROW - 3, y + ROW - 7);
        let (tip, link) = (EscapedText(bar.tip), EscapedText(bar.link));
        let _ = write!(
            self.0,
            "<g class=\"bar {}\" data-link=\"{link}\" data-tip=\"{tip}\">\
             <rect data-t=\"{t}\" data-e=\"{e}\" x=\"{from}\" y=\"{y}\" width=\"{width}\" \
             height=\"{height}\" rx=\"2\"/>",
            bar.class
        );
        for tick in bar.ticks {
            let (x, t, foot) = (scale.place(*tick), scale.micros(*tick), y + height);
            let head = foot - TICK;
            let _ = write!(
                self.0,
                "<line data-t=\"{t}\" x1=\"{x}\" x2=\"{x}\" y1=\"{head}\" y2=\"{foot}\"/>"
            );
        }
        self.label(bar.label, (t, Some(e)), (from + 3, middle), width);
        self.0.push_str("</g>");
    }

    /// What happens in one row, in its order. What happens at the same moment has one sign.
    pub(super) fn moments(&mut self, scale: &Scale, row: u64, moments: &[Moment]) {
        let same = |one: &Moment, next: &Moment| scale.micros(one.at) == scale.micros(next.at);
        let mut groups = moments.chunk_by(same).peekable();
        while let Some(group) = groups.next() {
            let next = groups.peek().and_then(|group| group.first());
            self.group(scale, row, group, next.map(|it| it.at));
        }
    }

    fn group(&mut self, scale: &Scale, row: u64, group: &[Moment], next: Option<Instant>) {
        let worst = group.iter().map(|moment| moment.manner).max();
        let (Some(first), Some(worst)) = (group.first(), worst) else {
            return;
        };
        let (at, link) = (first.at, EscapedText(&first.link));
        let labels: Vec<&str> = group.iter().map(|moment| moment.label.as_str()).collect();
        let tip = format!("{}  {}", scale.seconds(at), labels.join("\n          "));
        let (x, t, tip) = (scale.place(at), scale.micros(at), EscapedText(&tip));
        let (y, path) = (row * ROW + 4 + ROW / 2 - 1, worst.path());
        let _ = write!(
            self.0,
            "<g class=\"point {}\" data-link=\"{link}\" data-tip=\"{tip}\">\
             <path data-t=\"{t}\" data-y=\"{y}\" transform=\"translate({x},{y})\" d=\"{path}\"/>",
            worst.class()
        );
        let end = next.map(|at| scale.micros(at));
        let room = next.map_or(u64::MAX, |at| scale.place(at) - x);
        self.label(&labels.join("; "), (t, end), (x + 8, y + 4), room);
        self.0.push_str("</g>");
    }

    /// As much of a label as there is room for.
    fn label(&mut self, label: &str, (t, end): (u64, Option<u64>), (x, y): (u64, u64), room: u64) {
        if label.is_empty() {
            return;
        }
        let end = end.map_or_else(String::new, |end| format!(" data-e=\"{end}\""));
        let letters = usize::try_from(room.saturating_sub(12) / LETTER).unwrap_or(usize::MAX);
        let shown: String = label.chars().take(letters).collect();
        let _ = write!(
            self.0,
            "<text data-t=\"{t}\"{end} data-label=\"{}\" x=\"{x}\" y=\"{y}\">{}</text>",
            EscapedText(label),
            EscapedText(&shown)
        );
    }

    /// A state, behind everything.
    pub(super) fn band(
        &mut self,
        scale: &Scale,
        class: &str,
        (from, to): (Instant, Instant),
        (y, height): (u64, u64),
        tip: &str,
    ) {
        let (begin, end) = (scale.place(from), scale.place(to));
        let (t, e, width) = (scale.micros(from), scale.micros(to), (end - begin).max(2));
        let _ = write!(
            self.0,
            "<rect class=\"band {class}\" data-tip=\"{}\" data-t=\"{t}\" data-e=\"{e}\" \
             x=\"{begin}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"/>",
            EscapedText(tip)
        );
    }
}

/// The time line. Its labels are put anew by the page's script when the scale changes.
pub(super) fn axis(scale: &Scale, out: &mut String) {
    let width = scale.width();
    let _ = write!(
        out,
        "<div class=\"lane axis\"><div class=\"name\">virtual time</div>\
         <svg id=\"axis\" width=\"{width}\" height=\"26\">"
    );
    let mut free_from = 0;
    for (at, x) in scale.moments() {
        if x < free_from {
            continue;
        }
        free_from = x + LABEL;
        let text = scale.seconds(at);
        let _ = write!(
            out,
            "<line x1=\"{x}\" x2=\"{x}\" y1=\"16\" y2=\"26\"/>\
             <text x=\"{x}\" y=\"13\">{text}</text>"
        );
    }
    out.push_str("</svg></div>\n");
}

/// Puts what lasts into rows, so that nothing lies on something else in its row.
#[derive(Default)]
pub(super) struct Rows(Vec<Instant>);

impl Rows {
    pub(super) fn row(&mut self, from: Instant, to: Instant) -> u64 {
        let free = self.0.iter().position(|end| *end < from);
        let row = free.unwrap_or(self.0.len());
        match self.0.get_mut(row) {
            Some(end) => *end = to,
            None => self.0.push(to),
        }
        row as u64
    }

    pub(super) fn count(&self) -> u64 {
        self.0.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn simultaneous_events_share_one_sign_and_labels_are_escaped() {
        let scale = Scale::of([0, 1, 2].into_iter().map(at));
        let moment = |ms, manner, label: &str| Moment::new(at(ms), manner, label.to_owned());
        let mut drawing = Drawing::default();
        let moments = [
            moment(0, PointStyle::Plain, "<a>"),
            moment(0, PointStyle::Fault, "\"b\""),
            moment(1, PointStyle::Mark, "a label that is longer than its room"),
            moment(2, PointStyle::Close, "the end"),
        ];
        drawing.moments(&scale, 0, &moments);
        let Drawing(svg) = drawing;
        assert_eq!(svg.matches("<path").count(), 3);
        assert!(svg.contains("class=\"point fault\""));
        assert!(svg.contains("data-label=\"&lt;a&gt;; &quot;b&quot;\""));
        assert!(svg.contains(">the end</text>") && !svg.contains("its room</text>"));
    }

    #[test]
    fn overlapping_bars_are_in_rows_of_their_own() {
        let mut rows = Rows::default();
        let spans = [(0, 5), (1, 2), (3, 4), (5, 6), (6, 7)];
        let rows_of = spans.map(|(from, to)| rows.row(at(from), at(to)));
        assert_eq!(rows_of, [0, 1, 1, 1, 0]);
        assert_eq!(rows.count(), 2);
    }
}
