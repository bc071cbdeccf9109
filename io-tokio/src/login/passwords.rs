//! Verifies passwords against keys, which takes milliseconds of a processor each: never on a thread
//! that moves bytes, few at a time, and once for each password that is right.
//!
//! How many wait is bounded by how many connections there may be that have not logged in, in all
//! and of one address, because each waits for one at most; they go on in the order in which they
//! came, so that many addresses together can make others wait until their login times out. What is
//! kept of a password that was right is a keyed hash of it together with the keys that it belongs
//! to, so that other keys make it worthless, and no more than one for each keys.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::num::NonZero;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use doorkeeper_core::id::Seed;
use doorkeeper_core::sasl::failure::LoginFailure;
use doorkeeper_core::sasl::scram::credential::ScramCredential;
use doorkeeper_core::secret::Secret;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tokio::sync::Semaphore;

use super::check::Check;

/// Of so many processors one verifies passwords: the rest moves bytes.
const PROCESSORS_FOR_ONE: usize = 4;

/// How many passwords are kept that were right.
const KEPT_MAX: usize = 10_000;

/// Of a password and the keys that it belongs to.
type KeyedHash = [u8; 32];

/// All checks of a process.
#[derive(Clone)]
pub(crate) struct PasswordChecks(Arc<Shared>);

struct Shared {
    /// What hashes are keyed with, which nobody else knows: drawn when it is first needed.
    key: OnceLock<Seed>,
    entropy: Arc<dyn Fn() -> Seed + Send + Sync>,
    permits: Arc<Semaphore>,
    right: Mutex<RightPasswords>,
}

impl fmt::Debug for PasswordChecks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordChecks(..)")
    }
}

/// The last passwords that were right, each with its keys.
#[derive(Default)]
struct RightPasswords {
    all: BTreeSet<KeyedHash>,
    /// The oldest one first.
    order: VecDeque<KeyedHash>,
}

impl RightPasswords {
    fn keep(&mut self, hash: KeyedHash) {
        if !self.all.insert(hash) {
            return;
        }
        self.order.push_back(hash);
        if self.all.len() > KEPT_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.all.remove(&oldest);
        }
    }
}

impl PasswordChecks {
    /// With entropy for what nobody may guess.
    pub(crate) fn new(entropy: Arc<dyn Fn() -> Seed + Send + Sync>) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self(Arc::new(Shared {
            key: OnceLock::new(),
            entropy,
            permits: Arc::new(Semaphore::new((processors / PROCESSORS_FOR_ONE).max(1))),
            right: Mutex::default(),
        }))
    }

    /// Whether that is the password of the user whose keys these are, or of nobody, where they are
    /// a stand-in: that takes as long. The decision where it is known already, else what to wait
    /// for.
    pub(super) fn check(
        &self,
        user: Option<&str>,
        credential: ScramCredential,
        password: Secret,
    ) -> Result<Result<(), LoginFailure>, Check<()>> {
        let hash = self.0.hash(&credential, &password);
        let is_known = user.is_some();
        if is_known && self.0.right().all.contains(&hash) {
            return Ok(Ok(()));
        }
        let shared = Arc::clone(&self.0);
        Err(Check::spawn(async move {
            let permit = Arc::clone(&shared.permits).acquire_owned().await;
            let permit = permit.map_err(|_| LoginFailure::VerifierUnavailable)?;
            let computed = tokio::task::spawn_blocking(move || {
                let is_right = credential.is_of(&password);
                drop(permit);
                is_right
            });
            let is_right = computed.await;
            match (is_right, is_known) {
                (Ok(true), true) => {
                    shared.right().keep(hash);
                    Ok(())
                }
                (Ok(_), false) => Err(LoginFailure::UnknownUser),
                (Ok(false), true) => Err(LoginFailure::WrongPassword),
                (Err(_), _) => Err(LoginFailure::VerifierUnavailable),
            }
        }))
    }
}

impl Shared {
    fn hash(&self, credential: &ScramCredential, password: &Secret) -> KeyedHash {
        // A key of any length will do.
        let Seed(key) = self.key.get_or_init(|| (self.entropy)());
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
            return KeyedHash::default();
        };
        // The keys have the same length for each hash, and their salt is random.
        mac.update(credential.stored_key().expose());
        mac.update(password.expose());
        mac.finalize().into_bytes().into()
    }

    fn right(&self) -> MutexGuard<'_, RightPasswords> {
        // Nothing that a panic could leave half done is behind this lock.
        self.right.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use doorkeeper_core::sasl::scram::Hash;

    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.as_bytes())
    }

    fn credential(password: &str) -> ScramCredential {
        ScramCredential::derive(Hash::Sha256, &secret(password), b"salt", 4096).unwrap()
    }

    async fn check(
        checks: &PasswordChecks,
        user: Option<&str>,
        credential: &ScramCredential,
        password: &str,
    ) -> (bool, Result<(), LoginFailure>) {
        match checks.check(user, credential.clone(), secret(password)) {
            Ok(decision) => (true, decision),
            Err(check) => (false, check.await),
        }
    }

    #[tokio::test]
    async fn a_password_that_is_right_is_computed_once() {
        let checks = PasswordChecks::new(Arc::new(|| Seed([3; 32])));
        let keys = credential("right");
        let alice = Some("alice");
        assert_eq!(check(&checks, alice, &keys, "right").await, (false, Ok(())));
        assert_eq!(check(&checks, alice, &keys, "right").await, (true, Ok(())));
        let wrong = Err(LoginFailure::WrongPassword);
        assert_eq!(check(&checks, alice, &keys, "wrong").await, (false, wrong));
        // Other keys, other password.
        let keys = credential("new");
        assert_eq!(check(&checks, alice, &keys, "right").await, (false, wrong));
        assert_eq!(check(&checks, alice, &keys, "new").await, (false, Ok(())));
    }

    /// Two listeners may have files of their own.
    #[tokio::test]
    async fn users_of_the_same_name_are_kept_apart() {
        let checks = PasswordChecks::new(Arc::new(|| Seed([3; 32])));
        let (one, other) = (credential("one"), credential("other"));
        let alice = Some("alice");
        for is_kept in [false, true] {
            assert_eq!(check(&checks, alice, &one, "one").await, (is_kept, Ok(())));
            assert_eq!(
                check(&checks, alice, &other, "other").await,
                (is_kept, Ok(()))
            );
        }
    }

    #[tokio::test]
    async fn keys_of_nobody_let_nobody_in() {
        let checks = PasswordChecks::new(Arc::new(|| Seed([3; 32])));
        let keys = credential("right");
        let unknown = (false, Err(LoginFailure::UnknownUser));
        assert_eq!(check(&checks, None, &keys, "right").await, unknown);
        assert_eq!(check(&checks, None, &keys, "right").await, unknown);
    }

    #[test]
    fn so_many_are_kept_and_the_oldest_goes() {
        let mut right = RightPasswords::default();
        let hash = |number: usize| {
            let mut hash = KeyedHash::default();
            hash[..8].copy_from_slice(&number.to_be_bytes());
            hash
        };
        for number in 0..=KEPT_MAX {
            right.keep(hash(number));
            right.keep(hash(1));
        }
        assert_eq!((right.all.len(), right.order.len()), (KEPT_MAX, KEPT_MAX));
        assert!(!right.all.contains(&hash(0)) && right.all.contains(&hash(1)));
    }
}
