//! Every named limit of the program, with its unit and its reason.
//!
//! A loop, queue, buffer, recursion or cache without a name here is a defect.

/// Bytes of a client's or server's message before the session ends (PostgreSQL's own limit is 1 GiB - 1;
/// a value can be that long, and its message must pass).
pub const FRAME_BYTES_MAX: usize = 0x3fff_ffff;

/// Body bytes of the client's messages that hold only a name or a number (PostgreSQL: PQ_SMALL_MESSAGE_LIMIT).
pub const CLIENT_FRAME_SMALL_BYTES_MAX: usize = 10_000;

/// Body bytes of the server's messages that hold no rows and no texts of any length (libpq: 30000).
pub const UPSTREAM_FRAME_SMALL_BYTES_MAX: usize = 30_000;

/// Prepared statements a session may hold: each keeps its text, so that it can be analysed again.
pub const PREPARED_NAMES_MAX: usize = 16_384;

/// Replies a client may leave outstanding before its next message waits: bounds what a session keeps for them.
pub const PIPELINE_REPLIES_MAX: usize = 16_384;

/// Bytes made room for before a socket is read: one read of this size costs little more than the system call.
pub const READ_BYTES: usize = 16 * 1024;

/// Unsent bytes to one side before the other is no longer read: bounds a session's memory when a peer is slow
/// (one message may exceed it).
pub const UNSENT_BYTES_MAX: usize = 256 * 1024;

/// Empty buffers of a read's size that each thread keeps for its sessions.
pub const SPARE_BUFFERS_MAX: usize = 32;

/// Bytes of a session's empty buffer that are kept while it waits for the server; a larger one, left by a large message,
/// is given back. A session that waits for its client keeps none.
pub const IDLE_BUFFER_BYTES_MAX: usize = 256 * 1024;

/// Connections that have not answered yet (12 KiB each); beyond it each new one sends the oldest away, so that slow
/// ones can neither exhaust memory nor keep others out.
pub const LOGINS_AT_ONCE_MAX: usize = 4096;

/// Connections beside those whose login goes on: they have answered and wait for the server, or are being told that
/// they are sent away (a second at the most).
pub const LOGINS_ENDING_MAX: usize = 1024;

/// CancelRequests looked at at one time.
pub const CANCELS_AT_ONCE_MAX: usize = 16;

/// Milliseconds a CancelRequest with an unknown key holds its place: 160 guesses a second at the most, and the secret
/// has 32 bits to guess for as long as its session lives (256 in protocol 3.2).
pub const CANCEL_GUESS_MS: u64 = 100;

/// Seconds a connection to the server may be silent before the server is asked whether it is there, where the
/// configuration names none.
pub const UPSTREAM_KEEPALIVE_S: u64 = 30;

/// Questions of TCP to a silent peer before it is given up.
pub const KEEPALIVE_PROBES: u32 = 3;

/// Milliseconds that sessions have to tell their clients and end once the time to drain is up: a second for each
/// side's farewell, and one for the audit.
pub const DRAIN_FAREWELL_MS: u64 = 3_000;

/// Open files that pgveil needs beside those of its clients: listeners, control connections, audit, the runtime.
pub const OWN_FILES_MAX: u64 = 128;

/// Milliseconds before accepting is tried again when the system has no file descriptors left.
pub const ACCEPT_PAUSE_MS: u64 = 50;

/// Texts that a session remembers since the server last reported its settings; when there are more, it finds out
/// whether they change settings and remembers that alone.
pub const UNSETTLED_TEXTS_MAX: usize = 256;

/// Bytes of a startup packet (PostgreSQL: MAX_STARTUP_PACKET_LENGTH).
pub const STARTUP_BYTES_MAX: usize = 10_000;

/// Bytes of a password or SASL message (PostgreSQL: PG_MAX_SASL_MESSAGE_LENGTH is 1024, auth tokens 65535).
pub const PASSWORD_BYTES_MAX: usize = 65_535;

/// Bytes of one statement text that is analysed; longer texts that could touch a treated attribute are refused.
pub const STATEMENT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes that the plan cache of one role's view of a database holds (keys, and how texts are rewritten).
pub const PLAN_CACHE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Bytes that an entry of the plan cache takes, as a guess from which its tables are sized.
pub const PLAN_CACHE_TYPICAL_BYTES: usize = 2 * 1024;

/// Bytes of a text of which the plan cache keeps anything: longer ones carry rows, and seldom come again.
pub const PLAN_CACHE_TEXT_BYTES_MAX: usize = 16 * 1024;

/// Nesting of expressions, subqueries and parentheses that the analysis follows (54001 beyond it).
pub const NESTING_MAX: usize = 128;

/// Characters that the mask `partial` may keep at either end (PostgreSQL: the longest `varchar(n)`), so that the
/// sum stays an int4 in its SQL form.
pub const MASK_KEPT_CHARACTERS_MAX: u32 = 10_485_760;

/// Bytes of a compiled regular expression of the mask `regex` (the crate's own limit is ten times that).
pub const MASK_REGEX_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of a text that is tokenised whole or in part; what stays of it is FF1's tweak.
pub const TOKEN_TEXT_BYTES_MAX: usize = 16 * 1024;

/// Bytes of the part of a text that a token replaces; FF1's time grows with the square of it.
pub const TOKEN_REPLACED_BYTES_MAX: usize = 256;

/// Steps of FF1's cycle walking: the rarest numbers that may be are one of 21, so that this many are never needed
/// (0.95^4096 is 10^-91).
pub const TOKEN_WALKS_MAX: usize = 4096;

/// Relations of one database that a catalog snapshot holds (a snapshot lives in memory, and twice while it is
/// replaced; the largest multi-tenant CRMs stay under 100,000).
pub const CATALOG_RELATIONS_MAX: usize = 200_000;

/// Milliseconds between two looks at the catalog, so that DDL run beside pgveil is noticed.
pub const CATALOG_POLL_MS: u64 = 5_000;

/// Milliseconds between two looks at the catalog when somebody says that it changed: anybody may say so.
pub const CATALOG_PAUSE_MS: u64 = 100;

/// How often a catalog is read again that others change while it is read.
pub const CATALOG_LOADS_MAX: u32 = 50;

/// Milliseconds before it is read again for that reason.
pub const CATALOG_AGAIN_MS: u64 = 20;

/// Milliseconds that reading a catalog may take (200,000 relations take a few seconds).
pub const CATALOG_LOAD_MS: u64 = 60_000;

/// Milliseconds that files must be left alone before they are read again: an editor writes in several steps.
pub const RELOAD_SETTLE_MS: u64 = 300;

/// Milliseconds between two looks at what is not ready, for the alarm.
pub const READINESS_LOOK_MS: u64 = 1_000;

/// Bytes of plain values that apply and check hold at a time: enough to keep the server busy, small beside a
/// pgveil that also serves.
pub const APPLY_BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Rows that apply and check hold at a time, however small they are.
pub const APPLY_BATCH_ROWS_MAX: usize = 2_000;

/// Milliseconds that apply waits for a table's lock, with every other statement on the table queued behind it.
pub const APPLY_LOCK_WAIT_MS: u64 = 10_000;

/// Bytes of a sealed value in an index (B-tree rows end at 2,704 bytes; the rest is for the row's head and other
/// key columns).
pub const SEALED_INDEX_BYTES_MAX: usize = 2_600;

/// Places named of values that have no stored form: enough to find them, few enough to read.
pub const VALUE_EXAMPLES_MAX: usize = 5;

/// Bytes of one SCRAM message (PostgreSQL: PG_MAX_SASL_MESSAGE_LENGTH).
pub const SCRAM_MESSAGE_BYTES_MAX: usize = 1024;

/// Iterations of a stored verifier that are believed: beyond it the verifier is damaged (PostgreSQL's own
/// `scram_iterations` ends at i32::MAX, which no client could compute in a login's time).
pub const SCRAM_ITERATIONS_MAX: u32 = 100_000_000;

/// Iterations for which pgveil itself derives keys from a password during a login: half a second of one core
/// (PostgreSQL's default is 4,096), so that a server cannot keep it busy.
pub const SCRAM_ITERATIONS_DERIVED_MAX: u32 = 1_000_000;

/// Bytes of a client's PasswordMessage before it is known (tokens of cloud providers, sent as passwords, have
/// 2 to 4 KiB).
pub const PASSWORD_FRAME_BYTES_MAX: usize = 8 * 1024;

/// Bytes of an auth_file: 10,000 logins with SCRAM verifiers.
pub const AUTH_FILE_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Logins of an auth_file: the key of each plain password is derived when the file is read (a few milliseconds each).
pub const AUTH_FILE_LOGINS_MAX: usize = 10_000;

/// Bytes of a policy or configuration file; a policy of 10,000 attributes is about 1 MiB.
pub const DOCUMENT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Nesting of a policy or configuration file; the language itself needs 9.
pub const DOCUMENT_DEPTH_MAX: usize = 32;

/// Faults gathered from one file; each costs another pass over the tree.
pub const FAULTS_MAX: usize = 100;

/// Bytes of a keyring file (about 200 a domain: room for 80,000 of them).
pub const KEYRING_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Bytes of a file that holds a passphrase.
pub const PASSPHRASE_BYTES_MAX: u64 = 4096;

/// KiB of memory that a keyring's Argon2id may ask for (1 GiB; RFC 9106 recommends 64 MiB or 2 GiB), so that a
/// hostile file cannot exhaust the machine.
pub const KDF_MEMORY_KIB_MAX: u32 = 1024 * 1024;

/// Passes over that memory.
pub const KDF_PASSES_MAX: u32 = 16;

/// Lanes of that memory.
pub const KDF_LANES_MAX: u32 = 16;

/// Different roles, domains or databases that metrics tell apart (a series each; Prometheus keeps them all).
pub const METRIC_NAMES_MAX: usize = 1024;

/// Bytes of a jsonb document's canonical form (PostgreSQL's own limit on a jsonb is 2^28 - 1; a short number such as
/// `1e131071` prints long).
pub const JSONB_BYTES_MAX: usize = 0x0fff_ffff;

/// Descriptions of enums, citext and array types of treated attributes that are kept for the life of the process
/// (each under a few hundred bytes; one more comes only when such a type is created or altered in a database).
pub const TYPE_DESCRIPTIONS_MAX: usize = 100_000;

/// Nesting of a json or jsonb document (54001 beyond it; its reader is recursive, and a thread's stack is 2 MiB).
pub const JSONB_NESTING_MAX: usize = 512;

/// Bytes of a name (PostgreSQL: NAMEDATALEN - 1). Longer names of users and databases are refused at login: the
/// server would cut them, and log in to another name than the one the policy saw.
pub const NAME_BYTES_MAX: usize = 63;

/// Bytes of a cancel key (PostgreSQL: MAX_CANCEL_KEY_LENGTH, protocol 3.2).
pub const CANCEL_KEY_BYTES_MAX: usize = 256;

/// Milliseconds for a connection to the server, TLS included. With the next one less than the default
/// `login_timeout`, so that the client is told instead of cut off.
pub const UPSTREAM_CONNECT_TIMEOUT_MS: u64 = 3_000;

/// Milliseconds from the startup packet to the server's ReadyForQuery.
pub const UPSTREAM_LOGIN_TIMEOUT_MS: u64 = 5_000;

/// Bytes of one message of the server before it is ready for queries: an error text at most.
pub const UPSTREAM_LOGIN_FRAME_BYTES_MAX: usize = 64 * 1024;

/// Messages of the server before it is ready for queries (PostgreSQL sends about 20, extensions a few more).
pub const UPSTREAM_LOGIN_FRAMES_MAX: usize = 256;

/// Milliseconds for one question over the control connection during a login.
pub const CONTROL_QUERY_TIMEOUT_MS: u64 = 5_000;

/// Milliseconds before the control connection is tried again after the first failure; doubled at each further one.
pub const CONTROL_BACKOFF_MIN_MS: u64 = 100;

/// Milliseconds between two tries of the control connection at the most.
pub const CONTROL_BACKOFF_MAX_MS: u64 = 5_000;

/// Bytes of a frame with a SASL response: the mechanism's name and one SCRAM message.
pub const SASL_FRAME_BYTES_MAX: usize = SCRAM_MESSAGE_BYTES_MAX + 64;

/// Bytes a login holds of what its client has sent: a startup packet, and what a hasty client sends with it.
pub const LOGIN_INPUT_BYTES_MAX: usize = STARTUP_BYTES_MAX + 4 + 1024;

/// Milliseconds a client refused at login has to take its error before it is closed.
pub const FAREWELL_TIMEOUT_MS: u64 = 1_000;

/// Bytes of a password or passphrase file (no password of PostgreSQL's is longer than a thousand).
pub const SECRET_BYTES_MAX: usize = 4096;

/// KiB of audit records that may wait for the writer; beyond it sessions wait.
pub const AUDIT_QUEUE_KIB: u32 = 64 * 1024;

/// Records the audit's writer takes at once (one write, one sync).
pub const AUDIT_BATCH_MAX: usize = 1024;

/// Milliseconds for which the audit's writer lets records come together that nobody waits for.
pub const AUDIT_LINGER_MS: u64 = 5;

/// Milliseconds a write of the audit may take on a session's own thread; after a slower one the writer's thread writes.
/// More than a busy machine keeps a thread waiting for a processor, mostly.
pub const AUDIT_QUICK_MS: u64 = 10;

/// Bytes of room for audit records that are kept for others, wherever records are put together.
pub const AUDIT_SPARE_BYTES_MAX: usize = 1024 * 1024;

/// Records that a session writes on its own thread at once; more are left to the writer's thread.
pub const AUDIT_AT_ONCE_MAX: usize = 32;

/// Batches the writer's thread writes before a sync that is due, while there is somebody who waits.
pub const AUDIT_PASSES_MAX: usize = 16;

/// Milliseconds for which the disk counts as slow after a slow write.
pub const AUDIT_SLOW_MS: u64 = 2_000;

/// Milliseconds between two syncs of the audit with `sync = "interval"`.
pub const AUDIT_SYNC_MS: u64 = 100;

/// Milliseconds between two signed heads while records come.
pub const AUDIT_ANCHOR_MS: u64 = 5_000;

/// Milliseconds until the audit's writer tries a disk again that took nothing.
pub const AUDIT_RETRY_MS: u64 = 500;

/// Bytes after which an audit file ends (a new one is begun every day too).
pub const AUDIT_FILE_BYTES: u64 = 256 * 1024 * 1024;

/// Records of one audit file (the shortest record is longer than `AUDIT_FILE_BYTES` / this).
pub const AUDIT_FILE_RECORDS_MAX: u64 = 4 * 1024 * 1024;

/// Files of one run of one instance: 1,000 a day for 28 years.
pub const AUDIT_RUN_FILES_MAX: u64 = 10_000_000;

/// Bytes of a statement's text in the audit; a longer one is cut, with its length and digest.
pub const AUDIT_STATEMENT_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of `application_name` in the audit (PostgreSQL cuts at 63).
pub const AUDIT_APPLICATION_BYTES_MAX: usize = 256;

/// Relations of one statement in the audit.
pub const AUDIT_RELATIONS_MAX: usize = 1000;

/// Bytes of a line of the audit: a statement with every byte escaped (six for one), 65,535 parameters, relations.
pub const AUDIT_LINE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Bytes of a PEM file: a chain, a key, or a bundle of CA certificates (the system's own has 220 KB).
pub const PEM_BYTES_MAX: usize = 1024 * 1024;

/// Milliseconds that `pgveil health` waits for each step of an answer; a container's own limit is longer.
pub const HEALTH_WAIT_MS: u64 = 3_000;

/// Bytes of an answer that `pgveil health` reads: a head and some lines of names.
pub const HEALTH_ANSWER_BYTES_MAX: u64 = 16_384;
