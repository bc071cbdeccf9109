//! What a client remembers of answers.

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_protocol::messages::{FetchResponse, JoinGroupResponse};
use kafka_protocol::protocol::{Decodable, HeaderVersion};

use crate::expected::{self, Head};

/// What later requests need of earlier answers.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// The fetch session and the epoch that comes next, once one was given.
    pub fetch_session: Option<(i32, i32)>,
    /// By group: the member and the generation.
    pub members: BTreeMap<u8, (String, i32)>,
}

const FETCH: i16 = 1;
const JOIN_GROUP: i16 = 11;
const LEAVE_GROUP: i16 = 13;

/// `Errors.MEMBER_ID_REQUIRED`: the answer carries the id to come back with (KIP-394).
const MEMBER_ID_REQUIRED: i16 = 79;

impl Memory {
    /// Takes in an answer, with its length. `group` is what the request was about.
    pub fn learn(&mut self, key: i16, version: i16, group: u8, frame: &Bytes) {
        match key {
            FETCH => {
                if let Some(answer) = body::<FetchResponse>(key, version, frame) {
                    self.fetched(answer.error_code, answer.session_id);
                }
            }
            JOIN_GROUP => {
                if let Some(answer) = body::<JoinGroupResponse>(key, version, frame)
                    && matches!(answer.error_code, 0 | MEMBER_ID_REQUIRED)
                {
                    let member = answer.member_id.to_string();
                    self.members.insert(group, (member, answer.generation_id));
                }
            }
            LEAVE_GROUP => {
                self.members.remove(&group);
            }
            _ => {}
        }
    }

    fn fetched(&mut self, error_code: i16, session_id: i32) {
        self.fetch_session = match self.fetch_session {
            _ if error_code != 0 || session_id == 0 => None,
            Some((known, epoch)) if known == session_id => Some((known, epoch + 1)),
            Some(_) | None => Some((session_id, 1)),
        };
    }
}

/// The body of an answer, if it is one: a client that has sent nonsense may be answered anything.
fn body<T: Decodable + HeaderVersion>(key: i16, version: i16, frame: &Bytes) -> Option<T> {
    let id = 0;
    expected::answer(Head { key, version, id }, frame)
}
