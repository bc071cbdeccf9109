//! The page of a run is whole, says all that happened, is the same every time, and holds nothing
//! that a browser would take for its own.
#![expect(
    clippy::unwrap_used,
    reason = "these are tests, also where no function says so"
)]

use std::fs;
use std::path::Path;

use doorkeeper_model::direct::{Failure, Options, Outcome, run};
use doorkeeper_model::script::Script;
use doorkeeper_model::watch::Violation;
use doorkeeper_sim::page::Page;
use doorkeeper_sim::swarm::Swarm;

/// A seed in which sessions are denied, delayed and cut off.
const SEED: u64 = 20;

fn ran(script: &Script) -> Outcome {
    let outcome = run(
        script,
        Options {
            timeline: true,
            transcript: true,
            ..Options::default()
        },
    );
    assert_eq!(outcome.failure, None);
    outcome
}

fn html(title: &str, script: &Script, outcome: &Outcome, failure: Option<&Failure>) -> String {
    let page = Page {
        title,
        commit: title,
        drawn: title,
        script,
        timeline: outcome.timeline.as_ref().unwrap(),
        failure,
        hash: outcome.trace.hash(),
    };
    page.html()
}

fn relay() -> Script {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/scripts/relay.txt");
    fs::read_to_string(path).unwrap().parse().unwrap()
}

/// Every element that begins ends, in its order.
fn assert_whole(html: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = html.strip_prefix("<!DOCTYPE html>").unwrap();
    while let Some((_, tag)) = rest.split_once('<') {
        let (tag, after) = tag.split_once('>').unwrap();
        rest = after;
        let name = tag.split([' ', '/']).next().unwrap();
        if let Some(ended) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(ended));
        } else if !tag.ends_with('/') {
            open.push(name);
        }
        if name == "script" || name == "style" {
            // What stands there is no HTML, and must not look like the end of it.
            let end = format!("</{name}>");
            rest = &rest[rest.find(&end).unwrap()..];
        }
    }
    assert_eq!(open, Vec::<&str>::new());
}

fn count(html: &str, what: &str) -> usize {
    html.matches(what).count()
}

#[test]
fn a_page_is_whole_and_the_same_every_time() {
    let script = Swarm::draw(SEED).script();
    let page = || html("seed 20", &script, &ran(&script), None);
    let first = page();
    assert_whole(&first);
    assert_eq!(first, page());
    // It needs nothing but itself: the only address in it is the name of a namespace.
    assert_eq!(
        count(&first, "http"),
        count(&first, "http://www.w3.org/2000/svg")
    );
    for other in ["src=", "href=", "@import", "url("] {
        assert!(!first.contains(other), "{other}");
    }
}

#[test]
fn a_page_has_all_sessions_and_frames() {
    let script = relay();
    let outcome = ran(&script);
    let html = html("relay", &script, &outcome, None);
    let sessions = usize::try_from(outcome.sessions).unwrap();
    assert_eq!(count(&html, "class=\"lane session"), sessions);
    let frames = |lane: &str| {
        let lanes = outcome.transcript.split("\n ").filter(|it| !it.is_empty());
        let mut named = "";
        let mut count = 0;
        for line in lanes {
            match line.strip_prefix(' ') {
                Some(_) if named == lane => count += 1,
                Some(_) => {}
                None => named = line,
            }
        }
        count
    };
    let (requests, responses) = (frames("client up"), frames("client down"));
    assert!(requests > responses && responses > 5);
    let facts = format!("{requests} requests, {responses} responses");
    assert!(html.contains(&facts), "{facts}");
    let of_sessions: Vec<&str> = html
        .lines()
        .filter(|line| line.starts_with("<div class=\"lane session"))
        .collect();
    assert_eq!(count(&of_sessions.join("\n"), "<g class=\"bar "), requests);
    let went_up = frames("upstream up");
    assert_eq!(count(&html, "written to the broker&#10;"), 2 * went_up);
}

#[test]
fn names_are_text_and_nothing_else() {
    let script = relay();
    let name = "</script><script>alert('&')</script>";
    let html = html(name, &script, &ran(&script), None);
    assert_whole(&html);
    assert_eq!(count(&html, "<script>"), 1);
    assert_eq!(count(&html, "alert(&#39;&amp;&#39;)"), 4);
}

#[test]
fn a_broken_invariant_is_at_the_top_of_the_page() {
    let script = relay();
    let outcome = ran(&script);
    let failure = Failure {
        at: outcome.lasted,
        step: 3,
        violation: Violation {
            invariant: 4,
            stuck: false,
            what: "<b> was not relayed".to_owned(),
        },
    };
    let html = html("relay", &script, &outcome, Some(&failure));
    assert_whole(&html);
    let failure =
        "in step 3: invariant 4 (bytes are relayed as they are): &lt;b&gt; was not relayed";
    assert!(html.contains(failure));
    assert_eq!(count(&html, "class=\"lane session failed\""), 1);
    assert_eq!(count(&html, "<li class=\"failed\">"), 1);
    let lanes = count(&html, "<div class=\"lane ") - 1;
    assert_eq!(
        count(&html, "class=\"failing\""),
        lanes,
        "on all but the time line"
    );
}
