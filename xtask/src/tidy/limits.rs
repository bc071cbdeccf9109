//! Every field of a struct named `Limits` has a doc: a limit nobody can read is not a limit.

use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};

use super::Finding;

/// What stands in a file that this rule is about.
pub(super) const STRUCT: &str = "struct Limits";

pub(super) fn check(path: &str, file: &syn::File, findings: &mut Vec<Finding>) {
    Visitor { path, findings }.visit_file(file);
}

struct Visitor<'a> {
    path: &'a str,
    findings: &'a mut Vec<Finding>,
}

impl<'ast> Visit<'ast> for Visitor<'_> {
    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        let undocumented = |it: &&syn::Field| !it.attrs.iter().any(|it| it.path().is_ident("doc"));
        if item.ident == "Limits" {
            for field in item.fields.iter().filter(undocumented) {
                let name = field
                    .ident
                    .as_ref()
                    .map_or_else(String::new, ToString::to_string);
                let message = format!("the limit `{name}` has no doc: shape, unit and default");
                self.findings
                    .push(Finding::at(self.path, field.span().start().line, message));
            }
        }
        visit::visit_item_struct(self, item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_undocumented_limit_is_found() {
        let text = "struct Limits {\n    /// In bytes.\n    a: u32,\n    b: u32,\n}\n\
                    struct Other { c: u8 }";
        let mut findings = Vec::new();
        check("limits.rs", &syn::parse_file(text).unwrap(), &mut findings);
        let found: Vec<_> = findings.iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            ["limits.rs:4: the limit `b` has no doc: shape, unit and default"]
        );
    }
}
