//! The `esc-injector` binary: all of it lives in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    esc_injector::cli::main()
}
