//! Whose a token is, and for how many reasons it is nobody's.

use std::time::UNIX_EPOCH;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use aws_lc_rs::{hmac, signature};
use serde_json::Map;

use self::issuer::{Issuer, encoded, jwks};
use super::algorithm::Algorithm;
use super::jwks::InvalidJwks;
use super::jwt::{Jwt, part};
use super::*;

#[path = "../../../tests/support/issuer.rs"]
mod issuer;

const NOW: u64 = 1_700_000_000;

/// The modulus of RFC 7515, appendix A.2.1.
const RFC_N: &str = "\
    ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0B\
    m4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5\
    z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7\
    aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
/// The point of A.3.1.
const RFC_X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
const RFC_Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
/// Of A.2, A.3, A.5 and others: `{"iss":"joe", "exp":1300819380, ..}`.
const RFC_CLAIMS: &str = "\
    eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cn\
    VlfQ";
const RFC_EXPIRES: u64 = 1_300_819_380;
const RFC_RS256: &str = "\
    cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2F\
    p5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQB\
    MHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeY\
    I2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
const RFC_ES256: &str =
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

fn rfc_rsa() -> String {
    format!(r#"{{"keys":[{{"kty":"RSA","e":"AQAB","n":"{RFC_N}"}}]}}"#)
}

fn rfc_ec() -> String {
    format!(r#"{{"keys":[{{"kty":"EC","crv":"P-256","x":"{RFC_X}","y":"{RFC_Y}"}}]}}"#)
}

fn rules() -> TokenRules {
    TokenRules {
        issuer: Some("joe".to_owned()),
        audience: vec!["kafka".to_owned(), "doorkeeper".to_owned()],
        algorithms: Algorithm::ALL.to_vec(),
        principal_claim: "sub".to_owned(),
        scope_claim: "scope".to_owned(),
        scopes: Vec::new(),
        clock_skew: Duration::from_secs(30),
        token_bytes_max: 4096,
        token_lifetime_max: None,
    }
}

/// Those of the examples of the RFC, which have no more than an issuer.
fn rfc_rules() -> TokenRules {
    TokenRules {
        audience: Vec::new(),
        principal_claim: "iss".to_owned(),
        clock_skew: Duration::ZERO,
        ..rules()
    }
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn keys(text: &str) -> Jwks {
    Jwks::read(text.as_bytes()).unwrap()
}

/// What a token with these claims is worth.
fn holder(rules: &TokenRules, claims: &str) -> Result<TokenHolder, LoginFailure> {
    let issuer = Issuer::new("a");
    let token = issuer.token(claims);
    rules.holder(&keys(&jwks(&[&issuer])), token.as_bytes(), at(NOW))
}

fn failure(rules: &TokenRules, claims: &str) -> LoginFailure {
    holder(rules, claims).unwrap_err()
}

/// Claims that hold at [`NOW`], and others.
fn claims(others: &str) -> String {
    let expires = NOW + 60;
    format!(r#"{{"sub":"alice","iss":"joe","aud":"kafka","exp":{expires}{others}}}"#)
}

#[test]
fn the_examples_of_the_rfc_are_verified() {
    for (header, signature, set) in [
        (r#"{"alg":"RS256"}"#, RFC_RS256, rfc_rsa()),
        (r#"{"alg":"ES256"}"#, RFC_ES256, rfc_ec()),
    ] {
        let signed = format!("{}.{RFC_CLAIMS}", encoded(header.as_bytes()));
        let set = keys(&set);
        let holder = |signature: &str, now| {
            let token = format!("{signed}.{signature}");
            rfc_rules().holder(&set, token.as_bytes(), at(now))
        };
        let joe = holder(signature, RFC_EXPIRES - 9).unwrap();
        assert_eq!(
            (&*joe.name, joe.lifetime),
            ("joe", Some(Duration::from_secs(9)))
        );
        let expired = holder(signature, RFC_EXPIRES);
        assert_eq!(expired, Err(LoginFailure::TokenExpired));
        let wrong = LoginFailure::TokenSignature;
        for other in ["", &signature[2..], &signature.replacen('E', "F", 1)] {
            assert_eq!(holder(other, RFC_EXPIRES - 9), Err(wrong), "{other}");
        }
    }
}

/// RFC 8037, appendix A.4: its payload is no JSON.
#[test]
fn the_example_of_ed25519_is_verified() {
    let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    let set = keys(&format!(
        r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}]}}"#
    ));
    let signed = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature =
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    let token = |signed| Jwt {
        algorithm: Algorithm::EdDsa,
        key_id: None,
        claims: Map::new(),
        signed,
        signature: part(signature).unwrap(),
    };
    assert_eq!(set.verify(&token(signed.as_bytes())), Ok(()));
    let wrong = Err(LoginFailure::TokenSignature);
    assert_eq!(set.verify(&token(&signed.as_bytes()[1..])), wrong);
}

#[test]
fn a_token_that_is_unsigned_or_signed_by_a_shared_key_is_refused() {
    let text = rfc_rsa();
    let set = keys(&text);
    let n = part(RFC_N).unwrap();
    for name in [
        "none", "None", "NONE", "nOnE", "", "HS256", "HS384", "HS512", "rs256",
    ] {
        let header = encoded(format!(r#"{{"alg":"{name}"}}"#).as_bytes());
        let signed = format!("{header}.{RFC_CLAIMS}");
        // Signed with what everybody knows: the text of the keys, and the modulus.
        let secrets = [text.as_bytes(), &n];
        let signatures = secrets.map(|secret| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
            encoded(hmac::sign(&key, signed.as_bytes()).as_ref())
        });
        for signature in [&signatures[0], &signatures[1], ""] {
            let token = format!("{signed}.{signature}");
            let holder = rfc_rules().holder(&set, token.as_bytes(), at(RFC_EXPIRES - 9));
            assert_eq!(holder, Err(LoginFailure::TokenAlgorithm), "{name}");
        }
    }
}

#[test]
fn an_algorithm_that_is_not_allowed_is_refused() {
    let rules = TokenRules {
        algorithms: vec![Algorithm::Rs256],
        ..rules()
    };
    assert_eq!(failure(&rules, &claims("")), LoginFailure::TokenAlgorithm);
}

#[test]
fn a_token_holds_until_it_expires() {
    let alice = holder(&rules(), &claims("")).unwrap();
    assert_eq!(&*alice.name, "alice");
    assert_eq!(alice.lifetime, Some(Duration::from_secs(60)));
    let says = |others: &str| {
        holder(
            &rules(),
            &format!(r#"{{"sub":"a","iss":"joe","aud":"kafka"{others}}}"#),
        )
    };
    // Seconds may have a fraction. Within the skew of clocks it holds for a moment.
    let half = says(r#","exp":1700000000.5"#).unwrap().lifetime;
    assert_eq!(half, Some(Duration::from_secs(1)));
    assert!(says(r#","exp":1699999971"#).is_ok());
    for (others, why) in [
        (r#","exp":1699999970"#, LoginFailure::TokenExpired),
        (r#","exp":0"#, LoginFailure::TokenExpired),
        ("", LoginFailure::TokenMalformed),
        (r#","exp":-1"#, LoginFailure::TokenMalformed),
        (r#","exp":"1800000000""#, LoginFailure::TokenMalformed),
        (r#","exp":null"#, LoginFailure::TokenMalformed),
        (r#","exp":1e400"#, LoginFailure::TokenMalformed),
        (r#","exp":1e30"#, LoginFailure::TokenMalformed),
    ] {
        assert_eq!(says(others), Err(why), "{others}");
    }
}

#[test]
fn a_token_does_not_hold_before_its_time() {
    let rules = rules();
    for others in [
        r#","nbf":1700000030"#,
        r#","iat":1700000030"#,
        r#","nbf":0"#,
    ] {
        assert!(holder(&rules, &claims(others)).is_ok(), "{others}");
    }
    for others in [r#","nbf":1700000031"#, r#","iat":1700000031"#] {
        let why = failure(&rules, &claims(others));
        assert_eq!(why, LoginFailure::TokenNotYetValid, "{others}");
    }
    let why = failure(&rules, &claims(r#","nbf":"1""#));
    assert_eq!(why, LoginFailure::TokenMalformed);
}

#[test]
fn a_token_may_not_be_issued_for_too_long() {
    let rules = TokenRules {
        token_lifetime_max: Some(Duration::from_secs(60)),
        ..rules()
    };
    for others in ["", r#","iat":1700000000"#] {
        assert!(holder(&rules, &claims(others)).is_ok(), "{others}");
    }
    let why = failure(&rules, &claims(r#","iat":1699999999"#));
    assert_eq!(why, LoginFailure::TokenLifetime);
}

#[test]
fn a_token_of_another_issuer_or_for_another_audience_is_refused() {
    let says = |text: &str| format!(r#"{{"sub":"alice","exp":1700000060,{text}}}"#);
    for text in [
        r#""aud":"kafka""#,
        r#""iss":"jo","aud":"kafka""#,
        r#""iss":"joe/","aud":"kafka""#,
        r#""iss":["joe"],"aud":"kafka""#,
    ] {
        let why = failure(&rules(), &says(text));
        assert_eq!(why, LoginFailure::TokenIssuer, "{text}");
    }
    for text in [
        r#""iss":"joe""#,
        r#""iss":"joe","aud":"Kafka""#,
        r#""iss":"joe","aud":[]"#,
        r#""iss":"joe","aud":"kafka other""#,
        r#""iss":"joe","aud":["kafka",1]"#,
        r#""iss":"joe","aud":{"kafka":1}"#,
    ] {
        let why = failure(&rules(), &says(text));
        assert_eq!(why, LoginFailure::TokenAudience, "{text}");
    }
    let text = r#""iss":"joe","aud":["other","doorkeeper"]"#;
    assert!(holder(&rules(), &says(text)).is_ok());
    let anybodys = TokenRules {
        issuer: None,
        audience: Vec::new(),
        ..rules()
    };
    assert!(holder(&anybodys, &says(r#""x":1"#)).is_ok());
}

#[test]
fn a_token_has_all_scopes() {
    let rules = TokenRules {
        scopes: vec!["read".to_owned(), "write".to_owned()],
        ..rules()
    };
    for others in [
        r#","scope":"write other read""#,
        r#","scope":["read","write"]"#,
    ] {
        assert!(holder(&rules, &claims(others)).is_ok(), "{others}");
    }
    for others in [
        "",
        r#","scope":"read""#,
        r#","scope":"read writes""#,
        r#","scope":["read"]"#,
        r#","scope":["read","write",1]"#,
        r#","scope":7"#,
    ] {
        let why = failure(&rules, &claims(others));
        assert_eq!(why, LoginFailure::TokenScope, "{others}");
    }
}

#[test]
fn a_token_says_whose_it_is() {
    let rules = TokenRules {
        principal_claim: "azp".to_owned(),
        ..rules()
    };
    let named = holder(&rules, &claims(r#","azp":"M\u00fcller""#)).unwrap();
    assert_eq!(named.name, "M\u{fc}ller");
    let long = format!(r#","azp":"{:256}""#, "x");
    for others in ["", r#","azp":"""#, r#","azp":1"#, r#","azp":"a\nb""#, &long] {
        let why = failure(&rules, &claims(others));
        assert_eq!(why, LoginFailure::TokenPrincipal, "{others}");
    }
}

#[test]
fn what_is_no_token_is_malformed() {
    let issuer = Issuer::new("a");
    let set = keys(&jwks(&[&issuer]));
    let holder = |token: &str| rules().holder(&set, token.as_bytes(), at(NOW));
    let good = issuer.token(&claims(""));
    assert!(holder(&good).is_ok());
    let [header, body, signature] = good.split('.').collect::<Vec<_>>()[..] else {
        panic!("{good}");
    };
    for token in [
        String::new(),
        "..".to_owned(),
        header.to_owned(),
        format!("{header}.{body}"),
        format!("{header}.{body}.{signature}."),
        format!("{good}.{signature}"),
        format!("{header}=.{body}.{signature}"),
        format!("{header}.{body}.{signature}=="),
        format!("{header}.{body}.{signature}+"),
        format!("{header}. {body}.{signature}"),
        format!("{header}..{signature}"),
        format!("{}.{body}.{signature}", encoded(b"[]")),
        format!("{}.{body}.{signature}", encoded(b"{}")),
        issuer.signed(r#"{"alg":1}"#, &claims("")),
        issuer.signed(r#"{"alg":"ES256","kid":1}"#, &claims("")),
        issuer.signed(r#"{"alg":"ES256","crit":["exp"],"exp":1}"#, &claims("")),
        issuer.signed(r#"{"alg":"ES256","crit":[]}"#, &claims("")),
        issuer.signed(r#"{"alg":"ES256","b64":false}"#, &claims("")),
        issuer.signed(r#"{"alg":"ES256","zip":"DEF"}"#, &claims("")),
        issuer.signed(r#"{"alg":"ES256","alg":"ES256"}"#, &claims("")),
        issuer.signed(r#"{"alg":"none","alg":"ES256"}"#, &claims("")),
        issuer.token(&claims(r#","sub":"bob""#)),
        issuer.token(&claims(r#","x":{"y":1,"y":1}"#)),
        issuer.token("[]"),
        issuer.token(""),
        issuer.token("{} {}"),
    ] {
        assert_eq!(holder(&token), Err(LoginFailure::TokenMalformed), "{token}");
    }
    let long = issuer.token(&claims(&format!(r#","x":"{:4096}""#, "")));
    assert_eq!(holder(&long), Err(LoginFailure::TokenTooLong));
}

#[test]
fn the_key_is_the_one_that_the_token_names() {
    let (a, b) = (Issuer::new("a"), Issuer::new("b"));
    let eve = Issuer::new("a");
    let both = keys(&jwks(&[&a, &b]));
    let only = keys(&jwks(&[&a]));
    let unnamed = r#"{"alg":"ES256"}"#;
    let holder =
        |set: &Jwks, token: String| rules().holder(set, token.as_bytes(), at(NOW)).map(|_| ());
    assert_eq!(holder(&both, b.token(&claims(""))), Ok(()));
    let unknown = Err(LoginFailure::TokenUnknownKey);
    assert_eq!(holder(&only, b.token(&claims(""))), unknown);
    let wrong = Err(LoginFailure::TokenSignature);
    assert_eq!(holder(&both, eve.token(&claims(""))), wrong);
    // Without a name it is the only one there is.
    assert_eq!(holder(&only, a.signed(unnamed, &claims(""))), Ok(()));
    assert_eq!(holder(&both, a.signed(unnamed, &claims(""))), unknown);
    // A key that comes with a token is nobody's.
    let header = format!(
        r#"{{"alg":"ES256","kid":"a","typ":"at+jwt","jwk":{},"jku":"https://evil"}}"#,
        eve.jwk()
    );
    assert_eq!(holder(&both, eve.signed(&header, &claims(""))), wrong);
    assert_eq!(holder(&both, a.signed(&header, &claims(""))), Ok(()));
}

#[test]
fn a_key_is_for_what_it_says() {
    let issuer = Issuer::new("a");
    let jwk = issuer.jwk();
    let token = issuer.token(&claims(""));
    let other = Issuer::new("other").jwk();
    let holder = |jwk: &str| {
        let set = keys(&format!(r#"{{"keys":[{jwk},{other}]}}"#));
        rules().holder(&set, token.as_bytes(), at(NOW)).map(|_| ())
    };
    for (said, instead) in [
        (r#""use":"sig""#, r#""use":"sig","alg":"ES256""#),
        (r#""use":"sig","#, ""),
        (r#""use":"sig""#, r#""key_ops":["verify"]"#),
    ] {
        assert_eq!(holder(&jwk.replace(said, instead)), Ok(()), "{instead}");
    }
    for (said, instead) in [
        (r#""use":"sig""#, r#""use":"enc""#),
        (r#""use":"sig""#, r#""use":"sig","alg":"ES384""#),
        (r#""use":"sig""#, r#""use":"sig","alg":"HS256""#),
        (r#""use":"sig""#, r#""use":"sig","alg":1"#),
        (r#""use":"sig""#, r#""key_ops":["encrypt"]"#),
        (r#""use":"sig""#, r#""key_ops":"verify""#),
        (r#""use":"sig""#, r#""d":"AQAB""#),
        (r#""kid":"a""#, r#""kid":1"#),
        ("P-256", "P-384"),
        ("P-256", "secp256k1"),
        (r#""EC""#, r#""RSA""#),
        (r#""EC""#, r#""oct","k":"AQAB""#),
        (r#""x":""#, r#""x":"AAAA"#),
        (r#""y":""#, r#""z":""#),
    ] {
        let unknown = Err(LoginFailure::TokenUnknownKey);
        assert_eq!(holder(&jwk.replace(said, instead)), unknown, "{instead}");
    }
}

#[test]
fn what_is_no_set_of_keys_is_refused() {
    let jwk = Issuer::new("a").jwk();
    let point = format!(
        r#"{{"kty":"EC","crv":"P-256","x":"{0}","y":"{0}"}}"#,
        encoded(&[1; 32])
    );
    let rsa = |bytes: usize, e: &[u8]| {
        let n = [&[0x80][..], &vec![1; bytes - 1]].concat();
        format!(
            r#"{{"kty":"RSA","n":"{}","e":"{}"}}"#,
            encoded(&n),
            encoded(e)
        )
    };
    let set = |all: &[&str]| format!(r#"{{"keys":[{}]}}"#, all.join(","));
    let three = &[1, 0, 1][..];
    for (text, why) in [
        ("{}".to_owned(), InvalidJwks::Shape),
        (jwk.clone(), InvalidJwks::Shape),
        (set(&["1"]), InvalidJwks::Shape),
        (set(&[r#"{"kty":"EC","kty":"EC"}"#]), InvalidJwks::Shape),
        (set(&[]), InvalidJwks::NoKey),
        (set(&[&point]), InvalidJwks::NoKey),
        (set(&[&rsa(255, three)]), InvalidJwks::NoKey),
        (set(&[&rsa(1025, three)]), InvalidJwks::NoKey),
        (set(&[&rsa(256, &[1])]), InvalidJwks::NoKey),
        (set(&[&rsa(256, &[4])]), InvalidJwks::NoKey),
        (set(&[&rsa(256, &[1, 0, 0, 0, 1])]), InvalidJwks::NoKey),
        (set(&[&jwk, &jwk]), InvalidJwks::Ambiguous),
        (set(&vec![&*point; 101]), InvalidJwks::TooMany),
    ] {
        assert_eq!(Jwks::read(text.as_bytes()), Err(why), "{text}");
    }
    // What cannot be used is passed over.
    assert!(Jwks::read(set(&[&point, &rsa(255, three), &jwk]).as_bytes()).is_ok());
    assert!(Jwks::read(set(&[&rsa(256, three)]).as_bytes()).is_ok());
}

/// Signs by an algorithm, with a new key; and the parts of that key.
fn sign(algorithm: Algorithm, rsa: &RsaKeyPair, signed: &[u8]) -> (String, Vec<u8>) {
    let random = SystemRandom::new();
    let rsa = |encoding: &'static signature::RsaSignatureEncoding| {
        let key = rsa.public_key();
        let n = encoded(key.modulus().big_endian_without_leading_zero());
        let e = encoded(key.exponent().big_endian_without_leading_zero());
        let mut made = vec![0; rsa.public_modulus_len()];
        rsa.sign(encoding, &random, signed, &mut made).unwrap();
        (format!(r#""kty":"RSA","n":"{n}","e":"{e}""#), made)
    };
    let ec = |curve: &str, algorithm| {
        let key = signature::EcdsaKeyPair::generate(algorithm).unwrap();
        let point = &key.public_key().as_ref()[1..];
        let (x, y) = point.split_at(point.len() / 2);
        let (x, y) = (encoded(x), encoded(y));
        let jwk = format!(r#""kty":"EC","crv":"{curve}","x":"{x}","y":"{y}""#);
        (jwk, key.sign(&random, signed).unwrap().as_ref().to_vec())
    };
    match algorithm {
        Algorithm::Rs256 => rsa(&signature::RSA_PKCS1_SHA256),
        Algorithm::Rs384 => rsa(&signature::RSA_PKCS1_SHA384),
        Algorithm::Rs512 => rsa(&signature::RSA_PKCS1_SHA512),
        Algorithm::Ps256 => rsa(&signature::RSA_PSS_SHA256),
        Algorithm::Ps384 => rsa(&signature::RSA_PSS_SHA384),
        Algorithm::Ps512 => rsa(&signature::RSA_PSS_SHA512),
        Algorithm::Es256 => ec("P-256", &signature::ECDSA_P256_SHA256_FIXED_SIGNING),
        Algorithm::Es384 => ec("P-384", &signature::ECDSA_P384_SHA384_FIXED_SIGNING),
        Algorithm::Es512 => ec("P-521", &signature::ECDSA_P521_SHA512_FIXED_SIGNING),
        Algorithm::EdDsa => {
            let key = signature::Ed25519KeyPair::generate().unwrap();
            let x = encoded(key.public_key().as_ref());
            let jwk = format!(r#""kty":"OKP","crv":"Ed25519","x":"{x}""#);
            (jwk, key.sign(signed).as_ref().to_vec())
        }
    }
}

#[test]
fn every_algorithm_verifies_what_it_has_signed() {
    let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let body = encoded(claims("").as_bytes());
    let rs256 = encoded(br#"{"alg":"RS256"}"#);
    for algorithm in Algorithm::ALL {
        let header = format!(r#"{{"alg":"{}"}}"#, algorithm.name());
        let header = encoded(header.as_bytes());
        let (jwk, made) = sign(algorithm, &rsa, format!("{header}.{body}").as_bytes());
        let set = keys(&format!(r#"{{"keys":[{{{jwk}}}]}}"#));
        let holder = |header: &str, made: &[u8]| {
            let token = format!("{header}.{body}.{}", encoded(made));
            let holder = rules().holder(&set, token.as_bytes(), at(NOW));
            holder.map(|_| ())
        };
        assert_eq!(holder(&header, &made), Ok(()), "{algorithm:?}");
        let mut other = made.clone();
        *other.last_mut().unwrap() ^= 1;
        let wrong = Err(LoginFailure::TokenSignature);
        assert_eq!(holder(&header, &other), wrong, "{algorithm:?}");
        // One algorithm is not another one, whatever key both have.
        let unknown = Err(LoginFailure::TokenUnknownKey);
        let expected = match algorithm {
            Algorithm::Rs256 => Ok(()),
            Algorithm::Rs384
            | Algorithm::Rs512
            | Algorithm::Ps256
            | Algorithm::Ps384
            | Algorithm::Ps512 => wrong,
            Algorithm::Es256 | Algorithm::Es384 | Algorithm::Es512 | Algorithm::EdDsa => unknown,
        };
        assert_eq!(holder(&rs256, &made), expected, "{algorithm:?}");
    }
}
