//! Roles, and which of them a login has.
//!
//! Knows nothing of how a login proves who it is.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

pub use super::model::Allow;
use crate::ident::{RoleName, UserName};
use crate::pattern::Pattern;
use crate::wire::certificate::Subject;

/// A role of the policy, validated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    pub(super) name: RoleName,
    pub(super) evidence: Evidence,
    pub(super) allow: BTreeSet<Allow>,
    pub(super) idle_timeout: Option<Duration>,
}

/// A login, as roles look at it.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    /// its name
    pub user: &'a UserName,
    /// where it comes from; None at a Unix socket, which is in no network
    pub address: Option<IpAddr>,
    /// `application_name`, as the client set it
    pub application: &'a str,
    /// the subject of its certificate, which was verified
    pub certificate: Option<&'a Subject>,
}

/// What a login must have: of each list that is there, one element.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Evidence {
    pub users: Option<Vec<Pattern>>,
    pub networks: Option<Vec<IpNet>>,
    pub applications: Option<Vec<Pattern>>,
    /// kinds of attributes of the subject, and what their values must match
    pub certificates: Option<Vec<Vec<(String, Pattern)>>>,
}

impl Role {
    /// Its name.
    pub fn name(&self) -> &RoleName {
        &self.name
    }

    /// What it may do beyond ordinary statements.
    pub fn allow(&self) -> &BTreeSet<Allow> {
        &self.allow
    }

    /// Whether it may do that.
    pub fn allows(&self, what: Allow) -> bool {
        self.allow.contains(&what)
    }

    /// How long a session of it may be idle outside a transaction.
    pub fn idle_timeout(&self) -> Option<Duration> {
        self.idle_timeout
    }

    /// Whether a login is of this role. An IPv4 address in IPv6 clothes is taken for what it is.
    pub fn matches(&self, caller: Caller<'_>) -> bool {
        let Evidence {
            users,
            networks,
            applications,
            certificates,
        } = &self.evidence;
        let any = |patterns: &Option<Vec<Pattern>>, name: &str| match patterns {
            None => true,
            Some(patterns) => patterns.iter().any(|p| p.matches(name)),
        };
        let in_network = match (networks, caller.address) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(networks), Some(address)) => {
                let address = address.to_canonical();
                networks.iter().any(|network| network.contains(&address))
            }
        };
        let certified = match (certificates, caller.certificate) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(expected), Some(subject)) => expected.iter().any(|attributes| {
                attributes
                    .iter()
                    .all(|(kind, pattern)| subject.each(kind, |value| pattern.matches(value)))
            }),
        };
        any(users, caller.user.as_str())
            && in_network
            && any(applications, caller.application)
            && certified
    }
}
