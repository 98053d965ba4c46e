//! `pgveil health`: whether the instance that serves on this machine is ready, for a container's health check.
//!
//! Asks `/readyz` of the configured address, as anybody could; knows nothing else of the instance.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use clap::Args;
use miette::miette;

use super::site::Site;
use super::{ConfigArgument, Exit};
use crate::limits::{HEALTH_ANSWER_BYTES_MAX, HEALTH_WAIT_MS};

/// `pgveil health`
#[derive(Debug, Args)]
pub struct Health {
    #[command(flatten)]
    config: ConfigArgument,
}

impl Health {
    /// Done when the instance is ready.
    ///
    /// # Errors
    /// What is not ready, as the instance says it, or that it does not answer.
    pub fn run(self) -> miette::Result<Exit> {
        let site = Site::read(&self.config)?;
        let address = site.config.http;
        let address = address.ok_or_else(|| miette!("no [http] is configured to be asked"))?;
        let answer =
            ask(address).map_err(|fault| miette!("{address} does not answer /readyz: {fault}"))?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        if head.split(' ').nth(1) == Some("200") {
            return Ok(Exit::Done);
        }
        Err(miette!("not ready: {}", body.trim().replace('\n', "; ")))
    }
}

fn ask(address: SocketAddr) -> std::io::Result<String> {
    let wait = Duration::from_millis(HEALTH_WAIT_MS);
    // An instance that listens on every address listens on loopback.
    let mut stream = TcpStream::connect_timeout(&address, wait)?;
    stream.set_read_timeout(Some(wait))?;
    stream.set_write_timeout(Some(wait))?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream
        .take(HEALTH_ANSWER_BYTES_MAX)
        .read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
