//! Whether a file can be read front to back while it still arrives, told from its first bytes.
//!
//! Only a hint for when to begin: a wrong "no" costs waiting for the end of the upload, a wrong "yes" an idle worker.

/// What the first bytes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Begin.
    Yes,
    /// Wait for the whole file.
    No,
    /// Too few bytes to say.
    More,
}

/// Bytes after which a file that has not shown itself is taken for one that must be whole.
pub const LOOK_AT_MOST: usize = 1024 * 1024;

const EBML: [u8; 4] = [0x1a, 0x45, 0xdf, 0xa3];
const TS_PACKET: usize = 188;
const TS_SYNC: u8 = 0x47;

/// Looks at the front of a file.
pub fn judge(front: &[u8]) -> Verdict {
    if front.len() < 16 {
        return Verdict::More;
    }
    if front.starts_with(&EBML) {
        return Verdict::Yes;
    }
    if front[0] == TS_SYNC {
        return transport_stream(front);
    }
    match &front[4..8] {
        b"ftyp" | b"styp" | b"moov" | b"free" | b"skip" | b"wide" | b"mdat" => movie(front),
        _ => Verdict::No,
    }
}

fn transport_stream(front: &[u8]) -> Verdict {
    let packets: Vec<u8> = (1..4).filter_map(|number| front.get(number * TS_PACKET).copied()).collect();
    match packets.len() {
        3 if packets.iter().all(|byte| *byte == TS_SYNC) => Verdict::Yes,
        3 => Verdict::No,
        _ => Verdict::More,
    }
}

/// Walks the top-level boxes: the movie's header must come whole, and before its data.
fn movie(front: &[u8]) -> Verdict {
    let mut at = 0usize;
    loop {
        let Some(head) = front.get(at..).and_then(|rest| rest.get(..16)) else { return unless_long(front) };
        let kind = &head[4..8];
        if kind == b"mdat" {
            return Verdict::No;
        }
        let length = match u32::from_be_bytes([head[0], head[1], head[2], head[3]]) {
            0 => return Verdict::No,
            1 => u64::from_be_bytes([
                head[8], head[9], head[10], head[11], head[12], head[13], head[14], head[15],
            ]),
            length => length.into(),
        };
        let Some(next) = usize::try_from(length)
            .ok()
            .filter(|length| *length >= 8)
            .and_then(|length| at.checked_add(length))
        else {
            return Verdict::No;
        };
        if kind == b"moov" {
            return if next <= front.len() { Verdict::Yes } else { unless_long(front) };
        }
        at = next;
    }
}

fn unless_long(front: &[u8]) -> Verdict {
    if front.len() >= LOOK_AT_MOST { Verdict::No } else { Verdict::More }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn boxed(kind: &[u8; 4], length: usize) -> Vec<u8> {
        let mut bytes = u32::try_from(length).unwrap().to_be_bytes().to_vec();
        bytes.extend_from_slice(kind);
        bytes.resize(length, 0);
        bytes
    }

    #[test]
    fn a_header_before_the_data_is_streamable_once_it_is_whole() {
        let mut file = [boxed(b"ftyp", 32), boxed(b"free", 16), boxed(b"moov", 5000)].concat();
        assert_eq!(judge(&file[..3000]), Verdict::More);
        assert_eq!(judge(&file), Verdict::Yes);
        file.extend(boxed(b"mdat", 100));
        assert_eq!(judge(&file), Verdict::Yes);
    }

    #[test]
    fn data_before_the_header_is_not() {
        assert_eq!(judge(&[boxed(b"ftyp", 32), boxed(b"mdat", 100)].concat()), Verdict::No);
        assert_eq!(
            judge(&[boxed(b"ftyp", 32), boxed(b"wide", 8), boxed(b"mdat", 100)].concat()),
            Verdict::No
        );
        let huge =
            [boxed(b"ftyp", 32), (u32::MAX).to_be_bytes().to_vec(), b"moov".to_vec(), vec![0; LOOK_AT_MOST]];
        assert_eq!(judge(&huge.concat()), Verdict::No);
    }

    #[test]
    fn matroska_and_transport_streams_are() {
        assert_eq!(judge(&[&EBML[..], &[0; 20]].concat()), Verdict::Yes);
        let packet = [&[TS_SYNC][..], &[0; TS_PACKET - 1]].concat();
        assert_eq!(judge(&packet), Verdict::More);
        assert_eq!(judge(&packet.repeat(4)), Verdict::Yes);
        assert_eq!(judge(&[packet, vec![0; 4 * TS_PACKET]].concat()), Verdict::No);
        assert_eq!(judge(b"RIFF....AVI LIST...."), Verdict::No);
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), lead in 0u32..40) {
            let _ = judge(&bytes);
            let front = [&lead.to_be_bytes()[..], b"free", &bytes].concat();
            let _ = judge(&front);
        }
    }
}
