//! A policy file → a validated [`Policy`], or every fault that could be found in it.
//!
//! Pure: takes text, touches no file and no clock, so that a reload costs a parse. First the file is read as
//! [`model`] has it; only what reads whole is then settled, in two steps: roles here, columns in `settle`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::model;
use super::roles::{Evidence, Role};
use super::rule::{Policy, Rule};
use super::settle;
use super::trust::TrustedFunctions;
use crate::document::duration::{DURATION_HELP, duration};
use crate::document::shapes::{At, OneOrMany};
use crate::document::tree::Document;
use crate::document::{Fault, Position, advice, read};
use crate::ident::{DomainName, RoleName};
use crate::pattern::Pattern;
use crate::wire::certificate::Subject;

/// What a policy file gave.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// the policy
    pub policy: Policy,
    /// what is allowed but probably not meant
    pub warnings: Vec<Fault>,
}

/// Reads a policy from its text; `file` is what faults call it.
///
/// # Errors
/// Every fault that could be found, in the order of the file.
pub fn load(file: &str, text: &str) -> Result<Loaded, Vec<Fault>> {
    let document = Document::from_yaml(file, text)?;
    let written: model::Policy = read::read(&document)?;
    let mut notes = Notes::new(&document);
    let policy = settle_policy(&written, &mut notes);
    notes.finish().map(|warnings| Loaded { policy, warnings })
}

/// Faults and warnings gathered on the way.
pub(super) struct Notes<'a> {
    document: &'a Document,
    faults: Vec<Fault>,
    warnings: Vec<Fault>,
}

impl<'a> Notes<'a> {
    fn new(document: &'a Document) -> Self {
        Self {
            document,
            faults: Vec::new(),
            warnings: Vec::new(),
        }
    }

    pub(super) fn fault(&mut self, at: Position, message: impl Into<String>) {
        self.faults.push(self.document.fault(at, message));
    }

    pub(super) fn fault_with(
        &mut self,
        at: Position,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        let mut fault = self.document.fault(at, message);
        fault.help = help;
        self.faults.push(fault);
    }

    pub(super) fn not_enforced(&mut self, at: Position, word: &str) {
        let message = format!("`{word}` is not enforced by this version yet");
        self.fault_with(at, message, Some("leave it out".to_owned()));
    }

    fn warn(&mut self, at: Position, message: impl Into<String>) {
        self.warnings.push(self.document.fault(at, message));
    }

    fn finish(mut self) -> Result<Vec<Fault>, Vec<Fault>> {
        if self.faults.is_empty() {
            return Ok(self.warnings);
        }
        self.faults.sort_by_key(|f| (f.line, f.column));
        Err(self.faults)
    }
}

fn settle_policy(written: &model::Policy, notes: &mut Notes<'_>) -> Policy {
    if written.version.value != 1 {
        notes.fault_with(
            written.version.at,
            format!(
                "version {} of the policy language is not known",
                written.version.value
            ),
            Some("write `version: 1`".to_owned()),
        );
    }
    let roles = settle_roles(&written.roles, notes);
    let trusted_functions = settle_functions(written.functions.as_ref(), notes);
    let shared = settle_domains(written, notes);
    let names: Vec<RoleName> = roles.iter().map(|role| role.name.clone()).collect();
    let mut rules = Vec::new();
    for (table, content) in &written.tables.0 {
        rules.extend(settle::table(table, content, (&names, &shared), notes));
    }
    settle::domains_agree(&rules, notes);
    for (name, at) in &shared {
        if !rules.iter().any(|rule: &Rule| rule.domain == *name) {
            notes.warn(*at, format!("no column is in the domain `{name}`"));
        }
    }
    Policy::new(notes.document.file(), roles, trusted_functions, rules)
}

fn settle_roles(written: &At<Vec<model::Role>>, notes: &mut Notes<'_>) -> Vec<Role> {
    if written.value.is_empty() {
        notes.fault(
            written.at,
            "a policy needs a role: no login could be let in",
        );
    }
    let mut seen: BTreeMap<&str, Position> = BTreeMap::new();
    let mut roles = Vec::with_capacity(written.value.len());
    for role in &written.value {
        let name = &role.name;
        if name.value == "*" {
            notes.fault(
                name.at,
                "`*` stands for the roles not named and can be no role's name",
            );
        }
        if let Some(first) = seen.insert(&name.value, name.at) {
            let message = format!("a second role called `{}`", name.value);
            notes.fault_with(
                name.at,
                message,
                Some(format!("the first is at line {}", first.line)),
            );
        }
        if let Some(limits) = &role.limits {
            notes.not_enforced(limits.at, "limits");
        }
        let idle_timeout = role.idle_timeout.as_ref().and_then(|written| {
            let found = duration(&written.value);
            if found.is_none() {
                let message = format!("`{}` is no duration above zero", written.value);
                notes.fault_with(written.at, message, Some(DURATION_HELP.to_owned()));
            }
            found
        });
        if let Some(read_only) = &role.read_only {
            notes.not_enforced(read_only.at, "read_only");
        }
        roles.push(Role {
            name: RoleName::new(name.value.clone()),
            evidence: settle_evidence(&role.matches, notes),
            allow: role.allow.iter().map(|word| word.value).collect(),
            idle_timeout,
        });
    }
    roles
}

/// `CN=*.support,O=Example` as kinds and patterns. A comma of a value is written `\,`.
fn settle_subject(written: &At<String>, notes: &mut Notes<'_>) -> Option<Vec<(String, Pattern)>> {
    const COMMA: char = '\u{0}'; // no value has one: it stands for an escaped comma while the text is split
    let text = written.value.replace("\\,", &COMMA.to_string());
    let attributes: Option<Vec<_>> = text
        .split(',')
        .map(|attribute| {
            let (kind, value) = attribute.split_once('=')?;
            let value = value.trim().replace(COMMA, ",");
            let kind = Subject::kind(kind.trim())?;
            (!value.is_empty()).then(|| (kind, Pattern::new(value)))
        })
        .collect();
    if attributes.is_none() {
        notes.fault_with(
            written.at,
            format!("`{}` is no part of a certificate's subject", written.value),
            Some("expected for example `CN=*.support` or `CN=app,OU=CRM`".to_owned()),
        );
    }
    attributes
}

fn settle_evidence(written: &At<model::Match>, notes: &mut Notes<'_>) -> Evidence {
    let model::Match {
        user,
        network,
        application,
        client_cert,
    } = &written.value;
    if user.is_none() && network.is_none() && client_cert.is_none() {
        if application.is_none() {
            notes.fault_with(
                written.at,
                "this matches nothing in particular",
                Some("to match every login write `{ user: \"*\" }`".to_owned()),
            );
        } else {
            let message =
                "`application` is this role's only evidence, and a client sets it as it likes";
            notes.warn(written.at, message);
        }
    }
    let patterns = |list: &OneOrMany<At<String>>| {
        list.0
            .iter()
            .map(|item| Pattern::new(item.value.clone()))
            .collect()
    };
    Evidence {
        users: user.as_ref().map(patterns),
        applications: application.as_ref().map(patterns),
        certificates: client_cert.as_ref().map(|list| {
            list.0
                .iter()
                .filter_map(|item| settle_subject(item, notes))
                .collect()
        }),
        networks: network.as_ref().map(|list| {
            list.0
                .iter()
                .filter_map(|item| settle_network(item, notes))
                .collect()
        }),
    }
}

fn settle_network(written: &At<String>, notes: &mut Notes<'_>) -> Option<IpNet> {
    let text = written.value.as_str();
    let network = match text.parse::<IpNet>() {
        Ok(network) => Some(network),
        Err(_) => text.parse::<IpAddr>().ok().map(IpNet::from),
    };
    match network {
        None => notes.fault_with(
            written.at,
            format!("`{text}` is no address and no network"),
            Some("expected for example 10.0.0.0/8 or \"::1/128\"".to_owned()),
        ),
        // 10.1.2.3/8 is a slip of the pen: one of the two numbers is wrong.
        Some(network) if network.trunc() != network => notes.fault_with(
            written.at,
            format!("`{text}` has address bits beyond its prefix"),
            Some(format!("did you mean `{}`?", network.trunc())),
        ),
        Some(network) => return Some(network),
    }
    None
}

fn settle_functions(written: Option<&model::Functions>, notes: &mut Notes<'_>) -> TrustedFunctions {
    let mut trusted = TrustedFunctions::default();
    for function in written.map_or(&[][..], |f| &f.trust) {
        match settle::qualified(&function.value) {
            Some(name) if function.value.ends_with(".*") => trusted.trust_schema(name.schema),
            Some(name) => trusted.trust(name.schema, name.name),
            None => notes.fault_with(
                function.at,
                format!("`{}` is no function's name", function.value),
                Some("expected `schema.name`, without parentheses, or `schema.*`".to_owned()),
            ),
        }
    }
    trusted
}

fn settle_domains(
    written: &model::Policy,
    notes: &mut Notes<'_>,
) -> BTreeMap<DomainName, Position> {
    let mut shared = BTreeMap::new();
    for (name, _) in &written.domains.0 {
        if name.value.contains('.') {
            notes.fault_with(
                name.at,
                format!("`{}` could be taken for a column's own domain", name.value),
                Some("a shared domain's name has no dot".to_owned()),
            );
        }
        shared.insert(DomainName::new(name.value.clone()), name.at);
    }
    shared
}

/// Advice on a role that the policy does not have.
pub(super) fn role_advice(word: &str, roles: &[RoleName]) -> Option<String> {
    advice(word, roles.iter().map(RoleName::as_str))
}
