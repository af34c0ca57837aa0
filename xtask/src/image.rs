//! `cargo xtask image`: a container image with the binary in it, and nothing else.

use std::{
    collections::BTreeMap,
    fs, io,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use crate::{
    elf::{self, Unfit},
    name::ImageName,
    oci::{self, Image},
};

/// Makes an OCI image (a tar archive) from the static binary, without a container engine
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The static binary, as `cargo xtask dist` makes it
    #[arg(long, value_name = "PATH")]
    pub binary: PathBuf,
    /// The archive to write
    #[arg(long, value_name = "FILE")]
    pub output: PathBuf,
    /// The image's full name, as localhost/esc-injector:0.1.0; its tag is also the label of the version
    #[arg(long, value_name = "REGISTRY/NAME:TAG")]
    pub tag: ImageName,
    /// Where the binary lies in the image, and what the image starts
    #[arg(long, value_name = "PATH", default_value = oci::BINARY, value_parser = inner_path)]
    pub path: String,
    /// A further name of the binary in the image, for one that looks at the name it is started by; repeatable
    #[arg(long = "link", value_name = "PATH", value_parser = inner_path)]
    pub links: Vec<String>,
    /// A further label; repeatable
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    pub labels: Vec<(String, String)>,
    /// Time of the image and its file, in seconds since the epoch: for the same bytes, give the same
    #[arg(long, value_name = "SECONDS", env = "SOURCE_DATE_EPOCH", default_value_t = 0)]
    pub source_date_epoch: u64,
}

/// What was written.
#[derive(Debug)]
pub struct Written {
    /// Digest of the manifest.
    pub manifest: String,
    /// Size of the archive.
    pub bytes: usize,
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The binary can't be read.
    #[error("reading {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The binary would not run in an image that holds nothing else.
    #[error("{}: {unfit}", path.display())]
    Unfit {
        /// Which.
        path: PathBuf,
        /// Why.
        unfit: Unfit,
    },
    /// No time that can be written.
    #[error("SOURCE_DATE_EPOCH {0} is no time")]
    Time(u64),
    /// The archive can't be made or written.
    #[error("writing {}: {source}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE".to_owned()),
    }
}

/// A path below the image's root, as archives name it.
fn inner_path(text: &str) -> Result<String, String> {
    let path = text.strip_prefix('/').unwrap_or(text);
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err("write the path of a file, as bin/busybox".to_owned());
    }
    Ok(path.to_owned())
}

/// Makes the image, whole or not at all.
pub fn run(args: &Args) -> Result<Written, Error> {
    let path = || args.binary.clone();
    let binary = fs::read(&args.binary).map_err(|source| Error::Read { path: path(), source })?;
    let architecture = elf::judge(&binary).map_err(|unfit| Error::Unfit { path: path(), unfit })?;
    let seconds = args.source_date_epoch;
    let created = i64::try_from(seconds).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    let created = created.ok_or(Error::Time(seconds))?.to_string();
    let mut labels = standard_labels(args.tag.tag());
    labels.extend(args.labels.iter().cloned());
    let image = Image {
        binary: &binary,
        path: &args.path,
        links: &args.links,
        architecture,
        name: &args.tag,
        labels: &labels,
        seconds,
        created: &created,
    };
    let failed = |source| Error::Write { path: args.output.clone(), source };
    let archive = image.archive().map_err(failed)?;
    write_whole(&args.output, &archive.bytes).map_err(failed)?;
    Ok(Written { manifest: archive.manifest, bytes: archive.bytes.len() })
}

/// The same as in the Dockerfile.
fn standard_labels(version: &str) -> BTreeMap<String, String> {
    [
        ("title", "esc-injector"),
        ("description", "Delivers Pulumi ESC secrets and configuration to Kubernetes pods"),
        ("licenses", "Apache-2.0"),
        ("version", version),
    ]
    .into_iter()
    .map(|(key, value)| (format!("org.opencontainers.image.{key}"), value.to_owned()))
    .collect()
}

fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let permissions = fs::Permissions::from_mode(0o644);
    let mut file = tempfile::Builder::new().permissions(permissions).tempfile_in(directory)?;
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests;
