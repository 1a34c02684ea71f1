//! The `fated` command.

fn main() -> std::process::ExitCode {
    fated::cli::main()
}
