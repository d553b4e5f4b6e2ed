//! The command line: one file a command.
#![forbid(unsafe_code)]

pub mod bans;
pub mod cache;
pub mod check;
mod client;
pub mod conns;
pub mod domain;
pub mod drops;
mod error;
pub mod explain;
pub mod guard;
mod logging;
pub mod prefetch;
mod purge;
mod reader;
pub mod serve;
pub mod sign;
pub mod status;
pub mod top;
pub mod version;
pub mod why;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use client::{ClientError, Node};
pub use error::CliError;
pub use reader::ReaderError;

const EXIT_CODES: &str = "\
Exit codes:
  0  done; for `serve`: ended as asked
  1  failed while running
  2  wrong usage, or a wrong configuration";

/// One node of a CDN: serves large files and ranges from a disk cache in front of origins
#[derive(Debug, Parser)]
#[command(name = "edge", version, after_help = EXIT_CODES, subcommand_required = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Args),
    Check(check::Args),
    Status(status::Args),
    Prefetch(prefetch::Args),
    Purge(purge::Args),
    Cache(cache::Args),
    Conns(conns::Args),
    Domain(domain::Args),
    Drops(drops::Args),
    Explain(explain::Args),
    Bans(bans::Args),
    Ban(bans::BanArgs),
    Unban(bans::UnbanArgs),
    Why(why::Args),
    Top(top::Args),
    Guard(guard::Args),
    Sign(sign::Args),
    Version(version::Args),
}

/// Does what the process was started for.
pub fn run() -> ExitCode {
    run_with(std::env::args_os())
}

fn run_with(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(usage) => {
            // Help and version come this way too, with code 0 and to standard output.
            let _ = usage.print();
            return ExitCode::from(if usage.use_stderr() { error::USAGE } else { error::DONE });
        }
    };
    match dispatch(cli.command) {
        Ok(()) => ExitCode::from(error::DONE),
        Err(error) => {
            // Nobody may be listening any more; the code tells it too.
            let _ = writeln!(std::io::stderr(), "{}", error.report());
            ExitCode::from(error.code())
        }
    }
}

fn dispatch(command: Command) -> Result<(), CliError> {
    match command {
        Command::Serve(args) => serve::run(args),
        Command::Check(args) => check::run(args),
        Command::Status(args) => status::run(args),
        Command::Prefetch(args) => prefetch::run(args),
        Command::Purge(args) => purge::run(args),
        Command::Cache(args) => cache::run(args),
        Command::Conns(args) => conns::run(args),
        Command::Domain(args) => domain::run(args),
        Command::Explain(args) => explain::run(args),
        Command::Drops(args) => Ok(drops::run(args)?),
        Command::Bans(args) => Ok(bans::run(args)?),
        Command::Ban(args) => Ok(bans::ban(args)?),
        Command::Unban(args) => Ok(bans::unban(args)?),
        Command::Why(args) => why::run(args),
        Command::Top(args) => top::run(args),
        Command::Guard(args) => Ok(guard::run(args)?),
        Command::Sign(args) => sign::run(args),
        Command::Version(args) => version::run(args),
    }
}

/// Prints to standard output; a reader that has seen enough is no failure.
fn print(text: &str) -> Result<(), CliError> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(CliError::Output(error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_and_its_options_say_what_they_do() {
        for command in Cli::command().get_subcommands() {
            let name = command.get_name();
            assert!(command.get_about().is_some(), "edge {name}");
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "edge {name} {}", argument.get_id());
            }
        }
    }

    #[test]
    fn codes_are_as_documented() {
        let run = |line: &str| format!("{:?}", run_with(line.split(' ').map(OsString::from)));
        let code = |code: u8| format!("{:?}", ExitCode::from(code));
        assert_eq!(run("edge version"), code(0));
        assert_eq!(run("edge --help"), code(0));
        assert_eq!(run("edge no-such-command"), code(2));
        assert_eq!(run("edge check --config /nonexistent/edge.toml"), code(2));
        assert_eq!(run("edge serve --config /nonexistent/edge.toml"), code(2));
        assert_eq!(run("edge status --admin /nonexistent/admin.sock"), code(1));
    }
}
