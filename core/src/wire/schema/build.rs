//! Short constructors for the generated tables, so that a field fits on a line.

use super::{Edition, Field, Kind, Role, Roles, Struct, Tag, Versions};

/// A field in versions `first` to `last`.
pub(super) const fn f(name: &'static str, kind: Kind, first: i16, last: i16, role: Role) -> Field {
    let versions = Versions::new(first, last);
    Field {
        name,
        kind,
        versions,
        nullable: Versions::NONE,
        tag: None,
        role,
    }
}

impl Field {
    /// The same field, null being legal in versions `first` to `last`.
    pub(super) const fn null(mut self, first: i16, last: i16) -> Self {
        self.nullable = Versions::new(first, last);
        self
    }

    /// The same field, tagged in versions `first` to `last`.
    pub(super) const fn tag(mut self, number: u32, first: i16, last: i16) -> Self {
        self.tag = Some(Tag {
            number,
            versions: Versions::new(first, last),
        });
        self
    }
}

/// A structure; its roles are the union of its fields'.
pub(super) const fn s(name: &'static str, fields: &'static [Field]) -> Struct {
    let mut roles = Roles::NONE;
    let mut rest = fields;
    while let [field, tail @ ..] = rest {
        roles = roles.union(field.roles());
        rest = tail;
    }
    Struct {
        name,
        fields,
        roles,
    }
}

/// A description of versions `first` to `last`, flexible from `flexible_from` on.
pub(super) const fn e(
    first: i16,
    last: i16,
    flexible_from: Option<i16>,
    body: &'static Struct,
) -> Edition {
    let flexible = match flexible_from {
        Some(from) => Versions::new(if from > first { from } else { first }, last),
        None => Versions::NONE,
    };
    let flexible = if flexible.is_empty() {
        Versions::NONE
    } else {
        flexible
    };
    Edition {
        versions: Versions::new(first, last),
        flexible,
        body,
    }
}
