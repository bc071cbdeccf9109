//! The walker against Kafka: bodies that Kafka's own message classes have written, at every
//! version of every message, must yield the fields that Kafka's own JSON converter prints.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    clippy::disallowed_methods,
    reason = "a test may panic, and reads its frames from files"
)]

mod walk_support;

use std::collections::BTreeSet;

use doorkeeper_core::wire::schema::{Field, Kind, Role, Roles, Struct};
use doorkeeper_core::wire::walk::Value;
use serde_json::{Map, Value as Json};
use walk_support::{Frame, Seen, base64, frames, frames_of, messages, walk, walk_chunks};

/// What Kafka says that a body contains, in the order of the wire.
#[derive(Debug, PartialEq)]
enum JsonStep {
    Value(&'static str, String),
    Array(&'static str, Option<usize>),
    Element(&'static str, usize),
    ElementEnd(&'static str, usize),
    ArrayEnd(&'static str),
}

fn structure(inner: &'static Struct, json: &Json, version: i16, steps: &mut Vec<JsonStep>) {
    let json = json.as_object().unwrap();
    let mut left: BTreeSet<&str> = json.keys().map(String::as_str).collect();
    let present = || {
        inner
            .fields
            .iter()
            .filter(|field| field.versions.contains(version))
    };
    let mut tagged = Vec::new();
    for field in present() {
        let key = key(field, json);
        let value = json.get(&key);
        left.remove(key.as_str());
        match (field.tag_in(version), value) {
            (Some(number), Some(value)) => tagged.push((number, field, value)),
            // A tagged field with its default value is neither written nor printed.
            (Some(_), None) => {}
            (None, Some(value)) => self::field(field, value, version, steps),
            (None, None) => panic!("Kafka does not print {key}"),
        }
    }
    assert!(left.is_empty(), "{} does not know {left:?}", inner.name);
    tagged.sort_by_key(|(number, ..)| *number);
    for (_, field, value) in tagged {
        self::field(field, value, version, steps);
    }
}

/// The name of a field in Kafka's JSON.
fn key(field: &Field, json: &Map<String, Json>) -> String {
    let (first, rest) = field.name.split_at(1);
    let plain = format!("{}{rest}", first.to_ascii_lowercase());
    match field.kind {
        // Of records that are not null, Kafka prints the size only.
        Kind::Records if !json.contains_key(&plain) => format!("{plain}SizeInBytes"),
        _ => plain,
    }
}

fn field(field: &'static Field, json: &Json, version: i16, steps: &mut Vec<JsonStep>) {
    let name = field.name;
    match field.kind {
        Kind::Struct(inner) if !json.is_null() => {
            steps.push(JsonStep::Element(name, 0));
            structure(inner, json, version, steps);
            steps.push(JsonStep::ElementEnd(name, 0));
        }
        Kind::Array(element) => {
            let elements = json.as_array();
            steps.push(JsonStep::Array(name, elements.map(Vec::len)));
            for (index, json) in elements.into_iter().flatten().enumerate() {
                if let Kind::Struct(inner) = element {
                    steps.push(JsonStep::Element(name, index));
                    structure(inner, json, version, steps);
                    steps.push(JsonStep::ElementEnd(name, index));
                } else {
                    steps.push(JsonStep::Value(name, text(json)));
                }
            }
            steps.push(JsonStep::ArrayEnd(name));
        }
        _ => steps.push(JsonStep::Value(name, text(json))),
    }
}

fn text(json: &Json) -> String {
    match json {
        Json::String(text) => text.trim_end_matches('=').to_owned(),
        other => other.to_string(),
    }
}

/// What the walker says, in the same form.
fn in_json_terms(frame: &Frame, seen: &[Seen]) -> Vec<JsonStep> {
    let fields = fields(frame);
    let steps = seen.iter().filter_map(|seen| {
        Some(match seen {
            Seen::Value(name, role, [_, data, end], value) => {
                let body = &frame.body[*data..*end];
                JsonStep::Value(
                    name,
                    value_text(*value, body, leaf_kind(&fields, name, *role)),
                )
            }
            Seen::Array(name, _, _, _, count) => {
                JsonStep::Array(name, count.map(|count| count as usize))
            }
            Seen::Element(name, _, index, _) => JsonStep::Element(name, *index as usize),
            Seen::ElementEnd(name, _, index, _) => JsonStep::ElementEnd(name, *index as usize),
            Seen::ArrayEnd(name, ..) => JsonStep::ArrayEnd(name),
            Seen::Begin(..)
            | Seen::Tags(..)
            | Seen::Tagged(..)
            | Seen::TaggedEnd(..)
            | Seen::Done(_) => return None,
        })
    });
    steps.collect()
}

fn value_text(value: Value, content: &[u8], kind: Kind) -> String {
    match (value, kind) {
        (Value::Int(int), Kind::Bool) => (int == 1).to_string(),
        (Value::Int(int), _) => int.to_string(),
        (Value::Float(float), _) => Json::from(float).to_string(),
        (Value::Uuid(id), _) => base64(&id, true),
        (Value::Null, _) => "null".to_owned(),
        (Value::Span, Kind::Records) => content.len().to_string(),
        (Value::Span, Kind::Bytes) => base64(content, false),
        (Value::Span, _) => String::from_utf8(content.to_vec()).unwrap(),
    }
}

/// All fields of a message, at any depth.
fn fields(frame: &Frame) -> Vec<&'static Field> {
    let mut found = Vec::new();
    let mut todo = vec![frame.message.edition(frame.version).unwrap().body];
    while let Some(inner) = todo.pop() {
        for field in inner.fields {
            found.push(field);
            todo.extend(field.kind.structure());
        }
    }
    found
}

/// The kind of the values of a field. Fields with one name and one role are of one kind.
fn leaf_kind(fields: &[&'static Field], name: &str, role: Role) -> Kind {
    let mut same = fields
        .iter()
        .filter(|field| field.name == name && field.role == role);
    let field = same.next().unwrap();
    match field.kind {
        Kind::Array(element) => *element,
        kind => kind,
    }
}

#[test]
fn every_message_and_version_is_recorded() {
    for message in messages() {
        let recorded: BTreeSet<i16> = frames_of(message).iter().map(|it| it.version).collect();
        let described = message
            .editions
            .iter()
            .flat_map(|edition| edition.versions.iter());
        assert_eq!(recorded, described.collect(), "{}", message.name);
    }
}

#[test]
fn the_walker_yields_what_kafka_wrote() {
    let mut count = 0;
    for frame in frames() {
        let body = frame.message.edition(frame.version).unwrap().body;
        let mut expected = Vec::new();
        structure(body, &frame.json, frame.version, &mut expected);
        let seen = walk(frame.message, frame.version, &frame.body, Roles::ALL);
        let seen = seen.unwrap_or_else(|error| panic!("{}: {error:?}", frame.name()));
        assert_eq!(in_json_terms(&frame, &seen), expected, "{}", frame.name());
        assert_eq!(
            seen.last(),
            Some(&Seen::Done(frame.body.len())),
            "{}",
            frame.name()
        );
        count += 1;
    }
    assert!(count > 2000, "only {count} frames");
}

#[test]
fn chunks_do_not_matter() {
    for frame in frames() {
        let (message, version, len) = (frame.message, frame.version, frame.body.len());
        let whole = walk(message, version, &frame.body, Roles::ALL);
        let bytes = walk_chunks(message, version, len, Roles::ALL, frame.body.chunks(1));
        assert_eq!(bytes, whole, "{} byte by byte", frame.name());
        for size in [2, 3, 7, 16] {
            let chunks = walk_chunks(message, version, len, Roles::ALL, frame.body.chunks(size));
            assert_eq!(chunks, whole, "{} in chunks of {size}", frame.name());
        }
    }
}

#[test]
fn a_body_cut_short_is_an_error_and_a_late_one_is_not() {
    for frame in frames() {
        // Every place in the short bodies; the long ones are more of the same.
        for len in (0..frame.body.len()).step_by(1 + frame.body.len() / 200) {
            let part = &frame.body[..len];
            let cut = walk(frame.message, frame.version, part, Roles::ALL);
            assert!(cut.is_err(), "{} cut at {len}", frame.name());
            let late = walk_chunks(
                frame.message,
                frame.version,
                frame.body.len(),
                Roles::ALL,
                [part],
            );
            let late = late.unwrap_or_else(|error| panic!("{} at {len}: {error:?}", frame.name()));
            assert!(
                !matches!(late.last(), Some(Seen::Done(_))),
                "{} at {len}",
                frame.name()
            );
        }
    }
}

#[test]
fn bytes_behind_a_body_are_legal() {
    for mut frame in frames() {
        let len = frame.body.len();
        frame.body.extend_from_slice(&[0xff; 3]);
        let seen = walk(frame.message, frame.version, &frame.body, Roles::ALL).unwrap();
        assert_eq!(seen.last(), Some(&Seen::Done(len)), "{}", frame.name());
    }
}

#[test]
fn a_smaller_interest_yields_the_same_of_its_fields() {
    for frame in frames() {
        let (message, version) = (frame.message, frame.version);
        let whole = walk(message, version, &frame.body, Roles::ALL).unwrap();
        for role in fields(&frame)
            .iter()
            .map(|field| field.role)
            .collect::<BTreeSet<_>>()
        {
            let part = walk(message, version, &frame.body, Roles::of(&[role])).unwrap();
            let of_role = |seen: &[Seen]| {
                let chosen = seen.iter().filter(|seen| seen.role() == Some(role));
                chosen.cloned().collect::<Vec<_>>()
            };
            assert_eq!(
                of_role(&part),
                of_role(&whole),
                "{} for {role:?}",
                frame.name()
            );
        }
    }
}
