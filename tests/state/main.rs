//! State and its rules, told as stories, as a matrix, and by chance. Nothing but the public surface of `cluster`.

mod access;
mod alerts;
mod applications;
mod assets;
mod authorities;
mod backups;
mod blobs;
mod edges;
mod encodings;
mod holders;
mod jobs;
mod keys;
mod lists;
mod matrix;
mod nodes;
mod parts;
mod pepper;
mod properties;
mod recover;
mod requests;
mod retention;
mod roles;
mod samples;
mod views;
mod watching;
mod world;
