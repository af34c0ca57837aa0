//! ESC2xx: what the pod looks like.

super::codes! {
    UNKNOWN_CONTAINER = "ESC201" {
        title: "No such container",
        cause: "An annotation names a container that the pod does not have.",
        fix: "Correct the name; the message lists the pod's containers.",
        example: "esc.pulumi.com/containers: app",
    }
    NO_COMMAND = "ESC202" {
        title: "Variables need a command",
        cause: "Variables arrive through a small wrapper that starts the container's command, and the container states none: its command is only known from its image.",
        fix: "State the command in the container, or in the annotation that the message shows. Files need no command, and neither do variables that kubelet delivers: for that the operator states the oldest kubelet (--min-kubelet 1.35).",
        example: "esc.pulumi.com/command.app: '[\"/app/server\"]'",
    }
    VARIABLE_TAKEN = "ESC203" {
        title: "Variable already set",
        cause: "The container's own env sets a variable that an annotation asks for as well.",
        fix: "Remove one of the two, or use esc.pulumi.com/containers to leave the container out.",
        example: "",
    }
    NAME_TAKEN = "ESC204" {
        title: "Name already taken",
        cause: "The pod has a container or volume of its own with a name that the injector uses.",
        fix: "Rename it; esc-agent and volumes beginning with esc- are the injector's.",
        example: "",
    }
    MOUNT_TAKEN = "ESC205" {
        title: "Mount path already taken",
        cause: "A container mounts something of its own at, or below, a path that the injector mounts.",
        fix: "Move the container's mount, or choose another esc.pulumi.com/mount-path.",
        example: "esc.pulumi.com/mount-path: /etc/esc",
    }
    MOUNT_BELOW_READ_ONLY = "ESC206" {
        title: "Mount path below a read-only mount",
        cause: "The container runtime has to create the mount point, and can't inside a volume that is mounted read-only.",
        fix: "Choose another esc.pulumi.com/mount-path, or mount the volume above it writable.",
        example: "esc.pulumi.com/mount-path: /etc/esc",
    }
    MODE_OWNER = "ESC207" {
        title: "Nobody could read the file",
        cause: "The mode lets only the file's owner or group read it, and nothing says that the application is one of them: the owner is the agent's uid, the group is the pod's fsGroup.",
        fix: "Set the pod's securityContext.fsGroup and use 0440, or give all receiving containers the same runAsUser, or drop the mode.",
        example: "spec:\n  securityContext: {fsGroup: 2000}",
    }
    WINDOWS = "ESC208" {
        title: "Windows pod",
        cause: "The agent runs on Linux only.",
        fix: "Remove the esc.pulumi.com/ annotations from this pod.",
        example: "",
    }
    STARTS_BEFORE = "ESC209" {
        title: "Container starts before the agent",
        cause: "The annotation esc.pulumi.com/containers names an init container that runs before the agent, when nothing is there yet.",
        fix: "Take it off the list, or let the agent run first (esc.pulumi.com/init-first: \"true\").",
        example: "esc.pulumi.com/init-first: \"true\"",
    }
    NO_RECEIVER = "ESC210" {
        title: "No container left to receive",
        cause: "Every container of the pod is on the operator's excluded list or starts before the agent.",
        fix: "Name the receivers in esc.pulumi.com/containers.",
        example: "esc.pulumi.com/containers: app",
    }
    MALFORMED = "ESC211" {
        title: "Malformed pod",
        cause: "A field that the injector must read has a type or a size that no pod can have.",
        fix: "Correct the field that the message names.",
        example: "spec:\n  securityContext: {runAsUser: 1000}",
    }
    NEVER_RESTARTS = "ESC212" {
        title: "The pod has one try",
        cause: "A warning: with `restartPolicy: Never`, an agent that can't reach ESC within its timeout fails the pod for good.",
        fix: "Leave it if whoever makes the pod makes another, such as a Job; a longer `esc.pulumi.com/timeout` makes it rarer. Otherwise let the application start without values.",
        example: "esc.pulumi.com/on-failure: start",
    }
    ON_COMMAND_LINE = "ESC213" {
        title: "A value shows on the command line",
        cause: "A warning: the container's command or arguments refer to a delivered variable, and command lines show in the process list.",
        fix: "Let the application read the variable itself, or deliver the value as a file.",
        example: "",
    }
    RECEIVES_NOTHING = "ESC214" {
        title: "An init container receives nothing",
        cause: "A warning: the init container stands before the mesh sidecar that the agent has to wait for, so it runs before there is anything to receive.",
        fix: "Leave it if it needs nothing. Otherwise put it after the sidecar.",
        example: "",
    }
    LEFT_BEHIND = "ESC215" {
        title: "An agent that nobody asked for",
        cause: "A warning: the pod opts out, or has lost its annotations, but its spec still holds the container esc-agent of an earlier injection, as copies of live pods do. Such a pod is not changed, so the agent runs as it did.",
        fix: "Remove the init container esc-agent, the volumes and mounts that begin with esc-, and the wrapper before the containers' commands; or let the pod ask again. Better, copy the workload's manifest and not a live pod.",
        example: "",
    }
    SIGNAL_USER = "ESC216" {
        title: "The agent could not signal the application",
        cause: "`on-change: signal:…` needs an agent that runs as the same user as the application, and the receiving containers don't state one user for all.",
        fix: "Set runAsUser, above 0 and the same for all receivers, on the pod or on each of them; or let the agent POST to a URL instead.",
        example: "metadata:\n  annotations:\n    esc.pulumi.com/file.ca.crt: tls.ca\n    esc.pulumi.com/refresh: 5m\n    esc.pulumi.com/on-change: signal:SIGHUP\n    esc.pulumi.com/share-process-namespace: \"true\"\nspec:\n  securityContext: {runAsUser: 10001}",
    }
    INIT_AGAIN = "ESC217" {
        title: "Init containers run again",
        cause: "A warning: `on-change: restart` restarts all containers of the pod in place, and its init containers run again each time, on the volumes as they are.",
        fix: "Leave it if they can run twice. Otherwise use another `on-change`.",
        example: "esc.pulumi.com/file.ca.crt: tls.ca\nesc.pulumi.com/refresh: 5m\nesc.pulumi.com/on-change: http://127.0.0.1:8080/reload",
    }
    SHARED_PROCESSES = "ESC218" {
        title: "Containers see each other's processes",
        cause: "A warning: with `share-process-namespace` every container of the pod sees the processes of the others; one that runs as the same user can read their variables, files and memory through /proc.",
        fix: "Leave it if the containers trust each other. Otherwise let the agent POST to a URL instead of sending a signal.",
        example: "esc.pulumi.com/file.ca.crt: tls.ca\nesc.pulumi.com/refresh: 5m\nesc.pulumi.com/on-change: http://127.0.0.1:8080/reload",
    }
    REFRESH_UNSEEN = "ESC219" {
        title: "Refreshed values reach nobody",
        cause: "A warning: the pod asks for `refresh` and for variables only. A running process keeps the variables that it was started with.",
        fix: "Deliver files, or restart the containers (`on-change: restart`), or remove `refresh`.",
        example: "esc.pulumi.com/env.DATABASE_URL: db.url\nesc.pulumi.com/file.ca.crt: tls.ca\nesc.pulumi.com/refresh: 5m",
    }
    KUBELET_ENV = "ESC220" {
        title: "kubelet can't deliver the variables",
        cause: "`env-mode: kubelet` needs kubelets of 1.35 or newer on every node (older ones set empty variables without a word), and variables whose names the pod says: those of ESC's `environmentVariables` are not known before the environment is opened.",
        fix: "Let the operator state the oldest kubelet (--min-kubelet 1.35), name the variables in env.X annotations, or use the wrapper (esc.pulumi.com/env-mode: exec).",
        example: "esc-injector webhook --min-kubelet 1.35",
    }
    PORT_TAKEN = "ESC221" {
        title: "The metrics port is a container's own",
        cause: "`metrics-port` names a port that a container of the pod states as its own. Containers of a pod share one network, so that only one of the two could listen.",
        fix: "Choose a port that no container of the pod has.",
        example: "esc.pulumi.com/file.ca.crt: tls.ca\nesc.pulumi.com/refresh: 5m\nesc.pulumi.com/metrics-port: \"9465\"",
    }
}
