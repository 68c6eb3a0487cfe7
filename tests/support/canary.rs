//! Looks for secrets wherever they must not be, in every spelling they may have.

use std::path::{Path, PathBuf};

use data_encoding::{BASE64, HEXLOWER, HEXUPPER};

/// Every file below a folder. Files may come and go meanwhile.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// A secret as it may lie about.
pub fn spellings(secret: &str) -> Vec<Vec<u8>> {
    let bytes = secret.as_bytes();
    let wide: Vec<u8> = secret.encode_utf16().flat_map(u16::to_le_bytes).collect();
    // Base64 of something that begins at any of three places has the middle in common.
    let encoded = |skip: usize| {
        let cut = &bytes[skip..];
        BASE64.encode(&cut[..cut.len() / 3 * 3]).into_bytes()
    };
    let percent: String = bytes.iter().map(|byte| format!("%{byte:02X}")).collect();
    vec![
        bytes.to_vec(),
        wide,
        HEXLOWER.encode(bytes).into_bytes(),
        HEXUPPER.encode(bytes).into_bytes(),
        percent.into_bytes(),
        secret.replace(' ', "%20").into_bytes(),
        encoded(0),
        encoded(1),
        encoded(2),
    ]
}

/// Which of `secrets` are in `bytes` in any spelling.
pub fn found<'a>(bytes: &[u8], secrets: &[(&'a str, String)]) -> Vec<&'a str> {
    let hit = |secret: &str| spellings(secret).iter().any(|spelling| contains(bytes, spelling));
    secrets.iter().filter(|(_, secret)| hit(secret)).map(|(what, _)| *what).collect()
}

/// Where any of `secrets` lies in a file below `folder`; and how many bytes were looked at.
pub fn found_in(folder: &Path, secrets: &[(&str, String)]) -> (Vec<String>, usize) {
    let (mut hits, mut looked_at) = (Vec::new(), 0);
    for path in files(folder) {
        let Ok(bytes) = std::fs::read(&path) else { continue };
        looked_at += bytes.len();
        let name = path.to_string_lossy().into_owned();
        for (what, within) in [("", &bytes[..]), ("the name of ", name.as_bytes())] {
            hits.extend(found(within, secrets).into_iter().map(|secret| format!("{secret} in {what}{name}")));
        }
    }
    (hits, looked_at)
}

/// By the rarest way to begin: most positions are passed over at once.
pub fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    let (first, last) = (wanted[0], wanted.len() - 1);
    let mut at = 0;
    while let Some(next) = bytes[at..].iter().position(|byte| *byte == first) {
        let start = at + next;
        match bytes.get(start..=start + last) {
            Some(part) if part == wanted => return true,
            Some(_) => at = start + 1,
            None => return false,
        }
    }
    false
}
