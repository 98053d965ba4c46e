//! One column of the policy file → one [`Rule`]: words to decisions, and every role accounted for.
//!
//! Knows no catalog; what depends on a column's type is checked when the policy is bound.

use std::collections::{BTreeMap, BTreeSet};

use super::decide::{Show, Sight, Store};
use super::load::{Notes, role_advice};
use super::model;
use super::rule::Rule;
use super::words::{self, search_word, token_format};
use crate::document::shapes::{At, Named, Short};
use crate::document::{Position, advice, nearest};
use crate::ident::{AttributeName, DomainName, RelationName, RoleName};

/// The domains the policy declares, and where.
type Shared = BTreeMap<DomainName, Position>;

/// Splits `schema.name`; a part may stand in double quotes, `""` in it is one.
pub(super) fn qualified(text: &str) -> Option<RelationName> {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        let part = parts.last_mut()?;
        match c {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                part.push('"');
            }
            '"' if quoted => {
                quoted = false;
                if !matches!(characters.peek(), None | Some('.')) {
                    return None;
                }
            }
            '"' if part.is_empty() => quoted = true,
            '"' => return None,
            '.' if !quoted => parts.push(String::new()),
            '(' | ')' | ' ' if !quoted => return None,
            c => part.push(c),
        }
    }
    match (quoted, <[String; 2]>::try_from(parts)) {
        (false, Ok([schema, name])) if !schema.is_empty() && !name.is_empty() => {
            Some(RelationName::new(schema, name))
        }
        _ => None,
    }
}

/// Settles a table, adding its rules.
pub(super) fn table(
    name: &At<String>,
    written: &model::Table,
    context: (&[RoleName], &Shared),
    notes: &mut Notes<'_>,
) -> Vec<Rule> {
    let model::Table { columns, rows } = written;
    if let Some((role, _)) = rows.0.first() {
        notes.not_enforced(role.at, "rows");
    }
    if columns.0.is_empty() && rows.0.is_empty() {
        notes.fault(name.at, format!("`{}` names no column", name.value));
    }
    let Some(relation) = qualified(&name.value) else {
        let message = format!("`{}` is no table's name", name.value);
        let help = "expected `schema.table`, for example `public.customers`";
        notes.fault_with(name.at, message, Some(help.to_owned()));
        return Vec::new();
    };
    let (roles, shared) = context;
    columns
        .0
        .iter()
        .filter_map(|(column, written)| {
            Settle {
                name: AttributeName::new(relation.clone(), column.value.clone()),
                at: column.at,
                roles,
                shared,
            }
            .column(written, notes)
        })
        .collect()
}

/// What settling one column must know.
struct Settle<'a> {
    name: AttributeName,
    at: Position,
    roles: &'a [RoleName],
    shared: &'a Shared,
}

impl Settle<'_> {
    fn column(self, written: &model::Column, notes: &mut Notes<'_>) -> Option<Rule> {
        let model::Column {
            store,
            show,
            compare,
        } = written;
        let store_at = if store.at == Position::default() {
            self.at
        } else {
            store.at
        };
        let (settled, named) = self.store(store, notes);
        let shows = self.shows(show, settled.as_ref(), notes);
        let mut sight: BTreeMap<RoleName, Sight> = BTreeMap::new();
        let mut show_at = BTreeMap::new();
        for (role, (at, show)) in shows {
            show_at.insert(role.clone(), at);
            let compare = BTreeSet::new();
            sight.insert(role, Sight { show, compare });
        }
        self.compares(compare, settled.as_ref(), &mut sight, notes);
        let own = DomainName::new(self.name.to_string());
        Some(Rule {
            at: self.at,
            store_at,
            show_at,
            store: settled?,
            domain_is_named: named.is_some(),
            domain: named.unwrap_or(own),
            sight,
            name: self.name,
        })
    }

    fn store(
        &self,
        written: &At<model::Store>,
        notes: &mut Notes<'_>,
    ) -> (Option<Store>, Option<DomainName>) {
        match &written.value {
            model::Store::Plain => (Some(Store::Plain), None),
            model::Store::Encrypt(model::Encrypt { domain, search }) => {
                let domain = self.domain(domain.as_ref(), notes);
                let words = search.iter().filter_map(|word| search_word(word, notes));
                let search = words.collect();
                (Some(Store::Encrypt { search }), domain)
            }
            model::Store::Tokenise(Short(token)) => {
                let domain = self.domain(token.domain.as_ref(), notes);
                (Some(Store::Tokenise(token_format(token, notes))), domain)
            }
        }
    }

    fn domain(&self, written: Option<&At<String>>, notes: &mut Notes<'_>) -> Option<DomainName> {
        let written = written?;
        let name = DomainName::new(written.value.clone());
        if !self.shared.contains_key(&name) {
            let message = format!("the domain `{name}` is not declared under `domains`");
            let help = advice(name.as_str(), self.shared.keys().map(DomainName::as_str))
                .or_else(|| Some(format!("write `domains: {{ {name}: {{}} }}`")));
            notes.fault_with(written.at, message, help);
        }
        Some(name)
    }

    /// What every role is shown; a fault for each role left out.
    fn shows(
        &self,
        written: &At<Named<At<model::Show>>>,
        store: Option<&Store>,
        notes: &mut Notes<'_>,
    ) -> BTreeMap<RoleName, (Position, Show)> {
        let mut shows = BTreeMap::new();
        let mut failed = BTreeSet::new();
        let mut others = None;
        for (role, show) in &written.value.0 {
            let settled = store.and_then(|store| self.show(show, store, notes));
            if role.value == "*" {
                others = Some((show.at, settled));
                continue;
            }
            let name = RoleName::new(role.value.clone());
            if !self.roles.contains(&name) {
                let message = format!("there is no role `{name}`");
                notes.fault_with(role.at, message, role_advice(name.as_str(), self.roles));
                // The role that was probably meant is not missing as well.
                let near = nearest(name.as_str(), self.roles.iter().map(RoleName::as_str));
                failed.extend(near.map(RoleName::new));
            } else if let Some(settled) = settled {
                shows.insert(name, (show.at, settled));
            } else {
                failed.insert(name);
            }
        }
        for role in self.roles {
            if shows.contains_key(role) || failed.contains(role) {
                continue;
            }
            match &others {
                Some((at, Some(show))) => {
                    shows.insert(role.clone(), (*at, show.clone()));
                }
                Some((_, None)) => {}
                None => notes.fault_with(
                    written.at,
                    format!("`{}` does not say what the role `{role}` gets", self.name),
                    Some("name it, or write `\"*\": null` for all others".to_owned()),
                ),
            }
        }
        shows
    }

    fn show(
        &self,
        written: &At<model::Show>,
        store: &Store,
        notes: &mut Notes<'_>,
    ) -> Option<Show> {
        Some(match &written.value {
            model::Show::Plain => Show::Plain,
            model::Show::Null => Show::Null,
            model::Show::Refuse => Show::Refuse,
            model::Show::Mask(mask) => Show::Mask(words::mask(mask, notes)?),
            model::Show::Stored if *store == Store::Plain => {
                let message = "`stored` would be the plain value: the column is stored plain";
                let help = "write `plain`, or seal or tokenise the column";
                notes.fault_with(written.at, message, Some(help.to_owned()));
                return None;
            }
            model::Show::Stored => Show::Stored,
            model::Show::Token(token) => {
                if let Some(domain) = &token.0.domain {
                    let help = "the token shown is of the column's own domain; leave it out";
                    notes.fault_with(
                        domain.at,
                        "`domain` belongs under `store`",
                        Some(help.to_owned()),
                    );
                }
                let format = token_format(&token.0, notes);
                match store {
                    Store::Tokenise(stored) if *stored == format => Show::Stored,
                    Store::Tokenise(_) => {
                        let message = "the column holds tokens of another shape";
                        notes.fault_with(written.at, message, Some("write `stored`".to_owned()));
                        return None;
                    }
                    Store::Plain | Store::Encrypt { .. } => Show::Token(format),
                }
            }
        })
    }

    fn compares(
        &self,
        written: &Named<Vec<At<model::Search>>>,
        store: Option<&Store>,
        sight: &mut BTreeMap<RoleName, Sight>,
        notes: &mut Notes<'_>,
    ) {
        for (role, words) in &written.0 {
            let name = RoleName::new(role.value.clone());
            if !self.roles.contains(&name) {
                let message = format!("there is no role `{name}`");
                notes.fault_with(role.at, message, role_advice(name.as_str(), self.roles));
                continue;
            }
            for word in words {
                let Some(settled) = search_word(word, notes) else {
                    continue;
                };
                match store {
                    Some(Store::Encrypt { search }) if !search.contains(&settled) => notes
                        .fault_with(
                            word.at,
                            "`compare` names a word that `search` does not have",
                            Some("add it to the column's `search`".to_owned()),
                        ),
                    Some(Store::Plain | Store::Encrypt { .. } | Store::Tokenise(_)) | None => {}
                }
                if let Some(sight) = sight.get_mut(&name) {
                    sight.compare.insert(settled);
                }
            }
        }
    }
}

/// Columns of one named domain are stored alike and shown alike: else what one hides another would tell.
pub(super) fn domains_agree(rules: &[Rule], notes: &mut Notes<'_>) {
    let mut first: BTreeMap<&DomainName, &Rule> = BTreeMap::new();
    for rule in rules.iter().filter(|rule| rule.domain_is_named) {
        let Some(other) = first.get(&rule.domain) else {
            first.insert(&rule.domain, rule);
            continue;
        };
        let (domain, other_name) = (&rule.domain, &other.name);
        if rule.store != other.store {
            let message = format!("in the domain `{domain}`, `{other_name}` is stored otherwise");
            let help = "columns of one domain have the same `store` and `search`";
            notes.fault_with(rule.store_at, message, Some(help.to_owned()));
        }
        for (role, sight) in &rule.sight {
            let differs = other.sight.get(role).is_some_and(|s| s.show != sight.show);
            if differs {
                let at = rule.show_at.get(role).copied().unwrap_or(rule.at);
                let message = format!(
                    "in the domain `{domain}`, the role `{role}` is shown `{other_name}` otherwise"
                );
                let help = "columns of one domain are shown alike, for they can be compared";
                notes.fault_with(at, message, Some(help.to_owned()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_schema_and_relation_as_in_the_catalog() {
        let name = |schema: &str, name: &str| Some(RelationName::new(schema, name));
        assert_eq!(qualified("public.customers"), name("public", "customers"));
        assert_eq!(qualified("public.Customers"), name("public", "Customers"));
        assert_eq!(qualified("\"a.b\".\"c\"\"d\""), name("a.b", "c\"d"));
        assert_eq!(qualified("公司.客户"), name("公司", "客户"));
        for bad in [
            "customers",
            "a.b.c",
            ".b",
            "a.",
            "",
            "\"a.b",
            "a\"b.c",
            "\"a\"b.c",
            "a.f()",
            "a. b",
        ] {
            assert_eq!(qualified(bad), None, "{bad}");
        }
    }
}
