//! Replays what was recorded of a session (`doorkeeper run --record`).

use std::fs;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use doorkeeper_core::record::InputLine;
use doorkeeper_recording::{Recording, ReplayResult, replay as play};
use doorkeeper_sim::seeds::Kind;

use crate::commands::exit;

/// The recording at a path; nothing if something else is there, or it is no path.
pub(crate) fn read(path: &str) -> Result<Option<Recording>> {
    match fs::read_to_string(path) {
        Ok(text) if Recording::is_one(&text) => {
            let recording = Recording::parse(&text).with_context(|| path.to_owned())?;
            Ok(Some(recording))
        }
        // Whoever wants a script or a seed says what is wrong with it.
        Ok(_) | Err(_) => Ok(None),
    }
}

/// Hands a session the same inputs at the same times, and says whether it does the same.
pub(crate) fn replay(recording: &Recording, brief: bool) -> Result<ExitCode> {
    let opening = &recording.opening;
    println!(
        "session {} of doorkeeper {}, from {} at listener {} through {:?}, opened {}",
        opening.session,
        opening.doorkeeper,
        opening.client.socket(),
        opening.listener,
        opening.route,
        opening.opened
    );
    let replayed = play(recording, |moment| {
        if brief {
            return;
        }
        println!("{} <- {}", moment.at, InputLine(moment.input));
        for effect in moment.effects {
            println!("{} -> {effect}", moment.at);
        }
    })?;
    println!("{}", ending(recording));
    let (all, steps) = (recording.steps.len(), replayed.steps);
    Ok(match replayed.result {
        ReplayResult::Same => {
            println!("the same in all {steps} steps");
            ExitCode::SUCCESS
        }
        ReplayResult::SamePanic(text) => {
            println!("it panicked in step {steps} of {all}, as recorded: {text}");
            exit(Kind::Crash)
        }
        ReplayResult::Differs(difference) => {
            println!("of {all} steps the first that differs: {difference}");
            exit(Kind::Differs)
        }
    })
}

/// How the recording ends.
fn ending(recording: &Recording) -> String {
    let cut = recording.cut.map(|cut| format!("cut ({})", cut.name()));
    let torn = recording
        .torn
        .then(|| "its last line breaks off".to_owned());
    let end = match &recording.end {
        Some(reason) => format!("the session ended: {reason}"),
        None => "the end of the session is not in it".to_owned(),
    };
    let all: Vec<String> = ["recording".to_owned()]
        .into_iter()
        .chain(cut)
        .chain(torn)
        .chain([end])
        .collect();
    all.join(", ")
}
