//! `replay FILE`: what it says of a recorded session, and how it exits.

#![expect(clippy::unwrap_used, reason = "tests may unwrap")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use doorkeeper_core::api::OfferedApis;
use doorkeeper_core::client_address::ClientAddress;
use doorkeeper_core::id::Seed;
use doorkeeper_core::limits::Limits;
use doorkeeper_core::policy::Policy;
use doorkeeper_core::rewrite::KnownHosts;
use doorkeeper_core::tls_facts::{TlsFacts, TlsVersion};
use doorkeeper_core::topology::{AdvertisedAddresses, DialMap};
use doorkeeper_core::{Accept, Input, Instant, Leg, Route, Session, Snapshot};
use doorkeeper_recording::line::{Line, VERSION};
use doorkeeper_recording::{
    EgressLengths, Key, RecordedStep, Recording, SessionHeader, StepEncoder,
};

/// A client that takes the listener for a web server.
const SAID: &[u8] = b"GET /secret HTTP/1.1\r\n\r\n";

/// A client with TLS, behind a proxy.
fn accept() -> Accept {
    let (client, proxy) = (
        "192.0.2.1:5000".parse().unwrap(),
        "10.0.0.1:7000".parse().unwrap(),
    );
    Accept {
        client: ClientAddress::Proxied { client, proxy },
        tls: Some(Arc::new(TlsFacts {
            version: TlsVersion::V1_3,
            cipher_suite: "TLS13_AES_128_GCM_SHA256".into(),
            server_name: Some("kafka.test".into()),
        })),
        ..Accept::new(Instant::from_nanos(5), proxy, Route::Bootstrap)
    }
}

fn recorded() -> String {
    let snapshot = Arc::new(Snapshot {
        epoch: 0,
        limits: Limits::default(),
        policy: Policy::allow_all(),
        login: None,
        upstream_login: false,
        offered: OfferedApis::default(),
        bootstrap: Vec::new(),
        dial: DialMap::default(),
        advertised: AdvertisedAddresses::Explicit(BTreeMap::new()),
        topology: Arc::default(),
        known_hosts: KnownHosts::default(),
    });
    let opened = SessionHeader {
        doorkeeper: "0.0.0",
        session: 7,
        listener: "public",
        opened: "2026-11-27T10:15:00Z",
        accept: accept(),
        seed: Seed([0; 32]),
        snapshot: &snapshot,
    };
    let (mut step_encoder, mut dues) = (
        StepEncoder::new(Key([1; 32]), &snapshot),
        EgressLengths::default(),
    );
    let at = opened.accept.at;
    let mut session = Session::new(opened.accept.clone(), Arc::clone(&snapshot), opened.seed);
    let (leg, bytes) = (Leg::Client, SAID.into());
    let input = Input::Bytes { leg, bytes };
    session.handle(at, input.clone());
    let effects: Vec<_> = std::iter::from_fn(|| session.poll()).collect();
    let outcome = Some(dues.after(&input, effects, &session));
    let step = step_encoder.step(&RecordedStep { at, input, outcome });
    let end = Line::End("client_speaks_http".to_owned());
    [opened.line(), Line::Step(step), end]
        .map(|line| line.text())
        .concat()
}

fn replay(name: &str, text: &str) -> (Option<i32>, String) {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_doorkeeper-sim"));
    let output: Output = command.arg("replay").arg(path).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

#[test]
fn a_session_that_does_the_same_exits_with_0() {
    let text = recorded();
    assert!(!text.contains("secret"));
    let (code, said) = replay("same.recording", &text);
    assert_eq!(code, Some(0), "{said}");
    for what in [
        "session 7 of doorkeeper 0.0.0, from 192.0.2.1:5000",
        "5ns <- bytes client 24 bytes ",
        "5ns -> close client_speaks_http",
        "the same in all 1 steps",
    ] {
        assert!(said.contains(what), "{said}");
    }
}

#[test]
fn a_recording_says_what_was_known_of_the_client() {
    let text = recorded();
    let opening = Recording::parse(&text).unwrap().opening;
    let accept = accept();
    assert_eq!(opening.client, accept.client);
    let tls = opening.tls.map(TlsFacts::from);
    assert_eq!(tls.as_ref(), accept.tls.as_deref());
}

#[test]
fn a_session_that_does_something_else_exits_with_14_and_says_where() {
    let text = recorded().replace("finish client", "finish upstream");
    let (code, said) = replay("other.recording", &text);
    assert_eq!(code, Some(14), "{said}");
    let what = "step 1 (line 2) at 5ns, bytes client 24 bytes ";
    assert!(said.contains(what), "{said}");
    let what = "effect 1 was finish upstream, and is finish client";
    assert!(said.contains(what), "{said}");
}

#[test]
fn a_file_that_breaks_off_is_replayed_up_to_there() {
    let text = recorded();
    let (code, said) = replay("torn.recording", text.get(..text.len() - 5).unwrap());
    assert_eq!(code, Some(0), "{said}");
    let what = "its last line breaks off, the end of the session is not in it";
    assert!(said.contains(what), "{said}");
}

#[test]
fn a_file_of_another_version_is_rejected() {
    let version = format!("\"version\":{VERSION},");
    for other in [VERSION - 1, VERSION + 1] {
        let text = recorded();
        assert!(text.contains(&version), "{text}");
        let text = text.replace(&version, &format!("\"version\":{other},"));
        let (code, said) = replay("other.recording", &text);
        assert_eq!(code, Some(1), "{said}");
        let why = format!("of version {other}, and this code reads {VERSION}");
        assert!(said.contains(&why), "{said}");
    }
}
