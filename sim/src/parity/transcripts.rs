//! Transcripts that all backends share, made of taped bytes and reported events.

use doorkeeper_core::Leg;
use doorkeeper_io_tokio::observer::SessionEnd;
use doorkeeper_model::script::Ordinal;
use doorkeeper_model::transcript::Transcript;

use super::recorder::Recorder;
use crate::tap::{Peer, Tape, Track};

/// The transcript of all sessions, in the order in which they began; `clients` are theirs.
///
/// # Errors
/// The tape does not know a session.
pub(super) fn transcript(
    tape: &Tape,
    recorder: &Recorder,
    clients: &[Ordinal],
) -> Result<String, String> {
    let tracks = tape.all();
    let mut text = String::new();
    let sessions = recorder.sessions();
    for (number, (session, client)) in sessions.iter().zip(clients).enumerate() {
        let peer = Peer::Accepted(session.connection.client.socket());
        let from_client = tracks.iter().find(|track| track.peer == peer);
        let from_client = from_client.ok_or("a session whose connection nobody has heard")?;
        let route = session.connection.listen_addr.route;
        let mut transcript = Transcript::new(number, *client, route);
        play(&mut transcript, Leg::Client, from_client);
        for track in tracks.iter().filter(|it| is_upstream(it, from_client)) {
            play(&mut transcript, Leg::Upstream, track);
        }
        for event in &session.events {
            transcript.event(event);
        }
        text.push_str(&transcript.text(session.ended.map_or("open", SessionEnd::name)));
    }
    Ok(text)
}

fn play(transcript: &mut Transcript, leg: Leg, track: &Track) {
    transcript.received(leg, &track.received);
    transcript.went(leg, &track.went);
}

/// Both connections of a session are one task's.
fn is_upstream(track: &Track, of: &Track) -> bool {
    matches!(track.peer, Peer::Dialled(_)) && track.task.is_some() && track.task == of.task
}
