//! How a login is to prove itself, and what logs it in upstream: by the server's verifier, by the auth_file, by a
//! clear password that the server checks, or by a client's certificate.
//!
//! Unknown logins are met like known ones with a wrong password: a decoy is asked for, after the same questions.

use super::admission::{LoginContext, LoginFiles};
use crate::config::{ClientCert, Method};
use crate::ident::UserName;
use crate::metrics::LoginMethod;
use crate::session::login::{Challenge, LoginFault};
use crate::upstream::control::StoredLogin;
use crate::upstream::credential::Credential;
use crate::wire::certificate::Subject;
use crate::wire::scram::Verifier;

/// How a login proves itself, and what logs it in.
pub(super) struct Found {
    /// what the client is asked
    pub challenge: Challenge,
    /// what logs it in where its own answer does not
    pub credential: Option<Credential>,
}

impl Found {
    fn asking(challenge: Challenge) -> Self {
        Self {
            challenge,
            credential: None,
        }
    }

    /// What metrics call it.
    pub fn method(&self) -> LoginMethod {
        match self.challenge {
            Challenge::Scram(_) => LoginMethod::Scram,
            Challenge::Md5(_) => LoginMethod::Md5,
            Challenge::Cleartext => LoginMethod::Cleartext,
            Challenge::Nothing => LoginMethod::Certificate,
        }
    }
}

/// What a client has shown before it is asked anything.
pub(super) struct Shown<'a> {
    /// whether it is under TLS
    pub encrypted: bool,
    /// its certificate's subject
    pub certificate: Option<&'a Subject>,
}

/// Looks a login up.
///
/// # Errors
/// [`LoginFault`] when it cannot be asked in this way, or the server does not answer.
pub(super) async fn look_up(
    context: &LoginContext,
    files: &LoginFiles,
    (user, shown): (&UserName, Shown<'_>),
) -> Result<Found, LoginFault> {
    match (context.client_cert, shown.certificate) {
        (ClientCert::Required, None) => return Err(LoginFault::NoCertificate),
        (ClientCert::InsteadOfPassword, Some(subject))
            if subject.each("CN", |name| name == user.as_str()) =>
        {
            let credential = files
                .auth_file
                .as_ref()
                .and_then(|file| file.credential(user));
            return Ok(Found {
                challenge: Challenge::Nothing,
                credential: Some(credential.ok_or(LoginFault::NoCredential)?),
            });
        }
        (ClientCert::Optional | ClientCert::Required | ClientCert::InsteadOfPassword, _) => {}
    }
    let decoy = || Challenge::Scram(Verifier::decoy(&context.decoy_key, user));
    match context.method {
        Method::Verifier => stored(context, user, decoy).await,
        Method::AuthFile => {
            let known = files
                .auth_file
                .as_ref()
                .and_then(|file| file.challenge(user));
            let (challenge, credential) = known.unwrap_or_else(|| (decoy(), None));
            Ok(Found {
                challenge,
                credential,
            })
        }
        Method::CleartextTls if shown.encrypted => Ok(Found::asking(Challenge::Cleartext)),
        Method::CleartextTls => Err(LoginFault::TlsRequired),
    }
}

/// By what the server has stored; the same question is asked of it for every name.
async fn stored(
    context: &LoginContext,
    user: &UserName,
    decoy: impl Fn() -> Challenge,
) -> Result<Found, LoginFault> {
    let challenge = match context.control.stored_login(user).await {
        Ok(StoredLogin::Scram(verifier)) => Challenge::Scram(verifier),
        Ok(StoredLogin::Md5(hash)) => Challenge::Md5(hash),
        Ok(StoredLogin::Unknown) => decoy(),
        Ok(StoredLogin::Unusable) => {
            tracing::warn!(
                user = user.as_str(),
                "the stored password is neither a SCRAM-SHA-256 verifier nor an md5 hash: the login is treated as unknown"
            );
            decoy()
        }
        Err(fault) => return Err(LoginFault::NoVerifier(fault.to_string())),
    };
    Ok(Found::asking(challenge))
}
