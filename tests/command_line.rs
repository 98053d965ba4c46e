//! Exit codes and help, as a shell meets them.

use assert_cmd::Command;

fn pgveil() -> Command {
    Command::new(env!("CARGO_BIN_EXE_pgveil"))
}

#[test]
fn wrong_usage_is_64() {
    pgveil().assert().code(64);
    pgveil().arg("no-such-word").assert().code(64);
    pgveil().args(["demo", "--no-such-flag"]).assert().code(64);
}

#[test]
fn help_and_version_are_answers() {
    pgveil().arg("--help").assert().success();
    pgveil().arg("--version").assert().success();
    pgveil().args(["demo", "--help"]).assert().success();
}
