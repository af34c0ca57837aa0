//! An image as an OCI layout in a tar archive: pure, the same bytes for the same input.
//!
//! Containerd, buildah, skopeo and Docker read this form. The one layer is not compressed, so that its digest is also
//! its diff id; registries and nodes compress and share it as they like.

use std::{collections::BTreeMap, fmt::Write as _, io};

use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

use crate::{elf::Architecture, name::ImageName};

/// Where the binary lies in the image. Manifests and the chart start it by this path.
pub const BINARY: &str = "esc-injector";

/// By number: kubelet can't tell from a name that a user is not root. The one that the injected container runs as too.
const USER: &str = "65532:65532";

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Everything that an image is made of.
#[derive(Debug)]
pub struct Image<'a> {
    /// The one file.
    pub binary: &'a [u8],
    /// Where it lies, without a slash in front.
    pub path: &'a str,
    /// Further names of it: symlinks.
    pub links: &'a [String],
    /// What it runs on.
    pub architecture: Architecture,
    /// What it is called.
    pub name: &'a ImageName,
    /// Labels, by key.
    pub labels: &'a BTreeMap<String, String>,
    /// Seconds since the epoch: time of the file and of the image.
    pub seconds: u64,
    /// The same, in RFC 3339.
    pub created: &'a str,
}

/// An image, ready to be written.
#[derive(Debug)]
pub struct Archive {
    /// The tar archive.
    pub bytes: Vec<u8>,
    /// Digest of the manifest: what a registry will know the image by.
    pub manifest: String,
}

/// What lies at a path of an archive.
enum Content<'a> {
    File(&'a [u8]),
    Directory,
    /// A symlink to this.
    Link(&'a str),
}

/// A piece of an image, known by its digest.
struct Blob {
    bytes: Vec<u8>,
    hex: String,
}

impl Blob {
    fn new(bytes: Vec<u8>) -> Self {
        let hex = sha256(&bytes);
        Self { bytes, hex }
    }

    fn json(value: &Value) -> Self {
        Self::new(value.to_string().into_bytes())
    }

    fn digest(&self) -> String {
        format!("sha256:{}", self.hex)
    }

    fn descriptor(&self, media_type: &str) -> Value {
        json!({"mediaType": media_type, "digest": self.digest(), "size": self.bytes.len()})
    }
}

/// In hexadecimal, as blobs are named.
pub fn sha256(bytes: &[u8]) -> String {
    let mut hex = String::with_capacity(64);
    for byte in digest(&SHA256, bytes).as_ref() {
        // A String takes everything.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

impl Image<'_> {
    /// Makes the archive.
    pub fn archive(&self) -> io::Result<Archive> {
        let target = format!("/{}", self.path);
        let links = self.links.iter().map(|link| (link.as_str(), 0o777, Content::Link(&target)));
        let layer =
            Blob::new(self.tar([(self.path, 0o755, Content::File(self.binary))].into_iter().chain(links))?);
        let config = Blob::json(&self.config(&layer));
        let manifest = Blob::json(&json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config.descriptor(CONFIG),
            "layers": [layer.descriptor(LAYER)],
        }));
        let index = json!({
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": [self.listed(&manifest)],
        })
        .to_string();
        let layout = json!({"imageLayoutVersion": "1.0.0"}).to_string();
        let mut blobs = [&manifest, &config, &layer].map(|blob| (format!("blobs/sha256/{}", blob.hex), blob));
        blobs.sort_by(|(one, _), (other, _)| one.cmp(other));
        let files = [("oci-layout", layout.as_bytes()), ("index.json", index.as_bytes())];
        let files = files.into_iter().map(|(path, bytes)| (path, 0o644, Content::File(bytes)));
        let directories =
            ["blobs/", "blobs/sha256/"].into_iter().map(|path| (path, 0o755, Content::Directory));
        let blobs = blobs.iter().map(|(path, blob)| (path.as_str(), 0o644, Content::File(&blob.bytes)));
        let bytes = self.tar(files.chain(directories).chain(blobs))?;
        Ok(Archive { bytes, manifest: manifest.digest() })
    }

    fn config(&self, layer: &Blob) -> Value {
        json!({
            "created": self.created,
            "architecture": self.architecture.to_string(),
            "os": "linux",
            "config": {
                "User": USER,
                "Entrypoint": [format!("/{}", self.path)],
                "WorkingDir": "/",
                "Labels": self.labels,
            },
            "rootfs": {"type": "layers", "diff_ids": [layer.digest()]},
            "history": [{"created": self.created, "created_by": "cargo xtask image"}],
        })
    }

    /// The manifest as the index lists it: with the name by which containerd imports it, and the tag for other tools.
    fn listed(&self, manifest: &Blob) -> Value {
        let mut descriptor = manifest.descriptor(MANIFEST);
        if let Some(members) = descriptor.as_object_mut() {
            members.insert(
                "annotations".to_owned(),
                json!({
                    "io.containerd.image.name": self.name.to_string(),
                    "org.opencontainers.image.ref.name": self.name.tag(),
                }),
            );
            members.insert(
                "platform".to_owned(),
                json!({"architecture": self.architecture.to_string(), "os": "linux"}),
            );
        }
        descriptor
    }

    /// A tar archive of what lies at these paths, with their modes. All of it belongs to root, which no container of
    /// ours runs as.
    fn tar<'b>(&self, entries: impl IntoIterator<Item = (&'b str, u32, Content<'b>)>) -> io::Result<Vec<u8>> {
        let mut builder = Builder::new(Vec::new());
        for (path, mode, content) in entries {
            let mut header = Header::new_ustar();
            header.set_mode(mode);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(self.seconds);
            header.set_size(0);
            match content {
                Content::File(bytes) => {
                    header.set_size(bytes.len() as u64);
                    header.set_entry_type(EntryType::Regular);
                    builder.append_data(&mut header, path, bytes)?;
                }
                Content::Directory => {
                    header.set_entry_type(EntryType::Directory);
                    builder.append_data(&mut header, path, io::empty())?;
                }
                Content::Link(target) => {
                    header.set_entry_type(EntryType::Symlink);
                    builder.append_link(&mut header, path, target)?;
                }
            }
        }
        builder.into_inner()
    }
}
