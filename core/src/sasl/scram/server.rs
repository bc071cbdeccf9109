//! A server's side of SCRAM.

use std::fmt;

use subtle::ConstantTimeEq as _;

use super::credential::ScramCredential;
use super::message::{self, ClientFinal, ClientFirst, ServerFirst};
use super::{AuthMessage, xor};
use crate::sasl::failure::LoginFailure;

/// An exchange whose first message has come: the user's keys are needed to go on.
#[derive(Debug)]
pub(crate) struct ScramServer {
    first: ClientFirst,
}

impl ScramServer {
    /// Reads `client-first-message`.
    pub(crate) fn begin(token: &[u8]) -> Result<Self, LoginFailure> {
        let first = ClientFirst::read(token)?;
        if first.is_delegation_token {
            return Err(LoginFailure::DelegationToken);
        }
        if !first.authorization_id.is_empty() && first.authorization_id != first.username {
            return Err(LoginFailure::AuthorizationId);
        }
        Ok(Self { first })
    }

    pub(crate) fn username(&self) -> &str {
        &self.first.username
    }

    /// Goes on with the user's keys, and a nonce that nobody could guess: gives
    /// `server-first-message`.
    pub(crate) fn challenge(
        self,
        credential: ScramCredential,
        nonce: &str,
    ) -> (Challenged, String) {
        let server_first = ServerFirst {
            nonce: self.first.nonce.clone() + nonce,
            salt: credential.salt.to_vec(),
            iterations: credential.iterations,
        };
        let text = server_first.write();
        let challenged = Challenged {
            first: self.first,
            credential,
            nonce: server_first.nonce,
            server_first: text.clone(),
        };
        (challenged, text)
    }
}

/// An exchange that waits for the client's proof.
pub(crate) struct Challenged {
    first: ClientFirst,
    credential: ScramCredential,
    /// The client's and the server's.
    nonce: String,
    server_first: String,
}

/// The salt of a user is for nobody.
impl fmt::Debug for Challenged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Challenged")
            .field("first", &self.first)
            .field("credential", &self.credential)
            .finish_non_exhaustive()
    }
}

impl Challenged {
    pub(crate) fn username(&self) -> &str {
        &self.first.username
    }

    /// Reads `client-final-message` and verifies the proof: gives `server-final-message`.
    ///
    /// Kafka ignores `c=` and signs the messages as it has parsed them
    /// (`ScramSaslServer.evaluateResponse`); here `c=` must repeat the header, and what is signed
    /// is what was sent.
    pub(crate) fn finish(self, token: &[u8]) -> Result<String, LoginFailure> {
        let last = ClientFinal::read(token)?;
        // librdkafka 2.0.2 repeats its own nonce in front. Kafka 3.9 looks at the end alone, 4.4 at
        // all of it (`ScramSaslServer.evaluateResponse`). Here this one form counts as well: what
        // is proven covers the nonce as it came, and ours is in it.
        let first = self.first.nonce.as_str();
        let rest = last.nonce.strip_prefix(first).unwrap_or_default();
        if last.nonce != self.nonce && rest != self.nonce {
            return Err(LoginFailure::MalformedToken);
        }
        if last.binding != self.first.gs2_header.as_bytes() {
            return Err(LoginFailure::ChannelBinding);
        }
        let ScramCredential {
            hash,
            stored_key,
            server_key,
            ..
        } = &self.credential;
        if last.proof.expose().len() != hash.bytes() {
            return Err(LoginFailure::MalformedToken);
        }
        let signed = AuthMessage::new(&self.first.bare, &self.server_first, &last.without_proof);
        let signature = hash.hmac(stored_key.expose(), &[signed.as_bytes()]);
        let client_key = xor(last.proof.expose(), &signature);
        let computed = hash.hash(&client_key);
        if !bool::from(computed.ct_eq(stored_key.expose())) {
            return Err(LoginFailure::WrongPassword);
        }
        let signature = hash.hmac(server_key.expose(), &[signed.as_bytes()]);
        Ok(message::attribute('v', &signature))
    }
}
