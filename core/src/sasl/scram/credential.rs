//! What is kept of a password: enough to verify whoever knows it, and not enough to log in with.

use std::fmt;

use subtle::ConstantTimeEq as _;

use super::Hash;
use crate::secret::Secret;

/// The fewest iterations that Kafka lets a credential have (`ScramMechanism.minIterations`).
pub const ITERATIONS_MIN: u32 = 4096;

/// The most iterations that Kafka lets a credential have (`ScramMechanism.maxIterations`).
pub const ITERATIONS_MAX: u32 = 16384;

/// The keys of one user for one hash (`ScramCredential` of Kafka).
#[derive(Clone, PartialEq, Eq)]
pub struct ScramCredential {
    pub(super) hash: Hash,
    pub(super) salt: Box<[u8]>,
    pub(super) iterations: u32,
    pub(super) stored_key: Secret,
    pub(super) server_key: Secret,
}

impl ScramCredential {
    /// Takes stored keys. Nothing unless both have the length of the hash, there is a salt, and the
    /// iterations are within Kafka's bounds.
    #[must_use]
    pub fn new(
        hash: Hash,
        salt: &[u8],
        iterations: u32,
        stored_key: Secret,
        server_key: Secret,
    ) -> Option<Self> {
        let keys = [&stored_key, &server_key];
        let holds = !salt.is_empty()
            && (ITERATIONS_MIN..=ITERATIONS_MAX).contains(&iterations)
            && keys
                .into_iter()
                .all(|key| key.expose().len() == hash.bytes());
        holds.then(|| Self {
            hash,
            salt: salt.into(),
            iterations,
            stored_key,
            server_key,
        })
    }

    /// Derives the keys of a password, which takes milliseconds of a processor.
    #[must_use]
    pub fn derive(hash: Hash, password: &Secret, salt: &[u8], iterations: u32) -> Option<Self> {
        let salted = hash.salted_password(password.expose(), salt, iterations);
        let client_key = hash.hmac(&salted, &[b"Client Key"]);
        let stored_key = Secret::new(hash.hash(&client_key));
        let server_key = Secret::new(hash.hmac(&salted, &[b"Server Key"]));
        Self::new(hash, salt, iterations, stored_key, server_key)
    }

    /// What an unknown user gets, so that its exchange looks like that of any other: always the
    /// same salt for the same name, which nobody can compute without the secret, and keys that
    /// belong to no password.
    #[must_use]
    pub fn stand_in(hash: Hash, secret: &Secret, username: &str, iterations: u32) -> Self {
        let derive = |what: &[u8]| {
            let name = username.as_bytes();
            hash.hmac(secret.expose(), &[what, b"\0", name])
        };
        let mut salt = derive(b"salt");
        salt.truncate(SALT_BYTES);
        Self {
            hash,
            salt: salt.into(),
            iterations,
            stored_key: Secret::new(derive(b"stored key")),
            server_key: Secret::new(derive(b"server key")),
        }
    }

    /// Whether that is the password, which takes as long as to derive its keys. This is how a
    /// password of PLAIN is verified.
    #[must_use]
    pub fn is_of(&self, password: &Secret) -> bool {
        let salted = self
            .hash
            .salted_password(password.expose(), &self.salt, self.iterations);
        let client_key = self.hash.hmac(&salted, &[b"Client Key"]);
        let stored_key = self.hash.hash(&client_key);
        bool::from(stored_key.ct_eq(self.stored_key.expose()))
    }

    /// The hash that its keys are of.
    #[must_use]
    pub const fn hash(&self) -> Hash {
        self.hash
    }

    /// Its salt.
    #[must_use]
    pub fn salt(&self) -> &[u8] {
        &self.salt
    }

    /// Its iterations.
    #[must_use]
    pub const fn iterations(&self) -> u32 {
        self.iterations
    }

    /// `StoredKey`, which verifies a client.
    #[must_use]
    pub const fn stored_key(&self) -> &Secret {
        &self.stored_key
    }

    /// `ServerKey`, which proves the server to a client.
    #[must_use]
    pub const fn server_key(&self) -> &Secret {
        &self.server_key
    }
}

/// How long the salt of a new credential is: as that of any other user, or a stand-in would be
/// known by its length.
pub const SALT_BYTES: usize = 16;

impl fmt::Debug for ScramCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramCredential")
            .field("hash", &self.hash)
            .field("iterations", &self.iterations)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_by_its_keys() {
        for hash in [Hash::Sha256, Hash::Sha512] {
            let password = Secret::new(*b"pencil");
            let credential = ScramCredential::derive(hash, &password, b"a salt", 4096).unwrap();
            assert!(credential.is_of(&password));
            assert!(!credential.is_of(&Secret::new(*b"pencils")));
            let printed = format!("{credential:?}");
            assert!(
                !printed.contains("salt") && !printed.contains("key"),
                "{printed}"
            );
        }
    }

    #[test]
    fn keys_that_cannot_be_are_rejected() {
        let key = || Secret::new([7; 32]);
        let new = |salt: &[u8], iterations, one, other| {
            ScramCredential::new(Hash::Sha256, salt, iterations, one, other).is_some()
        };
        assert!(new(b"salt", 4096, key(), key()));
        assert!(!new(b"", 4096, key(), key()));
        assert!(!new(b"salt", 4095, key(), key()));
        assert!(!new(b"salt", 16385, key(), key()));
        assert!(!new(b"salt", 4096, Secret::new([7; 31]), key()));
        assert!(!new(b"salt", 4096, key(), Secret::new([7; 64])));
    }

    #[test]
    fn a_stand_in_is_the_same_each_time_and_another_for_each_name() {
        let secret = Secret::new([1; 32]);
        let of = |name| ScramCredential::stand_in(Hash::Sha256, &secret, name, 4096);
        assert_eq!(of("eve").salt, of("eve").salt);
        assert_ne!(of("eve").salt, of("eva").salt);
        assert_eq!(of("eve").salt.len(), SALT_BYTES);
        let other = Secret::new([2; 32]);
        let elsewhere = ScramCredential::stand_in(Hash::Sha256, &other, "eve", 4096);
        assert_ne!(of("eve").salt, elsewhere.salt);
        assert!(!of("eve").is_of(&Secret::new(*b"eve")));
    }
}
