//! What of an exchange can be printed: no secret, at any step.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::*;

const PASSWORD: &str = "a secret pencil";
const SALT: &[u8] = b"a secret salt";

/// All that is seen of an exchange.
struct Seen {
    exchange: ServerExchange,
    printed: String,
}

impl Seen {
    fn new(mechanism: Mechanism) -> Self {
        Self {
            exchange: ServerExchange::new(mechanism, "server".to_owned()),
            printed: String::new(),
        }
    }

    fn token(&mut self, token: &[u8]) -> Step {
        let step = self.exchange.token(token);
        self.note(&step);
        step
    }

    fn found(&mut self, found: Found) -> Step {
        self.printed += &format!("{found:?}");
        let step = self.exchange.found(found);
        self.note(&step);
        step
    }

    fn note(&mut self, step: &Step) {
        self.printed += &format!("{step:?} {:?}", self.exchange);
    }

    /// As text, as base64 and as a list of bytes.
    fn shows(&self, secret: &[u8]) -> bool {
        let list = format!("{secret:?}");
        let list = list.trim_matches(['[', ']']).to_owned();
        let text = String::from_utf8_lossy(secret).into_owned();
        let forms = [list, text, BASE64.encode(secret)];
        forms.iter().any(|form| self.printed.contains(form))
    }
}

fn hmac(key: &[u8], data: &[u8]) -> Vec<u8> {
    let mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.chain_update(data).finalize().into_bytes().to_vec()
}

#[test]
fn an_exchange_of_scram_prints_no_secret() {
    let mut seen = Seen::new(Mechanism::ScramSha256);
    let hash = Hash::Sha256;
    let password = Secret::new(PASSWORD.as_bytes());
    let credential = ScramCredential::derive(hash, &password, SALT, 4096).unwrap();
    let bare = "n=alice,r=client";
    seen.token(format!("n,,{bare}").as_bytes());
    let is_known = true;
    let found = Found::Keys {
        credential: credential.clone(),
        is_known,
    };
    let Step::Challenge(first) = seen.found(found) else {
        panic!("no challenge");
    };
    let last = "c=biws,r=clientserver";
    let signed = [bare, str::from_utf8(&first).unwrap(), last].join(",");
    let mut salted = [0; 32];
    pbkdf2::pbkdf2_hmac::<Sha256>(PASSWORD.as_bytes(), SALT, 4096, &mut salted);
    let client_key = hmac(&salted, b"Client Key");
    let signature = hmac(credential.stored_key().expose(), signed.as_bytes());
    let proof: Vec<u8> = client_key
        .iter()
        .zip(&signature)
        .map(|(a, b)| a ^ b)
        .collect();
    let step = seen.token(format!("{last},p={}", BASE64.encode(&proof)).as_bytes());
    let Step::Success(success) = step else {
        panic!("{step:?}");
    };
    let proven = hmac(credential.server_key().expose(), signed.as_bytes());
    assert_eq!(success.token, format!("v={}", BASE64.encode(&proven)));
    for secret in [SALT, &proof, &proven, credential.stored_key().expose()] {
        assert!(!seen.shows(secret), "{}", seen.printed);
    }
    assert!(seen.printed.contains("alice"));
}

#[test]
fn an_exchange_with_a_password_or_a_bearer_token_prints_none() {
    let mut plain = Seen::new(Mechanism::Plain);
    plain.token(format!("\0alice\0{PASSWORD}").as_bytes());
    plain.found(Found::Password(Ok(())));
    assert!(!plain.shows(PASSWORD.as_bytes()), "{}", plain.printed);

    let mut bearer = Seen::new(Mechanism::OAuthBearer);
    let message = b"n,,\x01auth=Bearer abc.def\x01trace=extension\x01\x01";
    bearer.token(message);
    bearer.printed += &format!("{:?}", BearerMessage::read(message).unwrap());
    assert!(
        !bearer.shows(b"abc.def") && !bearer.shows(b"extension"),
        "{}",
        bearer.printed
    );
}
