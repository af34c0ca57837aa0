//! Runs Helm on the chart.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::objects::Objects;

/// The oldest Kubernetes that the chart is for. Helm takes its word for it, so that no cluster is asked.
pub const KUBERNETES: &str = "1.30.0";

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A program that `tests/cluster/install` builds: below `ESC_CLUSTER_TOOLS`, or in the newest of its folders.
pub fn program(name: &str) -> PathBuf {
    let folders = match std::env::var_os("ESC_CLUSTER_TOOLS") {
        Some(folder) => vec![PathBuf::from(folder)],
        None => {
            let home = || Path::new(&std::env::var_os("HOME").unwrap_or_default()).join(".cache");
            let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from);
            let entries = fs::read_dir(cache.join("esc-injector/cluster-tools")).into_iter().flatten();
            let mut folders: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
            folders.sort_by_key(|folder| fs::metadata(folder).unwrap().modified().unwrap());
            folders
        }
    };
    let found = folders.iter().rev().map(|folder| folder.join(name)).find(|program| program.is_file());
    found.unwrap_or_else(|| panic!("{name} is not there: run tests/cluster/install"))
}

/// A version of Helm, with a home of its own.
pub struct Helm {
    program: PathBuf,
    home: tempfile::TempDir,
}

impl Helm {
    pub fn v4() -> Self {
        Self::named("helm4")
    }

    pub fn both() -> [Self; 2] {
        [Self::named("helm3"), Self::named("helm4")]
    }

    fn named(name: &str) -> Self {
        Self { program: program(name), home: tempfile::tempdir().unwrap() }
    }

    /// Runs it with values.
    pub fn run(&self, arguments: &[&str], values: &str) -> Output {
        let mut file = tempfile::Builder::new().suffix(".yaml").tempfile_in(self.home.path()).unwrap();
        file.write_all(values.as_bytes()).unwrap();
        let mut command = Command::new(&self.program);
        for name in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            command.env(name, self.home.path());
        }
        // A cluster that happens to be at hand must not matter.
        command.env("KUBECONFIG", "/nowhere").current_dir(root());
        command.args(arguments).arg("--values").arg(file.path()).output().unwrap()
    }

    /// The manifests as text, or what Helm says against them.
    pub fn text(&self, values: &str) -> Result<String, String> {
        let arguments =
            ["template", "inj", "charts/esc-injector", "--namespace", "esc", "--kube-version", KUBERNETES];
        let output = self.run(&arguments, values);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    pub fn objects(&self, values: &str) -> Objects {
        Objects::parse(&self.text(values).unwrap_or_else(|error| panic!("{values}\n{error}")))
    }
}

/// Renders with Helm 4.
pub fn render(values: &str) -> Objects {
    Helm::v4().objects(values)
}

/// What Helm 4 says against the values.
pub fn refusal(values: &str) -> String {
    Helm::v4().text(values).expect_err(values)
}
