//! What happened, by type: the values of the metrics' labels, each set closed.
//!
//! Knows words only.

macro_rules! label {
    ($(#[$doc:meta])* $type:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $type {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $type {
            /// Every one of them, so that each is on the page from the start, at zero.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The label's value.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }
    };
}

label!(
    /// What kind of statement.
    Kind {
        /// `SELECT`, `VALUES`, `TABLE`, `WITH … SELECT`
        Select = "select",
        /// `INSERT`
        Insert = "insert",
        /// `UPDATE`
        Update = "update",
        /// `DELETE`
        Delete = "delete",
        /// `MERGE`
        Merge = "merge",
        /// `COPY`
        Copy = "copy",
        /// `BEGIN`, `COMMIT`, `ROLLBACK`, `SAVEPOINT`, …
        Transaction = "transaction",
        /// several statements in one text
        Several = "several",
        /// anything else, and what was not parsed because it met nothing treated
        Other = "other",
    }
);

impl Kind {
    /// The kind of a command by its first word (`SELECT`, …), in any case.
    pub fn of_command(word: &str) -> Self {
        const WORDS: &[(&str, Kind)] = &[
            ("SELECT", Kind::Select),
            ("VALUES", Kind::Select),
            ("TABLE", Kind::Select),
            ("WITH", Kind::Select),
            ("INSERT", Kind::Insert),
            ("UPDATE", Kind::Update),
            ("DELETE", Kind::Delete),
            ("MERGE", Kind::Merge),
            ("COPY", Kind::Copy),
            ("BEGIN", Kind::Transaction),
            ("START", Kind::Transaction),
            ("COMMIT", Kind::Transaction),
            ("END", Kind::Transaction),
            ("ROLLBACK", Kind::Transaction),
            ("ABORT", Kind::Transaction),
            ("SAVEPOINT", Kind::Transaction),
            ("RELEASE", Kind::Transaction),
        ];
        WORDS
            .iter()
            .find(|(known, _)| word.eq_ignore_ascii_case(known))
            .map_or(Self::Other, |(_, kind)| *kind)
    }
}

label!(
    /// Which way a statement went.
    Path {
        /// the client's own bytes, not parsed
        Untouched = "untouched",
        /// sent as its plan says
        Rewritten = "rewritten",
        /// not sent
        Refused = "refused",
    }
);

label!(
    /// How a statement ended.
    Outcome {
        /// completed
        Done = "done",
        /// the server reported an error
        Failed = "failed",
        /// pgveil refused it
        Refused = "refused",
        /// cancelled by a client
        Cancelled = "cancelled",
        /// a connection ended before the answer
        Lost = "lost",
    }
);

label!(
    /// What was done to a value.
    Action {
        /// sealed
        Seal = "seal",
        /// opened
        Open = "open",
        /// made a token
        Tokenise = "tokenise",
        /// brought back from a token
        Detokenise = "detokenise",
        /// masked
        Mask = "mask",
    }
);

label!(
    /// Why a statement was refused.
    Reason {
        /// the policy says no
        Policy = "policy",
        /// not understood, or not computable
        Unsupported = "unsupported",
        /// the text does not parse
        Parse = "parse",
        /// the attribute lacks the search word
        SearchMissing = "search_missing",
        /// the database is not as its policy wants it
        NotReady = "not_ready",
        /// nested too deeply
        TooDeep = "too_deep",
        /// a value that its type does not take
        Value = "value",
        /// the audit cannot write
        Audit = "audit",
        /// a message that the protocol does not allow here
        Protocol = "protocol",
        /// a reason without a word of its own: a defect of ours
        Other = "other",
    }
);

impl Reason {
    /// The reason of a refusal by its word.
    pub fn of_word(word: &str) -> Self {
        Self::ALL
            .iter()
            .copied()
            .find(|reason| reason.as_str() == word)
            .unwrap_or(Self::Other)
    }
}

label!(
    /// How a login was tried.
    LoginMethod {
        /// SCRAM-SHA-256
        Scram = "scram_sha_256",
        /// SCRAM-SHA-256-PLUS
        ScramPlus = "scram_sha_256_plus",
        /// md5
        Md5 = "md5",
        /// a clear-text password under TLS
        Cleartext = "cleartext_tls",
        /// a client certificate
        Certificate = "certificate",
        /// ended before a method was chosen
        Unchosen = "none",
    }
);

label!(
    /// How a login ended.
    LoginOutcome {
        /// logged in
        Done = "done",
        /// wrong password or unknown user
        WrongPassword = "wrong_password",
        /// no role of the policy matches
        NoRole = "no_role",
        /// the database is named nowhere
        NoDatabase = "no_database",
        /// too many sessions
        TooMany = "too_many",
        /// pgveil is shutting down
        Draining = "draining",
        /// the client went away, took too long or broke the protocol
        Broken = "broken",
        /// the server refused or could not be reached
        Upstream = "upstream",
    }
);

label!(
    /// What an operator must look at.
    Alarm {
        /// a reload was refused; the old policy, certificates or keyring stay
        ReloadRefused = "reload_refused",
        /// an attribute does not lie in the database as its policy says
        NotReady = "not_ready",
        /// a stored value did not open
        NotAuthentic = "not_authentic",
        /// the audit cannot write
        Audit = "audit",
        /// a treated attribute in a result that the plan did not expect
        UnexpectedColumn = "unexpected_column",
        /// the control connection is gone
        Control = "control",
    }
);
