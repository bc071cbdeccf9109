//! What each session carried, as text: a line a frame, each direction of each leg for itself, and
//! what was told of it. No times and no ports of one machine.

use std::collections::VecDeque;
use std::fmt::Write as _;

use bytes::{Buf, Bytes};
use doorkeeper_core::event::Event;
use kafka_protocol::messages::{ApiKey, ProduceRequest, RequestHeader};
use kafka_protocol::protocol::Decodable;

use super::{Recorder, Told};
use crate::tap::{Peer, Tape, Track};
use crate::world::trace;

/// The transcript of all sessions, in the order in which they began.
pub(super) fn transcript(tape: &Tape, recorder: &Recorder) -> String {
    let tracks = tape.all();
    let mut text = String::new();
    let accepted = tracks.iter().filter_map(|track| match track.peer {
        Peer::Accepted(peer) => Some((track, peer)),
        Peer::Dialled(_) => None,
    });
    for (number, (client, peer)) in accepted.enumerate() {
        let told = recorder.told();
        let told: Vec<_> = told.iter().filter(|(who, _)| who.peer == peer).collect();
        let route = told.first().map(|(who, _)| who.door.route);
        let _ = writeln!(text, "session {number} through {route:?}");
        leg(&mut text, "client", &client.came, &client.went);
        for upstream in tracks.iter().filter(|track| is_upstream(track, client)) {
            leg(&mut text, "upstream", &upstream.went, &upstream.came);
        }
        for (_, told) in told {
            if let Some(line) = line(told) {
                let _ = writeln!(text, "  {line}");
            }
        }
    }
    text
}

fn is_upstream(track: &Track, of: &Track) -> bool {
    matches!(track.peer, Peer::Dialled(_)) && track.task.is_some() && track.task == of.task
}

/// Requests and answers of one leg. How much was read of a request without an answer depends on
/// the pieces: a session that closes because of it need not wait for its end.
fn leg(text: &mut String, name: &str, up: &[u8], down: &[u8]) {
    let answers = frames(down);
    let mut owed = VecDeque::new();
    let _ = writeln!(text, " {name} up");
    for frame in frames(up) {
        let Some((key, version, id)) = head(&frame) else {
            let hash = trace::hash(&frame);
            let _ = writeln!(text, "  {} bytes {hash:016x}", frame.len());
            continue;
        };
        let unanswered = is_unanswered(key, version, &frame);
        if !unanswered && owed.len() >= answers.len() {
            let _ = writeln!(text, "  {} v{version} id {id}, no answer", api(key));
            continue;
        }
        if !unanswered {
            owed.push_back((key, version));
        }
        describe(text, key, version, id, &frame);
    }
    let _ = writeln!(text, " {name} down");
    for frame in answers {
        let (key, version) = owed.pop_front().unwrap_or((-1, -1));
        let id = frame.get(4..).and_then(|mut at| at.try_get_i32().ok());
        describe(text, key, version, id.unwrap_or(-1), &frame);
    }
}

fn api(key: i16) -> String {
    ApiKey::try_from(key).map_or_else(|()| key.to_string(), |key| format!("{key:?}"))
}

fn describe(text: &mut String, key: i16, version: i16, id: i32, frame: &[u8]) {
    let _ = writeln!(
        text,
        "  {} v{version} id {id}, {} bytes {:016x}",
        api(key),
        frame.len(),
        trace::hash(frame)
    );
}

/// Frames with their lengths; what is left at the end, or has no legal length, is one as well.
fn frames(mut bytes: &[u8]) -> Vec<Bytes> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let length = bytes.get(..).and_then(|mut at| at.try_get_i32().ok());
        let length = length.and_then(|it| usize::try_from(it).ok());
        let whole = length.map_or(bytes.len(), |it| (it + 4).min(bytes.len()));
        let (frame, rest) = bytes.split_at(whole);
        frames.push(Bytes::copy_from_slice(frame));
        bytes = rest;
    }
    frames
}

fn head(frame: &[u8]) -> Option<(i16, i16, i32)> {
    let mut at = frame.get(4..)?;
    Some((
        at.try_get_i16().ok()?,
        at.try_get_i16().ok()?,
        at.try_get_i32().ok()?,
    ))
}

fn is_unanswered(key: i16, version: i16, frame: &Bytes) -> bool {
    if key != ApiKey::Produce as i16 {
        return false;
    }
    let mut body = frame.slice(4..);
    let header = RequestHeader::decode(&mut body, ApiKey::Produce.request_header_version(version));
    header.is_ok() && ProduceRequest::decode(&mut body, version).is_ok_and(|it| it.acks == 0)
}

/// Latency is left out, and so is the order of what was asked and what was answered.
fn line(told: &Told) -> Option<String> {
    match told {
        Told::Event(Event::Request { .. }) => None,
        Told::Event(Event::Answered {
            api,
            version,
            bytes,
            local,
            ..
        }) => {
            let by = if *local { "here" } else { "by the broker" };
            let (key, version) = (api.0, version.0);
            Some(format!("answered {key} v{version} {by}, {bytes} bytes"))
        }
        Told::Event(event) => Some(format!("{event:?}")),
        Told::Closed(ended) => Some(format!("closed: {}", ended.name())),
    }
}
