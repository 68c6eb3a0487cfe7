//! Makes the files of the corpus, in order, and keeps them for the next run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::recipe::Entry;

/// Where files are made and kept.
pub struct Maker {
    recipe_folder: PathBuf,
    folder: PathBuf,
}

impl Maker {
    pub fn new(recipe_folder: PathBuf, folder: PathBuf) -> Self {
        fs::create_dir_all(&folder).expect("a folder for the corpus");
        Self { recipe_folder, folder }
    }

    /// The file of an entry. It is made anew when its recipe changed; those it is made of must have been made before.
    pub fn make(&self, entry: &Entry) -> PathBuf {
        let path = self.folder.join(&entry.name);
        let stamp = self.folder.join(format!("{}.recipe", entry.name));
        let recipe = format!("{} {}", entry.maker, entry.arguments.join(" "));
        if path.is_file() && fs::read_to_string(&stamp).is_ok_and(|made| made == recipe) {
            return path;
        }
        let argument = |index: usize| entry.arguments[index].as_str();
        let number = |index: usize| argument(index).parse::<usize>().expect("a number");
        match entry.maker.as_str() {
            "ffmpeg" => self.ffmpeg(&entry.arguments, &path),
            "real" => self.fetch(argument(0), argument(1), &path),
            maker => {
                let bytes = match maker {
                    "copy" => self.read(argument(0)),
                    "head" => head(self.read(argument(0)), number(1)),
                    "tail" => tail(self.read(argument(0)), number(1)),
                    "join" => [self.read(argument(0)), self.read(argument(1))].concat(),
                    "flip" => flip(self.read(argument(0)), number(1), number(2)),
                    "mute" => mute(self.read(argument(0)), number(1), number(2)),
                    "patch" => patch(self.read(argument(0)), &hex(argument(1)), &hex(argument(2))),
                    "random" => random(number(0)).take(number(1)).collect(),
                    "hex" => hex(&entry.arguments.concat()),
                    "nest" => nest(number(0)),
                    "repeat" => argument(0).bytes().cycle().take(number(1)).collect(),
                    other => panic!("no maker {other}"),
                };
                fs::write(&path, bytes).expect("room for the corpus");
            }
        }
        fs::write(stamp, recipe).expect("room for the corpus");
        path
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.folder.join(name)).unwrap_or_else(|error| panic!("{name} must come earlier: {error}"))
    }

    fn fetch(&self, package: &str, end_of_path: &str, path: &Path) {
        let mut command = Command::new(self.recipe_folder.join("fetch.sh"));
        command.arg(self.folder.join("packages")).args([package, end_of_path]);
        let output = command.output().expect("fetch.sh");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{package}: {errors}");
        let found = String::from_utf8(output.stdout).expect("a path");
        fs::copy(found.trim(), path).expect("room for the corpus");
    }

    fn ffmpeg(&self, arguments: &[String], path: &Path) {
        let mut command = Command::new("ffmpeg");
        command.args(["-nostdin", "-v", "error", "-y", "-threads", "2"]);
        for argument in arguments {
            if let Some(input) = argument.strip_prefix("picture:") {
                let (size, rest) = input.split_once('@').expect("WxH@RATExSECONDS");
                let (rate, seconds) = rest.split_once('x').expect("RATExSECONDS");
                command.args(["-f", "lavfi", "-i"]);
                command.arg(format!("testsrc2=size={size}:rate={rate}:duration={seconds}"));
            } else if let Some(input) = argument.strip_prefix("sound:") {
                let (rate, seconds) = input.split_once('x').expect("RATExSECONDS");
                command.args(["-f", "lavfi", "-i"]);
                command.arg(format!("sine=frequency=440:sample_rate={rate}:duration={seconds}"));
            } else if let Some(name) = argument.strip_prefix("file:") {
                command.arg(self.folder.join(name));
            } else if let Some(word) = argument.strip_prefix("text:") {
                let file = self.folder.join(format!("{word}.srt"));
                fs::write(&file, format!("1\n00:00:00,200 --> 00:00:01,500\n{word} <i>world</i>\n"))
                    .expect("room");
                command.arg(file);
            } else {
                command.arg(argument);
            }
        }
        let output = command.arg(path).output().expect("ffmpeg must be installed");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {errors}", path.display());
    }
}

fn head(mut bytes: Vec<u8>, per_mille: usize) -> Vec<u8> {
    bytes.truncate(bytes.len() * per_mille / 1_000);
    bytes
}

fn tail(bytes: Vec<u8>, per_mille: usize) -> Vec<u8> {
    bytes[bytes.len() * per_mille / 1_000..].to_vec()
}

fn flip(mut bytes: Vec<u8>, count: usize, seed: usize) -> Vec<u8> {
    let length = bytes.len();
    let mut noise = random(seed);
    let mut number = || noise.by_ref().take(4).fold(0usize, |sum, byte| sum << 8 | usize::from(byte));
    for _ in 0..count {
        let at = 1_024 + number() % (length - 1_024);
        bytes[at] ^= 1 << (number() % 8);
    }
    bytes
}

fn mute(mut bytes: Vec<u8>, from_per_mille: usize, length: usize) -> Vec<u8> {
    let from = bytes.len() * from_per_mille / 1_000;
    bytes[from..from + length].fill(0);
    bytes
}

fn patch(mut bytes: Vec<u8>, find: &[u8], put: &[u8]) -> Vec<u8> {
    let at = bytes.windows(find.len()).position(|window| window == find).expect("what is to be patched");
    bytes[at..at + put.len()].copy_from_slice(put);
    bytes
}

/// Boxes within boxes, each only as large as it must be.
fn nest(depth: usize) -> Vec<u8> {
    let mut bytes = hex("0000001866747970697336300000020069736f366d703431");
    for level in 0..depth {
        let length = u32::try_from((depth - level) * 8).expect("a small depth");
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(if level == 0 { b"moov" } else { b"trak" });
    }
    bytes
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.chars().map(|digit| digit.to_digit(16).expect("hexadecimal digits")).collect();
    digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).expect("two digits")).collect()
}

/// The same bytes for the same seed (xorshift64*).
fn random(seed: usize) -> impl Iterator<Item = u8> {
    let mut state = (seed as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::iter::repeat_with(move || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_be_bytes()[0]
    })
}

/// SHA-256 of a file, in hexadecimal.
pub fn sha256(path: &Path) -> String {
    let output = Command::new("sha256sum").arg(path).output().expect("sha256sum");
    assert!(output.status.success(), "{}", path.display());
    String::from_utf8_lossy(&output.stdout).chars().take(64).collect()
}
