//! What the user typed, and what the command says and returns.
//!
//! Owns the words of the command line and the exit codes; everything else is done by the modules below.

mod anycast;
mod bgp;
mod check;
mod control;
mod drain;
mod output;
mod zone;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, CommandFactory, Parser, Subcommand};

use control::ControlArgs;
use output::{EXIT_FAILED, EXIT_OK, EXIT_USAGE, fail, print};

use crate::admin::ZoneVerb;
use crate::config::{self, Overrides};
use crate::daemon::{self, ConfigSource, DaemonError};
use crate::wire::Name;

/// What stands at the end of `--help`.
const AFTER_HELP: &str = "\
Examples:
  fated                                      serve every NAME.zone in ./zones on 127.0.0.1:5300 and [::1]:5300
  fated serve --zone example.com=my.zone     serve one zone file
  fated serve --zone .=root.zone --listen 127.0.0.1:5353
  fated serve --config /etc/fated/fated.toml
  fated check                                find the faults of the zone files, without a server
  fated check --zone example.com=my.zone --print
  fated reload example.com                   read one zone again
  fated drain                                take the node out; fated resume brings it back
  dig @127.0.0.1 -p 5300 example.test SOA    ask

Exit codes:
  0  all is well
  1  zone files have faults (check, reload)
  2  wrong usage or configuration, or nothing to serve
  3  the server could not start, is not there, or said no

Signals: SIGHUP reloads, SIGTERM and SIGINT stop; a second one stops at once.";

/// An authoritative DNS server: zone files on disk, answers at kernel speed.
///
/// Without a command it serves, as `fated serve` does.
#[derive(Debug, Parser)]
#[command(name = "fated", version, after_help = AFTER_HELP, args_conflicts_with_subcommands = true)]
struct Cli {
    /// What is to be done; to serve where nothing is said.
    #[command(subcommand)]
    command: Option<Command>,
    /// Options of `serve`.
    #[command(flatten)]
    serve: ServeArgs,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
enum Command {
    /// Serve zones until asked to stop
    Serve(ServeArgs),
    /// Find the faults of configuration and zone files, without a server
    Check(CheckArgs),
    /// Show how a running server is
    Status(StatusArgs),
    /// Show the BGP sessions of a running server, and BFD beside them
    Bgp(DrainArgs),
    /// Have a running server read its zone files again
    ///
    /// Files that did not change are not read, and a file with errors leaves its zone as it was.
    Reload(ReloadArgs),
    /// Ask a running server about a zone's transfers, or for the zone
    #[command(subcommand)]
    Zone(ZoneCommand),
    /// Have a running server withdraw its anycast addresses, and wait until it has
    ///
    /// It goes on answering what still comes. It stays drained, over restarts too, until `fated resume`.
    Drain(DrainArgs),
    /// Have a drained server announce its anycast addresses again as soon as it is well
    ///
    /// An address that is held down after a fault is announced as soon as it is well, too.
    Resume(DrainArgs),
    /// Have a running server end, and wait for it
    Stop(ControlArgs),
    /// Print a completion script for a shell
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page of fated, or of one of its commands
    Man {
        /// The command; fated itself where none is named.
        command: Option<String>,
    },
}

/// What is to be done with zones.
#[derive(Debug, Clone, Subcommand)]
enum ZoneCommand {
    /// Show every zone
    List(DrainArgs),
    /// Show how the transfers of a zone are: its serial, when it was and will be asked for, what is wrong
    Status(ZoneArgs),
    /// Ask the primaries of a zone whether it has changed, and wait for what comes
    Refresh(ZoneArgs),
    /// Have a zone whole from a primary, whatever is here, and wait for it
    Retransfer(ZoneArgs),
    /// Tell the servers in `notify` now which version of a zone is served
    Notify(ZoneArgs),
    /// Forget what is kept of a zone that comes from primaries, answer SERVFAIL for it, and have it from a primary anew
    Purge(PurgeArgs),
    /// Write a zone as a zone file, one full record a line, to standard output
    Export(ZoneArgs),
}

/// Options of commands about one zone.
#[derive(Debug, Clone, Args)]
struct ZoneArgs {
    /// The zone
    zone: Name,
    /// How to reach the server.
    #[command(flatten)]
    control: ControlArgs,
    /// Print the reply as JSON, and do not wait
    #[arg(long)]
    json: bool,
}

/// Options of what takes a zone away.
#[derive(Debug, Clone, Args)]
struct PurgeArgs {
    /// Do it; without this option nothing is done
    #[arg(long, short)]
    force: bool,
    /// Which zone.
    #[command(flatten)]
    zone: ZoneArgs,
}

/// Where zones come from.
#[derive(Debug, Clone, Default, Args)]
struct SourceArgs {
    /// Read the configuration from FILE
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Take the zone NAME from FILE; may be given several times; a `=` in NAME is written \061
    #[arg(long = "zone", value_name = "NAME=FILE", value_parser = parse_zone)]
    zones: Vec<(Name, PathBuf)>,
    /// Let zone files include what is below DIR, besides what is below their own folder; may be given several times
    #[arg(long = "include-dir", value_name = "DIR")]
    include_dirs: Vec<PathBuf>,
    /// Take every NAME.zone in DIR [default: ./zones, where no zone is named]
    #[arg(long = "zones", value_name = "DIR")]
    zones_dir: Option<PathBuf>,
}

/// Options of `serve`.
#[derive(Debug, Clone, Default, Args)]
struct ServeArgs {
    /// Where zones come from.
    #[command(flatten)]
    source: SourceArgs,
    /// Listen on this address; may be given several times; the port is 53 where none is named
    /// [default: 127.0.0.1:5300 and [::1]:5300]
    #[arg(long, value_name = "ADDR:PORT", value_parser = parse_listen)]
    listen: Vec<SocketAddr>,
    /// UDP workers; 0 for one on each CPU
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=1024))]
    workers: Option<u16>,
    /// The control socket; "" for none [default: $XDG_RUNTIME_DIR/fated/control.sock,
    /// else /run/fated/ or a folder of the user's]
    #[arg(long, value_name = "PATH", value_parser = any_path())]
    control: Option<PathBuf>,
    /// A folder for what must outlive the process; locked, so that no second server takes it
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Start only when every zone is good and every address is there (else what can be served is served)
    #[arg(long)]
    strict: bool,
    /// Do everything but announce: log what would be announced (for a configuration with [anycast])
    #[arg(long)]
    dry_run: bool,
}

/// Options of `check`.
#[derive(Debug, Clone, Args)]
struct CheckArgs {
    /// Where zones come from.
    #[command(flatten)]
    source: SourceArgs,
    /// Print each good zone in canonical order, one full record a line
    #[arg(long)]
    print: bool,
    /// Take warnings about zones for errors
    #[arg(long)]
    strict: bool,
}

/// Options of `status`.
#[derive(Debug, Clone, Args)]
struct StatusArgs {
    /// How to reach the server.
    #[command(flatten)]
    control: ControlArgs,
    /// Print the reply as JSON
    #[arg(long)]
    json: bool,
    /// Show every zone, and nothing else; as JSON, one line for each 500
    #[arg(long)]
    zones: bool,
}

/// Options of `drain` and `resume`.
#[derive(Debug, Clone, Args)]
struct DrainArgs {
    /// How to reach the server.
    #[command(flatten)]
    control: ControlArgs,
    /// Print the reply as JSON, and do not wait
    #[arg(long)]
    json: bool,
}

/// Options of `reload`.
#[derive(Debug, Clone, Args)]
struct ReloadArgs {
    /// Read this zone only, whether its file changed or not
    zone: Option<Name>,
    /// Take zones away whose files are gone, however many they are (`server.reload-loss-max` else bounds that)
    #[arg(long)]
    force: bool,
    /// How to reach the server.
    #[command(flatten)]
    control: ControlArgs,
    /// Print the reply as JSON
    #[arg(long)]
    json: bool,
}

impl SourceArgs {
    /// What the options say, for the configuration.
    fn into_source(self) -> ConfigSource {
        let overrides = Overrides {
            zones: self.zones,
            zones_dir: self.zones_dir,
            include_dirs: self.include_dirs,
            ..Overrides::default()
        };
        ConfigSource { file: self.config, overrides }
    }
}

impl ServeArgs {
    /// What the options say, for the configuration.
    fn into_source(self) -> ConfigSource {
        let mut source = self.source.into_source();
        source.overrides.listen = self.listen;
        source.overrides.workers = self.workers.map(usize::from);
        source.overrides.control = self.control;
        source.overrides.state_dir = self.state_dir;
        source.overrides.is_dry_run = self.dry_run;
        source.overrides.is_strict = self.strict;
        source
    }
}

/// Does what the user typed.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let code = match cli.command.unwrap_or(Command::Serve(cli.serve)) {
        Command::Serve(args) => ended(daemon::run(args.into_source())),
        Command::Check(args) => check::check(args.source.into_source(), args.print, args.strict),
        Command::Status(args) if args.zones => control::zones(&args.control, args.json),
        Command::Status(args) => control::status(&args.control, args.json),
        Command::Bgp(args) => control::bgp(&args.control, args.json),
        Command::Reload(args) => control::reload(&args.control, args.zone, args.force, args.json),
        Command::Zone(ZoneCommand::List(args)) => control::zones(&args.control, args.json),
        Command::Zone(ZoneCommand::Status(args)) => zone::show(&args.control, ZoneVerb::Status, args.zone, args.json),
        Command::Zone(ZoneCommand::Refresh(args)) => zone::show(&args.control, ZoneVerb::Refresh, args.zone, args.json),
        Command::Zone(ZoneCommand::Retransfer(args)) => {
            zone::show(&args.control, ZoneVerb::Retransfer, args.zone, args.json)
        }
        Command::Zone(ZoneCommand::Notify(args)) => zone::notify(&args.control, args.zone, args.json),
        Command::Zone(ZoneCommand::Purge(args)) => {
            zone::purge(&args.zone.control, args.zone.zone, args.force, args.zone.json)
        }
        Command::Zone(ZoneCommand::Export(args)) => zone::export(&args.control, args.zone, args.json),
        Command::Drain(args) => drain::set(&args.control, true, args.json),
        Command::Resume(args) => drain::set(&args.control, false, args.json),
        Command::Stop(args) => control::stop(&args),
        Command::Completions { shell } => completions(shell),
        Command::Man { command } => manual(command.as_deref()),
    };
    ExitCode::from(code)
}

/// Prints an error; returns its exit code.
fn ended(result: Result<(), DaemonError>) -> u8 {
    match result {
        Ok(()) => EXIT_OK,
        Err(error) => fail(&error, if error.is_usage() { EXIT_USAGE } else { EXIT_FAILED }),
    }
}

/// Prints a completion script.
fn completions(shell: clap_complete::Shell) -> u8 {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "fated", &mut script);
    print(&script, EXIT_OK)
}

/// Prints a manual page.
fn manual(name: Option<&str>) -> u8 {
    let mut command = Cli::command();
    command.build();
    let command = match name {
        None => command,
        Some(name) => match command.find_subcommand(name) {
            Some(found) => found.clone(),
            None => return fail(&format!("there is no command {name}; see fated --help"), EXIT_USAGE),
        },
    };
    let mut page = Vec::new();
    match clap_mangen::Man::new(command).render(&mut page) {
        Ok(()) => print(&page, EXIT_OK),
        Err(error) => fail(&error, EXIT_FAILED),
    }
}

/// Reads `NAME=FILE`.
fn parse_zone(text: &str) -> Result<(Name, PathBuf), String> {
    let (name, file) = text.split_once('=').ok_or("it must be NAME=FILE, such as example.com=my.zone")?;
    let name = name.parse().map_err(|error| format!("`{name}` is no zone name: {error}"))?;
    if file.is_empty() {
        return Err("no file stands behind the `=`".to_owned());
    }
    Ok((name, PathBuf::from(file)))
}

/// Reads an address with or without port.
fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    config::parse_address(text).map_err(|error| error.to_string())
}

/// Takes any path, the empty one too.
fn any_path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_made() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_of_serve_need_no_command() {
        let cli = Cli::try_parse_from(["fated", "--zone", ".=root.zone", "--listen", "::1", "--control", ""]);
        let source = cli.expect("good options").serve.into_source();
        assert_eq!(source.overrides.zones, [(Name::ROOT, PathBuf::from("root.zone"))]);
        assert_eq!(source.overrides.listen[0].to_string(), "[::1]:53");
        assert_eq!(source.overrides.control, Some(PathBuf::new()));
    }

    #[test]
    fn the_first_equals_sign_ends_the_name_of_a_zone() {
        for (written, name, file) in [("a\\061b=file", "a=b", "file"), ("a=b=c", "a", "b=c")] {
            let cli = Cli::try_parse_from(["fated", "--zone", written]).expect("good options");
            let [(read, path)] = &cli.serve.into_source().overrides.zones[..] else { panic!("one zone") };
            assert_eq!(
                (*read, path.as_path()),
                (name.parse().expect("a name"), std::path::Path::new(file)),
                "{written}"
            );
        }
    }

    #[test]
    fn bad_values_are_usage_errors() {
        for arguments in [
            &["fated", "--zone", "example.com"][..],
            &["fated", "--zone", "a..b=file"],
            &["fated", "--zone", "a="],
            &["fated", "--listen", "localhost:53"],
            &["fated", "--workers", "1025"],
            &["fated", "--zones", "a", "status"],
            &["fated", "serve", "--nonsense"],
            &["fated", "reload", "a..b"],
            &["fated", "frobnicate"],
        ] {
            let error = Cli::try_parse_from(arguments).expect_err("bad usage");
            assert_eq!(error.exit_code(), i32::from(EXIT_USAGE), "{arguments:?}");
        }
    }
}
