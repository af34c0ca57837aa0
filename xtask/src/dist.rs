//! `cargo xtask dist`: the binary as it ships, linked statically, without paths of the machine that built it.

use std::{
    env, io,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
};

use crate::elf::{self, Unfit};

/// Builds the static binary and prints where it is
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to build for [default: this machine's processor, with the GNU C library linked in]
    #[arg(long, value_name = "TRIPLE")]
    pub target: Option<String>,
}

/// Why there is no binary.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Cargo can't be started.
    #[error("starting cargo: {0}")]
    Start(io::Error),
    /// Cargo has said why.
    #[error("cargo build: {0}")]
    Build(ExitStatus),
    /// The binary can't be read.
    #[error("reading {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It would not run in an empty image.
    #[error("{}: {unfit}", path.display())]
    Unfit {
        /// Which.
        path: PathBuf,
        /// Why.
        unfit: Unfit,
    },
}

/// Builds it, and gives its path.
pub fn run(args: &Args) -> Result<PathBuf, Error> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let target = match &args.target {
        Some(target) => target.clone(),
        None => format!("{}-unknown-linux-gnu", env::consts::ARCH),
    };
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .current_dir(root)
        // The target is named even where it is the host's: flags would otherwise reach build scripts and procedural
        // macros too, and those can't be linked statically.
        .args(["build", "--locked", "--package", "esc-injector", "--profile", "dist", "--target", &target])
        // Wins over RUSTFLAGS and configuration files: a build must not depend on who runs it.
        .env("CARGO_ENCODED_RUSTFLAGS", flags(root, cargo_home().as_deref()))
        .env_remove("RUSTFLAGS")
        .env("CARGO_INCREMENTAL", "0")
        .status()
        .map_err(Error::Start)?;
    if !status.success() {
        return Err(Error::Build(status));
    }
    let targets =
        env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |named| root.join(named));
    let path = targets.join(target).join("dist").join("esc-injector");
    let binary = std::fs::read(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
    elf::judge(&binary).map_err(|unfit| Error::Unfit { path: path.clone(), unfit })?;
    Ok(path)
}

/// Flags as cargo wants them: between unit separators, so that paths may have spaces.
fn flags(root: &Path, cargo_home: Option<&Path>) -> String {
    let remap = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    let mut flags = vec!["-Ctarget-feature=+crt-static".to_owned()];
    // The last one that matches wins: the sources may lie below cargo's home, or it below them.
    flags.extend(cargo_home.map(|home| remap(home, "/cargo")));
    flags.push(remap(root, "/esc-injector"));
    flags.join("\u{1f}")
}

fn cargo_home() -> Option<PathBuf> {
    let named = env::var_os("CARGO_HOME").map(PathBuf::from);
    named.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_of_the_building_machine_is_left_to_stand() {
        let flags = flags(Path::new("/my work/esc"), Some(Path::new("/me/.cargo")));
        let flags: Vec<_> = flags.split('\u{1f}').collect();
        assert_eq!(
            flags,
            [
                "-Ctarget-feature=+crt-static",
                "--remap-path-prefix=/me/.cargo=/cargo",
                "--remap-path-prefix=/my work/esc=/esc-injector",
            ]
        );
    }
}
