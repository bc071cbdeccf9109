//! The length of functions, as a ratchet: 70 lines, and what is longer can only shrink.

use serde::Deserialize;
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};

use super::Finding;

const LINES_MAX: usize = 70;

/// A function that is allowed to be longer than the rest.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LongFunction {
    path: String,
    /// `name`, or `Type::name` for a method.
    name: String,
    lines: usize,
    reason: String,
}

/// What is longer than a function should be, by the path of its file. `allow_file` is where the
/// entries stand, for the findings about entries themselves.
pub(super) fn check(
    long: &[(&str, Function)],
    allowed: &[LongFunction],
    allow_file: &str,
    findings: &mut Vec<Finding>,
) {
    for (path, function) in long {
        let entry = allowed
            .iter()
            .find(|it| it.path == *path && it.name == function.name);
        let Function { name, line, lines } = function;
        let message = match entry {
            None => format!("`{name}` has {lines} lines, more than {LINES_MAX}: split it"),
            Some(entry) if *lines > entry.lines => {
                format!(
                    "`{name}` grew from {} to {lines} lines: split it",
                    entry.lines
                )
            }
            Some(entry) if *lines < entry.lines => {
                format!("`{name}` shrank to {lines} lines: say so in {allow_file}")
            }
            Some(_) => continue,
        };
        findings.push(Finding::at(path, *line, message));
    }
    for entry in allowed {
        let is_long = |(path, it): &(&str, Function)| *path == entry.path && it.name == entry.name;
        if !long.iter().any(is_long) {
            let LongFunction { path, name, .. } = entry;
            let message = format!("`{name}` of {path} is not long any more: remove its entry");
            findings.push(Finding::whole(allow_file, message));
        } else if entry.reason.trim().is_empty() {
            let message = format!("`{}` has no reason for its length", entry.name);
            findings.push(Finding::whole(allow_file, message));
        }
    }
}

pub(super) struct Function {
    name: String,
    line: usize,
    /// From `fn` to the closing brace, both counted; docs and attributes are not.
    lines: usize,
}

/// The functions of a file that are too long.
pub(super) fn long(file: &syn::File) -> impl Iterator<Item = Function> {
    functions(file)
        .into_iter()
        .filter(|it| it.lines > LINES_MAX)
}

fn functions(file: &syn::File) -> Vec<Function> {
    let mut visitor = Visitor {
        owner: None,
        functions: Vec::new(),
    };
    visitor.visit_file(file);
    visitor.functions
}

struct Visitor {
    /// The type or trait whose methods are being visited.
    owner: Option<String>,
    functions: Vec<Function>,
}

impl Visitor {
    fn add(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let name = match &self.owner {
            Some(owner) => format!("{owner}::{}", signature.ident),
            None => signature.ident.to_string(),
        };
        let line = signature.span().start().line;
        let lines = block.span().end().line.saturating_sub(line) + 1;
        self.functions.push(Function { name, line, lines });
    }

    fn within(&mut self, owner: Option<String>, visit: impl FnOnce(&mut Self)) {
        let outer = std::mem::replace(&mut self.owner, owner);
        visit(self);
        self.owner = outer;
    }
}

impl<'ast> Visit<'ast> for Visitor {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.within(None, |it| {
            it.add(&item.sig, &item.block);
            visit::visit_item_fn(it, item);
        });
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let owner = if let syn::Type::Path(path) = &*item.self_ty {
            path.path.segments.last().map(|it| it.ident.to_string())
        } else {
            None
        };
        self.within(owner, |it| visit::visit_item_impl(it, item));
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.add(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.within(Some(item.ident.to_string()), |it| {
            visit::visit_item_trait(it, item)
        });
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.add(&item.sig, block);
        }
        visit::visit_trait_item_fn(self, item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function_of(lines: usize) -> String {
        format!(
            "//! Doc.\nstruct S;\nimpl S {{\nfn f() {{\n{}}}\n}}\n",
            "x();\n".repeat(lines - 2)
        )
    }

    fn found(lines: usize, entry_lines: Option<usize>) -> Vec<String> {
        let (path, name) = ("a.rs".to_owned(), "S::f".to_owned());
        let entry = entry_lines.map(|lines| LongFunction {
            path,
            name,
            lines,
            reason: "one table".to_owned(),
        });
        let file = syn::parse_file(&function_of(lines)).unwrap();
        let long: Vec<_> = long(&file).map(|it| ("a.rs", it)).collect();
        let mut findings = Vec::new();
        check(&long, entry.as_slice(), "allow.toml", &mut findings);
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn seventy_lines_are_fine_and_one_more_is_not() {
        assert_eq!(found(70, None), Vec::<String>::new());
        assert_eq!(
            found(71, None),
            ["a.rs:4: `S::f` has 71 lines, more than 70: split it"]
        );
    }

    #[test]
    fn an_allowed_function_may_only_shrink() {
        assert_eq!(found(80, Some(80)), Vec::<String>::new());
        assert_eq!(
            found(81, Some(80)),
            ["a.rs:4: `S::f` grew from 80 to 81 lines: split it"]
        );
        let shrank = "a.rs:4: `S::f` shrank to 79 lines: say so in allow.toml";
        assert_eq!(found(79, Some(80)), [shrank]);
        let stale = "allow.toml: `S::f` of a.rs is not long any more: remove its entry";
        assert_eq!(found(70, Some(80)), [stale]);
    }

    #[test]
    fn nested_functions_count_for_themselves() {
        let text = "fn outer() {\n fn inner() {\n }\n}\ntrait T { fn given() {} fn asked(); }";
        let names: Vec<_> = functions(&syn::parse_file(text).unwrap())
            .into_iter()
            .map(|it| (it.name, it.lines))
            .collect();
        let expected = [("outer", 4), ("inner", 2), ("T::given", 1)];
        assert_eq!(
            names,
            expected.map(|(name, lines)| (name.to_owned(), lines))
        );
    }
}
