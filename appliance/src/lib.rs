//! What mediakeep knows of the machine it runs on: disks, updates, network, firewall, screen.
//!
//! Empty until the bootable image is built; the crate keeps its place so that imports already point the right way:
//! `node` may import it, it imports neither `cluster` nor `pipeline`.
#![forbid(unsafe_code)]
