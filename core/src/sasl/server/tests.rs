//! Exchanges between a client and a server, honest and not.

use proptest::prelude::*;

use super::*;
use crate::sasl::failure::BrokerLoginFailure;
use crate::sasl::scram::client::ScramClient;

const CLIENT_NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
const SERVER_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";

fn exchange(mechanism: Mechanism) -> ServerExchange {
    ServerExchange::new(mechanism, SERVER_NONCE.to_owned())
}

fn keys(hash: Hash, password: &str) -> Found {
    let password = Secret::new(password.as_bytes());
    Found::Keys {
        credential: ScramCredential::derive(hash, &password, b"a salt of 16 byt", 4096).unwrap(),
        is_known: true,
    }
}

fn challenge(step: Step) -> Bytes {
    match step {
        Step::Challenge(token) => token,
        Step::Look(_) | Step::Success(_) | Step::Failure(_) => panic!("{step:?}"),
    }
}

fn success(step: Step) -> Success {
    match step {
        Step::Success(success) => success,
        Step::Look(_) | Step::Challenge(_) | Step::Failure(_) => panic!("{step:?}"),
    }
}

fn failure(step: Step) -> LoginFailure {
    match step {
        Step::Failure(why) => why,
        Step::Look(_) | Step::Challenge(_) | Step::Success(_) => panic!("{step:?}"),
    }
}

/// An exchange that has challenged a client whose first message this is.
fn challenged(first: &[u8]) -> ServerExchange {
    let mut exchange = exchange(Mechanism::ScramSha256);
    let step = exchange.token(first);
    assert!(matches!(&step, Step::Look(Query::Keys { .. })), "{step:?}");
    challenge(exchange.found(keys(Hash::Sha256, "pencil")));
    exchange
}

/// RFC 7677, section 3.
#[test]
fn the_example_of_the_rfc_is_spoken() {
    let mut exchange = exchange(Mechanism::ScramSha256);
    match exchange.token(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO") {
        Step::Look(Query::Keys { username, hash }) => {
            assert_eq!((&*username, hash), ("user", Hash::Sha256));
        }
        step @ (Step::Challenge(_) | Step::Look(_) | Step::Success(_) | Step::Failure(_)) => {
            panic!("{step:?}")
        }
    }
    // The base64 of the salt is W22ZaJ0SNY7soEsUEjb6gQ==.
    let salt = [
        0x5b, 0x6d, 0x99, 0x68, 0x9d, 0x12, 0x35, 0x8e, 0xec, 0xa0, 0x4b, 0x14, 0x12, 0x36, 0xfa,
        0x81,
    ];
    let password = Secret::new(*b"pencil");
    let credential = ScramCredential::derive(Hash::Sha256, &password, &salt, 4096).unwrap();
    let text = challenge(exchange.found(Found::Keys {
        credential,
        is_known: true,
    }));
    let expected = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
        s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    assert_eq!(text, expected);
    let last = b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
        p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    let success = success(exchange.token(last));
    assert_eq!(
        success.token,
        "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    );
    assert_eq!(success.name, "user");
}

/// What both sides make of a login.
fn log_in(
    hash: Hash,
    user: &str,
    typed: &str,
    kept: &str,
) -> (Step, Result<(), BrokerLoginFailure>) {
    let mechanism = Mechanism::ALL
        .into_iter()
        .find(|it| it.scram_hash() == Some(hash))
        .unwrap();
    let mut exchange = exchange(mechanism);
    let typed = Secret::new(typed.as_bytes());
    let (client, first) = ScramClient::begin(hash, user, CLIENT_NONCE);
    assert!(matches!(exchange.token(&first), Step::Look(_)));
    let text = challenge(exchange.found(keys(hash, kept)));
    let challenged = client.challenged(&text).unwrap();
    let (proved, last) = challenged.prove(&challenged.derive(&typed));
    let step = exchange.token(&last);
    let verified = match &step {
        Step::Success(success) => proved.verify(&success.token),
        Step::Challenge(_) | Step::Look(_) | Step::Failure(_) => Err(BrokerLoginFailure::Rejected),
    };
    (step, verified)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_client_of_ours_logs_in_to_a_server_of_ours(
        user in "[^\\x00]{1,12}",
        password in "[^\\x00]{1,12}",
        is_long in any::<bool>(),
    ) {
        let hash = if is_long { Hash::Sha512 } else { Hash::Sha256 };
        let (step, verified) = log_in(hash, &user, &password, &password);
        prop_assert_eq!(success(step).name, user);
        prop_assert_eq!(verified, Ok(()));
    }

    #[test]
    fn another_password_does_not_log_in(password in "[a-z]{1,6}", other in "[a-z]{1,6}") {
        prop_assume!(password != other);
        let (step, _) = log_in(Hash::Sha256, "user", &other, &password);
        prop_assert_eq!(failure(step), LoginFailure::WrongPassword);
    }
}

#[test]
fn a_first_message_that_asks_for_more_than_a_login_fails() {
    let cases = [
        ("y,,n=user,r=abc", LoginFailure::ChannelBinding),
        (
            "p=tls-server-end-point,,n=user,r=abc",
            LoginFailure::ChannelBinding,
        ),
        ("n,a=admin,n=user,r=abc", LoginFailure::AuthorizationId),
        ("n,,m=x,n=user,r=abc", LoginFailure::UnsupportedExtension),
        (
            "n,,n=id,r=abc,tokenauth=true",
            LoginFailure::DelegationToken,
        ),
        (
            "n,,n=id,r=abc,tokenauth=TRUE",
            LoginFailure::DelegationToken,
        ),
        ("", LoginFailure::MalformedToken),
        ("n,n=user,r=abc", LoginFailure::MalformedToken),
        ("n,,n=,r=abc", LoginFailure::MalformedToken),
        ("n,,n=a=b,r=abc", LoginFailure::MalformedToken),
        ("n,,n=user,r=", LoginFailure::MalformedToken),
        ("n,,n=user,r=a b", LoginFailure::MalformedToken),
        ("n,,n=user,r=abc,", LoginFailure::MalformedToken),
        ("n,,r=abc,n=user", LoginFailure::MalformedToken),
        ("q,,n=user,r=abc", LoginFailure::MalformedToken),
    ];
    for (first, why) in cases {
        let step = exchange(Mechanism::ScramSha256).token(first.as_bytes());
        assert_eq!(failure(step), why, "{first}");
    }
    let not_utf8 = b"n,,n=\xff,r=abc";
    let step = exchange(Mechanism::ScramSha256).token(not_utf8);
    assert_eq!(failure(step), LoginFailure::MalformedToken);
}

#[test]
fn a_name_with_a_comma_is_one_name() {
    for (written, name) in [("a=2Cb", "a,b"), ("a=3Db", "a=b"), ("=3D2C", "=2C")] {
        let first = format!("n,a={written},n={written},r=abc");
        match exchange(Mechanism::ScramSha512).token(first.as_bytes()) {
            Step::Look(Query::Keys { username, hash }) => {
                assert_eq!((&*username, hash), (name, Hash::Sha512));
            }
            step @ (Step::Challenge(_) | Step::Look(_) | Step::Success(_) | Step::Failure(_)) => {
                panic!("{step:?}")
            }
        }
    }
}

#[test]
fn a_last_message_that_does_not_belong_to_the_exchange_fails() {
    let first = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    let nonce = [CLIENT_NONCE, SERVER_NONCE].concat();
    let proof = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    let cases = [
        // A proof for another salt.
        (
            format!("c=biws,r={nonce},p={proof}"),
            LoginFailure::WrongPassword,
        ),
        // "y,," and "p=x,," in the place of "n,,".
        (
            format!("c=eSws,r={nonce},p={proof}"),
            LoginFailure::ChannelBinding,
        ),
        (
            format!("c=cD14LCw=,r={nonce},p={proof}"),
            LoginFailure::ChannelBinding,
        ),
        // The nonce of another exchange, as in a message that is replayed.
        (
            format!("c=biws,r={CLIENT_NONCE}x,p={proof}"),
            LoginFailure::MalformedToken,
        ),
        (
            format!("c=biws,r={nonce},p=AAAA"),
            LoginFailure::MalformedToken,
        ),
        (format!("c=biws,r={nonce},p="), LoginFailure::MalformedToken),
        (format!("c=biws,r={nonce}"), LoginFailure::MalformedToken),
        (
            format!("r={nonce},c=biws,p={proof}"),
            LoginFailure::MalformedToken,
        ),
        (
            format!("c=biws,r={nonce},p={proof},x=y"),
            LoginFailure::MalformedToken,
        ),
        // A client's first message in the middle of an exchange.
        ("n,,n=user,r=abc".to_owned(), LoginFailure::MalformedToken),
        (String::new(), LoginFailure::MalformedToken),
    ];
    for (last, why) in cases {
        let step = challenged(first).token(last.as_bytes());
        assert_eq!(failure(step), why, "{last}");
    }
}

/// As librdkafka 2.0.2 says it, which brokers of 3.9 accept; nothing else may stand in front.
#[test]
fn a_nonce_may_be_repeated_in_front_of_the_nonce() {
    let password = Secret::new(*b"pencil");
    let (client, first) = ScramClient::begin(Hash::Sha256, "user", CLIENT_NONCE);
    let with = |in_front: &str| {
        let mut exchange = exchange(Mechanism::ScramSha256);
        assert!(matches!(exchange.token(&first), Step::Look(_)));
        let text = challenge(exchange.found(keys(Hash::Sha256, "pencil")));
        let text = String::from_utf8(text.to_vec()).unwrap();
        exchange.token(&client.prove_repeating(&password, &text, in_front))
    };
    assert_eq!(success(with(CLIENT_NONCE)).name, "user");
    for in_front in ["x", "rOprNGfwEbeRWgbNEkq", "rOprNGfwEbeRWgbNEkqOO"] {
        assert_eq!(failure(with(in_front)), LoginFailure::MalformedToken);
    }
}

#[test]
fn nothing_follows_a_decision() {
    let mut exchange = challenged(b"n,,n=user,r=abc");
    assert_eq!(failure(exchange.token(b"")), LoginFailure::MalformedToken);
    for token in [&b"n,,n=user,r=abc"[..], b"c=biws"] {
        assert_eq!(failure(exchange.token(token)), LoginFailure::MalformedToken);
    }
    let late = exchange.found(keys(Hash::Sha256, "pencil"));
    assert_eq!(failure(late), LoginFailure::VerifierUnavailable);
}

/// An unknown user gets a challenge of the same shape, and fails where a wrong password does.
#[test]
fn an_unknown_user_looks_like_any_other() {
    let secret = Secret::new([9; 32]);
    let run = |found: Found| {
        let mut exchange = exchange(Mechanism::ScramSha256);
        let password = Secret::new(*b"guess");
        let (client, first) = ScramClient::begin(Hash::Sha256, "eve", CLIENT_NONCE);
        assert!(matches!(exchange.token(&first), Step::Look(_)));
        let text = challenge(exchange.found(found));
        let challenged = client.challenged(&text).unwrap();
        let (_, last) = challenged.prove(&challenged.derive(&password));
        (text.len(), failure(exchange.token(&last)))
    };
    let stand_in = Found::Keys {
        credential: ScramCredential::stand_in(Hash::Sha256, &secret, "eve", 4096),
        is_known: false,
    };
    let (unknown_len, unknown) = run(stand_in);
    let (known_len, known) = run(keys(Hash::Sha256, "pencil"));
    assert_eq!(unknown_len, known_len);
    assert_eq!(unknown, LoginFailure::UnknownUser);
    assert_eq!(known, LoginFailure::WrongPassword);
}

#[test]
fn keys_of_another_hash_are_no_keys() {
    let mut exchange = exchange(Mechanism::ScramSha512);
    assert!(matches!(exchange.token(b"n,,n=user,r=abc"), Step::Look(_)));
    let step = exchange.found(keys(Hash::Sha256, "pencil"));
    assert_eq!(failure(step), LoginFailure::VerifierUnavailable);
}

#[test]
fn plain_acts_as_the_user_whose_password_is_right() {
    let log_in = |token: &[u8], decision| {
        let mut exchange = exchange(Mechanism::Plain);
        match exchange.token(token) {
            Step::Look(Query::Password { username, password }) => {
                assert_eq!((&*username, password.expose()), ("tim", &b"secret"[..]));
                exchange.found(Found::Password(decision))
            }
            step @ (Step::Challenge(_) | Step::Look(_) | Step::Success(_) | Step::Failure(_)) => {
                panic!("{step:?}")
            }
        }
    };
    for token in [&b"\0tim\0secret"[..], b"tim\0tim\0secret"] {
        let success = success(log_in(token, Ok(())));
        assert_eq!((&*success.name, &*success.token), ("tim", &b""[..]));
    }
    let step = log_in(b"admin\0tim\0secret", Ok(()));
    assert_eq!(failure(step), LoginFailure::AuthorizationId);
    // The password decides first, so that nobody learns of a name what it may act as.
    let step = log_in(b"admin\0tim\0secret", Err(LoginFailure::WrongPassword));
    assert_eq!(failure(step), LoginFailure::WrongPassword);
}

#[test]
fn a_token_that_does_not_hold_ends_with_one_more_round() {
    let first = b"n,,\x01auth=Bearer abc\x01\x01";
    let rejected = |why| {
        let mut exchange = exchange(Mechanism::OAuthBearer);
        assert!(matches!(
            exchange.token(first),
            Step::Look(Query::Token { .. })
        ));
        let text = challenge(exchange.found(Found::Token(Err(why))));
        assert_eq!(text, r#"{"status":"invalid_token"}"#);
        exchange
    };
    // Whatever was wrong, the client is told the same.
    for why in LoginFailure::ALL {
        assert_eq!(failure(rejected(*why).token(b"\x01")), *why);
    }
    // Kafka would take another token here, and another.
    let mut another = rejected(LoginFailure::TokenExpired);
    assert_eq!(failure(another.token(first)), LoginFailure::MalformedToken);

    let mut exchange = exchange(Mechanism::OAuthBearer);
    assert!(matches!(exchange.token(first), Step::Look(_)));
    let lifetime = Some(Duration::from_secs(9));
    let holder = TokenHolder {
        name: "alice".to_owned(),
        lifetime,
    };
    let success = success(exchange.found(Found::Token(Ok(holder))));
    assert_eq!((&*success.name, &*success.token), ("alice", &b""[..]));
    assert_eq!(success.lifetime, lifetime);
}

#[test]
fn a_verifier_without_an_answer_lets_nobody_in() {
    for (mechanism, first) in [
        (Mechanism::Plain, &b"\0tim\0secret"[..]),
        (Mechanism::ScramSha256, b"n,,n=user,r=abc"),
        (Mechanism::OAuthBearer, b"n,,\x01auth=Bearer abc\x01\x01"),
    ] {
        let mut exchange = exchange(mechanism);
        assert!(matches!(exchange.token(first), Step::Look(_)));
        let step = exchange.found(Found::Nothing(LoginFailure::VerifierUnavailable));
        assert_eq!(failure(step), LoginFailure::VerifierUnavailable);
    }
}
