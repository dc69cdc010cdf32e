//! The client's side of SASL, written from the RFCs and not with the server's code.

use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use sha2::{Digest, Sha256};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// One exchange.
pub(crate) struct Exchange {
    mechanism: String,
    user: String,
    password: String,
    /// `tls-exporter`, for -PLUS.
    exporter: Option<Vec<u8>>,
    round: u32,
    server_signature: Vec<u8>,
}

const NONCE: &str = "fyko+d2lbbFgONRv9qkxdawL";

impl Exchange {
    pub(crate) fn new(mechanism: &str, user: &str, password: &str, exporter: Option<Vec<u8>>) -> Self {
        Self {
            mechanism: mechanism.to_owned(),
            user: user.to_owned(),
            password: password.to_owned(),
            exporter,
            round: 0,
            server_signature: Vec::new(),
        }
    }

    /// The answer to a challenge, both without base64.
    pub(crate) fn answer(&mut self, challenge: &str) -> Vec<u8> {
        self.round += 1;
        match (self.mechanism.as_str(), self.round) {
            ("PLAIN", _) => format!("\0{}\0{}", self.user, self.password).into_bytes(),
            ("LOGIN", 1) => self.user.clone().into_bytes(),
            ("LOGIN", _) => self.password.clone().into_bytes(),
            ("CRAM-MD5", _) => {
                let mut mac = Hmac::<Md5>::new_from_slice(self.password.as_bytes()).unwrap();
                mac.update(challenge.as_bytes());
                let digest: String =
                    mac.finalize().into_bytes().iter().map(|octet| format!("{octet:02x}")).collect();
                format!("{} {digest}", self.user).into_bytes()
            }
            (_, 1) => format!("{}n={},r={NONCE}", self.gs2(), self.user).into_bytes(),
            (_, 2) => self.proof(challenge).into_bytes(),
            // RFC 5802: the client checks the server, too.
            _ => {
                let verifier = format!("v={}", STANDARD.encode(&self.server_signature));
                assert_eq!(challenge, verifier, "the server does not know the password");
                Vec::new()
            }
        }
    }

    fn gs2(&self) -> &'static str {
        if self.exporter.is_some() { "p=tls-exporter,," } else { "n,," }
    }

    fn proof(&mut self, server_first: &str) -> String {
        let value = |name: &str| server_first.split(',').find_map(|part| part.strip_prefix(name)).unwrap();
        assert!(value("r=").starts_with(NONCE));
        let salt = STANDARD.decode(value("s=")).unwrap();
        let salted = pbkdf2(self.password.as_bytes(), &salt, value("i=").parse().unwrap());
        let bound = [self.gs2().as_bytes(), self.exporter.as_deref().unwrap_or_default()].concat();
        let without_proof = format!("c={},r={}", STANDARD.encode(bound), value("r="));
        let message = format!("n={},r={NONCE},{server_first},{without_proof}", self.user);
        let client_key = hmac(&salted, b"Client Key");
        let signature = hmac(&Sha256::digest(&client_key), message.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(&signature).map(|(key, sign)| key ^ sign).collect();
        self.server_signature = hmac(&hmac(&salted, b"Server Key"), message.as_bytes());
        format!("{without_proof},p={}", STANDARD.encode(proof))
    }
}

fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

/// RFC 5802 `Hi`.
fn pbkdf2(password: &[u8], salt: &[u8], rounds: u32) -> Vec<u8> {
    let mut last = hmac(password, &[salt, &[0, 0, 0, 1]].concat());
    let mut sum = last.clone();
    for _ in 1..rounds {
        last = hmac(password, &last);
        sum.iter_mut().zip(&last).for_each(|(sum, octet)| *sum ^= octet);
    }
    sum
}
