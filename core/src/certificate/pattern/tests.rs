//! What Java has and `regex` has not, or reads otherwise.

use super::*;

fn unsupported(java: &str) -> bool {
    matches!(Pattern::new(java), Err(BadPattern::Unsupported(_)))
}

#[test]
fn what_cannot_be_said_exactly_is_an_error() {
    for java in [
        "(?=a)",
        "(?!a)",
        "(?<=a)",
        "(?<!a)",
        "(?>a)",
        "(a)\\1",
        "(?<n>a)\\k<n>",
        "a*+",
        "a++",
        "a?+",
        "a{2}+",
        "\\b",
        "\\B",
        "\\G",
        "\\R",
        "\\X",
        "\\h",
        "\\v",
        "\\cA",
        "\\07",
        "(?x)a b",
        "(?u)a",
        "[a[b]]",
        "[a&&b]",
        "[a-[b]]",
        "\\p{L}",
        "\\p{IsLatin}",
        "\\p{javaLowerCase}",
        "\\N{DIGIT ONE}",
    ] {
        assert!(unsupported(java), "{java}: {:?}", Pattern::new(java).err());
    }
    for java in ["(a*)*", "(a|)+", "(^)*", "(?:a?){2,}", "(a?){3}", "$*"] {
        let why = Pattern::new(java).unwrap_err();
        assert_eq!(why, BadPattern::RepeatsNothing, "{java}");
    }
    for java in [
        "a**", "*a", "(a", "a)", "[a", "[b-a]", "a{", "a{x}", "a{2,1}", "\\y", "(?<1>a)",
    ] {
        let why = Pattern::new(java).unwrap_err();
        assert!(matches!(why, BadPattern::Syntax(_)), "{java}: {why}");
    }
    let deep = "(".repeat(1000);
    for java in [deep.as_str(), "a{1001}", "(((.{1000}){1000}){1000}){1000}"] {
        assert_eq!(Pattern::new(java).unwrap_err(), BadPattern::TooLarge);
    }
}

#[test]
fn classes_are_of_ascii_as_in_java() {
    let is = |java: &str, text: &str| Pattern::new(java).unwrap().matches(text);
    assert!(is("\\w+", "aZ_9") && !is("\\w", "\u{e9}") && is("\\W", "\u{e9}"));
    assert!(is("\\d", "7") && !is("\\d", "\u{664}"));
    assert!(
        is("(?i)k", "K") && !is("(?i)k", "\u{212a}"),
        "the sign of Kelvin is no K"
    );
    assert!(is("\\p{Upper}", "A") && !is("\\p{Upper}", "\u{c9}"));
    assert!(is("[^\\W_]", "a") && !is("[^\\W_]", "_") && !is("[^\\W_]", "\u{e9}"));
    assert!(is("[\\W]", "\u{e9}") && is("[\\Wa]", "a") && !is("[\\Wa]", "b"));
}
