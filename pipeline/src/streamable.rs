//! Whether a source can be read from its front while the rest still arrives. Pure: it looks at first bytes only.

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Streamable {
    /// It can: start at once.
    Yes,
    /// It cannot: its index stands at its end, or it is nothing we know to stream.
    No,
    /// The bytes so far do not tell.
    NeedMore,
}

/// Bytes after which we stop asking for more.
const ENOUGH: usize = 1 << 20;
/// Bytes that tell every kind but MP4.
const SHORT_HEAD: usize = 12;
const TS_PACKET: usize = 188;

/// Looks at the first bytes of a source.
#[must_use]
pub fn streamable(first: &[u8]) -> Streamable {
    if first.len() < SHORT_HEAD {
        return Streamable::NeedMore;
    }
    let starts = |magic: &[u8]| first.starts_with(magic);
    if starts(&[0x1a, 0x45, 0xdf, 0xa3]) || starts(b"FLV\x01") || starts(b"OggS") || starts(&[0, 0, 1, 0xba])
    {
        return Streamable::Yes;
    }
    if starts(b"RIFF") {
        return if first[8..12] == *b"WAVE" { Streamable::Yes } else { Streamable::No };
    }
    if first[0] == 0x47 {
        return transport_stream(first);
    }
    if is_box_name(&first[4..8]) {
        return movie_first(first);
    }
    Streamable::No
}

/// Three sync bytes in a row are no accident.
fn transport_stream(first: &[u8]) -> Streamable {
    match first.get(TS_PACKET * 2) {
        None => Streamable::NeedMore,
        Some(0x47) if first[TS_PACKET] == 0x47 => Streamable::Yes,
        Some(_) => Streamable::No,
    }
}

fn is_box_name(name: &[u8]) -> bool {
    [b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp", b"uuid"]
        .iter()
        .any(|known| name == *known)
}

/// MP4: the index must come before the media.
fn movie_first(first: &[u8]) -> Streamable {
    let mut at = 0;
    while let Some(header) = first.get(at..at + 8) {
        let [a, b, c, d, name @ ..] = header else { break };
        match name {
            b"moov" => return Streamable::Yes,
            b"mdat" => return Streamable::No,
            _ => {}
        }
        let size = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        // 0 means "until the end" and 1 a size of 64 bits: neither belongs before the index.
        if size < 8 {
            return Streamable::No;
        }
        at = at.saturating_add(size);
    }
    if at > ENOUGH { Streamable::No } else { Streamable::NeedMore }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn atom(name: &[u8; 4], length: u32) -> Vec<u8> {
        let mut bytes = (length + 8).to_be_bytes().to_vec();
        bytes.extend(name);
        bytes.resize(bytes.len() + length as usize, 0);
        bytes
    }

    #[test]
    fn an_mp4_streams_when_its_index_comes_first() {
        let front = [atom(b"ftyp", 16), atom(b"free", 40), atom(b"moov", 8)].concat();
        assert_eq!(streamable(&front), Streamable::Yes);
        assert_eq!(streamable(&[atom(b"ftyp", 16), atom(b"mdat", 100)].concat()), Streamable::No);
        assert_eq!(streamable(&atom(b"ftyp", 16)), Streamable::NeedMore);
        let endless = [vec![0, 0, 0, 0], b"free".to_vec(), vec![0; 64]].concat();
        assert_eq!(streamable(&endless), Streamable::No);
    }

    #[test]
    fn containers_without_an_index_stream() {
        assert_eq!(streamable(b"\x1a\x45\xdf\xa3\x01\0\0\0\0\0\0\x1f"), Streamable::Yes);
        let mut transport = vec![0; 600];
        assert_eq!(streamable(&transport), Streamable::No);
        transport[0] = 0x47;
        transport[188] = 0x47;
        assert_eq!(streamable(&transport), Streamable::No);
        transport[376] = 0x47;
        assert_eq!(streamable(&transport), Streamable::Yes);
        assert_eq!(streamable(b"RIFF\x10\0\0\0AVI LIST"), Streamable::No);
        assert_eq!(streamable(b"<html><body>"), Streamable::No);
    }

    proptest! {
        /// More bytes never turn one answer into the other.
        #[test]
        fn an_answer_stays(bytes in proptest::collection::vec(any::<u8>(), 0..800), cut in 0_usize..800) {
            let early = streamable(&bytes[..cut.min(bytes.len())]);
            if early != Streamable::NeedMore {
                prop_assert_eq!(early, streamable(&bytes));
            }
        }
    }
}
