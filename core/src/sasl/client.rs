//! A client's side of any exchange, token by token: how doorkeeper logs in to a broker.

use super::Mechanism;
use super::failure::BrokerLoginFailure;
use super::oauthbearer::{self, BearerMessage};
use super::plain::PlainMessage;
use super::scram::Hash;
use super::scram::client::{Challenged, ClientKeys, Proved, ScramClient};
use crate::secret::Secret;

/// An exchange with one broker, behind its first token.
#[derive(Debug)]
pub struct ClientExchange {
    mechanism: Mechanism,
    state: State,
}

#[derive(Debug)]
enum State {
    /// All has been said: an empty token is a yes.
    Said,
    /// The bearer token does not hold, and the broker has been told that the exchange is over.
    GivenUp,
    /// The server's first message comes next.
    ScramFirst(ScramClient),
    /// The driver derives keys.
    ScramKeys(Box<Challenged>),
    /// The server has to prove itself as well.
    ScramProved(Proved),
    Ended,
}

/// What follows from a broker's token.
#[derive(Debug)]
pub enum Step {
    /// The broker gets this.
    Token(Secret),
    /// The driver derives the keys of the password by [`ClientExchange::challenge`], which takes
    /// milliseconds of a processor, unless it has them from an earlier login.
    Keys,
    /// The broker has shown all that it had to.
    Done,
    /// The login has failed.
    Failure(BrokerLoginFailure),
}

impl ClientExchange {
    /// Begins with a user name and its password. Nothing if PLAIN has no way to say them.
    #[must_use]
    pub fn plain(username: &str, password: &Secret) -> Option<(Self, Secret)> {
        let token = PlainMessage::token(username, password)?;
        Some((Self::new(Mechanism::Plain, State::Said), token))
    }

    /// Begins with a user name. The nonce must be one that nobody could guess, of printable ASCII
    /// without commas.
    #[must_use]
    pub fn scram(hash: Hash, username: &str, nonce: &str) -> (Self, Secret) {
        let mechanism = match hash {
            Hash::Sha256 => Mechanism::ScramSha256,
            Hash::Sha512 => Mechanism::ScramSha512,
        };
        let (client, token) = ScramClient::begin(hash, username, nonce);
        let exchange = Self::new(mechanism, State::ScramFirst(client));
        (exchange, Secret::new(token))
    }

    /// Begins with a bearer token, and what else is to be said (KIP-342). Nothing if one of them
    /// has characters that it must not have.
    #[must_use]
    pub fn bearer(token: &Secret, extensions: &[(String, String)]) -> Option<(Self, Secret)> {
        let token = BearerMessage::token(token, extensions)?;
        Some((Self::new(Mechanism::OAuthBearer, State::Said), token))
    }

    const fn new(mechanism: Mechanism, state: State) -> Self {
        Self { mechanism, state }
    }

    /// The mechanism that it began with.
    #[must_use]
    pub const fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// What the broker said of the keys that are needed, while they are.
    #[must_use]
    pub fn challenge(&self) -> Option<&Challenged> {
        match &self.state {
            State::ScramKeys(challenged) => Some(challenged),
            State::Said
            | State::GivenUp
            | State::ScramFirst(_)
            | State::ScramProved(_)
            | State::Ended => None,
        }
    }

    /// Reads the broker's next token.
    pub fn token(&mut self, token: &[u8]) -> Step {
        let step = match std::mem::replace(&mut self.state, State::Ended) {
            State::Said if token.is_empty() => Ok(Step::Done),
            // What the broker has against the token is in it; the error follows on this
            // (RFC 7628 section 3.2.3).
            State::Said if self.mechanism == Mechanism::OAuthBearer => {
                self.state = State::GivenUp;
                Ok(Step::Token(Secret::new(oauthbearer::CLIENT_ABORTS)))
            }
            State::GivenUp => Err(BrokerLoginFailure::Rejected),
            State::ScramFirst(client) => client.challenged(token).map(|challenged| {
                self.state = State::ScramKeys(Box::new(challenged));
                Step::Keys
            }),
            State::ScramProved(proved) => proved.verify(token).map(|()| Step::Done),
            State::Said | State::ScramKeys(_) | State::Ended => Err(BrokerLoginFailure::Malformed),
        };
        step.unwrap_or_else(Step::Failure)
    }

    /// Goes on with keys that were derived as the broker said.
    pub fn keys(&mut self, keys: &ClientKeys) -> Step {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::ScramKeys(challenged) => {
                let (proved, token) = challenged.prove(keys);
                self.state = State::ScramProved(proved);
                Step::Token(Secret::new(token))
            }
            State::Said
            | State::GivenUp
            | State::ScramFirst(_)
            | State::ScramProved(_)
            | State::Ended => Step::Failure(BrokerLoginFailure::Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sasl::scram::credential::ScramCredential;
    use crate::sasl::server::{self, Found, ServerExchange};

    fn secret(text: &str) -> Secret {
        Secret::new(text.as_bytes())
    }

    fn token(step: Step) -> Secret {
        match step {
            Step::Token(token) => token,
            Step::Keys | Step::Done | Step::Failure(_) => panic!("{step:?}"),
        }
    }

    fn failure(step: Step) -> BrokerLoginFailure {
        match step {
            Step::Failure(why) => why,
            Step::Keys | Step::Done | Step::Token(_) => panic!("{step:?}"),
        }
    }

    #[test]
    fn a_broker_with_the_same_password_is_believed_and_no_other() {
        for (hash, mechanism) in [
            (Hash::Sha256, Mechanism::ScramSha256),
            (Hash::Sha512, Mechanism::ScramSha512),
        ] {
            let (mut client, first) = ClientExchange::scram(hash, "us,er", "abcdefgh");
            assert_eq!(client.mechanism(), mechanism);
            let mut broker = ServerExchange::new(mechanism, "ijklmnop".to_owned());
            assert!(matches!(
                broker.token(first.expose()),
                server::Step::Look(_)
            ));
            let kept = ScramCredential::derive(hash, &secret("pencil"), b"salt", 4096);
            let step = broker.found(Found::Keys {
                credential: kept.unwrap(),
                is_known: true,
            });
            let server::Step::Challenge(challenge) = step else {
                panic!("{step:?}")
            };
            assert!(matches!(client.token(&challenge), Step::Keys));
            let keys = client.challenge().unwrap().derive(&secret("pencil"));
            let last = token(client.keys(&keys));
            let step = broker.token(last.expose());
            let server::Step::Success(success) = step else {
                panic!("{step:?}")
            };
            let mut changed = success.token.to_vec();
            if let Some(byte) = changed.get_mut(2) {
                *byte = if *byte == b'A' { b'B' } else { b'A' };
            }
            assert!(matches!(client.token(&success.token), Step::Done));
            assert_eq!(failure(client.token(b"")), BrokerLoginFailure::Malformed);
            assert!(broker_that_says(hash, &challenge, &changed).is_none());
        }
    }

    /// What a client makes of a broker that ends so; nothing if it does not believe it.
    fn broker_that_says(hash: Hash, challenge: &[u8], last: &[u8]) -> Option<Step> {
        let (mut client, _) = ClientExchange::scram(hash, "us,er", "abcdefgh");
        assert!(matches!(client.token(challenge), Step::Keys));
        let keys = client.challenge().unwrap().derive(&secret("pencil"));
        token(client.keys(&keys));
        match client.token(last) {
            Step::Failure(BrokerLoginFailure::NotAuthentic) => None,
            step @ (Step::Failure(_) | Step::Done | Step::Keys | Step::Token(_)) => Some(step),
        }
    }

    #[test]
    fn a_password_that_was_sent_gets_a_yes_without_words() {
        let begin = || ClientExchange::plain("tim", &secret("pencil")).unwrap();
        let (mut client, first) = begin();
        assert_eq!(first.expose(), b"\0tim\0pencil");
        assert!(matches!(client.token(b""), Step::Done));
        let (mut client, _) = begin();
        assert_eq!(
            failure(client.token(b"what?")),
            BrokerLoginFailure::Malformed
        );
        assert!(ClientExchange::plain("t\0m", &secret("pencil")).is_none());
    }

    #[test]
    fn a_bearer_token_that_does_not_hold_is_given_up() {
        let extensions = [("logicalCluster".to_owned(), "lkc-1".to_owned())];
        let begin = || ClientExchange::bearer(&secret("abc"), &extensions).unwrap();
        let (mut client, first) = begin();
        let expected = b"n,,\x01auth=Bearer abc\x01logicalCluster=lkc-1\x01\x01";
        assert_eq!(first.expose(), expected);
        assert!(matches!(client.token(b""), Step::Done));
        let (mut client, _) = begin();
        let abort = token(client.token(br#"{"status":"invalid_token"}"#));
        assert_eq!(abort.expose(), b"\x01");
        assert_eq!(failure(client.token(b"")), BrokerLoginFailure::Rejected);
        assert!(ClientExchange::bearer(&secret("a c"), &[]).is_none());
        let auth = [("auth".to_owned(), "x".to_owned())];
        assert!(ClientExchange::bearer(&secret("abc"), &auth).is_none());
    }
}
