//! `pgveil setup`: prints the SQL that a superuser runs once in each database, or, where the configuration does without
//! the server's verifiers, somebody less. Sends nothing.

use clap::Args;

use super::site::{Site, report_one};
use super::{ConfigArgument, Exit};
use crate::config::Method;
use crate::ident::UserName;
use crate::lifecycle::setup::{SetupLogins, setup_sql, setup_sql_without_verifier};

/// `pgveil setup`
#[derive(Debug, Args)]
pub struct Setup {
    #[command(flatten)]
    config: ConfigArgument,
    /// The control login, where there is no configuration yet
    #[arg(long, value_name = "NAME", conflicts_with = "config")]
    control: Option<String>,
    /// The login that applies; the control login when left out
    #[arg(long, value_name = "NAME", requires = "control")]
    owner: Option<String>,
    /// Set the control login's password from the file that the configuration names (as its verifier)
    #[arg(long, conflicts_with = "control")]
    with_password: bool,
}

impl Setup {
    /// Prints the SQL.
    ///
    /// # Errors
    /// What the configuration or the password's file says.
    pub fn run(self) -> miette::Result<Exit> {
        if let Some(control) = self.control {
            let logins = SetupLogins {
                owner: UserName::new(self.owner.unwrap_or_else(|| control.clone())),
                control: UserName::new(control),
            };
            print!("{}", setup_sql(&logins, None));
            return Ok(Exit::Done);
        }
        let site = Site::read(&self.config)?;
        let upstream = &site.config.upstream;
        let password = if self.with_password {
            upstream.control.password().map_err(report_one)?
        } else {
            None
        };
        let logins = SetupLogins {
            control: upstream.control.user.clone(),
            owner: upstream.owner.user.clone(),
        };
        let sql = match upstream.method {
            Method::Verifier => setup_sql(&logins, password.as_ref()),
            Method::AuthFile | Method::CleartextTls => {
                setup_sql_without_verifier(&logins, password.as_ref())
            }
        };
        print!("{sql}");
        Ok(Exit::Done)
    }
}
