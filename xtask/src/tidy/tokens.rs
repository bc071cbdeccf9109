//! A Rust file as a flat list of tokens, each with its line and whether it is test code.
//!
//! Rules about names and paths work on tokens, because macros hide them from a syntax tree.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// One token; the delimiters of a group are tokens of their own.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) text: String,
    /// From 1.
    pub(super) line: usize,
    /// Inside a `#[cfg(test)]` item or a `#[test]` function.
    pub(super) in_test: bool,
    /// How many inline modules surround it.
    pub(super) inline_modules: usize,
}

/// Doc comments are left out: they are prose, not code.
pub(super) fn flatten(stream: TokenStream) -> Vec<Token> {
    let mut flat = Flat {
        tokens: Vec::new(),
        in_test: false,
        inline_modules: 0,
    };
    flat.stream(stream);
    flat.tokens
}

struct Flat {
    tokens: Vec<Token>,
    in_test: bool,
    inline_modules: usize,
}

impl Flat {
    fn push(&mut self, text: impl Into<String>, line: usize) {
        let Self {
            in_test,
            inline_modules,
            ..
        } = *self;
        self.tokens.push(Token {
            text: text.into(),
            line,
            in_test,
            inline_modules,
        });
    }

    fn stream(&mut self, stream: TokenStream) {
        let outside = self.in_test;
        // An inline module is `mod name {`: how much of that has been seen.
        let mut module_head = 0;
        for tree in stream {
            let line = tree.span().start().line;
            match tree {
                TokenTree::Group(group) => {
                    let is_block = group.delimiter() == Delimiter::Brace;
                    if group.delimiter() == Delimiter::Bracket && self.ends_with_hash() {
                        self.attribute(&group);
                    } else {
                        let is_module = is_block && module_head == 2;
                        self.inline_modules += usize::from(is_module);
                        self.group(&group);
                        self.inline_modules -= usize::from(is_module);
                        if is_block {
                            self.in_test = outside;
                        }
                    }
                    module_head = 0;
                }
                TokenTree::Ident(ident) => {
                    let text = ident.to_string();
                    module_head = match module_head {
                        _ if text == "mod" => 1,
                        1 => 2,
                        _ => 0,
                    };
                    self.push(text, line);
                }
                TokenTree::Punct(punct) => {
                    module_head = 0;
                    self.push(punct.as_char(), line);
                    if punct.as_char() == ';' {
                        self.in_test = outside;
                    }
                }
                TokenTree::Literal(literal) => self.push(literal.to_string(), line),
            }
        }
        self.in_test = outside;
    }

    fn ends_with_hash(&self) -> bool {
        self.tokens.last().is_some_and(|it| it.text == "#")
    }

    fn attribute(&mut self, group: &Group) {
        let text = group.stream().to_string().replace(' ', "");
        if text.starts_with("doc=") {
            return;
        }
        if text == "cfg(test)" || text == "test" || text.ends_with("::test") {
            self.in_test = true;
        }
        self.group(group);
    }

    fn group(&mut self, group: &Group) {
        let (open, close) = match group.delimiter() {
            Delimiter::Brace => ("{", "}"),
            Delimiter::Bracket => ("[", "]"),
            Delimiter::Parenthesis => ("(", ")"),
            Delimiter::None => ("", ""),
        };
        self.push(open, group.span_open().start().line);
        self.stream(group.stream());
        self.push(close, group.span_close().start().line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens_named(text: &str, name: &str) -> Vec<(usize, bool, usize)> {
        let tokens = flatten(text.parse().unwrap()).into_iter();
        tokens
            .filter(|it| it.text == name)
            .map(|it| (it.line, it.in_test, it.inline_modules))
            .collect()
    }

    #[test]
    fn test_code_is_distinguished_from_other_code() {
        let text = "fn a() { x }\n#[cfg(test)]\nmod tests {\n fn b() { x }\n}\nfn c() { x }\n";
        assert_eq!(
            tokens_named(text, "x"),
            [(1, false, 0), (4, true, 1), (6, false, 0)]
        );
    }

    #[test]
    fn a_test_attribute_reaches_to_the_end_of_its_item() {
        let text =
            "#[tokio::test]\nasync fn a(n: [u8; 2]) { x }\n#[cfg(test)]\nuse x;\nfn b() { x }";
        assert_eq!(
            tokens_named(text, "x"),
            [(2, true, 0), (4, true, 0), (5, false, 0)]
        );
    }

    #[test]
    fn macros_are_looked_into_and_docs_are_not() {
        let text = "//! Says x.\n/// And x.\nfn a() { vec![x] }";
        assert_eq!(tokens_named(text, "x"), [(3, false, 0)]);
    }
}
