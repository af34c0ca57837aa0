//! The commands that need a cluster, typed on the real one of `tests/cluster/up`, in the order in which their readers come
//! by them. Blocks marked `console cluster typed` are these, and none of them is left out.

use std::{
    collections::BTreeMap, ffi::OsString, os::unix::fs::symlink, path::PathBuf, process::Command,
    time::Duration,
};

use super::{
    Block, Page,
    blocks::{Treatment, name, treatment},
    newcomer::clone_into,
    pages, read, root,
    session::{Session, steps},
};

/// Sections of pages, read one after the other by somebody whose cluster has nothing of ours yet.
type Story = &'static [(&'static str, &'static str)];

/// The quick start with the local ESC, and what its reader comes to need later.
const QUICK_START: Story = &[
    ("docs/quickstart-cluster.md", "1. Install the webhook"),
    ("deploy/README.md", "ESC in the cluster"),
    ("docs/quickstart-cluster.md", "3. Let a namespace in"),
    ("docs/quickstart-cluster.md", "4. Two annotations"),
    ("docs/quickstart-cluster.md", "5. Look around"),
    ("docs/identity.md", "Register the issuer"),
    ("docs/identity.md", "When it is refused"),
    ("docs/local-esc.md", "Who may sign in"),
    ("docs/troubleshooting.md", "Nothing happens"),
    ("docs/troubleshooting.md", "The pod is refused"),
    ("docs/migration.md", "`esc-injector convert`"),
    ("docs/operations.md", "Certificates"),
    ("docs/operations.md", "When something is down"),
    ("docs/operations.md", "Upgrade"),
];

/// Without Helm.
const KUSTOMIZE: Story = &[("deploy/README.md", "deploy")];

/// With a certificate that somebody has made.
const OWN_CERTIFICATE: Story = &[("certs/README.md", "Bring your own")];

const STORIES: [Story; 3] = [QUICK_START, KUSTOMIZE, OWN_CERTIFICATE];

#[test]
#[ignore = "needs a cluster of its own: tests/cluster/up"]
fn commands_for_a_cluster_do_what_the_pages_show() {
    let cluster = Cluster::find();
    let pages = pages();
    for story in STORIES {
        cluster.clear();
        let mut session = cluster.session();
        for (page, section) in story {
            let page = pages.iter().find(|other| other.name == *page).expect(page);
            tell(&mut session, page, section);
        }
    }
    cluster.clear();
}

/// Until nobody is asked any more who has the former values, and then some: readers take longer for the next command.
const LAST_ANSWERS: Duration = Duration::from_secs(7);

/// Types a section.
fn tell(session: &mut Session, page: &Page, section: &str) {
    for block in blocks_of(page, section) {
        if let Some(name) = name(&block) {
            session.write(name, &block.text);
        }
        let is_ordinary = !block.is_held && block.info == ["console"];
        if !(is_marked(&block) || is_ordinary) {
            continue;
        }
        for step in steps(&block.text) {
            let place = format!("{}:{}: {}", page.name, block.line, step.command);
            session.run(&step, false).unwrap_or_else(|why| panic!("{place}\n{why}"));
            if step.command.starts_with("helm upgrade") {
                std::thread::sleep(LAST_ANSWERS);
            }
        }
    }
}

/// What stands below a heading, up to the next one of any level.
fn blocks_of<'a>(page: &'a Page, section: &str) -> Vec<Block<'a>> {
    let (blocks, prose) = read(&page.text);
    let headings: Vec<_> = prose
        .iter()
        .filter_map(|(line, text)| {
            text.strip_prefix('#').map(|rest| (*line, rest.trim_start_matches('#').trim()))
        })
        .collect();
    let at = headings.iter().position(|(_, heading)| *heading == section);
    let at = at.unwrap_or_else(|| panic!("{} has no heading {section:?}", page.name));
    let from = headings[at].0;
    let to = headings.get(at + 1).map_or(usize::MAX, |(line, _)| *line);
    blocks.into_iter().filter(|block| (from..to).contains(&block.line)).collect()
}

fn is_marked(block: &Block<'_>) -> bool {
    treatment(block) == Ok(Treatment::TypedOnACluster)
}

/// The running cluster, which this test has for itself.
struct Cluster {
    state: PathBuf,
}

impl Cluster {
    /// With the images that a registry would have.
    fn find() -> Self {
        let state = std::env::var_os("ESC_CLUSTER_STATE")
            .map_or_else(|| std::env::temp_dir().join("esc-cluster"), PathBuf::from);
        assert!(state.join("up").exists(), "no cluster in {}: run tests/cluster/up", state.display());
        let cluster = Self { state };
        let mut publish = Command::new(root().join("tests/cluster/publish"));
        publish.env("ESC_CLUSTER_STATE", &cluster.state);
        assert!(publish.status().unwrap().success(), "tests/cluster/publish");
        cluster
    }

    /// A shell with a clone of this repository, an administrator's kubeconfig, and the usual programs.
    fn session(&self) -> Session {
        let work = tempfile::tempdir().unwrap();
        clone_into(work.path());
        let programs = work.path().join(".programs");
        std::fs::create_dir(&programs).unwrap();
        symlink(env!("CARGO_BIN_EXE_esc-injector"), programs.join("esc-injector")).unwrap();
        for (name, tool) in [("helm", "helm4"), ("kubectl", "kubectl")] {
            symlink(self.state.join("tools").join(tool), programs.join(name)).unwrap();
        }
        let variables: BTreeMap<&str, OsString> =
            BTreeMap::from([("KUBECONFIG", self.state.join("admin.kubeconfig").into())]);
        Session::start(work, &programs, &variables)
    }

    /// Takes away what the stories make, the webhook first.
    fn clear(&self) {
        let ours = "--selector=app.kubernetes.io/name=esc-injector";
        let kinds = "mutatingwebhookconfigurations,validatingwebhookconfigurations,validatingadmissionpolicies,\
                     validatingadmissionpolicybindings,clusterroles,clusterrolebindings,priorityclasses";
        self.kubectl(&["delete", kinds, ours]);
        self.kubectl(&[
            "delete",
            "namespace",
            "esc-injector",
            "esc",
            "shop",
            "--ignore-not-found",
            "--timeout=120s",
        ]);
    }

    fn kubectl(&self, arguments: &[&str]) {
        let mut kubectl = Command::new(self.state.join("tools/kubectl"));
        kubectl.args(arguments).env("KUBECONFIG", self.state.join("admin.kubeconfig"));
        assert!(kubectl.status().unwrap().success(), "kubectl {arguments:?}");
    }
}

#[test]
fn each_block_for_a_cluster_has_a_story_and_each_section_of_a_story_has_some() {
    let pages = pages();
    let marked = |page: &Page, blocks: Vec<Block<'_>>| -> Vec<String> {
        let places = blocks.iter().filter(|block| is_marked(block));
        places.map(|block| format!("{}:{}", page.name, block.line)).collect()
    };
    let mut told = Vec::new();
    for (page, section) in STORIES.into_iter().flatten() {
        let page = pages.iter().find(|other| other.name == *page).expect(page);
        let places = marked(page, blocks_of(page, section));
        assert!(!places.is_empty(), "{} has no commands for a cluster under {section:?}", page.name);
        told.extend(places);
    }
    let all = pages.iter().flat_map(|page| marked(page, read(&page.text).0));
    let left_out: Vec<_> = all.filter(|place| !told.contains(place)).collect();
    assert!(left_out.is_empty(), "no story has the blocks of {left_out:?}");
}
