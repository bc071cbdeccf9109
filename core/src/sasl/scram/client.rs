//! A client's side of SCRAM: how doorkeeper logs in to a broker.

use std::fmt;

use super::message::{self, ServerFirst};
use super::{AuthMessage, Hash, name, xor};
use crate::sasl::failure::BrokerLoginFailure;
use crate::secret::Secret;

/// What a client without channel binding that acts as itself begins with.
const GS2_HEADER: &str = "n,,";

/// The fewest iterations that a server may ask for; `ScramSaslClient` wants as many.
const ITERATIONS_MIN: u32 = super::credential::ITERATIONS_MIN;

/// The most, so that no server keeps a processor busy. Kafka's own have no more than 16,384.
const ITERATIONS_MAX: u32 = 1_000_000;

/// An exchange that has sent its first message.
#[derive(Debug)]
pub struct ScramClient {
    hash: Hash,
    bare: String,
    nonce: String,
}

/// An exchange that has been told how to derive keys of its password.
#[derive(Clone)]
pub struct Challenged {
    hash: Hash,
    bare: String,
    server_first: String,
    nonce: String,
    salt: Vec<u8>,
    iterations: u32,
}

/// The salt is nobody's business.
impl fmt::Debug for Challenged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Challenged(..)")
    }
}

/// What a password becomes with a salt: all that a client needs in order to log in with it. A
/// server keeps its salts, so that keys serve for many logins.
#[derive(Clone, Debug)]
pub struct ClientKeys {
    client_key: Secret,
    server_key: Secret,
}

impl ClientKeys {
    fn derive(hash: Hash, password: &Secret, salt: &[u8], iterations: u32) -> Self {
        let salted = hash.salted_password(password.expose(), salt, iterations);
        Self {
            client_key: Secret::new(hash.hmac(&salted, &[b"Client Key"])),
            server_key: Secret::new(hash.hmac(&salted, &[b"Server Key"])),
        }
    }
}

impl ScramClient {
    /// Begins with `client-first-message`. The nonce must be one that nobody could guess, of
    /// printable ASCII without commas.
    #[must_use]
    pub fn begin(hash: Hash, username: &str, nonce: &str) -> (Self, Vec<u8>) {
        let bare = format!("n={},r={nonce}", name::encode(username));
        let message = [GS2_HEADER, &bare].concat();
        let client = Self {
            hash,
            bare,
            nonce: nonce.to_owned(),
        };
        (client, message.into_bytes())
    }

    /// Reads `server-first-message`.
    ///
    /// # Errors
    /// The server is not believed.
    pub fn challenged(self, server_first: &[u8]) -> Result<Challenged, BrokerLoginFailure> {
        let text = str::from_utf8(server_first).map_err(|_| BrokerLoginFailure::Malformed)?;
        if text.starts_with("e=") {
            return Err(BrokerLoginFailure::Rejected);
        }
        let first = ServerFirst::read(text).ok_or(BrokerLoginFailure::Malformed)?;
        let is_ours = first.nonce.starts_with(&self.nonce) && first.nonce != self.nonce;
        if !is_ours {
            return Err(BrokerLoginFailure::NotAuthentic);
        }
        if !(ITERATIONS_MIN..=ITERATIONS_MAX).contains(&first.iterations) {
            return Err(BrokerLoginFailure::Iterations);
        }
        Ok(Challenged {
            hash: self.hash,
            bare: self.bare,
            server_first: text.to_owned(),
            nonce: first.nonce.to_owned(),
            salt: first.salt,
            iterations: first.iterations,
        })
    }
}

impl Challenged {
    /// The hash of the keys that are needed.
    #[must_use]
    pub const fn hash(&self) -> Hash {
        self.hash
    }

    /// Their salt.
    #[must_use]
    pub fn salt(&self) -> &[u8] {
        &self.salt
    }

    /// Their iterations.
    #[must_use]
    pub const fn iterations(&self) -> u32 {
        self.iterations
    }

    /// Derives the keys that are needed, which takes milliseconds of a processor.
    #[must_use]
    pub fn derive(&self, password: &Secret) -> ClientKeys {
        ClientKeys::derive(self.hash, password, &self.salt, self.iterations)
    }

    /// Gives `client-final-message`, with keys that were derived as the server said.
    #[must_use]
    pub fn prove(&self, keys: &ClientKeys) -> (Proved, Vec<u8>) {
        let hash = self.hash;
        let client_key = keys.client_key.expose();
        let stored_key = hash.hash(client_key);
        let without_proof = message::client_final_without_proof(GS2_HEADER, &self.nonce);
        let signed = AuthMessage::new(&self.bare, &self.server_first, &without_proof);
        let proof = xor(client_key, &hash.hmac(&stored_key, &[signed.as_bytes()]));
        let message = [&*without_proof, &message::attribute('p', &proof)].join(",");
        let proved = Proved {
            signature: Secret::new(hash.hmac(keys.server_key.expose(), &[signed.as_bytes()])),
        };
        (proved, message.into_bytes())
    }
}

impl ScramClient {
    /// The same of a client that repeats its nonce in front of both.
    #[cfg(test)]
    pub(crate) fn prove_repeating(
        &self,
        password: &Secret,
        server_first: &str,
        repeated: &str,
    ) -> Vec<u8> {
        let first = ServerFirst::read(server_first).unwrap();
        let hash = self.hash;
        let salted = hash.salted_password(password.expose(), &first.salt, first.iterations);
        let client_key = hash.hmac(&salted, &[b"Client Key"]);
        let nonce = [repeated, &first.nonce].concat();
        let without_proof = message::client_final_without_proof(GS2_HEADER, &nonce);
        let signed = AuthMessage::new(&self.bare, server_first, &without_proof);
        let signature = hash.hmac(&hash.hash(&client_key), &[signed.as_bytes()]);
        let proof = message::attribute('p', &xor(&client_key, &signature));
        [without_proof, proof].join(",").into_bytes()
    }
}

/// An exchange that waits for the server to prove itself as well.
#[derive(Debug)]
pub struct Proved {
    signature: Secret,
}

impl Proved {
    /// Reads `server-final-message`.
    ///
    /// # Errors
    /// The server has rejected the login, or has not proved that it knows the password.
    pub fn verify(&self, server_final: &[u8]) -> Result<(), BrokerLoginFailure> {
        let text = str::from_utf8(server_final).map_err(|_| BrokerLoginFailure::Malformed)?;
        if text.starts_with("e=") {
            return Err(BrokerLoginFailure::Rejected);
        }
        let first = text.split(',').next().unwrap_or_default();
        let signature = message::read_attribute('v', first);
        let signature = signature.ok_or(BrokerLoginFailure::Malformed)?;
        if Secret::new(signature) == self.signature {
            Ok(())
        } else {
            Err(BrokerLoginFailure::NotAuthentic)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7677, section 3.
    #[test]
    fn the_example_of_the_rfc_is_spoken() {
        let password = Secret::new(*b"pencil");
        let nonce = "rOprNGfwEbeRWgbNEkqO";
        let (client, first) = ScramClient::begin(Hash::Sha256, "user", nonce);
        assert_eq!(first, b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let server_first = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
            s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let challenged = client.challenged(server_first).unwrap();
        let (proved, last) = challenged.prove(&challenged.derive(&password));
        let expected = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
            p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        assert_eq!(String::from_utf8(last).unwrap(), expected);
        let server_final = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
        assert_eq!(proved.verify(server_final), Ok(()));
    }

    #[test]
    fn a_server_that_cannot_be_right_is_not_believed() {
        let challenged = |server_first: &str| {
            let (client, _) = ScramClient::begin(Hash::Sha512, "user", "abc");
            client.challenged(server_first.as_bytes())
        };
        let cases = [
            ("", BrokerLoginFailure::Malformed),
            ("r=abcd,s=not base64,i=4096", BrokerLoginFailure::Malformed),
            ("r=abcd,s=c2FsdA==,i=+4096", BrokerLoginFailure::Malformed),
            ("r=abc,s=c2FsdA==,i=4096", BrokerLoginFailure::NotAuthentic),
            (
                "r=xabcd,s=c2FsdA==,i=4096",
                BrokerLoginFailure::NotAuthentic,
            ),
            ("r=abcd,s=c2FsdA==,i=4095", BrokerLoginFailure::Iterations),
            (
                "r=abcd,s=c2FsdA==,i=1000001",
                BrokerLoginFailure::Iterations,
            ),
            ("e=unknown-user", BrokerLoginFailure::Rejected),
        ];
        for (server_first, why) in cases {
            assert_eq!(challenged(server_first).unwrap_err(), why, "{server_first}");
        }
        let challenged = challenged("r=abcd,s=c2FsdA==,i=4096").unwrap();
        let password = Secret::new(*b"pencil");
        let keys = challenged.derive(&password);
        for (server_final, why) in [
            ("v=AAAA", BrokerLoginFailure::NotAuthentic),
            ("e=invalid-proof", BrokerLoginFailure::Rejected),
            ("x=AAAA", BrokerLoginFailure::Malformed),
        ] {
            let (proved, _) = challenged.prove(&keys);
            assert_eq!(proved.verify(server_final.as_bytes()), Err(why));
        }
    }
}
