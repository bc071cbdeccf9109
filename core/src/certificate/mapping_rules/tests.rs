//! What Kafka's own mapper makes of the same rules and names.

use serde_json::Value;

use super::*;

/// The head of the file says with which program it was written.
const KAFKA: &str = include_str!("../../../../testdata/certificates/mapping_rules.txt");

/// Whether Kafka takes rules that are an error here, or throws only when a client comes.
fn is_stricter_here(why: &BadRule) -> bool {
    match why {
        BadRule::Pattern { why, .. } => match why {
            BadPattern::Unsupported(_) | BadPattern::RepeatsNothing => true,
            BadPattern::Syntax(_) | BadPattern::TooLarge => false,
        },
        BadRule::Replacement { .. } => true,
        BadRule::Form(_) => false,
    }
}

#[test]
fn names_are_mapped_as_kafka_maps_them() {
    let (mut same, mut stricter) = (0, 0);
    for line in KAFKA.lines().filter(|it| !it.starts_with('#')) {
        let (rules, subject, kafka): (String, String, Value) = serde_json::from_str(line).unwrap();
        let mapped = MappingRules::parse(&rules).map(|it| it.name(&subject, 4096).unwrap());
        match (mapped, kafka) {
            (Ok(name), Value::String(kafka)) => assert_eq!(name, Some(kafka), "{line}"),
            (Ok(name), Value::Null) => assert_eq!(name, None, "{line}"),
            (Err(_), Value::Bool(false)) => {}
            (Err(why), _) if is_stricter_here(&why) => {
                stricter += 1;
                continue;
            }
            (mapped, kafka) => panic!("{line}: {mapped:?}, and {kafka} in Kafka"),
        }
        same += 1;
    }
    assert!(same > 2000 && stricter < same, "{same} and {stricter}");
}

#[test]
fn what_kafka_finds_wrong_when_a_client_comes_is_an_error_at_once() {
    for rules in [
        "RULE:^CN=.*$/$1/",
        "RULE:a/${name}/",
        "RULE:a/$/",
        "RULE:a/$x/",
    ] {
        let why = MappingRules::parse(rules).unwrap_err();
        assert!(matches!(why, BadRule::Replacement { .. }), "{rules}: {why}");
    }
}

#[test]
fn errors_say_what_is_wrong() {
    let of = |rules| MappingRules::parse(rules).unwrap_err().to_string();
    assert_eq!(
        of("RULE:^(?!CN=x).*$/y/"),
        "in RULE:^(?!CN=x).*$/: negative look-ahead, (?!...) is not supported"
    );
    assert_eq!(
        of("RULE:(a|b*)*/y/"),
        "in RULE:(a|b*)*/: a part that may match nothing is repeated: what its groups hold then \
         differs between engines, so it is not supported"
    );
    assert_eq!(
        of("RULE:(a)/$1$/"),
        concat!(
            "in the replacement \"$1$\": a $ is followed by neither a number nor a name in ",
            "braces; \\$ is the sign itself"
        )
    );
    assert_eq!(
        of("CN=(.*)"),
        "\"CN=(.*)\" is no rule: RULE:pattern/replacement/, with L or U behind it, or DEFAULT"
    );
}

#[test]
fn rules_follow_one_another() {
    let first = MappingRules::parse("RULE:^CN=a$/first/").unwrap();
    let both = first.followed_by(MappingRules::parse("DEFAULT").unwrap());
    assert_eq!(both.name("CN=a", 10), Ok(Some("first".to_owned())));
    assert_eq!(both.name("CN=b", 10), Ok(Some("CN=b".to_owned())));
    assert_eq!(both.name("CN=b", 3), Err(TooLong));
    assert!(MappingRules::parse(" , ").unwrap().is_empty());
}
