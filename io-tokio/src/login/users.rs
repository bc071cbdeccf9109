//! The file of users: keys from which each of them is known, and no password.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use doorkeeper_core::sasl::Mechanism;
use doorkeeper_core::sasl::scram::Hash;
use doorkeeper_core::sasl::scram::credential::{
    ITERATIONS_MAX, ITERATIONS_MIN, SALT_BYTES, ScramCredential,
};
use doorkeeper_core::secret::Secret;
use serde::Deserialize;

/// The iterations of a new file: twice the fewest of Kafka.
pub const ITERATIONS: u32 = 8192;

/// How long the secret is that keys of unknown users come from.
const SECRET_BYTES: usize = 32;

/// Longer names belong to nobody.
const NAME_BYTES_MAX: usize = 255;

/// Who may log in by a password.
#[derive(Debug, PartialEq, Eq)]
pub struct Users {
    /// Unknown users get keys that are made of it.
    unknown_user_secret: Secret,
    /// Those of users that are added, and of unknown ones.
    iterations: u32,
    users: BTreeMap<String, UserKeys>,
}

/// The keys of one user.
#[derive(Debug, Default, PartialEq, Eq)]
struct UserKeys {
    sha_256: Option<ScramCredential>,
    sha_512: Option<ScramCredential>,
}

impl UserKeys {
    const fn of(&self, hash: Hash) -> Option<&ScramCredential> {
        match hash {
            Hash::Sha256 => self.sha_256.as_ref(),
            Hash::Sha512 => self.sha_512.as_ref(),
        }
    }
}

/// Why a file of users cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidUsers {
    /// It does not have the shape. What stands there instead is not said: it may be a key.
    #[error(
        "line {line}, column {column}: not what `doorkeeper user` writes (unknown_user_secret, \
         iterations, and users with salt, iterations, stored_key and server_key by mechanism)"
    )]
    Shape {
        /// The line, from 1.
        line: u64,
        /// The column, from 1.
        column: u64,
    },
    /// A value of it makes no sense.
    #[error("{place}: {message}")]
    Value {
        /// The key.
        place: String,
        /// What is wrong.
        message: &'static str,
    },
}

/// The file, as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UsersFile {
    unknown_user_secret: String,
    #[serde(default = "default_iterations")]
    iterations: u32,
    #[serde(default)]
    users: BTreeMap<String, UserEntry>,
}

const fn default_iterations() -> u32 {
    ITERATIONS
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct UserEntry {
    #[serde(rename = "SCRAM-SHA-256")]
    sha_256: Option<KeysEntry>,
    #[serde(rename = "SCRAM-SHA-512")]
    sha_512: Option<KeysEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeysEntry {
    salt: String,
    iterations: u32,
    stored_key: String,
    server_key: String,
}

impl Users {
    /// Nobody yet. The secret must be one that nobody could guess.
    #[must_use]
    pub fn new(unknown_user_secret: &[u8; SECRET_BYTES], iterations: u32) -> Self {
        Self {
            unknown_user_secret: Secret::new(*unknown_user_secret),
            iterations,
            users: BTreeMap::new(),
        }
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn read(text: &str) -> Result<Self, InvalidUsers> {
        let file: UsersFile = serde_saphyr::from_str(text).map_err(|error| {
            let place = error.location();
            InvalidUsers::Shape {
                line: place.map_or(0, |it| it.line()),
                column: place.map_or(0, |it| it.column()),
            }
        })?;
        let invalid = |place: &str, message| InvalidUsers::Value {
            place: place.to_owned(),
            message,
        };
        let secret = BASE64.decode(&file.unknown_user_secret).ok();
        let secret = secret
            .filter(|it| it.len() >= SECRET_BYTES)
            .ok_or_else(|| {
                invalid(
                    "unknown_user_secret",
                    "expected the base64 of 32 bytes or more",
                )
            })?;
        if !is_count(file.iterations) {
            return Err(invalid("iterations", "must be from 4096 to 16384"));
        }
        let mut users = BTreeMap::new();
        for (name, entry) in file.users {
            if !is_name(&name) {
                let message = "a name has 1 to 255 bytes and no control characters";
                return Err(invalid(&format!("users.{name:?}"), message));
            }
            let keys = |hash, entry: Option<KeysEntry>, mechanism| {
                let place = || format!("users.{name:?}.{mechanism}");
                entry.map(|it| it.credential(hash, place)).transpose()
            };
            let keys = UserKeys {
                sha_256: keys(Hash::Sha256, entry.sha_256, "SCRAM-SHA-256")?,
                sha_512: keys(Hash::Sha512, entry.sha_512, "SCRAM-SHA-512")?,
            };
            users.insert(name, keys);
        }
        Ok(Self {
            unknown_user_secret: Secret::new(secret),
            iterations: file.iterations,
            users,
        })
    }

    /// The text of the file.
    #[must_use]
    pub fn write(&self) -> String {
        let mut text = String::from(
            "# Written by `doorkeeper user`. There is no password in it, but whoever has it can \
             guess\n# passwords as fast as his machines allow: let nobody read it.\n",
        );
        let secret = BASE64.encode(self.unknown_user_secret.expose());
        // Writing to a string cannot fail.
        let _ = writeln!(text, "unknown_user_secret: {secret}");
        let _ = writeln!(text, "iterations: {}", self.iterations);
        if !self.users.is_empty() {
            text.push_str("users:\n");
        }
        for (name, keys) in &self.users {
            // JSON is YAML, and has a way to write any name.
            let name = serde_json::Value::from(name.as_str());
            let _ = writeln!(text, "  {name}:");
            for (mechanism, credential) in [
                ("SCRAM-SHA-256", &keys.sha_256),
                ("SCRAM-SHA-512", &keys.sha_512),
            ] {
                if let Some(credential) = credential {
                    let _ = writeln!(text, "    {mechanism}:");
                    let _ = writeln!(text, "      salt: {}", BASE64.encode(credential.salt()));
                    let _ = writeln!(text, "      iterations: {}", credential.iterations());
                    let key = |it: &Secret| BASE64.encode(it.expose());
                    let _ = writeln!(text, "      stored_key: {}", key(credential.stored_key()));
                    let _ = writeln!(text, "      server_key: {}", key(credential.server_key()));
                }
            }
        }
        text
    }

    /// Adds a user, or gives it another password. The salts must be ones that nobody could guess.
    ///
    /// # Errors
    /// Nobody can have such a name.
    pub fn set(
        &mut self,
        name: &str,
        password: &Secret,
        salts: [[u8; SALT_BYTES]; 2],
    ) -> Result<(), InvalidUsers> {
        if !is_name(name) {
            return Err(InvalidUsers::Value {
                place: "name".to_owned(),
                message: "has 1 to 255 bytes and no control characters",
            });
        }
        let [salt_256, salt_512] = salts;
        let derive = |hash, salt: [u8; SALT_BYTES]| {
            ScramCredential::derive(hash, password, &salt, self.iterations)
        };
        let keys = UserKeys {
            sha_256: derive(Hash::Sha256, salt_256),
            sha_512: derive(Hash::Sha512, salt_512),
        };
        self.users.insert(name.to_owned(), keys);
        Ok(())
    }

    /// Whether there was such a user.
    pub fn remove(&mut self, name: &str) -> bool {
        self.users.remove(name).is_some()
    }

    /// All of them, with the mechanisms of their keys.
    pub fn list(&self) -> impl Iterator<Item = (&str, Vec<&'static str>)> {
        self.users.iter().map(|(name, keys)| {
            let mechanisms = [
                ("SCRAM-SHA-256", keys.sha_256.is_some()),
                ("SCRAM-SHA-512", keys.sha_512.is_some()),
            ];
            let mechanisms = mechanisms.into_iter().filter(|(_, has)| *has);
            (
                &**name,
                mechanisms.map(|(mechanism, _)| mechanism).collect(),
            )
        })
    }

    /// The users whose keys look different from those of unknown users, or take another time to
    /// verify a password, so that somebody who tries names can tell that they exist.
    pub fn distinguishable(&self) -> impl Iterator<Item = &str> {
        let is_like_others = |it: &ScramCredential| {
            it.iterations() == self.iterations && it.salt().len() == SALT_BYTES
        };
        self.users.iter().filter_map(move |(name, keys)| {
            let all = [&keys.sha_256, &keys.sha_512];
            let mut all = all.into_iter().map(Option::as_ref);
            (!all.all(|it| it.is_some_and(is_like_others))).then_some(&**name)
        })
    }

    /// The keys of a user for this hash, and whether they are its own: who has none gets a
    /// stand-in.
    #[must_use]
    pub fn keys(&self, name: &str, hash: Hash) -> (ScramCredential, bool) {
        match self.users.get(name).and_then(|it| it.of(hash)) {
            Some(credential) => (credential.clone(), true),
            None => {
                let secret = &self.unknown_user_secret;
                let stand_in = ScramCredential::stand_in(hash, secret, name, self.iterations);
                (stand_in, false)
            }
        }
    }

    /// The user's own keys that a login by this mechanism is verified by.
    pub(super) fn keys_by(&self, name: &str, mechanism: Mechanism) -> Option<&ScramCredential> {
        let keys = self.users.get(name)?;
        match mechanism {
            Mechanism::Plain => keys.sha_256.as_ref().or(keys.sha_512.as_ref()),
            Mechanism::ScramSha256 => keys.sha_256.as_ref(),
            Mechanism::ScramSha512 => keys.sha_512.as_ref(),
            Mechanism::OAuthBearer => None,
        }
    }

    /// The keys by which the password of a user is verified.
    #[must_use]
    pub fn keys_for_password(&self, name: &str) -> (ScramCredential, bool) {
        let user = self.users.get(name);
        let is_known = user.is_some_and(|it| it.sha_256.is_none() && it.sha_512.is_some());
        self.keys(name, if is_known { Hash::Sha512 } else { Hash::Sha256 })
    }
}

impl KeysEntry {
    fn credential(
        &self,
        hash: Hash,
        place: impl Fn() -> String,
    ) -> Result<ScramCredential, InvalidUsers> {
        let invalid = |message| InvalidUsers::Value {
            place: place(),
            message,
        };
        let decode = |text: &str| BASE64.decode(text).ok();
        let all = [&self.salt, &self.stored_key, &self.server_key].map(|it| decode(it));
        let [Some(salt), Some(stored_key), Some(server_key)] = all else {
            return Err(invalid("salt, stored_key and server_key must be base64"));
        };
        if !is_count(self.iterations) {
            return Err(invalid("iterations must be from 4096 to 16384"));
        }
        let (stored_key, server_key) = (Secret::new(stored_key), Secret::new(server_key));
        ScramCredential::new(hash, &salt, self.iterations, stored_key, server_key)
            .ok_or_else(|| invalid("a key has another length than the hash, or there is no salt"))
    }
}

fn is_count(iterations: u32) -> bool {
    (ITERATIONS_MIN..=ITERATIONS_MAX).contains(&iterations)
}

pub(super) fn is_name(name: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users() -> Users {
        let mut users = Users::new(&[5; SECRET_BYTES], ITERATIONS_MIN);
        for name in ["alice", "b: #ob\"", "\u{fc}mit"] {
            let password = Secret::new(name.as_bytes());
            users.set(name, &password, [[1; 16], [2; 16]]).unwrap();
        }
        users
    }

    #[test]
    fn what_is_written_is_read_alike() {
        let written = users().write();
        let read = Users::read(&written).unwrap();
        assert_eq!(read.write(), written);
        for name in ["alice", "b: #ob\"", "\u{fc}mit"] {
            let (keys, is_known) = read.keys(name, Hash::Sha512);
            assert!(is_known && keys.is_of(&Secret::new(name.as_bytes())));
            let (keys, is_known) = read.keys_for_password(name);
            assert!(is_known && keys.is_of(&Secret::new(name.as_bytes())));
        }
        assert!(!written.contains("alice\0") && read.distinguishable().next().is_none());
        let (keys, is_known) = read.keys("eve", Hash::Sha256);
        assert!(!is_known && keys.iterations() == ITERATIONS_MIN);
    }

    #[test]
    fn users_come_and_go() {
        let mut users = users();
        assert!(users.remove("alice") && !users.remove("alice"));
        assert!(!users.keys("alice", Hash::Sha256).1);
        let names: Vec<&str> = users.list().map(|(name, _)| name).collect();
        assert_eq!(names, ["b: #ob\"", "\u{fc}mit"]);
        let secret = Secret::new(*b"x");
        assert!(users.set("", &secret, [[1; 16]; 2]).is_err());
        assert!(users.set("a\nb", &secret, [[1; 16]; 2]).is_err());
    }

    #[test]
    fn keys_that_look_different_are_named() {
        let mut users = users();
        users.users.get_mut("alice").unwrap().sha_256 = None;
        let names: Vec<&str> = users.distinguishable().collect();
        assert_eq!(names, ["alice"]);
        users.iterations = 4097;
        assert_eq!(users.distinguishable().count(), 3);
    }

    #[test]
    fn a_broken_file_is_an_error_with_its_place() {
        let secret = BASE64.encode([5; 32]);
        let key = BASE64.encode([6; 32]);
        let user = |keys: &str| {
            format!("unknown_user_secret: {secret}\nusers:\n  eve:\n    SCRAM-SHA-256: {keys}\n")
        };
        let keys = |salt: &str, iterations: u32, stored: &str| {
            user(&format!(
                "{{ salt: {salt}, iterations: {iterations}, stored_key: {stored}, \
                 server_key: {key} }}"
            ))
        };
        assert!(Users::read(&keys("c2FsdA==", 4096, &key)).is_ok());
        let place = "users.\"eve\".SCRAM-SHA-256: ";
        for (text, expected) in [
            ("users: {}".to_owned(), "line 1, "),
            (
                "unknown_user_secret: c2hvcnQ=".to_owned(),
                "unknown_user_secret: expected",
            ),
            (
                format!("unknown_user_secret: {secret}\niterations: 1"),
                "iterations: must be",
            ),
            (format!("unknown_user_secret: {secret}\nuser: {{}}"), "user"),
            (keys("!", 4096, &key), place),
            (keys("c2FsdA==", 4095, &key), place),
            (keys("c2FsdA==", 4096, "c2hvcnQ="), place),
            (user("{ password: hunter2 }"), "line 4, "),
            (user("hunter2"), "line 4, "),
        ] {
            let error = Users::read(&text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
            assert!(
                !error.contains(&key) && !error.contains("hunter2"),
                "{error}"
            );
        }
    }
}
