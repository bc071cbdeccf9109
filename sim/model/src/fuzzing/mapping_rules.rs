//! Rules for principals on any text, and patterns against a reader that tries every way.

use doorkeeper_core::certificate::mapping_rules::MappingRules;
use doorkeeper_core::certificate::subject_rule::SubjectRule;

use self::reference::Node;

/// The longest name that rules may give.
const NAME_BYTES_MAX: usize = 4096;

/// Input: a flag; then rules, a zero and a name, or the bytes of a pattern.
pub fn mapping_rules(data: &[u8]) {
    let Some((flag, rest)) = data.split_first() else {
        return;
    };
    if flag & 1 == 0 {
        any_text(&String::from_utf8_lossy(rest));
    } else {
        known_pattern(rest);
    }
}

fn any_text(text: &str) {
    let (rules, name) = text.split_once('\0').unwrap_or((text, ""));
    let _ = SubjectRule::parse(rules);
    let Ok(rules) = MappingRules::parse(rules) else {
        return;
    };
    // A certificate whose subject has a line end, or is longer, is rejected before.
    if name.len() > NAME_BYTES_MAX || name.contains(char::is_control) {
        return;
    }
    if let Ok(Some(mapped)) = rules.name(name, NAME_BYTES_MAX) {
        assert!(mapped.len() <= NAME_BYTES_MAX, "a name is too long");
    }
    let none = rules.is_empty();
    assert!(
        !none || rules.name(name, NAME_BYTES_MAX) == Ok(None),
        "no rule matches"
    );
}

/// What a pattern finds must be what a reader finds that tries one way after the other, as Java's.
fn known_pattern(bytes: &[u8]) {
    let mut bytes = bytes.iter().copied();
    let mut groups = 0;
    let pattern = reference::alternatives(&mut bytes, 3, &mut groups);
    let letters = ['a', 'b', ',', '='];
    let text: Vec<char> = bytes
        .take(8)
        .filter_map(|it| letters.get(usize::from(it) % letters.len()).copied())
        .collect();
    // Each group in brackets, with what was found of it.
    let replacement: String = (0..=groups.min(9)).map(|it| format!("<${it}>")).collect();
    let rule = format!("RULE:{}/{replacement}/", pattern.java());
    let Ok(rules) = MappingRules::parse(&rule) else {
        return;
    };
    let Some(expected) = replaced(&pattern, &text, groups) else {
        return;
    };
    let given: String = text.iter().collect();
    let name = rules.name(&given, NAME_BYTES_MAX);
    assert_eq!(name, Ok(expected), "{rule} on {given:?}");
}

/// What the rule must give; nothing where the reference takes too long to say.
fn replaced(pattern: &Node, text: &[char], groups: usize) -> Option<Option<String>> {
    if reference::find(pattern, text, 0, groups, true)?.is_none() {
        return Some(None);
    }
    let mut out = String::new();
    let (mut taken, mut from) = (0, 0);
    while from <= text.len() {
        let mut found = None;
        for at in from..=text.len() {
            found = reference::find(pattern, text, at, groups, false)?;
            if found.is_some() {
                break;
            }
        }
        let Some(found) = found else { break };
        let piece = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
        let (start, end) = found.first().copied().flatten()?;
        out.extend(piece(taken, start));
        for group in found.iter().take(10) {
            let (start, end) = group.unwrap_or((0, 0));
            out.push('<');
            out.extend(piece(start, end));
            out.push('>');
        }
        taken = end;
        from = if start == end { end + 1 } else { end };
    }
    out.extend(text.get(taken..).unwrap_or_default());
    Some(Some(out))
}

/// A matcher that goes back and tries the next way, as slow as it likes.
mod reference {
    /// How many steps it may take before nobody knows.
    const STEPS_MAX: usize = 20_000;

    /// Where each group was found, the whole first.
    type Found = Vec<Option<(usize, usize)>>;

    /// A pattern.
    #[derive(Clone, Debug)]
    pub(super) enum Node {
        One(&'static str, fn(char) -> bool),
        Group(usize, Box<Self>),
        Sequence(Vec<Self>),
        Alternatives(Vec<Self>),
        Repeated {
            what: Box<Self>,
            least: usize,
            most: usize,
            suffix: &'static str,
            is_lazy: bool,
        },
    }

    impl Node {
        /// As it is written in Java.
        pub(super) fn java(&self) -> String {
            match self {
                Self::One(text, _) => (*text).to_owned(),
                Self::Group(_, inner) => format!("({})", inner.java()),
                Self::Sequence(all) => all.iter().map(Self::java).collect(),
                Self::Alternatives(all) => {
                    let all: Vec<String> = all.iter().map(Self::java).collect();
                    all.join("|")
                }
                Self::Repeated { what, suffix, .. } => format!("{}{suffix}", what.java()),
            }
        }
    }

    /// How a character is written, and which characters it stands for.
    type One = (&'static str, fn(char) -> bool);

    const ONES: [One; 6] = [
        ("a", |it| it == 'a'),
        ("b", |it| it == 'b'),
        (".", |_| true),
        ("[^,]", |it| it != ','),
        ("[ab]", |it| it == 'a' || it == 'b'),
        ("\\W", |it| !it.is_ascii_alphanumeric()),
    ];

    /// How a repetition is written, how often it is at least and at most, and whether it is lazy.
    type Times = (&'static str, usize, usize, bool);

    const TIMES: [Times; 8] = [
        ("*", 0, usize::MAX, false),
        ("+", 1, usize::MAX, false),
        ("?", 0, 1, false),
        ("*?", 0, usize::MAX, true),
        ("+?", 1, usize::MAX, true),
        ("??", 0, 1, true),
        ("{2}", 2, 2, false),
        ("{1,2}?", 1, 2, true),
    ];

    pub(super) fn alternatives(
        bytes: &mut impl Iterator<Item = u8>,
        depth: usize,
        groups: &mut usize,
    ) -> Node {
        let mut all = vec![sequence(bytes, depth, groups)];
        while all.len() < 3 && bytes.next().is_some_and(|it| it < 64) {
            all.push(sequence(bytes, depth, groups));
        }
        Node::Alternatives(all)
    }

    fn sequence(bytes: &mut impl Iterator<Item = u8>, depth: usize, groups: &mut usize) -> Node {
        let length = usize::from(bytes.next().unwrap_or(0)) % 4;
        let mut all = Vec::new();
        for _ in 0..length {
            let kind = usize::from(bytes.next().unwrap_or(0));
            let node = if kind >= 160 && depth > 0 {
                *groups += 1;
                let number = *groups;
                let inner = alternatives(bytes, depth - 1, groups);
                Node::Group(number, Box::new(inner))
            } else {
                let (text, is) = ONES
                    .get(kind % ONES.len())
                    .copied()
                    .unwrap_or(("a", |it| it == 'a'));
                Node::One(text, is)
            };
            let times = usize::from(bytes.next().unwrap_or(255));
            all.push(match TIMES.get(times % 16).copied() {
                None => node,
                Some((suffix, least, most, is_lazy)) => Node::Repeated {
                    what: Box::new(node),
                    least,
                    most,
                    suffix,
                    is_lazy,
                },
            });
        }
        Node::Sequence(all)
    }

    /// Where the pattern is found from there on, or in the whole text; nothing at all where that
    /// takes too long.
    pub(super) fn find(
        pattern: &Node,
        text: &[char],
        at: usize,
        groups: usize,
        is_whole: bool,
    ) -> Option<Option<Found>> {
        let mut search = Search {
            text,
            steps: 0,
            found: vec![None; groups + 1],
        };
        let mut ended = None;
        let is_found = search.go(pattern, at, &mut |_, end| {
            ended = Some(end);
            !is_whole || end == text.len()
        });
        if search.steps > STEPS_MAX {
            return None;
        }
        let end = ended.filter(|_| is_found);
        Some(end.map(|end| {
            if let Some(whole) = search.found.first_mut() {
                *whole = Some((at, end));
            }
            search.found
        }))
    }

    struct Search<'a> {
        text: &'a [char],
        steps: usize,
        found: Found,
    }

    /// What must match behind.
    type Rest<'a, 'b> = &'a mut dyn FnMut(&mut Search<'b>, usize) -> bool;

    impl<'b> Search<'b> {
        fn go(&mut self, node: &Node, at: usize, rest: Rest<'_, 'b>) -> bool {
            self.steps += 1;
            if self.steps > STEPS_MAX {
                return false;
            }
            match node {
                Node::One(_, is) => {
                    self.text.get(at).is_some_and(|it| is(*it)) && rest(self, at + 1)
                }
                Node::Group(number, inner) => {
                    let before = self.found.get(*number).copied().flatten();
                    let is_found = self.go(inner, at, &mut |search, end| {
                        let was = search.set(*number, Some((at, end)));
                        let is_found = rest(search, end);
                        if !is_found {
                            search.set(*number, was);
                        }
                        is_found
                    });
                    if !is_found {
                        self.set(*number, before);
                    }
                    is_found
                }
                Node::Sequence(all) => self.sequence(all, at, rest),
                Node::Alternatives(all) => all.iter().any(|it| self.go(it, at, rest)),
                Node::Repeated {
                    what,
                    least,
                    most,
                    is_lazy,
                    ..
                } => self.repeated(what, (*least, *most), *is_lazy, at, rest),
            }
        }

        fn set(&mut self, group: usize, to: Option<(usize, usize)>) -> Option<(usize, usize)> {
            let place = self.found.get_mut(group);
            place.and_then(|it| std::mem::replace(it, to))
        }

        fn sequence(&mut self, all: &[Node], at: usize, rest: Rest<'_, 'b>) -> bool {
            let Some((first, others)) = all.split_first() else {
                return rest(self, at);
            };
            self.go(first, at, &mut |search, end| {
                search.sequence(others, end, rest)
            })
        }

        fn repeated(
            &mut self,
            what: &Node,
            (least, most): (usize, usize),
            is_lazy: bool,
            at: usize,
            rest: Rest<'_, 'b>,
        ) -> bool {
            if least == 0 && is_lazy && rest(self, at) {
                return true;
            }
            let again = (least.saturating_sub(1), most.saturating_sub(1));
            let is_found = most > 0
                && self.go(what, at, &mut |search, end| {
                    search.repeated(what, again, is_lazy, end, rest)
                });
            is_found || least == 0 && !is_lazy && rest(self, at)
        }
    }
}
