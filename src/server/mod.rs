//! Sockets: accepts clients, performs what sessions decide, serves the HTTP side.

pub mod accept;
pub mod admission;
pub mod auth_file;
pub mod cancel;
pub mod crowd;
pub mod database;
pub mod databases;
pub mod drive;
pub mod http;
pub mod listener;
pub mod login;
mod lookup;
pub mod materials;
mod open_files;
pub mod record;
pub mod reload;
pub mod serve;
mod supervisor;
mod turned_away;
pub mod view;
