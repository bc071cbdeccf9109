//! One run as one page of HTML: who said what to whom, and when, on lanes over virtual time.
//!
//! The page comes from a [`Timeline`], whatever backend made it, and needs nothing but itself.
//! It is drawn whole here; its script only changes the scale, hides lanes and shows details.

mod brokers;
mod clients;
mod draw;
mod exchange;
mod scale;
mod sessions;
mod text;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use doorkeeper_model::direct::Failure;
use doorkeeper_model::script::{Client, Script, Step};
use doorkeeper_model::timeline::{EventKind, Timeline};
use doorkeeper_model::watch::SessionId;

use exchange::Exchange;
use scale::Scale;
use text::{EscapedText, counted};

const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");
const LEGEND: &str = include_str!("page/legend.html");

/// What the page is about.
#[derive(Debug)]
pub struct Page<'a> {
    /// A seed, or the path of a script.
    pub title: &'a str,
    /// What was run.
    pub commit: &'a str,
    /// What the seed has drawn, where there is one.
    pub drawn: &'a str,
    /// What was to happen.
    pub script: &'a Script,
    /// What happened.
    pub timeline: &'a Timeline,
    /// What did not hold.
    pub failure: Option<&'a Failure>,
    /// The hash of everything.
    pub hash: u64,
}

/// All that lanes are made of.
struct Run<'a> {
    page: &'a Page<'a>,
    scale: Scale,
    exchanges: Vec<Exchange>,
    /// The session in which something did not hold.
    failed: Option<SessionId>,
}

impl Page<'_> {
    /// The page.
    #[must_use]
    pub fn html(&self) -> String {
        let events = self.timeline.events();
        let failed = self.failure.and_then(|_| match events.last()?.what {
            EventKind::Session(id, _) => Some(id),
            EventKind::Step(_) | EventKind::Published { .. } => None,
        });
        let moments = events.iter().map(|event| event.at);
        let moments = moments.chain(self.failure.map(|failure| failure.at));
        let run = Run {
            page: self,
            scale: Scale::of(moments),
            exchanges: exchange::all(self.timeline),
            failed,
        };
        run.html()
    }
}

impl Run<'_> {
    fn html(&self) -> String {
        let title = EscapedText(self.page.title);
        let mut out = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
             <title>doorkeeper: {title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n"
        );
        self.head(&mut out);
        out.push_str(LEGEND);
        self.lanes(&mut out);
        out.push_str(
            "<pre id=\"details\">Point at anything to see what it is; a click keeps it.</pre>\n",
        );
        self.script(&mut out);
        let drawn = EscapedText(self.page.drawn);
        if !self.page.drawn.is_empty() {
            let _ = writeln!(
                out,
                "<details><summary>What the seed has drawn</summary><pre>{drawn}</pre></details>"
            );
        }
        let (moments, places) = self.scale.knots();
        let _ = write!(
            out,
            "<script>\nconst MOMENTS = [{moments}];\nconst PLACES = [{places}];\n{SCRIPT}\
             </script>\n</body>\n</html>\n"
        );
        out
    }

    fn head(&self, out: &mut String) {
        let Page { title, commit, .. } = self.page;
        let _ = writeln!(
            out,
            "<header>\n<h1>{} <small>commit {}, hash {:016x}</small></h1>",
            EscapedText(title),
            EscapedText(commit),
            self.page.hash
        );
        match self.page.failure {
            None => out.push_str("<p class=\"result held\">Everything held.</p>\n"),
            Some(failure) => {
                let at = self.scale.seconds(failure.at);
                let where_to = match self.failed {
                    Some(id) => format!(" in {id}"),
                    None => String::new(),
                };
                let what = failure.violation.to_string();
                let _ = writeln!(
                    out,
                    "<p class=\"result failed\">At {at}{where_to}, in step {}: {}</p>",
                    failure.step,
                    EscapedText(&what)
                );
            }
        }
        let sessions = self.sessions();
        let responses = self.exchanges.iter().filter(|it| it.has_response()).count();
        let (requests, lasted) = (self.exchanges.len(), self.scale.seconds(self.scale.last()));
        let _ = writeln!(
            out,
            "<p>{}, {}, {}, {} virtual seconds</p>",
            counted(sessions.len(), "session"),
            counted(requests, "request"),
            counted(responses, "response"),
            lasted.trim_end_matches(" s")
        );
        self.tools(&sessions, out);
        out.push_str("</header>\n");
    }

    fn tools(&self, sessions: &BTreeSet<SessionId>, out: &mut String) {
        out.push_str(
            "<div class=\"tools\"><button id=\"out\">&#8722;</button><button id=\"in\">+</button>\
             <button id=\"fit\">whole run</button><button id=\"plain\">readable</button>\
             <label><input type=\"checkbox\" id=\"even\" checked=\"checked\"/> shorten idle time\
             </label>",
        );
        if self.page.failure.is_some() {
            out.push_str("<button id=\"failing\">failing moment</button>");
        }
        out.push_str("<label>show <select id=\"only\"><option value=\"\">all sessions</option>");
        for id in sessions {
            let _ = write!(out, "<option value=\"{id}\">{id} only</option>");
        }
        out.push_str("</select></label> <span>Drag along the time line to zoom into a part of it.");
        out.push_str("</span></div>\n");
    }

    fn sessions(&self) -> BTreeSet<SessionId> {
        let all = self.page.timeline.events().iter();
        all.filter_map(|event| match event.what {
            EventKind::Session(id, _) => Some(id),
            EventKind::Step(_) | EventKind::Published { .. } => None,
        })
        .collect()
    }

    fn lanes(&self, out: &mut String) {
        out.push_str("<main id=\"lanes\">\n");
        draw::axis(&self.scale, out);
        let mut lanes = vec![clients::script(self)];
        lanes.extend(clients::doorkeeper(self));
        for client in self.clients() {
            lanes.extend(clients::client(self, client));
            lanes.extend(sessions::of_client(self, client));
        }
        lanes.extend(brokers::all(self));
        let failing = self.page.failure.map(|failure| failure.at);
        for lane in lanes {
            lane.write(&self.scale, failing, out);
        }
        out.push_str("</main>\n");
    }

    /// The clients that do anything.
    fn clients(&self) -> BTreeSet<u8> {
        let all = self.page.timeline.events().iter();
        all.filter_map(|event| match &event.what {
            EventKind::Step(Step::Client(who, _) | Step::Net(who, ..)) => Some(who.0),
            EventKind::Step(_) | EventKind::Published { .. } | EventKind::Session(..) => None,
        })
        .collect()
    }

    fn script(&self, out: &mut String) {
        let open = if self.page.failure.is_some() {
            " open=\"open\""
        } else {
            ""
        };
        let setting = self.page.script.setting.to_string();
        let _ = write!(
            out,
            "<details{open}><summary>The script</summary>\n<pre>{}---</pre>\n<ol start=\"0\">\n",
            EscapedText(&setting)
        );
        let failing = self.page.failure.map(|failure| failure.step);
        for (at, step) in self.page.script.steps.iter().enumerate() {
            let class = if failing == Some(at) {
                " class=\"failed\""
            } else {
                ""
            };
            let step = step.to_string();
            let _ = writeln!(out, "<li{class}>{}</li>", EscapedText(&step));
        }
        out.push_str("</ol></details>\n");
    }
}

/// What a client does for itself, without its name.
fn without_name(step: &Step) -> String {
    let text = step.to_string();
    match step {
        Step::Client(_, Client::Send(_)) => text.split(' ').skip(2).collect::<Vec<_>>().join(" "),
        Step::Client(..) | Step::Broker(..) => {
            text.split(' ').skip(1).collect::<Vec<_>>().join(" ")
        }
        Step::Leader(..) | Step::Net(..) | Step::Process(_) | Step::Heal | Step::Wait(_) => text,
    }
}
