//! The parsers of the node: headers, tokens, names and certificates that anybody may send. Shared by the tests and the fuzz
//! targets.

use std::sync::LazyLock;

use node::api::paging;
use node::auth::token::Token;
use node::download::name;
use node::ingest::tus::{self, Checksum};
use node::play::range::{self, Part};
use node::play::view::{RenewalClaims, ViewClaims};
use node::tls::{Names, Tls};
use node::token::TokenKey;

/// The key all tokens here are signed with.
pub fn token_key() -> TokenKey {
    TokenKey::new(&[7; 32])
}

/// Signed tokens of views, sign-ins and keys. A token has one spelling.
pub fn read_tokens(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let key = token_key();
    if let Ok(claims) = key.verify::<ViewClaims>(&text) {
        assert_eq!(key.sign(&claims).as_deref(), Ok(&*text), "one token, one spelling");
    }
    if let Ok(claims) = key.verify::<RenewalClaims>(&text) {
        assert_eq!(key.sign(&claims).as_deref(), Ok(&*text), "one token, one spelling");
    }
    if let Ok(token) = text.parse::<Token>() {
        assert_eq!(token.reveal().expose(), &*text, "one token, one spelling");
    }
    let _ = paging::decode(&text);
}

/// Headers of an upload, one on each line.
pub fn read_upload_headers(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for line in text.lines() {
        let _ = tus::metadata(line);
        let _ = tus::length(Some(line), None);
        let _ = tus::length(None, Some(line));
        let _ = tus::media_type(line);
        if let Ok(name) = tus::file_name(line) {
            assert!(!name.contains(['/', '\\', '\0', '\n']), "a name is no path: {name:?}");
            let _ = tus::title_of(&name);
            let _ = (name::content_disposition(&name), name::safe_name(&name));
        }
        if let Ok(checksum) = Checksum::parse(line) {
            let _ = checksum.matches(bytes);
        }
    }
}

/// `Range`, for a body of any length.
pub fn read_range(bytes: &[u8]) {
    let (length, header) = bytes.split_at(bytes.len().min(8));
    let length = length.iter().fold(0_u64, |length, byte| length << 8 | u64::from(*byte));
    let header = String::from_utf8_lossy(header);
    if let Part::Range { start, end } = range::parse(Some(&header), length) {
        assert!(start < end && end <= length, "{start}..{end} of {length}");
    }
}

/// A certificate chain and key as an operator uploads them.
pub fn read_certificate(bytes: &[u8]) {
    static TLS: LazyLock<(tempfile::TempDir, Tls)> = LazyLock::new(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let tls =
            Tls::open(folder.path(), &Names::of_this_machine(&[]), &NoVault, None).expect("an authority");
        (folder, tls)
    });
    let text = String::from_utf8_lossy(bytes);
    let cut = text.find("-----BEGIN PRIVATE").unwrap_or(text.len());
    let (chain, key) = text.split_at(cut);
    let _ = TLS.1.prepare(chain, key, 1_800_000_000_000);
}

/// Keeps the authority of these tests, which is nobody's.
struct NoVault;

impl node::tls::Vault for NoVault {
    fn seal(&self, _label: &str, plain: &[u8]) -> Result<Vec<u8>, node::tls::TlsError> {
        Ok(plain.to_vec())
    }

    fn open(&self, _label: &str, sealed: &[u8]) -> Result<zeroize::Zeroizing<Vec<u8>>, node::tls::TlsError> {
        Ok(zeroize::Zeroizing::new(sealed.to_vec()))
    }
}
