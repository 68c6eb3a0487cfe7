//! appliance
#![forbid(unsafe_code)]
