//! Runs the real program in a temporary folder, on small synthetic data.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a test that is skipped says so")]

mod bad_input;
mod changed_data;
mod clients;
mod compare;
mod convert;
mod damaged_export;
mod data;
mod derived;
mod device;
mod documentation;
mod every_kind;
mod explain;
mod export;
mod extremes;
mod hashed;
mod inferred;
mod interruption;
mod killed;
mod labels;
mod mutants;
mod new_rows;
mod numbers;
mod one_process;
mod other_commands;
mod parity;
mod ranking;
mod report;
mod reproducibility;
mod scene;
mod settings;
mod splits;
mod streaming;
mod surroundings;
mod suspicions;
mod synth;
mod tables;
mod tensorboard;
mod terminal;
mod triton;
mod tune;
mod unseen;
mod values;
mod verify;
mod whole_way;
