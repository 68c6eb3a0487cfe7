//! Asking before something that cannot be taken back.

use std::io::{BufRead, IsTerminal, Write};

use clap::Args;

use super::error::CliError;

/// Whether to ask.
#[derive(Debug, Clone, Copy, Args)]
pub struct Confirm {
    /// Do not ask.
    #[arg(long, short = 'y')]
    yes: bool,
}

impl Confirm {
    /// Says what is about to happen and waits for a yes; without a terminal to ask on, only `--yes` will do.
    pub(super) fn ask(self, what: &str) -> Result<(), CliError> {
        if self.yes {
            return Ok(());
        }
        let input = std::io::stdin();
        if !input.is_terminal() {
            return Err(CliError::Usage(format!("{what} There is no terminal to ask on: give --yes if so")));
        }
        answered(what, input.lock(), std::io::stderr().lock())
    }
}

fn answered(what: &str, mut input: impl BufRead, mut output: impl Write) -> Result<(), CliError> {
    let failed = |error: std::io::Error| CliError::Usage(error.to_string());
    write!(output, "{what} Go on? Type yes: ").and_then(|()| output.flush()).map_err(failed)?;
    let mut line = String::new();
    input.read_line(&mut line).map_err(failed)?;
    if line.trim() == "yes" { Ok(()) } else { Err(CliError::Usage("nothing was done".to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_a_yes() {
        let answered = |typed: &str| {
            let mut asked = Vec::new();
            let answer = answered("Node 3 goes.", typed.as_bytes(), &mut asked);
            assert_eq!(String::from_utf8(asked).unwrap(), "Node 3 goes. Go on? Type yes: ");
            answer.is_ok()
        };
        assert!(answered("yes\n") && answered(" yes \n"));
        for other in ["", "\n", "y\n", "no\n", "yes, please\n", "YES\n"] {
            assert!(!answered(other), "{other}");
        }
    }
}
