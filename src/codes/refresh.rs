//! `ESC6xx`: keeping what was delivered fresh, and telling the application.

super::codes! {
    STALE_OUTAGE = "ESC601" {
        title: "The values are kept: ESC can't be reached",
        cause: "A refresh found ESC unreachable, throttled or failing. The last good set stays in place, and the agent tries again by itself, later each time.",
        fix: "Nothing in the pod. See the code of the cause in the same line; look at ESC, the network and the proxy if it lasts.",
        example: "",
    }
    STALE_REFUSED = "ESC602" {
        title: "The values are kept: ESC refuses",
        cause: "A refresh was refused, as the first fetch was not: the identity, the permission or the environment has changed since. The last good set stays in place, and the agent asks again, less often each time.",
        fix: "Give the pod's identity its access back, or correct the environment; the code of the cause in the same line says which. The agent notices by itself within a quarter of an hour, or within the interval if that is longer.",
        example: "",
    }
    STALE_CONTENT = "ESC603" {
        title: "The values are kept: the environment does not fit any more",
        cause: "The environment opened, but a property that the pod asks for has vanished from it, or can't be written as asked. The last good set stays in place as a whole: no other change arrives before this is corrected.",
        fix: "Define the property again, or change the pod's annotations and roll it out; the same line names the property.",
        example: "",
    }
    STALE_VOLUME = "ESC604" {
        title: "The values are kept: the new set can't be written",
        cause: "New values came, but the volume is full or can't be written. The last good set stays in place.",
        fix: "Raise `esc.pulumi.com/volume-size` so that two sets fit side by side; see the code of the cause in the same line.",
        example: "esc.pulumi.com/volume-size: 64Mi",
    }
    STATE = "ESC605" {
        title: "The agent can't keep its state",
        cause: "The volume `esc-state` can't be read or written: it is full, mounted read-only, or belongs to another user.",
        fix: "Keep other tools from changing the mounts and the user of the container `esc-agent`, and nothing else in its volume `esc-state`.",
        example: "",
    }
    METRICS_PORT = "ESC606" {
        title: "The metrics port can't be opened",
        cause: "Another container of the pod listens on the port that `metrics-port` names, or the port needs privileges. The agent does its work without metrics, and tries again now and then.",
        fix: "Choose a free port above 1023.",
        example: "esc.pulumi.com/file.ca.crt: tls.ca\nesc.pulumi.com/refresh: 5m\nesc.pulumi.com/metrics-port: \"9465\"",
    }
    POST_FAILED = "ESC607" {
        title: "The application was not told: the POST failed",
        cause: "New values are in place, but the URL of `on-change` did not answer with success, after several attempts. Redirects are not followed.",
        fix: "Check that the application listens there, on the loopback address, and answers a POST without a body with 2xx. The agent tries again after each interval of `refresh` until it succeeds.",
        example: "esc.pulumi.com/file.ca.crt: tls.ca\nesc.pulumi.com/refresh: 5m\nesc.pulumi.com/on-change: http://127.0.0.1:8080/reload",
    }
    NOT_SHARED = "ESC608" {
        title: "The application was not told: its processes can't be seen",
        cause: "A signal can only be sent inside one process namespace that the pod's containers share, and that is the pod's own. Here they don't share one, or share the node's.",
        fix: "Set `esc.pulumi.com/share-process-namespace` to `\"true\"`, without `hostPID`; or let the agent POST to a URL instead.",
        example: "metadata:\n  annotations:\n    esc.pulumi.com/file.ca.crt: tls.ca\n    esc.pulumi.com/refresh: 5m\n    esc.pulumi.com/on-change: signal:SIGHUP:nginx\n    esc.pulumi.com/share-process-namespace: \"true\"\nspec:\n  securityContext: {runAsUser: 10001}",
    }
    NO_TARGET = "ESC609" {
        title: "The application was not told: no such process",
        cause: "New values are in place, but no process of the agent's own user has the name that `on-change` gives; or, without a name, none is a container's main process.",
        fix: "Correct the name: it is the program's, as `ps -o comm` shows it, or the last part of its first argument. If the process runs as another user, give the pod `runAsUser`, so that agent and application are the same one.",
        example: "metadata:\n  annotations:\n    esc.pulumi.com/file.ca.crt: tls.ca\n    esc.pulumi.com/refresh: 5m\n    esc.pulumi.com/on-change: signal:SIGHUP:nginx\n    esc.pulumi.com/share-process-namespace: \"true\"\nspec:\n  securityContext: {runAsUser: 10001}",
    }
    UNCLEAR_TARGET = "ESC610" {
        title: "The application was not told: several processes could be meant",
        cause: "More than one process fits `on-change`, and the wrong one might die of the signal.",
        fix: "Name the process in `on-change`, by a name that only one container's process has; the message lists those that fit.",
        example: "metadata:\n  annotations:\n    esc.pulumi.com/file.ca.crt: tls.ca\n    esc.pulumi.com/refresh: 5m\n    esc.pulumi.com/on-change: signal:SIGHUP:nginx\n    esc.pulumi.com/share-process-namespace: \"true\"\nspec:\n  securityContext: {runAsUser: 10001}",
    }
    SIGNAL_FAILED = "ESC611" {
        title: "The application was not told: the signal can't be sent",
        cause: "The operating system refused the signal.",
        fix: "See the message for what was refused; check that agent and application run as the same user.",
        example: "",
    }
    TOLD_TOO_OFTEN = "ESC612" {
        title: "The application is told later: it was told too often",
        cause: "The values change so often that telling the application each time would keep it busy, or restarting for ever. They are in place; the application is told as soon as the limit allows. An environment that mints new credentials at each open changes at each refresh.",
        fix: "Lengthen `esc.pulumi.com/refresh`, deliver only what the application needs, or use `on-change` with a URL, which may be called more often than a pod may be restarted.",
        example: "esc.pulumi.com/file.ca.crt: tls.ca\nesc.pulumi.com/refresh: 30m",
    }
    NOT_READY = "ESC613" {
        title: "The agent is not ready",
        cause: "No whole set of this pod's plan is in place yet: the first fetch has not succeeded.",
        fix: "See the log of the container `esc-agent`.",
        example: "",
    }
}
