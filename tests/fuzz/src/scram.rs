//! SCRAM on both legs. What an exchange makes up anew each time, its nonce, stands as `%` in the fuzzed messages.

use std::sync::LazyLock;

use pgveil::secret::Secret;
use pgveil::wire::certificate::EndPoint;
use pgveil::wire::scram::{
    Binding, ClientExchange, ClientKeys, Mechanism, ServerExchange, Verifier,
};

const SALT: &[u8; 16] = b"0123456789abcdef";
const ITERATIONS: u32 = 4096;

/// A certificate that channels are bound to; in hexadecimal, as it stands in a seed too.
const CERTIFICATE: &str = concat!(
    "308201763082011ba003020102021475fd7cbc6c754da6bad968aeaabc947067415325300a06082a8648ce3d040302300f31",
    "0d300b06035504030c0466757a7a3020170d3236313132353033313535325a180f32313236313130313033313535325a300f",
    "310d300b06035504030c0466757a7a3059301306072a8648ce3d020106082a8648ce3d0301070342000438956872d90cc647",
    "b948349d20450f9e7c54177276bc544b960cddc1d37449eb60312b84c3bf2d14643d8d90242cebcc33b23f9333c315d94c97",
    "9d11a22538a4a3533051301d0603551d0e04160414b4dab486e86b26696a1aaa305b37363f4929144b301f0603551d230418",
    "30168014b4dab486e86b26696a1aaa305b37363f4929144b300f0603551d130101ff040530030101ff300a06082a8648ce3d",
    "0403020349003046022100cabf07031ba5e617af8143514c2d76552677ac288fb4d036505c66fc3f570b07022100c5eb2914",
    "d04ec3f45e34556e6fe2f5064b5366336136014a7802f98803d67592",
);

static PASSWORD: LazyLock<Secret<String>> = LazyLock::new(|| Secret::new("fuzz".to_owned()));
static END_POINT: LazyLock<EndPoint> =
    LazyLock::new(|| EndPoint::of_certificate(&certificate()).expect("it is signed with SHA-256"));
static STORED: LazyLock<Secret<String>> =
    LazyLock::new(|| Verifier::of_password(&PASSWORD, SALT, ITERATIONS).to_stored());

/// The messages stand behind each other, with 0xFF between them: client-first and client-final for pgveil as the
/// server, server-first and server-final for pgveil as the client, a stored verifier. A certificate follows.
pub fn body(data: &[u8]) {
    let mut parts = data.split(|&b| b == 0xff);
    let mut part = || parts.next().unwrap_or_default();
    as_server(part(), part());
    as_client(part(), part());
    let stored = part();
    let certificate: Vec<u8> = parts.collect::<Vec<_>>().join(&0xff);
    if let Some(end_point) = EndPoint::of_certificate(&certificate) {
        assert!(end_point.as_bytes().len() <= 64, "no hash is that long");
    }
    if let Ok(stored) = std::str::from_utf8(stored)
        && let Ok(verifier) = Verifier::parse(stored)
    {
        let again = Verifier::parse(verifier.to_stored().expose());
        let again = again.expect("what was read is written so that it is read");
        assert_eq!(again.to_stored().expose(), verifier.to_stored().expose());
    }
}

fn as_server(first: &[u8], last: &[u8]) {
    let verifier = Verifier::parse(STORED.expose()).expect("a verifier");
    let (mechanism, end_point) = match first.first() {
        Some(b'p') => (Mechanism::Plus, Some(&*END_POINT)),
        _ => (Mechanism::Unbound, None),
    };
    let begun = ServerExchange::begin(mechanism, first, verifier, end_point);
    let Ok((exchange, server_first)) = begun else {
        return;
    };
    let nonce = server_first.split(',').next();
    let nonce = nonce.and_then(|n| n.strip_prefix("r="));
    let last = with_nonce(last, nonce.expect("server-first begins with the nonce"));
    // The nonce is pgveil's: a proof for it that was there before is a broken exchange.
    assert!(exchange.finish(&last).is_err(), "a proof by chance");
}

fn as_client(first: &[u8], last: &[u8]) {
    let bound = last.first() == Some(&b'p');
    let binding = Binding::choose(bound, bound.then(|| END_POINT.clone()));
    let (exchange, client_first) = ClientExchange::begin(binding);
    let (_, nonce) = client_first
        .split_once("r=")
        .expect("client-first ends with the nonce");
    let keys = |_: &[u8], _| Ok(ClientKeys::of_password(&PASSWORD, SALT, 1));
    let Ok((waiting, _)) = exchange.respond(&with_nonce(first, nonce), keys) else {
        return;
    };
    assert!(waiting.verify(last).is_err(), "a signature by chance");
}

fn certificate() -> Vec<u8> {
    let digits = CERTIFICATE.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits
        .map(|pair| byte(pair).expect("hexadecimal"))
        .collect()
}

/// The message with the nonce in the place of each `%`.
fn with_nonce(message: &[u8], nonce: &str) -> Vec<u8> {
    let mut parts = message.split(|&b| b == b'%');
    let mut whole = parts.next().unwrap_or_default().to_vec();
    for part in parts {
        whole.extend_from_slice(nonce.as_bytes());
        whole.extend_from_slice(part);
    }
    whole
}

/// An exchange each, right but for the proofs.
pub fn seeds() -> Vec<Vec<u8>> {
    let key = "A".repeat(43) + "=";
    let client_first = "n,,n=app,r=abcdef";
    let client_final = format!("c=biws,r=%,p={key}");
    let server_first = "r=%xyz,s=MDEyMzQ1Njc4OWFiY2RlZg==,i=4096";
    let server_final = format!("v={key}");
    let stored = STORED.expose().clone();
    let all = [
        client_first,
        &client_final,
        server_first,
        &server_final,
        &stored,
    ];
    let join = |parts: &[&str]| {
        let bytes: Vec<&[u8]> = parts.iter().map(|p| p.as_bytes()).collect();
        bytes.join(&0xff)
    };
    vec![
        join(&all),
        join(&["y,,n=,r=a", "c=eSws,r=%"]),
        join(&["p=tls-server-end-point,,n=,r=a", "c=x,r=%"]),
        join(&["", "", server_first, "e=other-error"]),
        [join(&["", "", "", "", &stored, ""]), certificate()].concat(),
    ]
}
