//! A broker's side of logins.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use doorkeeper_core::sasl::Mechanism;
use doorkeeper_core::sasl::failure::LoginFailure;
use doorkeeper_core::sasl::scram::credential::ScramCredential;
use doorkeeper_core::sasl::server::{Found, Query, ServerExchange, Step, TokenHolder};
use doorkeeper_core::secret::Secret;
use kafka_protocol::messages::{
    RequestHeader, SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest,
    SaslHandshakeResponse,
};
use kafka_protocol::protocol::{Decodable as _, HeaderVersion as _};

use crate::frames::{Asked, response};

const HANDSHAKE: i16 = 17;
const AUTHENTICATE: i16 = 36;

/// What brokers want before anything else.
#[derive(Debug, Default)]
pub struct LoginDemand {
    users: Mutex<BTreeMap<String, Secret>>,
    /// For how many milliseconds a login holds; 0 for no limit.
    pub lifetime_ms: AtomicI64,
    /// Who has logged in, in order.
    logged_in: Mutex<Vec<String>>,
}

impl LoginDemand {
    pub fn of(users: &[(&str, &str)]) -> Arc<Self> {
        let demand = Self::default();
        for (name, password) in users {
            demand.set(name, password);
        }
        Arc::new(demand)
    }

    /// The user has this password, or as a bearer token.
    pub fn set(&self, name: &str, password: &str) {
        let password = Secret::new(password.as_bytes());
        self.users.lock().unwrap().insert(name.to_owned(), password);
    }

    pub fn logged_in(&self) -> Vec<String> {
        self.logged_in.lock().unwrap().clone()
    }

    /// What the broker finds out.
    fn found(&self, query: Query) -> Found {
        let users = self.users.lock().unwrap();
        match query {
            Query::Password { username, password } => {
                let is_right = users.get(&username) == Some(&password);
                Found::Password(is_right.then_some(()).ok_or(LoginFailure::WrongPassword))
            }
            Query::Keys { username, hash } => {
                let password = users.get(&username);
                let none = Secret::new(*b"nobody");
                let password_or_none = password.unwrap_or(&none);
                let derived = ScramCredential::derive(hash, password_or_none, b"salt", 4096);
                Found::Keys {
                    credential: derived.unwrap(),
                    is_known: password.is_some(),
                }
            }
            Query::Token { token, .. } => {
                let mut users = users.iter();
                let whose = users.find(|(_, it)| **it == token);
                let whose = whose.map(|(name, _)| TokenHolder {
                    name: name.clone(),
                    lifetime: None,
                });
                Found::Token(whose.ok_or(LoginFailure::TokenSignature))
            }
        }
    }
}

/// One connection of such a broker.
pub struct BrokerSasl {
    demand: Arc<LoginDemand>,
    exchange: Option<ServerExchange>,
    is_in: bool,
}

impl BrokerSasl {
    pub fn new(demand: Arc<LoginDemand>) -> Self {
        Self {
            demand,
            exchange: None,
            is_in: false,
        }
    }

    /// What the broker says to a frame: nothing if it belongs to no login, and not a byte if that
    /// ends the connection.
    pub fn take(&mut self, frame: &[u8]) -> Option<Vec<u8>> {
        let asked = Asked::read(frame);
        let mut body = Bytes::copy_from_slice(&frame[4..]);
        let version = asked.version;
        match asked.api {
            HANDSHAKE => {
                let header = SaslHandshakeRequest::header_version(version);
                RequestHeader::decode(&mut body, header).unwrap();
                let wanted = SaslHandshakeRequest::decode(&mut body, version).unwrap();
                let mechanism = Mechanism::by_name(&wanted.mechanism).unwrap();
                self.exchange = Some(ServerExchange::new(mechanism, "ijklmnop".to_owned()));
                let said = SaslHandshakeResponse::default();
                Some(response(version, asked.id, &said))
            }
            AUTHENTICATE => {
                let header = SaslAuthenticateRequest::header_version(version);
                RequestHeader::decode(&mut body, header).unwrap();
                let sent = SaslAuthenticateRequest::decode(&mut body, version).unwrap();
                let said = self.token(&sent.auth_bytes);
                Some(response(version, asked.id, &said))
            }
            // A request of somebody who has not logged in.
            _ if !self.is_in || self.exchange.is_some() => Some(Vec::new()),
            _ => None,
        }
    }

    fn token(&mut self, token: &[u8]) -> SaslAuthenticateResponse {
        let said = SaslAuthenticateResponse::default();
        let Some(exchange) = &mut self.exchange else {
            return said.with_error_code(34);
        };
        let mut step = exchange.token(token);
        if let Step::Look(query) = step {
            step = exchange.found(self.demand.found(query));
        }
        match step {
            Step::Challenge(token) => said.with_auth_bytes(token),
            Step::Success(success) => {
                self.exchange = None;
                self.is_in = true;
                self.demand.logged_in.lock().unwrap().push(success.name);
                said.with_auth_bytes(success.token)
                    .with_session_lifetime_ms(self.demand.lifetime_ms.load(Ordering::Relaxed))
            }
            Step::Look(_) | Step::Failure(_) => {
                self.exchange = None;
                said.with_error_code(58)
            }
        }
    }
}
