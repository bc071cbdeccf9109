//! Whoever issues tokens: tests make their own keys.
#![allow(
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    reason = "several test binaries include it, each uses some of it, and fails by panicking"
)]

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// One key, on P-256.
pub struct Issuer {
    key: EcdsaKeyPair,
    id: &'static str,
}

impl Issuer {
    pub fn new(id: &'static str) -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self { key, id }
    }

    /// The public key.
    pub fn jwk(&self) -> String {
        let point = self.key.public_key().as_ref();
        let (x, y) = (encoded(&point[1..33]), encoded(&point[33..]));
        let id = self.id;
        format!(r#"{{"kty":"EC","crv":"P-256","use":"sig","kid":"{id}","x":"{x}","y":"{y}"}}"#)
    }

    /// A token that says this.
    pub fn token(&self, claims: &str) -> String {
        self.signed(&format!(r#"{{"alg":"ES256","kid":"{}"}}"#, self.id), claims)
    }

    /// The same with another header.
    pub fn signed(&self, header: &str, claims: &str) -> String {
        let signed = [encoded(header.as_bytes()), encoded(claims.as_bytes())].join(".");
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes());
        format!("{signed}.{}", encoded(signature.unwrap().as_ref()))
    }
}

pub fn jwks(issuers: &[&Issuer]) -> String {
    let keys: Vec<String> = issuers.iter().map(|it| it.jwk()).collect();
    format!(r#"{{"keys":[{}]}}"#, keys.join(","))
}

pub fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// In so many seconds, as claims say it.
pub fn seconds_from_now(seconds: i64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_secs().cast_signed() + seconds
}
