//! A client's side of SCRAM: how doorkeeper logs in to a broker.

use subtle::ConstantTimeEq as _;

use super::message::{self, ServerFirst};
use super::{AuthMessage, Hash, name, xor};
use crate::secret::Secret;

/// What a client without channel binding that acts as itself begins with.
const GS2_HEADER: &str = "n,,";

/// The fewest iterations that a server may ask for; `ScramSaslClient` wants as many.
const ITERATIONS_MIN: u32 = super::credential::ITERATIONS_MIN;

/// The most, so that no server keeps a processor busy. Kafka's own have no more than 16,384.
const ITERATIONS_MAX: u32 = 1_000_000;

/// Why a server is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerFault {
    /// It speaks no SCRAM.
    Malformed,
    /// Its nonce does not begin with the client's: it responds to somebody else.
    Nonce,
    /// It wants fewer iterations than are safe, or more than anybody needs.
    Iterations,
    /// It says that the login failed.
    Rejected,
    /// It does not know the password either.
    Signature,
}

/// An exchange that has sent its first message.
#[derive(Debug)]
pub struct ScramClient {
    hash: Hash,
    password: Secret,
    bare: String,
    nonce: String,
}

impl ScramClient {
    /// Begins with `client-first-message`. The nonce must be one that nobody could guess, of
    /// printable ASCII without commas.
    #[must_use]
    pub fn begin(hash: Hash, username: &str, password: Secret, nonce: &str) -> (Self, Vec<u8>) {
        let bare = format!("n={},r={nonce}", name::encode(username));
        let message = [GS2_HEADER, &bare].concat();
        let client = Self {
            hash,
            password,
            bare,
            nonce: nonce.to_owned(),
        };
        (client, message.into_bytes())
    }

    /// Goes on with `server-first-message`: gives `client-final-message`. Takes milliseconds of a
    /// processor.
    ///
    /// # Errors
    /// The server is not believed.
    pub fn prove(self, server_first: &[u8]) -> Result<(Proved, Vec<u8>), ServerFault> {
        let text = str::from_utf8(server_first).map_err(|_| ServerFault::Malformed)?;
        if text.starts_with("e=") {
            return Err(ServerFault::Rejected);
        }
        let first = ServerFirst::read(text).ok_or(ServerFault::Malformed)?;
        let is_ours = first.nonce.starts_with(&self.nonce) && first.nonce != self.nonce;
        if !is_ours {
            return Err(ServerFault::Nonce);
        }
        if !(ITERATIONS_MIN..=ITERATIONS_MAX).contains(&first.iterations) {
            return Err(ServerFault::Iterations);
        }
        let hash = self.hash;
        let password = self.password.expose();
        let salted = hash.salted_password(password, &first.salt, first.iterations);
        let client_key = hash.hmac(&salted, &[b"Client Key"]);
        let stored_key = hash.hash(&client_key);
        let server_key = hash.hmac(&salted, &[b"Server Key"]);
        let without_proof = message::client_final_without_proof(GS2_HEADER, &first.nonce);
        let signed = AuthMessage::new(&self.bare, text, &without_proof);
        let proof = xor(&client_key, &hash.hmac(&stored_key, &[signed.as_bytes()]));
        let message = [&*without_proof, &message::attribute('p', &proof)].join(",");
        let proved = Proved {
            signature: hash.hmac(&server_key, &[signed.as_bytes()]),
        };
        Ok((proved, message.into_bytes()))
    }

    /// The same of a client that repeats its nonce in front of both.
    #[cfg(test)]
    pub(crate) fn prove_repeating(&self, server_first: &str, repeated: &str) -> Vec<u8> {
        let first = ServerFirst::read(server_first).unwrap();
        let hash = self.hash;
        let salted = hash.salted_password(self.password.expose(), &first.salt, first.iterations);
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
    signature: Vec<u8>,
}

impl Proved {
    /// Reads `server-final-message`.
    ///
    /// # Errors
    /// The server has rejected the login, or has not proved that it knows the password.
    pub fn verify(self, server_final: &[u8]) -> Result<(), ServerFault> {
        let text = str::from_utf8(server_final).map_err(|_| ServerFault::Malformed)?;
        if text.starts_with("e=") {
            return Err(ServerFault::Rejected);
        }
        let first = text.split(',').next().unwrap_or_default();
        let signature = message::read_attribute('v', first).ok_or(ServerFault::Malformed)?;
        if bool::from(signature.ct_eq(&self.signature)) {
            Ok(())
        } else {
            Err(ServerFault::Signature)
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
        let (client, first) = ScramClient::begin(Hash::Sha256, "user", password, nonce);
        assert_eq!(first, b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let server_first = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
            s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let (proved, last) = client.prove(server_first).unwrap();
        let expected = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
            p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        assert_eq!(String::from_utf8(last).unwrap(), expected);
        let server_final = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
        assert_eq!(proved.verify(server_final), Ok(()));
    }

    #[test]
    fn a_server_that_cannot_be_right_is_not_believed() {
        let prove = |server_first: &str| {
            let password = Secret::new(*b"pencil");
            let (client, _) = ScramClient::begin(Hash::Sha512, "user", password, "abc");
            client
                .prove(server_first.as_bytes())
                .map(|(proved, _)| proved)
        };
        let cases = [
            ("", ServerFault::Malformed),
            ("r=abcd,s=not base64,i=4096", ServerFault::Malformed),
            ("r=abcd,s=c2FsdA==,i=+4096", ServerFault::Malformed),
            ("r=abc,s=c2FsdA==,i=4096", ServerFault::Nonce),
            ("r=xabcd,s=c2FsdA==,i=4096", ServerFault::Nonce),
            ("r=abcd,s=c2FsdA==,i=4095", ServerFault::Iterations),
            ("r=abcd,s=c2FsdA==,i=1000001", ServerFault::Iterations),
            ("e=unknown-user", ServerFault::Rejected),
        ];
        for (server_first, why) in cases {
            assert_eq!(prove(server_first).unwrap_err(), why, "{server_first}");
        }
        for (server_final, why) in [
            ("v=AAAA", ServerFault::Signature),
            ("e=invalid-proof", ServerFault::Rejected),
            ("x=AAAA", ServerFault::Malformed),
        ] {
            let proved = prove("r=abcd,s=c2FsdA==,i=4096").unwrap();
            assert_eq!(proved.verify(server_final.as_bytes()), Err(why));
        }
    }
}
