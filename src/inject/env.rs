//! How a container gets its variables: through the wrapper, from kubelet, or not at all.

use std::collections::BTreeSet;

use super::{
    json::{Json, Members},
    layer::EnvMode,
    names::{self, BINARY, ENV_DIR},
    pod::Container,
    problem::{Problem, Warning},
    references::{self, Delivered},
    request::Request,
    subject::Subject,
    version::{Releases, Version},
    views::View,
};
use crate::{
    agent::{kubelet, plan::OnFailure, wrapper::Wrapping},
    codes::{delivery, pod as codes},
};

/// How the variables of one container arrive.
#[derive(Debug)]
pub enum Way {
    /// It gets none.
    None,
    /// The wrapper sets them and starts the command: the whole of its words.
    Wrapper(Vec<String>),
    /// Kubelet sets them: entries of the container's `env`.
    Kubelet(Vec<Json<'static>>),
}

/// The first kubelet that reads the files that the agent writes. Older ones set empty variables in silence.
const READS_FILES: Version = Version::new(1, 35);

/// A view and its number, and what decides on its variables.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The view.
    pub view: &'a View<'a>,
    /// Its number.
    pub number: usize,
    /// The request.
    pub request: &'a Request,
    /// What is known of the cluster's releases.
    pub releases: Releases,
}

impl Asked<'_> {
    /// Decides for one container of the view. What is wrong or worrying goes to `problems` and `warnings`.
    pub fn way(
        self,
        container: &Container<'_>,
        problems: &mut Vec<Problem>,
        warnings: &mut Vec<Warning>,
    ) -> Way {
        let Self { view, request, .. } = self;
        if !view.needs_variables() && !view.projections.files() {
            return Way::None;
        }
        problems.extend(self.taken(container));
        let supplied = request.commands.get(container.name);
        let command: Option<Vec<&str>> = match (&container.command, supplied) {
            (Some(command), _) => Some(command.clone()),
            (None, Some(command)) => Some(command.iter().map(String::as_str).collect()),
            (None, None) => None,
        };
        let is_wrapped = match (request.env_mode, &command) {
            (EnvMode::Auto | EnvMode::Exec, Some(_)) => true,
            // The files of a projection arrive all the same; only the variables with their paths need a wrapper.
            _ if !view.needs_variables() => return Way::None,
            (EnvMode::Auto, None) if self.kubelet_cannot().is_none() => false,
            (EnvMode::Kubelet, _) => match self.kubelet_cannot() {
                None => false,
                Some(why) => {
                    let subject = Subject::container(container.name);
                    problems.push(Problem::invalid(codes::KUBELET_ENV, subject, why));
                    return Way::None;
                }
            },
            (EnvMode::Auto | EnvMode::Exec, None) => {
                problems.push(no_command(container.name));
                return Way::None;
            }
        };
        let projects = is_wrapped && (view.projections.env() || view.projections.files());
        let delivered = Delivered {
            named: view.variables.iter().map(|entry| entry.name.as_str()).collect(),
            any_other: projects,
        };
        let command = command.unwrap_or_default();
        let expansions = references::expansions(container, &command, &delivered);
        if expansions.shows_on_command_line {
            let message = format!(
                "container {}: its command line refers to a delivered variable, whose value shows in ps",
                container.name
            );
            warnings.push(Warning::new(codes::ON_COMMAND_LINE, Subject::container(container.name), message));
        }
        if !is_wrapped {
            problems.extend(self.empty_defaults(container));
            return Way::Kubelet(self.references());
        }
        let own = container.env.iter().map(|(name, _)| *name).filter(|_| projects);
        let own: BTreeSet<&str> = own.collect();
        let wrapping = Wrapping {
            env_dir: ENV_DIR.to_owned(),
            supplied: container.command.is_none()
                || container.launcher.as_ref().is_some_and(|launcher| launcher.supplied),
            own: own.into_iter().map(str::to_owned).collect(),
            variables: expansions.variables,
            arguments: expansions.arguments,
        };
        let mut wrapped = vec![BINARY.to_owned(), "exec".to_owned()];
        wrapped.extend(wrapping.to_arguments());
        wrapped.extend(command.into_iter().map(str::to_owned));
        Way::Wrapper(wrapped)
    }

    /// Variables that the container sets itself.
    fn taken(self, container: &Container<'_>) -> Vec<Problem> {
        let own: BTreeSet<&str> = container.env.iter().map(|(name, _)| *name).collect();
        let taken = self.view.variables.iter().filter(|entry| own.contains(entry.name.as_str()));
        taken
            .map(|entry| {
                let message = format!(
                    "container `{}` sets it in its own env; remove one of the two, or leave the container out with esc.pulumi.com/containers",
                    container.name
                );
                Problem::invalid(codes::VARIABLE_TAKEN, Subject::Variable(entry.name.to_string()), message)
            })
            .collect()
    }

    /// Why kubelet can't hand over the view's variables; none if it can.
    fn kubelet_cannot(self) -> Option<String> {
        if !self.releases.kubelets_are_at_least(READS_FILES) {
            return Some(format!(
                "kubelet can't deliver its variables, since not every kubelet is known to be {READS_FILES} or newer; the operator can say so with --min-kubelet {READS_FILES}"
            ));
        }
        self.view.projections.env().then(|| {
            "kubelet has to know the names of variables, and those of `environmentVariables` are only known when the environment is opened; name them in env.X annotations"
                .to_owned()
        })
    }

    /// Variables that kubelet would never deliver in place of a missing value: it takes an empty one for missing.
    fn empty_defaults(self, container: &Container<'_>) -> Vec<Problem> {
        let empty = self.view.variables.iter().filter(|entry| entry.default.as_deref() == Some(""));
        empty
            .map(|entry| {
                let message = format!(
                    "its default is empty, which kubelet takes for missing, and it delivers the variables of container `{}`; make it optional instead, and it is unset",
                    container.name
                );
                Problem::invalid(delivery::KUBELET_EMPTY, Subject::Variable(entry.name.to_string()), message)
            })
            .collect()
    }

    /// The entries that refer kubelet to the view's variables.
    fn references(self) -> Vec<Json<'static>> {
        let volume = names::env_volume(self.number);
        // Without ESC the file is there and empty, and the application starts all the same.
        let all_optional = self.request.on_failure == OnFailure::Start;
        let reference = |name: &str, is_optional: bool| {
            let mut reference = Members::default();
            reference.push("volumeName", volume.clone().into());
            reference.push("path", kubelet::FILE.into());
            reference.push("key", name.to_owned().into());
            if is_optional {
                reference.push("optional", true.into());
            }
            let source = Json::object([("fileKeyRef", reference.into())]);
            Json::object([("name", name.to_owned().into()), ("valueFrom", source)])
        };
        let variables = self.view.variables.iter();
        variables.map(|entry| reference(entry.name.as_str(), all_optional || entry.optional)).collect()
    }
}

fn no_command(container: &str) -> Problem {
    Problem::invalid(
        codes::NO_COMMAND,
        Subject::container(container),
        format!(
            "variables need a command, and its command is only known from the image; add esc.pulumi.com/command.{container}: '[\"/path/to/program\"]', or a `command` in the container"
        ),
    )
}
