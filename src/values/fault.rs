//! Why a value is not filled in or not shown: with attributes and SQLSTATEs, never with the value.

use crate::ident::{AttributeName, DomainId, DomainName, SqlState};
use crate::keyring::KeyringFault;
use crate::mask::MaskFault;
use crate::seal::SealFault;
use crate::token::TokenFault;
use crate::types::ValueFault;

/// Why the keys of an attribute cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// The database does not hold the attribute as the policy says.
    #[error("the database does not hold it as the policy says; run `pgveil apply`")]
    NotApplied,
    /// The keyring has no such domain.
    #[error("the keyring has no key for the domain {0}")]
    NoDomain(DomainName),
    /// The keyring has no number for the attribute.
    #[error("the keyring has no number for it")]
    NoAttribute,
    /// The database was treated under another keyring.
    #[error("the database records domain {} for it, and the keyring has {}", recorded.0, keyring.0)]
    OtherDomain {
        /// the number in the database
        recorded: DomainId,
        /// the number in the keyring
        keyring: DomainId,
    },
    /// A key version is destroyed or missing.
    #[error(transparent)]
    Keyring(#[from] KeyringFault),
    /// A sealing key cannot be used.
    #[error(transparent)]
    Seal(#[from] SealFault),
    /// The plan was made for another policy or catalog: a bug unless a reload came between.
    #[error("the statement was planned for another version of the policy")]
    OtherPolicy,
}

impl KeyFault {
    /// What a client is told.
    pub fn sqlstate(&self) -> SqlState {
        match self {
            Self::NotApplied
            | Self::NoDomain(_)
            | Self::NoAttribute
            | Self::OtherDomain { .. }
            | Self::Keyring(_)
            | Self::Seal(_) => SqlState::NOT_IN_PREREQUISITE_STATE,
            Self::OtherPolicy => SqlState::INTERNAL_ERROR,
        }
    }
}

/// Why a literal or parameter is not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FillFault {
    /// PostgreSQL would not take it, or pgveil cannot.
    #[error("{fault}")]
    Value {
        /// the attribute it meets
        attribute: AttributeName,
        /// why
        fault: ValueFault,
    },
    /// It is assigned and has no token.
    #[error("{attribute}: {fault}")]
    Token {
        /// the attribute it is assigned to
        attribute: AttributeName,
        /// why
        fault: TokenFault,
    },
    /// Its token does not fit into the attribute.
    #[error(
        "{attribute}: the token has {characters} characters, too long for type character varying({limit})"
    )]
    TokenTooLong {
        /// the attribute it is assigned to
        attribute: AttributeName,
        /// characters of the token
        characters: usize,
        /// characters the attribute holds
        limit: u32,
    },
    /// It could not be sealed.
    #[error("{attribute}: {fault}")]
    Seal {
        /// the attribute it meets
        attribute: AttributeName,
        /// why
        fault: SealFault,
    },
    /// There is no key to seal or tokenise it with.
    #[error("{attribute}: {fault}")]
    Key {
        /// the attribute it meets
        attribute: AttributeName,
        /// why
        fault: KeyFault,
    },
    /// The plan has a slot for an attribute stored plain: a bug.
    #[error("{attribute}: nothing is to be sealed or tokenised here")]
    StoredPlain {
        /// the attribute
        attribute: AttributeName,
    },
}

impl FillFault {
    /// What a client is told.
    pub fn sqlstate(&self) -> SqlState {
        match self {
            Self::Value { fault, .. } => fault.sqlstate,
            Self::Token { fault, .. } => fault.sqlstate(),
            Self::TokenTooLong { .. } => SqlState::STRING_DATA_RIGHT_TRUNCATION,
            Self::Seal { .. } | Self::StoredPlain { .. } => SqlState::INTERNAL_ERROR,
            Self::Key { fault, .. } => fault.sqlstate(),
        }
    }

    /// The attribute that the literal or parameter meets.
    pub fn attribute(&self) -> &AttributeName {
        match self {
            Self::Value { attribute, .. }
            | Self::Token { attribute, .. }
            | Self::TokenTooLong { attribute, .. }
            | Self::Seal { attribute, .. }
            | Self::Key { attribute, .. }
            | Self::StoredPlain { attribute } => attribute,
        }
    }
}

/// Why a result's value is not shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShowFault {
    /// What is stored does not open.
    #[error("{attribute}: {fault}")]
    Seal {
        /// the attribute
        attribute: AttributeName,
        /// why
        fault: SealFault,
    },
    /// What is stored is no token, or what is to be shown has none.
    #[error("{attribute}: {fault}")]
    Token {
        /// the attribute
        attribute: AttributeName,
        /// why
        fault: TokenFault,
    },
    /// The mask does not fit.
    #[error("{attribute}: {fault}")]
    Mask {
        /// the attribute
        attribute: AttributeName,
        /// why
        fault: MaskFault,
    },
    /// The value is none of the attribute's type, or cannot be written for this session.
    #[error("{attribute}: {fault}")]
    Value {
        /// the attribute
        attribute: AttributeName,
        /// why
        fault: ValueFault,
    },
    /// There is no key to open it with.
    #[error("{attribute}: {fault}")]
    Key {
        /// the attribute
        attribute: AttributeName,
        /// why
        fault: KeyFault,
    },
    /// The role is shown nothing of it; the analysis has refused such statements, so this is the last guard.
    #[error("{attribute}: the policy shows nothing of it to this role")]
    Refused {
        /// the attribute
        attribute: AttributeName,
    },
}

impl ShowFault {
    /// What a client is told. XX001 means that somebody altered what is stored: an alarm.
    pub fn sqlstate(&self) -> SqlState {
        match self {
            Self::Seal { fault, .. } => match fault {
                SealFault::Unusable | SealFault::NotComparable => SqlState::INTERNAL_ERROR,
                SealFault::NotSealed
                | SealFault::FormatUnknown(_)
                | SealFault::OtherDomain { .. }
                | SealFault::NoSuchVersion(_)
                | SealFault::NotAuthentic => SqlState::DATA_CORRUPTED,
            },
            Self::Token { fault, .. } => fault.sqlstate(),
            Self::Mask { fault, .. } => match fault {
                MaskFault::Misfit | MaskFault::NoKey => SqlState::INTERNAL_ERROR,
                MaskFault::Malformed => SqlState::DATA_CORRUPTED,
            },
            Self::Value { fault, .. } => fault.sqlstate,
            Self::Key { fault, .. } => fault.sqlstate(),
            Self::Refused { .. } => SqlState::INSUFFICIENT_PRIVILEGE,
        }
    }

    /// The attribute that the column is of.
    pub fn attribute(&self) -> &AttributeName {
        match self {
            Self::Seal { attribute, .. }
            | Self::Token { attribute, .. }
            | Self::Mask { attribute, .. }
            | Self::Value { attribute, .. }
            | Self::Key { attribute, .. }
            | Self::Refused { attribute } => attribute,
        }
    }
}
