use std::{borrow::Cow, collections::HashMap, io::Read as _, process::Command};

use serde_json::Value;

use super::*;
use crate::{elf::tests::executable, oci::sha256};

fn args(directory: &Path, output: &str) -> Args {
    let binary = directory.join("binary");
    write_whole(&binary, &executable(183, 1)).unwrap();
    Args {
        binary,
        output: directory.join(output),
        tag: "localhost/esc-injector:9.8.7".parse().unwrap(),
        path: oci::BINARY.to_owned(),
        links: Vec::new(),
        labels: vec![("org.opencontainers.image.revision".to_owned(), "abc".to_owned())],
        source_date_epoch: 1_700_000_000,
    }
}

/// The files of an archive, checked against the digests that name them.
fn files(archive: &[u8]) -> HashMap<String, Vec<u8>> {
    let mut files = HashMap::new();
    for entry in tar::Archive::new(archive).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_str().unwrap().to_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        if let Some(hex) = path.strip_prefix("blobs/sha256/").filter(|hex| !hex.is_empty()) {
            assert_eq!(hex, sha256(&content));
        }
        files.insert(path, content);
    }
    files
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

/// Follows a descriptor to its blob.
fn follow<'a>(files: &'a HashMap<String, Vec<u8>>, descriptor: &Value) -> &'a [u8] {
    let path = format!("blobs/{}", descriptor["digest"].as_str().unwrap().replace(':', "/"));
    let blob = &files[&path];
    assert_eq!(descriptor["size"], blob.len());
    blob
}

#[test]
fn the_image_is_the_binary_its_user_and_its_entry_point() {
    let directory = tempfile::tempdir().unwrap();
    let args = args(directory.path(), "image.tar");
    let written = run(&args).unwrap();
    let files = files(&fs::read(&args.output).unwrap());

    assert_eq!(json(&files["oci-layout"])["imageLayoutVersion"], "1.0.0");
    let index = json(&files["index.json"]);
    let listed = &index["manifests"][0];
    assert_eq!(listed["digest"], written.manifest);
    assert_eq!(listed["platform"], serde_json::json!({"architecture": "arm64", "os": "linux"}));
    assert_eq!(listed["annotations"]["io.containerd.image.name"], "localhost/esc-injector:9.8.7");
    assert_eq!(listed["annotations"]["org.opencontainers.image.ref.name"], "9.8.7");

    let manifest = json(follow(&files, listed));
    let config = json(follow(&files, &manifest["config"]));
    assert_eq!((&config["os"], &config["architecture"]), (&"linux".into(), &"arm64".into()));
    assert_eq!(config["created"], "2023-11-14T22:13:20Z");
    assert_eq!(config["config"]["User"], "65532:65532");
    assert_eq!(config["config"]["Entrypoint"], serde_json::json!(["/esc-injector"]));
    let labels = &config["config"]["Labels"];
    assert_eq!(labels["org.opencontainers.image.version"], "9.8.7");
    assert_eq!(labels["org.opencontainers.image.revision"], "abc");

    let layers = manifest["layers"].as_array().unwrap();
    assert_eq!(layers.len(), 1);
    assert_eq!(config["rootfs"]["diff_ids"], serde_json::json!([layers[0]["digest"]]));
    let mut layer = tar::Archive::new(follow(&files, &layers[0]));
    let mut entries = layer.entries().unwrap();
    let mut entry = entries.next().unwrap().unwrap();
    assert_eq!(entry.path().unwrap(), Path::new("esc-injector"));
    let header = entry.header();
    assert_eq!((header.mode().unwrap(), header.uid().unwrap(), header.gid().unwrap()), (0o755, 0, 0));
    assert_eq!(header.mtime().unwrap(), 1_700_000_000);
    let mut content = Vec::new();
    entry.read_to_end(&mut content).unwrap();
    assert_eq!(content, executable(183, 1));
    assert!(entries.next().is_none());
}

#[test]
fn another_program_lies_at_its_own_path_and_has_further_names() {
    let directory = tempfile::tempdir().unwrap();
    let mut args = args(directory.path(), "image.tar");
    args.path = inner_path("/bin/busybox").unwrap();
    args.links = vec!["bin/sh".to_owned()];
    run(&args).unwrap();
    let files = files(&fs::read(&args.output).unwrap());
    let index = json(&files["index.json"]);
    let manifest = json(follow(&files, &index["manifests"][0]));
    let config = json(follow(&files, &manifest["config"]));
    assert_eq!(config["config"]["Entrypoint"], serde_json::json!(["/bin/busybox"]));
    let mut layer = tar::Archive::new(follow(&files, &manifest["layers"][0]));
    let entries: Vec<_> = layer
        .entries()
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let target = entry.link_name().unwrap().map(Cow::into_owned);
            (entry.path().unwrap().into_owned(), target)
        })
        .collect();
    assert_eq!(entries, [("bin/busybox".into(), None), ("bin/sh".into(), Some("/bin/busybox".into()))]);
    for path in ["", "/", "bin//sh", "../sh", "bin/."] {
        inner_path(path).unwrap_err();
    }
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let (one, other) = (args(directory.path(), "one.tar"), args(directory.path(), "other.tar"));
    let digests = [run(&one).unwrap().manifest, run(&other).unwrap().manifest];
    assert_eq!(digests[0], digests[1]);
    assert_eq!(fs::read(&one.output).unwrap(), fs::read(&other.output).unwrap());
}

#[test]
fn a_binary_that_would_not_start_makes_no_image() {
    let directory = tempfile::tempdir().unwrap();
    let args = args(directory.path(), "image.tar");
    write_whole(&args.binary, &executable(62, 3)).unwrap();
    let error = run(&args).unwrap_err().to_string();
    assert!(error.contains("linked dynamically") && error.contains("cargo xtask dist"), "{error}");
    assert!(!args.output.exists());
}

/// Buildah with a storage of its own.
struct Buildah<'a>(&'a Path);

impl Buildah<'_> {
    fn run(&self, arguments: &[&str]) -> String {
        let output = Command::new("buildah")
            .args(["--storage-driver=vfs", "--root"])
            .arg(self.0.join("storage"))
            .arg("--runroot")
            .arg(self.0.join("run"))
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn inspect(&self, id: &str) -> Value {
        json(self.run(&["inspect", "--type=image", id.trim()]).as_bytes())["OCIv1"].clone()
    }
}

/// A reader that shares no code with the writer.
#[test]
#[ignore = "needs buildah"]
fn buildah_reads_the_image() {
    let directory = tempfile::tempdir().unwrap();
    let args = args(directory.path(), "image.tar");
    run(&args).unwrap();
    let buildah = Buildah(directory.path());
    let source = format!("oci-archive:{}", args.output.display());
    let image = buildah.inspect(&buildah.run(&["pull", "--quiet", "--policy=always", &source]));
    assert_eq!(image["config"]["User"], "65532:65532");
    assert_eq!(image["config"]["Entrypoint"], serde_json::json!(["/esc-injector"]));
    assert_eq!(image["architecture"], "arm64");
}

#[test]
#[ignore = "needs buildah"]
fn the_dockerfile_says_the_same_of_the_image() {
    let directory = tempfile::tempdir().unwrap();
    let args = args(directory.path(), "image.tar");
    run(&args).unwrap();
    let files = files(&fs::read(&args.output).unwrap());
    let index = json(&files["index.json"]);
    let manifest = json(follow(&files, &index["manifests"][0]));
    let ours = json(follow(&files, &manifest["config"]));

    let dockerfile = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("Dockerfile");
    let buildah = Buildah(directory.path());
    let id = buildah.run(&[
        "bud",
        "--quiet",
        "--isolation=chroot",
        "--target=from-binary",
        "--build-arg=BINARY=binary",
        "--build-arg=VERSION=9.8.7",
        "--build-arg=REVISION=abc",
        &format!("--file={}", dockerfile.display()),
        directory.path().to_str().unwrap(),
    ]);
    let theirs = buildah.inspect(&id);
    assert_eq!(theirs["config"]["User"], ours["config"]["User"]);
    assert_eq!(theirs["config"]["Entrypoint"], ours["config"]["Entrypoint"]);
    let mut labels = theirs["config"]["Labels"].clone();
    labels.as_object_mut().unwrap().remove("io.buildah.version");
    assert_eq!(labels, ours["config"]["Labels"]);
}
