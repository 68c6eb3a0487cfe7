//! Network namespaces, and the TAP devices that are their only cables.

use std::fs::File;
use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::ioctl::{Setter, ioctl};

use super::switch::hardware_address;

/// `TUNSETIFF` of linux/if_tun.h.
const TUN_SET_INTERFACE: rustix::ioctl::Opcode = 0x4004_54ca;
/// `IFF_TAP | IFF_NO_PI`: whole frames and nothing before them.
const PLAIN_FRAMES: u16 = 0x0002 | 0x1000;

/// `struct ifreq`, as far as it names a device and sets its flags.
#[repr(C)]
struct InterfaceRequest {
    name: [u8; 16],
    flags: u16,
    rest: [u8; 22],
}

/// Makes a TAP device. It is gone when the file is closed.
fn tap(name: &str) -> File {
    let file = File::options().read(true).write(true).open("/dev/net/tun");
    let file = file.unwrap_or_else(|error| panic!("these tests need /dev/net/tun: {error}"));
    let mut request = InterfaceRequest { name: [0; 16], flags: PLAIN_FRAMES, rest: [0; 22] };
    request.name[..name.len()].copy_from_slice(name.as_bytes());
    // SAFETY: the opcode is TUNSETIFF, which reads one `struct ifreq`; that is 40 bytes long, as this one is.
    let made = unsafe {
        let set = Setter::<TUN_SET_INTERFACE, InterfaceRequest>::new(request);
        ioctl(&file, set)
    };
    made.unwrap_or_else(|error| {
        panic!("these tests need the right to make TAP devices (CAP_NET_ADMIN): {error}")
    });
    file
}

/// Runs `ip` with these arguments.
fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split_whitespace()).output();
    let output = output.unwrap_or_else(|error| panic!("these tests need iproute2: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments}: {said}(these tests need root)");
}

/// Namespaces of one test, in a network of their own with the test itself.
pub struct Cables {
    prefix: String,
    network: [u8; 3],
    count: usize,
}

impl Cables {
    /// Makes `count` namespaces, and gives the devices: port 0 is the test's own, port N that of namespace N.
    pub fn lay(count: usize) -> (Self, Vec<File>) {
        sweep();
        static LABS: AtomicU32 = AtomicU32::new(0);
        let (process, lab) = (std::process::id(), LABS.fetch_add(1, Ordering::Relaxed));
        // Of its own for every test, also for those of one process that come one after the other.
        let place = process.wrapping_mul(8).wrapping_add(lab);
        let [high, low] =
            [u8::try_from(place / 250 % 120).unwrap_or(0), u8::try_from(place % 250).unwrap_or(0)];
        let cables = Self { prefix: format!("mk{process}x{lab}"), network: [10, 130 + high, low], count };
        let mut ports = Vec::new();
        for port in 0..=count {
            let device = format!("{}t{port}", cables.prefix);
            ports.push(tap(&device));
            ip(&format!("link set {device} address {}", hardware_address(port)));
            if port == 0 {
                cables.connect("", &device, port);
            } else {
                let namespace = cables.namespace(port);
                ip(&format!("netns add {namespace}"));
                ip(&format!("link set {device} netns {namespace}"));
                ip(&format!("-n {namespace} link set lo up"));
                cables.connect(&format!("-n {namespace} "), &device, port);
            }
        }
        (cables, ports)
    }

    fn connect(&self, place: &str, device: &str, port: usize) {
        ip(&format!("{place}addr add {}/24 dev {device}", self.address(port)));
        ip(&format!("{place}link set {device} up"));
        // Whoever is cut off is silent, and not reported as unknown after a second by this very machine.
        for other in (0..=self.count).filter(|other| *other != port) {
            let (address, hardware) = (self.address(other), hardware_address(other));
            ip(&format!("{place}neigh replace {address} lladdr {hardware} dev {device} nud permanent"));
        }
    }

    /// The address of the device behind `port`.
    pub fn address(&self, port: usize) -> Ipv4Addr {
        let [first, second, third] = self.network;
        Ipv4Addr::new(first, second, third, u8::try_from(port + 1).unwrap_or(u8::MAX))
    }

    /// The namespace behind `port`.
    pub fn namespace(&self, port: usize) -> String {
        format!("{}n{port}", self.prefix)
    }
}

impl Drop for Cables {
    fn drop(&mut self) {
        for port in 1..=self.count {
            // Should one be left, the next test sweeps it.
            drop(Command::new("ip").args(["netns", "del", &self.namespace(port)]).output());
        }
    }
}

/// Removes namespaces of tests that ended without doing so.
fn sweep() {
    let Ok(listed) = Command::new("ip").args(["netns", "list"]).output() else { return };
    for line in String::from_utf8_lossy(&listed.stdout).lines() {
        let name = line.split_whitespace().next().unwrap_or_default();
        let process =
            name.strip_prefix("mk").and_then(|rest| rest.split_once('x')).map(|(process, _)| process);
        if let Some(process) = process.and_then(|process| process.parse::<u32>().ok())
            && !std::path::Path::new(&format!("/proc/{process}")).exists()
        {
            drop(Command::new("ip").args(["netns", "del", name]).output());
        }
    }
}
