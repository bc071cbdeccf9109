//! The body of the fuzz target `token`: what must hold for any bearer token and any set of keys.
//!
//! The target in `fuzz/` includes this file by its path, so that the product has nothing of it.

use std::time::{Duration, UNIX_EPOCH};

use doorkeeper_io_tokio::login::tokens::algorithm::Algorithm;
use doorkeeper_io_tokio::login::tokens::jwks::Jwks;
use doorkeeper_io_tokio::login::tokens::rules::TokenRules;

/// How much memory may be had at once, for each byte of the input and whatever it is: JSON as
/// values, and each key once for each algorithm that it is for.
pub(crate) const PER_BYTE: usize = 1024;
pub(crate) const FLOOR: usize = 64 << 10;

/// The keys of RFC 7515, appendices A.2 and A.3, by which its examples are signed.
const KEYS: &str = include_str!("../../../testdata/tokens/rfc7515.jwks");

/// When the tokens of the RFC hold.
const NOW: Duration = Duration::from_secs(1_300_819_300);

/// Input: a token; or a set of keys, a zero, and a token.
pub(crate) fn token(data: &[u8]) {
    let rfc = Jwks::read(KEYS.as_bytes());
    let rfc = rfc.unwrap_or_else(|error| panic!("{error}"));
    let mut parts = data.splitn(2, |it| *it == 0);
    match (parts.next(), parts.next()) {
        (Some(keys), Some(token)) => {
            if let Ok(keys) = Jwks::read(keys) {
                // Whoever makes the keys makes the tokens.
                let _ = verified(&keys, token);
            }
        }
        (Some(token), None) => {
            let _ = Jwks::read(token);
            // Nobody else has the private keys, so that nobody else is let in.
            if let Some(name) = verified(&rfc, token) {
                assert_eq!(name, "joe");
            }
        }
        (None, _) => {}
    }
}

/// Whose the token is, if it holds.
fn verified(keys: &Jwks, token: &[u8]) -> Option<String> {
    let rules = TokenRules {
        issuer: None,
        audience: Vec::new(),
        algorithms: Algorithm::ALL.to_vec(),
        principal_claim: "iss".to_owned(),
        scope_claim: "scope".to_owned(),
        scopes: Vec::new(),
        clock_skew: Duration::from_secs(30),
        token_bytes_max: 64 * 1024,
        token_lifetime_max: None,
    };
    let holder = rules.holder(keys, token, UNIX_EPOCH + NOW).ok()?;
    assert!(
        (1..=255).contains(&holder.name.len()),
        "{}",
        holder.name.len()
    );
    assert!(
        !holder.name.contains(char::is_control),
        "a log of two lines"
    );
    assert!(holder.lifetime >= Some(Duration::from_secs(1)));
    // It is three parts of the letters of base64.
    let is_letter = |it: &u8| it.is_ascii_alphanumeric() || b"-_".contains(it);
    let parts: Vec<&[u8]> = token.split(|it| *it == b'.').collect();
    assert_eq!(parts.len(), 3);
    assert!(parts.iter().all(|part| part.iter().all(is_letter)));
    Some(holder.name)
}
