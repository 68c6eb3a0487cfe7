//! The `mediakeep` program: the command line, and the hidden worker that media is decoded in.
use std::process::ExitCode;

fn main() -> ExitCode {
    // Before anything else is set up: a worker locks itself in and must have one thread until then.
    if std::env::args_os().nth(1).is_some_and(|argument| argument == "worker") {
        return pipeline::worker_main();
    }
    ExitCode::SUCCESS
}
